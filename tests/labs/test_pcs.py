"""PCs that wipe their disk: known again by their hardware, bound by a person, told apart when cloned, swapped, revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core.clock import FixedClock
from lms.core.db import db
from lms.core.errors import NotAllowed
from lms.core.models import AuditEntry
from lms.labs import pc_rules, pcs, service
from lms.labs.models import BrokerCredential, RoomPc
from lms.roster.models import Seat
from tests.factories import make_admin, sign_in, token
from tests.teaching.scene import Scene, account_of, browser, come_in, door, make_scene, seat_client

BOARD = "uuid:4c4c4544-0044-4810-8057-b5c04f4b4c3{}"
CARD = "mac:52:54:00:00:00:0{}"


@pytest.fixture
def scene(app: Flask, fixed_clock: FixedClock) -> Scene:
    """A school with a lab of six seats."""
    return make_scene()


@pytest.fixture
def secret(scene: Scene) -> str:
    """What the technician types into the image."""
    return pcs.new_image(account_of(make_admin(scene.school)), scene.room)


class Pc:
    """A PC: its browser forgets everything at each boot, its hardware stays."""

    def __init__(self, app: Flask, secret: str, number: int, *, marks: list[str] | None = None, host: str = "") -> None:
        self.app, self.secret, self.number, self.host = app, secret, number, host
        self.marks = marks or [CARD.format(number), BOARD.format(number)]
        self.boots, self.kits = 0, list[str]()
        self.boot()

    def boot(self) -> None:
        self.boots += 1
        self.browser = browser(self.app)

    def post(self, *kits: str) -> Any:
        self.kits = list(kits) or self.kits
        body = {"secret": self.secret, "marks": self.marks, "run": f"{self.number}-{self.boots}", "host": self.host, "kits": self.kits}
        return self.browser.post("/api/labs/agent/hello", json=body)

    def hello(self, *kits: str) -> dict[str, Any]:
        answer = self.post(*kits)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def open(self) -> Any:
        return self.browser.get(urlsplit(self.hello()["page"]).path)

    @property
    def row(self) -> RoomPc:
        found = db.session.scalar(select(RoomPc).where(RoomPc.code == self.hello()["code"]))
        assert found is not None
        return found


def bound(scene: Scene, pc: Pc, number: int) -> Seat:
    """Bind a PC as the teacher does."""
    seat = db.session.get_one(Seat, scene.seats[number].id)
    pcs.bind(scene.actor, pc.row, seat)
    return seat


def credential(seat: Seat) -> BrokerCredential | None:
    return db.session.scalar(select(BrokerCredential).where(BrokerCredential.username == pc_rules.agent_user(seat.terminal)).execution_options(populate_existing=True))


def test_a_wiped_pc_is_in_its_seat_after_each_boot_without_typing(app: Flask, scene: Scene, secret: str) -> None:
    pc = Pc(app, secret, 3, host="lab1-03")
    found = pc.hello()
    assert found["state"] == "waiting"
    assert "broker" not in found
    page = pc.open().text
    assert found["code"] in page
    assert scene.pupils[0].name not in page
    assert door(pc.browser)["state"] == "not-enrolled"
    seat = bound(scene, pc, 2)
    for _ in range(3):
        pc.boot()
        again = pc.hello("car")
        assert (again["state"], again["seat"], again["terminal"], again["room"]) == ("bound", seat.label, seat.terminal, "lab1")
        assert pc.open().headers["Location"].endswith("/seat")
        assert door(pc.browser)["seat"] == seat.label
    assert len(db.session.scalars(select(RoomPc)).all()) == 1


def test_forty_clones_with_one_secret_are_forty_pcs(app: Flask, scene: Scene, secret: str) -> None:
    clones = [Pc(app, secret, number, marks=[f"mac:52:54:00:00:01:{number:02x}", BOARD.format(1)], host="image") for number in range(40)]
    assert len({clone.hello()["code"] for clone in clones}) == 40  # the image's, or a cheap board's, uuid everywhere is no identity
    assert {clone.hello()["state"] for clone in clones} == {"waiting"}
    assert pcs.suggestions(scene.room) == {}  # the image's host name, forty times: nobody's hint


def test_forty_clones_of_one_card_too_are_seen(app: Flask, scene: Scene, secret: str) -> None:
    clones = [Pc(app, secret, number, marks=[CARD.format(1)]) for number in range(40)]
    assert len({clone.hello()["code"] for clone in clones}) == 1
    assert {clone.hello()["state"] for clone in clones} == {"clash"}


def test_two_pcs_with_one_card_are_both_held_back_until_one_is_changed(app: Flask, scene: Scene, secret: str, fixed_clock: FixedClock) -> None:
    first, second = Pc(app, secret, 1, marks=[CARD.format(1)]), Pc(app, secret, 2, marks=[CARD.format(1)])
    seat = bound(scene, first, 0)
    assert first.hello("car")["state"] == "bound"
    assert second.hello()["state"] == "bound"  # one word is no proof: the first may have been started anew
    assert first.hello()["state"] == "clash"
    assert second.hello()["state"] == "clash"
    found = credential(seat)
    assert found is not None
    assert found.revoked
    assert "网卡号一样" in second.open().text
    second.marks = [CARD.format(2)]
    fixed_clock.at += pcs.CLASH_STANDS + timedelta(seconds=1)
    assert first.hello()["state"] == "bound"
    assert second.hello()["state"] == "waiting"


def test_a_restart_is_no_clash(app: Flask, scene: Scene, secret: str) -> None:
    pc = Pc(app, secret, 1)
    bound(scene, pc, 0)
    for _ in range(5):
        pc.boot()
        assert [pc.hello()["state"] for _ in range(2)] == ["bound", "bound"]


def test_a_new_board_is_a_new_pc_and_a_second_card_is_not(app: Flask, scene: Scene, secret: str) -> None:
    pc = Pc(app, secret, 1)
    bound(scene, pc, 0)
    pc.marks.append("mac:00:e0:4c:68:00:01")  # a USB network stick
    assert pc.hello()["state"] == "bound"
    pc.marks[1] = BOARD.format(9)
    assert pc.hello()["state"] == "waiting"


def test_swapped_pcs_change_places_in_one_step(app: Flask, scene: Scene, secret: str) -> None:
    one, two = Pc(app, secret, 1), Pc(app, secret, 2)
    bound(scene, one, 0)
    bound(scene, two, 1)
    before = one.hello("car")["broker"]["password"]
    bound(scene, one, 1)
    assert (one.hello()["seat"], two.hello()["seat"]) == ("02", "01")
    assert two.hello("car")["broker"]["username"] == "pc-t-lab1-01"
    assert two.hello("car")["broker"]["password"] != before  # the seat's old PC cannot come back
    for pc in (one, two):
        assert pc.open().status_code == 302
    assert [door(pc.browser)["seat"] for pc in (one, two)] == ["02", "01"]


def test_what_ends_a_binding_ends_page_and_broker(app: Flask, scene: Scene, secret: str) -> None:
    pc = Pc(app, secret, 1)
    seat = bound(scene, pc, 0)
    pc.hello("car")
    pc.open()
    assert service.has_agent(seat)
    pcs.release(scene.actor, pc.row)
    assert door(pc.browser)["state"] == "not-enrolled"
    found = credential(seat)
    assert found is not None and found.revoked
    bound(scene, pc, 0)
    pc.hello("car")
    seat_client(app, scene, seat)  # another computer is enrolled by a code at the same seat
    db.session.expire_all()
    pcs.end_orphans()
    db.session.rollback()
    found = credential(seat)
    assert found is not None and found.revoked
    assert not service.has_agent(seat)
    assert pc.hello()["state"] == "waiting"


def test_a_revoked_secret_ends_all_its_pcs_and_only_the_admin_makes_one(app: Flask, scene: Scene, secret: str) -> None:
    pc = Pc(app, secret, 1)
    seat = bound(scene, pc, 0)
    pc.hello("car")
    with pytest.raises(NotAllowed):
        pcs.new_image(scene.actor, scene.room)
    admin = account_of(make_admin(scene.school, "admin2"))
    fresh = pcs.new_image(admin, scene.room)
    found = credential(seat)
    assert found is not None and found.revoked
    refused = pc.post()
    assert (refused.status_code, refused.get_json()["code"]) == (403, "room-secret")
    pc.secret = fresh.lower().replace("-", "")  # as typed
    assert pc.hello()["state"] == "bound"  # the seats stay bound to their PCs
    actions = set(db.session.scalars(select(AuditEntry.action)))
    assert {"new-room-image", "bind-pc"} <= actions


def test_an_agent_may_speak_for_its_own_kits_only(app: Flask, scene: Scene, secret: str) -> None:
    pc = Pc(app, secret, 1)
    seat = bound(scene, pc, 0)
    pc.hello("cam", "car")
    found = credential(seat)
    assert found is not None
    says = found.rights["send"]
    assert {"homie/5/t-lab1-01/#", "homie/5/t-lab1-01-car/#", "homie/5/t-lab1-01-cam/#"} <= set(says)
    assert not [topic for topic in says if topic in ("homie/5/#", "zhike/#", "zhike/room/lab1/stop", "zhike/room/lab1/lesson")]
    assert not [topic for topic in says if "lease" in topic or topic.endswith("/set")]
    assert not pc_rules.listed_by("t-lab1-01", "t-lab1-02-car")
    assert not pc_rules.listed_by("t-lab1-01", "mbot-07")
    assert pc_rules.listed_by("t-lab1-01", "t-lab1-01-car")
    assert pc_rules.listed_by("gw-lab1", "mbot-07")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "body"),
        ({"marks": "x"}, "marks"),
        ({"marks": [], "secret": 3}, "secret"),
        ({"kits": ["02"]}, "pc-kits"),  # could be the name of seat 02's terminal in a room called t-lab1-01
        ({"kits": ["webcam"]}, "pc-kits"),  # the camera of the pupil's page, who may write there
        ({"kits": ["car", "car"]}, "pc-kits"),
        ({"marks": ["mac:00:00:00:00:00:00", "uuid:03000200-0400-0500-0006-000700080009", "host"]}, "pc-marks"),
    ],
)
def test_what_cannot_be_a_pc_is_refused(app: Flask, secret: str, body: Any, code: str) -> None:
    whole = {"secret": secret, "marks": [CARD.format(1)], "run": "1", **body} if isinstance(body, dict) else body
    answer = browser(app).post("/api/labs/agent/hello", json=whole)
    assert (answer.status_code, answer.get_json()["code"]) == (422, code)
    assert answer.get_json()["title"]


def test_the_teacher_binds_by_the_code_or_all_by_host_name(app: Flask, scene: Scene, secret: str) -> None:
    machines = [Pc(app, secret, number, host=f"LAB1-{number:02d}") for number in (1, 2, 3)]
    for pc in machines:
        pc.hello()
    client: FlaskClient = browser(app)
    sign_in(client, scene.teacher)
    page = client.get("/labs/pcs/lab1").text
    assert all(pc.hello()["code"] in page for pc in machines)
    assert "按主机名绑定 3 台" in page
    assert "生成口令" not in page  # the admin's
    form = {"csrf_token": token(client, "/labs/pcs/lab1")}
    client.post(f"/labs/pc/{machines[0].row.id}/bind", data={**form, "seat": str(scene.seats[4].id)})
    assert machines[0].hello()["seat"] == "05"
    client.post("/labs/pcs/lab1/suggested", data=form)
    assert [pc.hello()["seat"] for pc in machines] == ["05", "02", "03"]
    client.post(f"/labs/pc/{machines[1].row.id}/leave", data=form)
    assert not machines[1].hello()["full_screen"]
    client.post(f"/labs/pc/{machines[1].row.id}/release", data=form)
    assert machines[1].hello()["state"] == "waiting"
    client.post(f"/labs/pc/{machines[1].row.id}/forget", data=form)
    assert len(db.session.scalars(select(RoomPc)).all()) == 2


def test_another_schools_staff_and_pupils_bind_nothing(app: Flask, scene: Scene, secret: str) -> None:
    pc = Pc(app, secret, 1)
    row = pc.row
    client = browser(app)
    sign_in(client, make_scene().teacher)
    form = {"csrf_token": token(client, "/school/rooms"), "seat": str(scene.seats[0].id)}
    assert client.post(f"/labs/pc/{row.id}/bind", data=form).status_code == 404
    assert pc.hello()["state"] == "waiting"
    assert browser(app).get("/labs/pc/nonsense").status_code == 404


def test_the_page_knows_that_an_agent_speaks_for_its_terminal(app: Flask, scene: Scene, secret: str) -> None:
    pc = Pc(app, secret, 1)
    bound(scene, pc, 0)
    pc.open()
    pc.hello("car")
    scene.open()
    come_in(pc.browser, scene.pupils[0].id)
    assert pc.browser.get("/api/lesson/connection").get_json()["agent"] is True
    other = seat_client(app, scene, scene.seats[1])
    come_in(other, scene.pupils[1].id)
    assert other.get("/api/lesson/connection").get_json()["agent"] is False
