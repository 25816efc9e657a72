"""The pages of the devices: what they say, who may see them, what their calls leave in the outbox."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import clock, qr
from lms.core.db import db, new_id, write
from lms.core.models import OutboxMessage
from lms.labs import kits, rules, service, views
from lms.labs.models import Device, StopEvent
from lms.teaching import service as teaching
from tests.factories import PIN, make_room, make_school, sign_in, token
from tests.teaching.scene import Scene, account_of, add_robots, browser, make_scene, seat_client


@pytest.fixture
def scene(app: Flask) -> Scene:
    return make_scene()


@pytest.fixture
def teacher(app: Flask, scene: Scene) -> FlaskClient:
    client = browser(app)
    sign_in(client, scene.teacher)
    return client


def add(scene: Scene, sticker: str, **facts: Any) -> Device:
    """A device of the lab that is well, but for ``facts``."""
    usual: dict[str, Any] = {"kind": "robot", "title": f"小车 {sticker}", "state": "ready", "values": {}, "seen_at": None}
    with write():
        device = Device(id=new_id(), school_id=scene.school.id, homie_id=f"bot-{sticker}", room_id=scene.room.id, sticker=sticker, **{**usual, **facts})
        db.session.add(device)
    return device


def sent(topic: str) -> list[str]:
    """What waits to be published on a topic."""
    db.session.rollback()
    return list(db.session.scalars(select(OutboxMessage.payload).where(OutboxMessage.topic == topic).order_by(OutboxMessage.seq)))


def post(client: FlaskClient, url: str, body: dict[str, Any]) -> Any:
    return client.post(url, json=body, headers={"X-CSRFToken": token(client, "/devices")})


def test_the_list_shows_first_what_needs_attention_and_filters(scene: Scene, teacher: FlaskClient) -> None:
    add(scene, "01", values={"main/battery": "88"}, seen_at=clock.now())
    add(scene, "09", state="lost")
    add(scene, "C1", kind="camera", seen_at=clock.now())
    numbers = re.compile(r'l-number">(\w+)<')
    assert numbers.findall(teacher.get("/devices").text) == ["09", "01", "C1"]
    assert numbers.findall(teacher.get("/devices?show=attention").text) == ["09"]
    assert numbers.findall(teacher.get("/devices?show=camera").text) == ["C1"]
    assert "失去联系：看看电源和网络。" in teacher.get("/devices").text


@pytest.mark.parametrize(
    ("state", "alert", "values", "heard", "wanted"),
    [
        ("ready", "", {"main/battery": "20"}, True, ()),
        ("ready", "", {"main/battery": "19.6"}, True, ()),
        ("ready", "", {"main/battery": "19"}, True, ("battery",)),
        ("ready", "", {"main/battery": "many"}, True, ()),
        ("ready", "固件不对", {}, True, ("alert",)),
        ("ready", "", {}, False, ("silent",)),
        ("lost", "", {}, False, ("lost",)),
        ("disconnected", "", {}, True, ("off",)),
        ("init", "", {}, True, ("starting",)),
    ],
)
def test_what_needs_attention(state: str, alert: str, values: dict[str, str], heard: bool, wanted: tuple[str, ...]) -> None:
    assert rules.worries(state, alert, values, heard=heard) == wanted


def test_a_devices_page_tells_state_holder_and_readings(scene: Scene, teacher: FlaskClient) -> None:
    device = add(scene, "07", profile="makeblock-mbot", alert="固件不对：需要 06.01", values={"main/range": "31.5", "main/moving": "false", "main/odd": "{}"})
    lesson = scene.open()
    until = lesson.started_at.replace(year=lesson.started_at.year + 1)
    first, second = scene.seats[0], scene.seats[1]
    service.grant_lease(scene.actor, lesson.id, device, 2, [first.terminal, second.terminal], second.terminal, until, 0.2, 1.0)
    text = teacher.get("/labs/device/lab1/07").text
    for words in ("固件不对：需要 06.01", "第 2 组", f"座位 {second.label} 正在驾驶", f"{first.label}、{second.label}", 'data-reading="range">31.5</span> cm', "前方距离", ">否<"):
        assert words in text, words
    assert "odd" not in re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert teacher.get("/labs/device/lab1/bot-07").status_code == 200  # by its Homie id too
    assert "没有 08 号设备" in teacher.get("/labs/device/lab1/08").text


def test_stickers_lead_to_the_devices_pages(scene: Scene, teacher: FlaskClient) -> None:
    add(scene, "07")
    text = teacher.get("/labs/stickers").text
    (address,) = re.findall(r"http://localhost/labs/device/lab1/07", text)
    assert str(qr.drawn([address])[0]) in text
    assert "本机地址" in text  # nobody else can open localhost


@pytest.mark.parametrize(("host", "only"), [("localhost", True), ("127.0.0.1", True), ("[::1]", True), ("lab.school.test", False), ("10.0.0.5", False)])
def test_an_address_of_this_computer_alone_is_told(host: str, only: bool) -> None:
    assert views.only_here(host) is only


def test_identify_goes_to_the_device(scene: Scene, teacher: FlaskClient) -> None:
    device = add(scene, "07")
    assert post(teacher, f"/api/labs/devices/{device.id}/identify", {}).status_code == 200
    assert sent("homie/5/bot-07/main/identify/set") == ["identify"]


@pytest.mark.parametrize(
    ("profile", "kind", "button"),
    [("makeblock-mbot", "robot", True), ("a-schools-own", "robot", True), ("dfrobot-huskylens", "sensor", False), ("homie4-board", "sensor", False), ("generic-camera", "camera", False)],
)
def test_only_what_can_blink_is_asked_to(scene: Scene, teacher: FlaskClient, profile: str, kind: str, button: bool) -> None:
    device = add(scene, "07", profile=profile, kind=kind)
    found = re.search(r'<button[^>]*id="identify"[^>]*>', teacher.get("/labs/device/lab1/07").text)
    assert found and ("hidden" not in found[0]) is button
    answer = post(teacher, f"/api/labs/devices/{device.id}/identify", {})
    assert answer.status_code == (200 if button else 409)
    assert sent("homie/5/bot-07/main/identify/set") == (["identify"] if button else [])


def test_a_rooms_stop_is_said_once_and_reported(scene: Scene, teacher: FlaskClient) -> None:
    base, stop_id = f"/api/labs/rooms/{scene.room.id}", str(new_id())
    for _ in range(2):
        assert post(teacher, f"{base}/stop", {"id": stop_id}).get_json()["stop"] == stop_id
    (said,) = sent("zhike/room/lab1/stop")
    assert json.loads(said)["id"] == stop_id
    assert "devices" not in json.loads(said)
    assert teacher.get(f"{base}/stop/{stop_id}").get_json()["reported"] is False
    assert post(teacher, f"{base}/stop", {"id": "no"}).get_json()["code"] == "id"
    credential = teacher.get(f"{base}/link").get_json()["link"]
    assert credential["room"] == "lab1"


def test_another_schools_devices_are_not_found(app: Flask, scene: Scene, teacher: FlaskClient) -> None:
    school = make_school("别的学校")
    room, _ = make_room(school, code="lab9")
    for path in (f"/api/labs/rooms/{room.id}/kits", f"/api/labs/rooms/{room.id}/link", "/labs/arena/lab9", "/labs/device/lab9/01"):
        assert teacher.get(path, headers={"Accept": "application/json"}).status_code == 404, path
    assert post(teacher, f"/api/labs/rooms/{room.id}/stop", {"id": str(new_id())}).status_code == 404


def test_a_pupils_stop_names_the_groups_robot_only(app: Flask, scene: Scene) -> None:
    robots = add_robots(scene)
    lesson = scene.open()
    with write():
        teaching.seat_pupil(account_of(scene.pupils[0]), scene.seats[0], lesson)
    teaching.make_groups(scene.actor, lesson, 4)
    client = seat_client(app, scene, scene.seats[0])
    sign_in_at_seat(client, scene)
    stop_id = str(new_id())
    headers = {"X-CSRFToken": client.get("/api/lesson/token").get_json()["token"]}
    refused = client.post("/api/lesson/stop", json={"id": stop_id}, headers=headers)
    assert refused.get_json()["code"] == "no-robot"
    teaching.assign_robot(scene.actor, lesson, 1, robots[1])
    db.session.rollback()
    assert client.post("/api/lesson/stop", json={"id": stop_id}, headers=headers).status_code == 200
    (said,) = sent("zhike/room/lab1/stop")
    assert json.loads(said)["devices"] == ["mbot-2"]
    assert json.loads(said)["by"] == "pupil"
    event = db.session.scalars(select(StopEvent)).one()
    assert [entry["device"] for entry in event.unconfirmed] == ["mbot-2"]  # what a repeated stop names again
    assert client.get(f"/api/lesson/stop/{stop_id}").get_json()["reported"] is False
    assert client.get("/devices").status_code == 403


def sign_in_at_seat(client: FlaskClient, scene: Scene) -> None:
    given = {"person": str(scene.pupils[0].id), "pin": PIN}
    assert client.post("/seat/sign-in", json=given, headers={"X-CSRFToken": token(client, "/seat"), "Accept": "application/json"}).status_code == 200


def test_a_terminal_sees_only_its_robots_on_the_simulated_table() -> None:
    rights = rules.terminal_rights("lab1-01", "lab1", ["mbot-1"], [])
    assert "homie/5/arena-lab1/mbot-1/pose" in rights.receive
    assert "homie/5/arena-lab1/arena/layout" in rights.receive
    assert not [topic for topic in rights.receive if topic.startswith("homie/5/arena-") and topic.endswith(("#", "+/pose"))]
    assert not [topic for topic in rules.terminal_rights("lab1-01", "lab1", [], []).receive if "arena" in topic]


def test_a_holder_is_named_until_the_lease_ends(scene: Scene) -> None:
    device = add(scene, "07")
    lesson = scene.open()
    until = lesson.started_at.replace(year=lesson.started_at.year + 1)
    lease = service.grant_lease(scene.actor, lesson.id, device, 1, [scene.seats[0].terminal], "", until, 0.2, 1.0)
    assert kits.kit_of(scene.school.id, "lab1", "07").holder == kits.Holder(1, (scene.seats[0].label,), "")
    assert kits.running_lesson(scene.room) == lesson.id
    service.release_lease(scene.actor, lease)
    assert kits.kit_of(scene.school.id, "lab1", "07").holder is None


def test_a_seats_code_may_be_scanned_instead_of_typed(app: Flask, scene: Scene, teacher: FlaskClient) -> None:
    page = f"/school/rooms/{scene.room.id}"
    text = teacher.post(f"{page}/codes", data={"csrf_token": token(teacher, page)}).text
    assert text.count('class="qr"') == len(scene.seats)
    scanned = browser(app).get("/seat?code=123456").text
    assert 'value="123456"' in scanned
