"""What devices say, gathered: nothing that a board may send stops the bridge."""

from __future__ import annotations

import json
import uuid

import pytest
from flask import Flask

from lms.core import clock
from lms.core.db import write
from lms.labs import service
from lms.labs.intake import Intake
from tests.factories import make_room, make_school, make_staff

COUNTER = "homie/5/cam-1/main/frames"


def grown(intake: Intake) -> int:
    return intake._seen["cam-1"].grown.get("main/frames", 0)


def say(intake: Intake, *payloads: bytes, topic: str = COUNTER) -> Intake:
    for payload in payloads:
        intake.take(topic, payload, retained=False, at=clock.now())
    return intake


@pytest.mark.parametrize("odd", [b"", b"many", b"-3", b"1e3", b"9" * 40, b"\xff\xfe", b"NaN", "②".encode()])
def test_a_counter_goes_on_after_what_is_no_count(odd: bytes) -> None:
    assert grown(say(Intake(uuid.uuid4()), odd, b"4", odd, b"9", odd, b"2")) == 5 + 2


@pytest.mark.parametrize(
    "topic",
    [
        "zhike/gateway/gw-1/devices",
        "zhike/room/lab1/stopped",
        "zhike/room/lab1/lesson",
        "homie/5/mbot-1/$state",
        "homie/5/mbot-1/$alert/battery",
        "homie/5/cam-1/main/faces",
        "homie/5/t-lab1-01/terminal/heartbeat",
        "homie/5/t-lab1-01/terminal/step",
    ],
)
@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"[1]", b"null", b'{"id": 3}', b"[" * 5000, b"\xff\xfe\x00", b"9" * 5000, b"x" * 70_000])
def test_nothing_that_is_said_stops_it(topic: str, payload: bytes) -> None:
    say(Intake(uuid.uuid4()), payload, payload, topic=topic)


def test_only_a_page_that_never_came_plainly_is_secure(app: Flask) -> None:
    """The broker cannot tell how a terminal came: what it says changes nothing, and one plain request marks the whole lesson."""
    school = make_school()
    room, seats = make_room(school, seats=3)
    lesson, intake = uuid.uuid4(), Intake(school.id)
    service.note_address(school.id, seats[0].id, lesson, "10.0.0.1", True)
    service.note_address(school.id, seats[1].id, lesson, "10.0.0.2", False)
    say(intake, json.dumps({"lesson": str(lesson), "state": "running"}).encode(), topic=f"zhike/room/{room.code}/lesson")
    for seat in seats:
        say(intake, str(lesson).encode(), topic=f"homie/5/{seat.terminal}/terminal/lesson")
        say(intake, b"2026-11-24T02:05:00Z", topic=f"homie/5/{seat.terminal}/terminal/heartbeat")
    with write():
        intake.store(clock.now())

    def secure() -> list[bool]:
        rows = {row.seat_id: row for row in service.presence(lesson)}
        assert [rows[seat.id].beats > 0 for seat in seats] == [True, True, True]
        return [rows[seat.id].secure for seat in seats]

    assert secure() == [True, False, False]
    service.note_heartbeat(school.id, seats[0].id, None, lesson, 1, True, False, clock.now())
    assert secure() == [False, False, False]
    for seat in seats:
        service.note_address(school.id, seat.id, lesson, "10.0.0.1", True)
    assert secure() == [False, False, False]


def test_a_gateway_takes_only_its_own_robots_off_the_list(app: Flask) -> None:
    """Two gateways answer one stop, in any order: whoever is not confirmed stays on the list."""
    school = make_school()
    room, _ = make_room(school)
    event = service.stop_room(make_staff(school).account, room, None)
    intake = Intake(school.id)
    lift = {"device": "mbot-7", "sticker": "07", "reason": "没有回应", "code": "no_answer"}

    def answered(**body: object) -> None:
        said = {"id": event.stop_id, "confirmed": [], "unconfirmed": []} | body
        say(intake, json.dumps(said).encode(), topic=f"zhike/room/{room.code}/stopped")
        with write():
            intake.store(clock.now())

    answered(confirmed=["mbot-1"], unconfirmed=[lift])
    answered(confirmed=["mbot-2"])
    assert event.unconfirmed == [lift]
    assert event.confirmed == ["mbot-1", "mbot-2"]
    answered(confirmed=["mbot-7"])
    assert event.unconfirmed == []


@pytest.mark.parametrize(
    "entry",
    [
        '{"device": "t-lab1-01-car", "room": "lab1", "title": "a\\u0000b"}',
        '{"device": "t-lab1-01-car", "room": "lab1", "title": "\\ud800"}',
        '{"device": "t-lab1-01-%s", "room": "lab1", "title": "long"}' % ("x" * 80),
    ],
)
def test_a_list_of_devices_that_no_database_takes_is_dropped(app: Flask, entry: str) -> None:
    """It is retained: kept, it would end the bridge again and again."""
    school = make_school()
    room, _ = make_room(school)
    assert room.code == "lab1"
    for _turn in range(2):
        intake = say(Intake(school.id), f"[{entry}]".encode(), topic="zhike/gateway/t-lab1-01/devices")
        with write():
            intake.store(clock.now())


@pytest.mark.parametrize("why", ["NaN", "1e999", '"\\u0000"', '"\\udfff"'])
def test_an_answer_that_no_database_takes_is_dropped(app: Flask, why: str) -> None:
    school = make_school()
    room, _ = make_room(school)
    event = service.stop_room(make_staff(school).account, room, None)
    said = f'{{"id": "{event.stop_id}", "unconfirmed": [{{"device": "mbot-1", "reason": {why}}}]}}'
    intake = say(Intake(school.id), said.encode(), topic=f"zhike/room/{room.code}/stopped")
    with write():
        intake.store(clock.now())
    assert event.reported_at is None
