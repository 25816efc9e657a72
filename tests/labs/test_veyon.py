"""Locks, screens and power of PCs by Veyon: the client, the orders, the pages, on a WebAPI with Veyon's own oddities."""

from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from labkit import veyon, wake
from labkit.veyon import Api, VeyonError
from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import Invalid, Refused
from lms.core.models import AuditEntry, OutboxMessage
from lms.labs import rules as lab_rules
from lms.labs.veyon import rules, runner, service
from lms.labs.veyon.models import PcOrder, SeatPc
from lms.labs.veyon.texts import result_texts
from lms.teaching import service as teaching
from lms.teaching.models import LessonSession
from tests.factories import make_admin, make_school, sign_in, token
from tests.labs.test_bridge import until
from tests.labs.veyon_fake import JPEG, KEY, FakePc, FakeVeyon, serving
from tests.teaching.scene import Scene, account_of, browser, make_scene

ADDRESSES = [f"10.0.0.{number}" for number in range(1, 7)]


def never(seconds: float) -> bool:
    return threading.Event().wait(seconds)


def api(fake: FakeVeyon, **changes: Any) -> Api:
    return replace(Api(fake.url, "key", "lab", KEY), **changes)


@pytest.fixture
def fake() -> Iterator[FakeVeyon]:
    with serving(FakeVeyon({address: FakePc() for address in ADDRESSES})) as made:
        yield made


# ---- the client


def test_a_lock_is_said_only_when_the_pc_says_so(fake: FakeVeyon) -> None:
    pc = fake.pcs[ADDRESSES[0]]
    veyon.lock(api(fake), ADDRESSES[0], True, never)
    assert pc.locked
    veyon.lock(api(fake), ADDRESSES[0], False, never)
    assert not pc.locked
    assert fake.lines == {}, "connections are given back"
    pc.obeys = False
    with pytest.raises(VeyonError, match="unconfirmed"):
        veyon.lock(api(fake), ADDRESSES[0], True, never)


def test_an_order_is_not_lost_by_hanging_up(fake: FakeVeyon) -> None:
    veyon.shut_down(api(fake), ADDRESSES[1], never)
    veyon.restart(api(fake), ADDRESSES[1], never)
    assert fake.pcs[ADDRESSES[1]].did == [f"{veyon.POWER_DOWN}:1", f"{veyon.REBOOT}:1"]


def test_the_first_picture_is_waited_for(fake: FakeVeyon) -> None:
    with veyon.Session(api(fake), ADDRESSES[0]) as session:
        assert session.picture(400, never) == JPEG
    fake.pcs[ADDRESSES[0]].user = False
    with veyon.Session(api(fake), ADDRESSES[0]) as session, pytest.raises(VeyonError, match="no_picture"):
        session.picture(400, lambda _s: False)


@pytest.mark.parametrize(
    ("changes", "host", "code"),
    [
        ({}, "10.0.0.99", "off"),
        ({"name": "other"}, ADDRESSES[0], "refused"),
        ({"secret": "rubbish"}, ADDRESSES[0], "bad_key"),
        ({"method": "logon"}, ADDRESSES[0], "method_off"),
        ({"url": "http://127.0.0.1:9"}, ADDRESSES[0], "unreachable"),
    ],
)
def test_what_is_wrong_has_a_name(fake: FakeVeyon, changes: dict[str, Any], host: str, code: str) -> None:
    with pytest.raises(VeyonError) as caught:
        veyon.Session(api(fake, **changes), host)
    assert caught.value.code == code
    assert KEY.split("\n")[1] not in repr(api(fake)) + str(caught.value)


def test_a_connection_that_expired_is_told(fake: FakeVeyon) -> None:
    fake.expire(1)
    with pytest.raises(VeyonError, match="expired"), veyon.Session(api(fake), ADDRESSES[0]) as session:
        session.features()


def test_a_server_that_says_nothing_is_given_up(fake: FakeVeyon) -> None:
    fake.gate.clear()
    with pytest.raises(VeyonError) as caught:
        veyon.Session(api(fake, timeout_s=0.3), ADDRESSES[0])
    assert caught.value.code == "off"


def test_something_else_at_the_address_is_no_webapi(app: Flask) -> None:
    with serving(FakeVeyon({})) as other, pytest.raises(VeyonError) as caught:
        veyon.call(api(other), "GET", "elsewhere")
    assert caught.value.code == "expired" or caught.value.code == "strange"


def test_every_code_has_words(app: Flask) -> None:
    with app.test_request_context():
        words = result_texts()
    ours = {"ok", "off", "no_address", "no_mac", "no_broadcast", "no_key", "unreachable", "tls", "unconfirmed", "late", "stopped"}
    assert set(veyon.CODES.values()) | ours <= set(words)


def test_the_magic_packet_as_its_white_paper_says() -> None:
    packet = wake.magic_packet("00-1A-2b-3C:4D:5E")
    assert packet == b"\xff" * 6 + bytes.fromhex("001a2b3c4d5e") * 16
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as card:
        card.bind(("127.0.0.1", 0))
        card.settimeout(5)
        wake.wake("001a2b3c4d5e", "127.0.0.1", card.getsockname()[1])
        assert card.recv(200) == packet
    for wrong in ("", "00-1A-2B-3C-4D", "zz-1A-2B-3C-4D-5E", "00-1A-2B-3C-4D-5E-6F"):
        with pytest.raises(ValueError, match=r".*"):
            wake.mac_of(wrong)


# ---- rules


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:11080", ""),
        ("http://localhost:11080", ""),
        ("https://192.168.1.5:11080", ""),
        ("http://192.168.1.5:11080", "plain"),
        ("http://localhost.evil.example", "plain"),
        ("ftp://127.0.0.1", "form"),
        ("127.0.0.1:11080", "form"),
        ("http://user:x@127.0.0.1", "form"),
        ("http://127.0.0.1:99999", "form"),
        ("", "form"),
    ],
)
def test_the_key_never_crosses_the_network_in_the_clear(url: str, problem: str) -> None:
    assert rules.url_problem(url) == problem


def test_what_may_still_be_locked() -> None:
    history = [
        ("lock", {"a": "ok", "b": "off", "c": "unconfirmed"}, ["a", "b", "c", "d"]),
        ("unlock", {"a": "ok", "c": "off"}, ["a", "c"]),
    ]
    assert rules.locked_seats(history) == {"c", "d"}
    assert rules.locked_seats([*history, ("restart", {"c": "ok", "d": "off"}, ["c", "d"])]) == {"d"}


# ---- orders


@contextmanager
def running(app: Flask, scene: Scene) -> Iterator[tuple[list[tuple[str, bytes]], list[str]]]:
    """The part of the bridge that carries orders out: pictures that it sent, MACs that it woke."""
    pictures: list[tuple[str, bytes]] = []
    woken: list[str] = []
    made = runner.Runner(app, scene.school.id, lambda topic, picture: pictures.append((topic, picture)), woken.append)
    made.start()
    try:
        yield pictures, woken
    finally:
        made.stop()


def connected(scene: Scene, fake: FakeVeyon, *, known: int = 6) -> None:
    """The lab has Veyon, and the addresses of the first PCs are entered."""
    admin = account_of(make_admin(scene.school))
    service.connect(admin, scene.room, fake.url, "key", "lab", KEY, "")
    service.set_pcs(admin, scene.room, {str(seat.id): (ADDRESSES[at], f"00:00:00:00:00:{at:02x}") for at, seat in enumerate(scene.seats[:known])})


def done(order: PcOrder, seconds: float = 20) -> dict[str, str]:
    """Results by seat label once the order is done."""
    until(lambda: db.session.get_one(PcOrder, order.id, populate_existing=True).state == "done", seconds)
    return dict(db.session.get_one(PcOrder, order.id).results)


def test_all_are_locked_and_who_is_off_is_named_by_seat(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake, known=5)
    fake.pcs[ADDRESSES[2]].on = False
    lesson = scene.open()
    with running(app, scene):
        made = service.order(scene.actor, scene.room, "lock", [], lesson.id)
        results = done(made)
    ids = [str(seat.id) for seat in scene.seats]
    assert results == {ids[0]: "ok", ids[1]: "ok", ids[2]: "off", ids[3]: "ok", ids[4]: "ok", ids[5]: "no_address"}
    assert [fake.pcs[address].locked for address in ADDRESSES] == [True, True, False, True, True, False]
    assert set(service.room_state(scene.room, lesson.id)["locked"]) == {ids[0], ids[1], ids[3], ids[4]}


def test_forty_locks_share_few_connections(app: Flask) -> None:
    addresses = [f"pc-{number}" for number in range(40)]
    scene = make_scene(seats=40)
    with serving(FakeVeyon({address: FakePc() for address in addresses}, limit=8)) as small, running(app, scene):
        admin = account_of(make_admin(scene.school))
        service.connect(admin, scene.room, small.url, "key", "lab", KEY, "")
        service.set_pcs(admin, scene.room, {str(seat.id): (addresses[at], "") for at, seat in enumerate(scene.seats)})
        results = done(service.order(scene.actor, scene.room, "lock", []), 60)
        assert small.most <= 8
        assert small.lines == {}
    assert set(results.values()) == {"ok"}


def test_a_connection_that_breaks_is_made_again(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake, known=1)
    fake.expire(1)
    first = [str(scene.seats[0].id)]
    with running(app, scene):
        assert done(service.order(scene.actor, scene.room, "lock", first)) == {first[0]: "ok"}
        assert fake.pcs[ADDRESSES[0]].locked
        fake.expire(2)
        assert done(service.order(scene.actor, scene.room, "unlock", first)) == {first[0]: "expired"}
        assert service.room_state(scene.room)["locked"] == first, "it may still be locked, and is said to be"
        fake.expire(1)
        made = service.order(scene.actor, scene.room, "restart", first)
        with write():
            db.session.get_one(PcOrder, made.id).not_before = clock.now()
        assert done(made) == {first[0]: "expired"}
    assert veyon.REBOOT not in " ".join(fake.pcs[ADDRESSES[0]].did), "nothing is restarted twice"


def test_progress_is_seen_before_the_slowest_has_answered(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake, known=5)
    fake.gate.clear()
    with running(app, scene):
        made = service.order(scene.actor, scene.room, "lock", [])
        seen = until(lambda: db.session.get_one(PcOrder, made.id, populate_existing=True).results)
        assert set(seen.values()) == {"no_address"}
        assert db.session.get_one(PcOrder, made.id).state == "running"
        fake.gate.set()
        assert sorted(done(made).values()) == ["no_address", "ok", "ok", "ok", "ok", "ok"]


def test_a_shut_down_waits_and_can_be_taken_back(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake)
    with running(app, scene):
        made = service.order(scene.actor, scene.room, "shut-down", [])
        assert made.not_before - made.created_at >= timedelta(seconds=7)
        after = service.order(scene.actor, scene.room, "lock", [str(scene.seats[0].id)])
        done(after)
        service.take_back(scene.actor, scene.room, made.id)
        with write():  # its moment has come
            db.session.get_one(PcOrder, made.id).not_before = clock.now() - timedelta(seconds=1)
        last = service.order(scene.actor, scene.room, "unlock", [])
        done(last)
        assert all(veyon.POWER_DOWN not in " ".join(pc.did) for pc in fake.pcs.values())
        with pytest.raises(Refused, match="too-late"):
            service.take_back(scene.actor, scene.room, last.id)


def test_a_shut_down_that_was_forgotten_is_not_made_up_for(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake)
    made = service.order(scene.actor, scene.room, "shut-down", [])
    with write():
        db.session.get_one(PcOrder, made.id).not_before = clock.now() - timedelta(minutes=2)
    with running(app, scene):
        assert set(done(made).values()) == {"late"}
    assert all(pc.did == [] for pc in fake.pcs.values())


def test_a_shut_down_and_a_wake_reach_the_pcs(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake, known=2)
    made = service.order(scene.actor, scene.room, "shut-down", [str(scene.seats[0].id)])
    with write():
        db.session.get_one(PcOrder, made.id).not_before = clock.now()
    with running(app, scene) as (_pictures, woken):
        assert done(made) == {str(scene.seats[0].id): "ok"}
        assert fake.pcs[ADDRESSES[0]].did == [f"{veyon.POWER_DOWN}:1"]
        results = done(service.order(scene.actor, scene.room, "wake", [str(seat.id) for seat in scene.seats[:3]]))
    assert [results[str(seat.id)] for seat in scene.seats[:3]] == ["ok", "ok", "no_mac"]
    assert sorted(woken) == ["00:00:00:00:00:00", "00:00:00:00:00:01"]


def test_a_killed_bridge_asks_locks_again_but_no_restart(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake)
    orders = [service.order(scene.actor, scene.room, action, [str(scene.seats[0].id)]) for action in ("restart", "lock")]
    with write():
        for made in orders:
            db.session.get_one(PcOrder, made.id).state = "running"
    with running(app, scene):
        assert [done(made)[str(scene.seats[0].id)] for made in orders] == ["unconfirmed", "ok"]
    assert veyon.REBOOT not in " ".join(fake.pcs[ADDRESSES[0]].did)


def test_pictures_go_to_the_asking_console_only_and_nowhere_else(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake, known=3)
    fake.pcs[ADDRESSES[1]].on = False
    lesson = scene.open()
    with running(app, scene) as (pictures, _woken):
        service.watch(scene.actor, scene.room, lesson.id, True)
        until(lambda: len(pictures) >= 2)
        look = until(lambda: db.session.scalars(select(PcOrder).where(PcOrder.action == "screens", PcOrder.state == "running")).one_or_none())
        until(lambda: len(db.session.get_one(PcOrder, look.id, populate_existing=True).results) == 6)
        assert sorted(db.session.get_one(PcOrder, look.id).results.values()) == ["no_address"] * 3 + ["off", "ok", "ok"]
        service.watch(scene.actor, scene.room, lesson.id, False)
        assert until(lambda: db.session.get_one(PcOrder, look.id, populate_existing=True).state == "done")
    console = service.console_name(scene.actor.id, scene.room.code)
    assert {topic for topic, _picture in pictures} == {f"screens/{console}/01", f"screens/{console}/03"}
    assert {picture for _topic, picture in pictures} == {JPEG}
    assert f"screens/{console}/#" in lab_rules.console_rights(scene.room.code, console).receive
    other = service.console_name(account_of(make_admin(scene.school, "另一位")).id, scene.room.code)
    assert not any(right.startswith(f"screens/{console}") for right in lab_rules.console_rights(scene.room.code, other).receive)
    assert not any(right.startswith("screens") for right in lab_rules.terminal_rights("t-lab1-01", "lab1", [], []).receive)
    kept = [str(row) for table in (PcOrder.__table__, OutboxMessage.__table__) for row in db.session.execute(select(table))]
    assert not any("JFIF" in row or "ffd8" in row for row in kept)


def test_looking_is_written_down_and_shown_to_the_pupils(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake)
    lesson = scene.open()
    assert told(scene)["watched_until"] is None
    teacher = browser(app)
    sign_in(teacher, scene.teacher)
    url = f"/api/lessons/{lesson.id}/pcs/watch"
    for _ in range(3):  # begun, then renewed
        answer = post(teacher, url, {"on": True})
        assert answer["until"]
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "access:screens")).one()
    assert (entry.object_id, entry.detail["people"], entry.actor_id) == (str(lesson.id), 6, scene.actor.id)
    assert told(scene)["watched_until"] == answer["until"]
    post(teacher, url, {"on": False})
    assert told(scene)["watched_until"] is None


def told(scene: Scene) -> dict[str, Any]:
    """What the room's terminals were told last."""
    query = select(OutboxMessage.payload).where(OutboxMessage.topic == lab_rules.lesson_topic(scene.room.code)).order_by(OutboxMessage.seq.desc())
    found: dict[str, Any] = json.loads(db.session.scalars(query.limit(1)).one())
    return found


def post(client: FlaskClient, url: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """A console's call."""
    answer = client.post(url, json=body, headers={"X-CSRFToken": token(client, "/today")})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


# ---- the lesson


def test_the_end_of_a_lesson_frees_what_it_locked(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake)
    lesson = scene.open()
    with running(app, scene):
        done(service.order(scene.actor, scene.room, "lock", [], lesson.id))
        service.watch(scene.actor, scene.room, lesson.id, True)
        assert fake.pcs[ADDRESSES[0]].locked
        teaching.end_lesson(scene.actor, lesson)
        until(lambda: not any(pc.locked for pc in fake.pcs.values()))
    assert service.watch_end(lesson.school_id, lesson.id) is None


def test_a_lesson_that_locked_nothing_orders_nothing(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake)
    teaching.end_lesson(scene.actor, scene.open())
    assert db.session.scalars(select(PcOrder)).all() == []


def test_the_console_orders_and_sees_what_came_of_it(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake)
    lesson = scene.open()
    teacher = browser(app)
    sign_in(teacher, scene.teacher)
    assert 'aria-controls="tab-pcs"' in teacher.get(f"/console/{lesson.id}").text
    url = f"/api/lessons/{lesson.id}/pcs"
    with running(app, scene):
        post(teacher, url, {"action": "lock", "seats": [str(scene.seats[0].id)]})
        until(lambda: teacher.get(url).get_json()["orders"][-1]["state"] == "done")
    assert teacher.get(url).get_json()["locked"] == [str(scene.seats[0].id)]
    made = post(teacher, url, {"action": "shut-down"})
    assert post(teacher, f"{url}/undo", {"order": made["order"]})["orders"][-1]["state"] == "cancelled"
    for wrong in ({"action": "format"}, {"action": "lock", "seats": ["x"]}, {"action": "lock", "seats": "all"}, {}):
        post(teacher, url, wrong, 422)
    teaching.end_lesson(scene.actor, db.session.get_one(LessonSession, lesson.id))
    post(teacher, url, {"action": "lock"}, 409)
    post(teacher, f"{url}/watch", {"on": True}, 409)
    post(teacher, url, {"action": "shut-down"})  # switching off after the lesson is what a teacher does


def test_pcs_of_the_next_class_are_not_switched_off_from_the_last_lesson(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake)
    old = scene.open()
    teaching.end_lesson(scene.actor, old)
    teaching.close(old.id)
    scene.open()
    teacher = browser(app)
    sign_in(teacher, scene.teacher)
    assert post(teacher, f"/api/lessons/{old.id}/pcs", {"action": "shut-down"}, 409)["code"] == "room-taken"


def test_without_veyon_nothing_is_offered(app: Flask) -> None:
    scene = make_scene()
    lesson = scene.open()
    teacher = browser(app)
    sign_in(teacher, scene.teacher)
    page = teacher.get(f"/console/{lesson.id}").text
    assert "tab-pcs" not in page and "Veyon" not in page
    shown = teacher.get(f"/school/rooms/{scene.room.id}")
    assert shown.status_code == 200 and "Veyon" not in shown.text
    assert post(teacher, f"/api/lessons/{lesson.id}/pcs", {"action": "lock"}, 409)["code"] == "no-veyon"
    admin = browser(app)
    sign_in(admin, make_admin(scene.school))
    assert f"/labs/veyon/{scene.room.code}" in admin.get(f"/school/rooms/{scene.room.id}").text


def test_strangers_reach_no_pc(app: Flask, fake: FakeVeyon) -> None:
    scene, elsewhere = make_scene(), make_school("别的学校")
    connected(scene, fake)
    lesson = scene.open()
    stranger, pupil, teacher = browser(app), browser(app), browser(app)
    sign_in(stranger, make_admin(elsewhere))
    sign_in(teacher, scene.teacher)
    url = f"/api/lessons/{lesson.id}/pcs"
    assert stranger.get(url).status_code == 404
    assert stranger.get(f"/labs/veyon/{scene.room.code}").status_code == 404
    assert teacher.get(f"/labs/veyon/{scene.room.code}").status_code == 403
    for path in (url, f"/labs/veyon/{scene.room.code}"):
        assert pupil.get(path).status_code in (302, 401)


# ---- the settings


def settings_form(**changes: str) -> dict[str, str]:
    return {"url": "http://127.0.0.1:11080", "method": "key", "name": "lab", "secret": KEY, "certificate": "", **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://192.168.1.5:11080"}, "明文传送"),
        ({"url": "abc"}, "地址写法不对"),
        ({"name": ""}, "密钥名"),
        ({"secret": "ssh-rsa AAAA"}, "不是私钥"),
        ({"secret": ""}, "请填写私钥"),
        ({"certificate": "xx"}, "证书读不出来"),
        ({"method": "magic"}, "登录方式"),
    ],
)
def test_wrong_settings_are_explained_and_what_was_typed_stays(app: Flask, changes: dict[str, str], words: str) -> None:
    scene = make_scene()
    admin = browser(app)
    sign_in(admin, make_admin(scene.school))
    url = f"/labs/veyon/{scene.room.code}"
    form = settings_form(**changes)
    answer = admin.post(url, data={**form, "csrf_token": token(admin, url)})
    assert answer.status_code == 422
    assert words in answer.text
    assert form["url"] in answer.text
    assert service.settings_of(scene.room.id) is None


def test_the_key_is_kept_in_a_file_and_never_shown(app: Flask) -> None:
    scene = make_scene()
    admin = browser(app)
    sign_in(admin, make_admin(scene.school))
    url = f"/labs/veyon/{scene.room.code}"
    assert admin.post(url, data={**settings_form(), "csrf_token": token(admin, url)}).status_code == 302
    row = service.settings_of(scene.room.id)
    assert row is not None
    assert service.api_of(row).secret == KEY
    file = app.config["ZHIKE"].data_dir / "keys" / f"veyon-{row.id.hex}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "MIIfake" not in admin.get(url).text
    assert admin.post(url, data={**settings_form(secret="", name="lab2"), "csrf_token": token(admin, url)}).status_code == 302
    assert (service.api_of(row).secret, service.api_of(row).name) == (KEY, "lab2")
    assert "MIIfake" not in json.dumps([entry.detail for entry in db.session.scalars(select(AuditEntry))])
    admin.post(f"{url}/remove", data={"csrf_token": token(admin, url)})
    assert service.settings_of(scene.room.id) is None
    assert not file.exists()


@pytest.mark.parametrize("unreadable", [False, True])
def test_a_lost_key_file_is_said(app: Flask, fake: FakeVeyon, unreadable: bool) -> None:
    scene = make_scene()
    connected(scene, fake)
    row = service.settings_of(scene.room.id)
    assert row is not None
    file = app.config["ZHIKE"].data_dir / "keys" / f"veyon-{row.id.hex}"
    file.unlink()
    if unreadable:
        file.mkdir()
    with running(app, scene):
        assert set(done(service.order(scene.actor, scene.room, "lock", [])).values()) == {"no_key"}


def test_addresses_are_checked_all_or_nothing(app: Flask) -> None:
    scene = make_scene()
    admin = account_of(make_admin(scene.school))
    first, second = (str(seat.id) for seat in scene.seats[:2])
    for given, code in (
        ({first: ("a b", "")}, "pc-address"),
        ({first: ("../x", "")}, "pc-address"),
        ({first: ("pc-1", ""), second: ("PC-1", "")}, "pc-twice"),
        ({first: ("pc-1", "1234")}, "pc-mac"),
    ):
        with pytest.raises(Invalid, match=code):
            service.set_pcs(admin, scene.room, given)
    assert db.session.scalars(select(SeatPc)).all() == []
    service.set_pcs(admin, scene.room, {first: ("pc-1", "001A2B3C4D5E")})
    assert [(pc.address, pc.mac) for pc in service.pcs_of(scene.room.id)][:2] == [("pc-1", "00:1a:2b:3c:4d:5e"), ("", "")]


def test_a_test_of_the_connection_names_what_is_wrong(app: Flask, fake: FakeVeyon) -> None:
    scene = make_scene()
    connected(scene, fake, known=3)
    fake.pcs[ADDRESSES[1]].key_name = "another"
    fake.pcs[ADDRESSES[2]].on = False
    admin = browser(app)
    sign_in(admin, make_admin(scene.school, "管理员二"))
    url = f"/labs/veyon/{scene.room.code}"
    begun = admin.post(f"{url}/test", data={"csrf_token": token(admin, url)})
    page = begun.headers["Location"].partition("#")[0]
    assert "正在逐台登录" in admin.get(page).text
    with running(app, scene):
        until(lambda: "能管理" in admin.get(page).text)
    shown = admin.get(page).text
    assert "1 / 6 台电脑能管理" in shown
    for words in ("电脑不认这把密钥", "没有回答", "没有填电脑地址"):
        assert words in shown
    assert all(pc.did == [] for pc in fake.pcs.values())
