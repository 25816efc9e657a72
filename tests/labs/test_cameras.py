"""Preview and recording as the school's staff have them: who may, what the log says, what two signatures allow."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from labkit.recording import allowed, read_permit
from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account, AuditEntry, OutboxMessage
from lms.labs.cameras import service
from lms.labs.cameras.models import Recording, RecordingPolicy
from lms.labs.intake import Intake
from lms.labs.models import Device
from tests.factories import make_admin, make_room, make_school, make_staff, sign_in, token
from tests.teaching.scene import Scene, account_of, browser, make_scene

PREVIEW, RECORD = "zhike/room/lab1/camera/cam-1/preview", "zhike/room/lab1/camera/cam-1/record"


@pytest.fixture
def scene(app: Flask) -> Scene:
    return make_scene()


@pytest.fixture
def camera(scene: Scene) -> Device:
    return add_camera(scene)


def add_camera(scene: Scene) -> Device:
    with write():
        device = Device(
            id=new_id(),
            school_id=scene.school.id,
            homie_id="cam-1",
            room_id=scene.room.id,
            kind="camera",
            title="前摄像头",
            sticker="C1",
            state="ready",
            gateway="gw-lab1",
            values={},
        )
        db.session.add(device)
    return device


@pytest.fixture
def admin(scene: Scene) -> Account:
    return account_of(make_admin(scene.school))


@pytest.fixture
def second(scene: Scene) -> Account:
    return account_of(make_staff(scene.school, "audit_admin", name="审计员"))


def wanted(**changes: Any) -> service.Wanted:
    now = clock.now()
    usual = {
        "purpose": "机器人课例研究",
        "begins": now,
        "ends": now + timedelta(days=2),
        "guardians_informed": now.date() - timedelta(days=5),
        "retention_days": 7,
    }
    return service.Wanted(**{**usual, **changes})


def orders(topic: str) -> list[dict[str, Any]]:
    db.session.rollback()
    rows = db.session.scalars(select(OutboxMessage).where(OutboxMessage.topic == topic).order_by(OutboxMessage.seq))
    assert not any(row.retain for row in rows)
    return [
        json.loads(row.payload)
        for row in db.session.scalars(
            select(OutboxMessage).where(OutboxMessage.topic == topic).order_by(OutboxMessage.seq)
        )
    ]


def journal(action: str) -> list[AuditEntry]:
    db.session.rollback()
    return list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


def client_of(app: Flask, person: Any) -> FlaskClient:
    client = browser(app)
    sign_in(client, person)
    return client


def post(client: FlaskClient, url: str, page: str = "/devices", **form: Any) -> Any:
    return client.post(url, data={**form, "csrf_token": token(client, page)})


# ---- looking


def test_a_look_is_a_minute_at_most_and_stands_in_the_access_log(app: Flask, scene: Scene, camera: Device) -> None:
    client = client_of(app, scene.teacher)
    answer = client.post(
        f"/api/labs/devices/{camera.id}/preview", json={}, headers={"X-CSRFToken": token(client, "/devices")}
    )
    assert 59 <= answer.get_json()["seconds"] <= 60
    (order,) = orders(PREVIEW)
    assert timedelta(seconds=50) < datetime.fromisoformat(order["until"]) - clock.now() <= timedelta(seconds=60)
    (entry,) = journal("access:camera-preview")
    assert (entry.actor_id, entry.object_id) == (scene.teacher.account_id, str(camera.id))
    client.post(
        f"/api/labs/devices/{camera.id}/preview", json={"off": True}, headers={"X-CSRFToken": token(client, "/devices")}
    )
    assert datetime.fromisoformat(orders(PREVIEW)[1]["until"]) <= clock.now()


def test_who_may_not_look(app: Flask, scene: Scene, camera: Device) -> None:
    url = f"/api/labs/devices/{camera.id}/preview"
    other = client_of(app, make_admin(make_school("别的学校"), "other"))
    assert other.post(url, json={}, headers={"X-CSRFToken": token(other, "/devices")}).status_code == 404
    auditor = client_of(app, make_staff(scene.school, "audit_admin"))
    assert auditor.post(url, json={}, headers={"X-CSRFToken": token(auditor, "/labs/recording")}).status_code == 403
    assert browser(app).post(url, json={}).status_code in (400, 401)
    assert orders(PREVIEW) == []


@pytest.mark.parametrize(
    ("facts", "code"),
    [({"state": "lost"}, "camera-away"), ({"kind": "robot"}, "no-camera"), ({"room_id": None}, "no-camera")],
)
def test_what_cannot_be_looked_through(scene: Scene, camera: Device, facts: dict[str, Any], code: str) -> None:
    with write():
        for name, value in facts.items():
            setattr(camera, name, value)
    with pytest.raises(Refused, match=code):
        service.look(scene.actor, camera)
    assert journal("access:camera-preview") == []


# ---- recording


def test_no_recording_without_a_policy_that_two_persons_signed(
    scene: Scene, camera: Device, admin: Account, second: Account
) -> None:
    with pytest.raises(Refused, match="no-policy"):
        service.record(scene.actor, camera, 10)
    row = service.enter_policy(admin, scene.room, wanted())
    with pytest.raises(Refused, match="no-policy"):
        service.record(scene.actor, camera, 10)
    with pytest.raises(Refused, match="same-person"):
        service.countersign(admin, row)
    assert row.countersigned_by is None
    assert orders(RECORD) == []
    assert len(journal("refuse-recording")) == 2
    assert db.session.scalars(select(Recording)).all() == []

    service.countersign(second, row)
    made = service.record(scene.actor, camera, 10)
    (order,) = orders(RECORD)
    assert order["id"] == str(made.id)
    assert timedelta(minutes=9) < datetime.fromisoformat(order["until"]) - clock.now() <= timedelta(minutes=10)
    permit = read_permit(order["permit"])
    allowed(permit, "lab1", clock.now())
    assert (permit.entered_by, permit.countersigned_by, permit.retention_days) == (str(admin.id), str(second.id), 7)
    assert [
        len(journal(action)) for action in ("enter-recording-policy", "countersign-recording-policy", "record-camera")
    ] == [1, 1, 1]


def test_a_policy_is_for_its_room_and_time(scene: Scene, camera: Device, admin: Account, second: Account) -> None:
    elsewhere, _ = make_room(scene.school, code="lab2")
    later = wanted(begins=clock.now() + timedelta(days=1))
    for row in (service.enter_policy(admin, elsewhere, wanted()), service.enter_policy(admin, scene.room, later)):
        service.countersign(second, row)
    with pytest.raises(Refused, match="no-policy"):
        service.record(scene.actor, camera, 10)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"purpose": " 看 "}, "purpose"),
        ({"ends": datetime(2020, 1, 1, tzinfo=UTC)}, "ends"),
        ({"ends": datetime(2099, 1, 1, tzinfo=UTC)}, "ends"),
        ({"guardians_informed": None}, "guardians_informed"),
        ({"guardians_informed": datetime(2099, 1, 1, tzinfo=UTC).date()}, "guardians_informed"),
        ({"retention_days": 31}, "retention_days"),
        ({"retention_days": 0}, "retention_days"),
    ],
)
def test_what_a_policy_must_say(scene: Scene, admin: Account, changes: dict[str, Any], where: str) -> None:
    with pytest.raises(Invalid) as caught:
        service.enter_policy(admin, scene.room, wanted(**changes))
    assert caught.value.where == where
    assert service.policies(scene.school.id) == []


def test_what_is_taken_back_stops_and_deletes(scene: Scene, camera: Device, admin: Account, second: Account) -> None:
    row = service.enter_policy(admin, scene.room, wanted())
    service.countersign(second, row)
    made = service.record(scene.actor, camera, 10)
    with pytest.raises(Invalid):
        service.withdraw(second, row, " ")
    service.withdraw(second, row, "家长不同意")
    assert orders(RECORD)[1:] == [{"id": str(made.id), "stop": True}, {"id": str(made.id), "erase": True}]
    with pytest.raises(Refused, match="no-policy"):
        service.record(scene.actor, camera, 10)
    with pytest.raises(Refused, match="withdrawn"):
        service.countersign(second, db.session.get_one(RecordingPolicy, row.id))
    (entry,) = journal("withdraw-recording-policy")
    assert entry.reason == "家长不同意"


def report(intake: Intake, gateway: str, **entry: Any) -> None:
    intake.take(f"zhike/gateway/{gateway}/recordings", json.dumps([entry]).encode(), retained=True, at=clock.now())
    with write():
        intake.store(clock.now())


def test_each_step_that_the_gateway_reports_is_journaled(
    scene: Scene, camera: Device, admin: Account, second: Account
) -> None:
    service.countersign(second, service.enter_policy(admin, scene.room, wanted()))
    made = service.record(scene.actor, camera, 10)
    intake, now = Intake(scene.school.id), clock.now()
    known = {"id": str(made.id), "began": now.isoformat(), "delete_at": (now + timedelta(days=7)).isoformat()}
    report(intake, "gw-other", **known, state="recording")
    report(intake, "t-lab1-01", **known, state="deleted")
    assert made.state == "asked", "only the camera's own gateway tells"
    report(intake, "gw-lab1", **known, state="recording")
    report(intake, "gw-lab1", **known, state="recording")
    assert (made.state, made.delete_at) == ("recording", now + timedelta(days=7))
    report(intake, "gw-lab1", **known, state="ended", ended=now.isoformat())
    assert service.overdue(made, now + timedelta(days=8))
    report(intake, "gw-lab1", **known, state="deleted", deleted=(now + timedelta(days=7)).isoformat())
    assert not service.overdue(made, now + timedelta(days=8))
    assert [len(journal(f"recording-{state}")) for state in ("recording", "ended", "deleted")] == [1, 1, 1]
    report(intake, "gw-lab1", id="nonsense", state="deleted")
    intake.take("zhike/gateway/gw-lab1/recordings", b'{"x": [1, ', retained=True, at=now)


def test_the_pages_take_an_admin_and_a_second_person_through_it(app: Flask, scene: Scene, camera: Device) -> None:
    admin, auditor = (
        client_of(app, make_admin(scene.school)),
        client_of(app, make_staff(scene.school, "audit_admin", username="audit")),
    )
    teacher = client_of(app, scene.teacher)
    assert "没有录像许可" in admin.get("/labs/recording").text
    assert teacher.get("/labs/recording").status_code == 403
    now = clock.now()
    form = {
        "room": "lab1",
        "purpose": "机器人课例研究",
        "begins": (now + timedelta(hours=7)).strftime("%Y-%m-%dT%H:%M"),  # the school's clock is eight hours ahead
        "ends": (now + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M"),
        "guardians_informed": (now - timedelta(days=5)).date().isoformat(),
        "retention_days": "7",
    }
    wrong = post(admin, "/labs/recording", "/labs/recording", **{**form, "retention_days": "90"})
    assert wrong.status_code == 422
    assert "保存天数应为 1～30 天" in wrong.text
    assert 'value="机器人课例研究"' in wrong.text
    assert post(admin, "/labs/recording", "/labs/recording", **form).status_code == 302
    assert "我同意，会签" not in admin.get("/labs/recording").text
    assert "不能录像" in teacher.get("/labs/device/lab1/C1").text
    row = db.session.scalars(select(RecordingPolicy)).one()
    assert post(admin, f"/labs/recording/{row.id}/countersign", "/labs/recording").status_code == 409
    assert post(teacher, f"/labs/recording/{row.id}/countersign").status_code == 403
    assert post(auditor, f"/labs/recording/{row.id}/countersign", "/labs/recording").status_code == 302
    assert "生效" in admin.get("/labs/recording").text

    page = teacher.get("/labs/device/lab1/C1").text
    assert "开始录像" in page
    assert "看 60 秒模糊画面" in page
    assert post(teacher, f"/labs/cameras/{camera.id}/record", minutes="10").status_code == 302
    made = db.session.scalars(select(Recording)).one()
    assert "停止录像" in teacher.get("/labs/device/lab1/C1").text
    assert post(teacher, f"/labs/recordings/{made.id}/stop").status_code == 302
    assert post(teacher, f"/labs/recordings/{made.id}/erase").status_code == 403
    assert post(admin, f"/labs/recordings/{made.id}/erase", "/labs/recording").status_code == 302
    assert [set(order) - {"id"} for order in orders(RECORD)] == [{"until", "permit"}, {"stop"}, {"erase"}]


def test_policies_are_forgotten_three_years_after_their_end(
    scene: Scene, camera: Device, admin: Account, second: Account
) -> None:
    row = service.enter_policy(admin, scene.room, wanted())
    service.countersign(second, row)
    service.record(scene.actor, camera, 10)
    service.forget_old()
    assert len(service.policies(scene.school.id)) == 1
    with write():
        row.ends = clock.now() - timedelta(days=3 * 366 + 1)
    service.forget_old()
    assert service.policies(scene.school.id) == []


def test_a_gateway_that_was_away_when_the_policy_was_withdrawn_is_told_again(
    scene: Scene, camera: Device, admin: Account, second: Account
) -> None:
    row = service.enter_policy(admin, scene.room, wanted())
    service.countersign(second, row)
    made = service.record(scene.actor, camera, 10)
    service.withdraw(second, row, "家长不同意")
    said = len(orders(RECORD))
    for state in ("recording", "ended", "deleted"):
        report(Intake(scene.school.id), "gw-lab1", id=str(made.id), state=state)
    again = [{"id": str(made.id), "stop": True}, {"id": str(made.id), "erase": True}]
    assert orders(RECORD)[said:] == again * 2
