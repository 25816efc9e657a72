"""Kits of a seat's PC: children of its terminal, driven within the lease, standing when anything dies."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time

import psutil
import pytest

from labkit.agent.enrolment import Enrolment
from labkit.agent.office import Office
from labkit.errors import LinkDown
from tests.effort import PATIENCE_S, SOON_S
from tests.labkit.agent.desk import KIT, OTHER, ROOM, TERMINAL, Desk

ROOT = f"homie/5/{TERMINAL}"


def moving(desk: Desk) -> None:
    """The kit is driven by this seat's page."""
    desk.bind()
    desk.start()
    desk.ready()
    desk.lease()
    drive_until_moving(desk)


def drive_until_moving(desk: Desk) -> None:
    end = time.monotonic() + PATIENCE_S
    while desk.kit.standing():  # a wish may overtake the lease, which comes on another connection
        desk.drive()
        with desk.kit.changed:
            desk.kit.changed.wait_for(lambda: not desk.kit.standing(), 0.2)
        assert time.monotonic() < end, desk.log.read_text()[-2000:]


def test_a_pc_without_seat_bridges_nothing_until_it_is_bound(desk: Desk) -> None:
    desk.start()
    desk.office.wait(2)
    asked = desk.office.asked[-1]
    assert asked["kits"] == ["car"]
    assert asked["run"] == desk.office.asked[0]["run"]
    assert [mark for mark in asked["marks"] if mark.startswith("mac:")]
    assert desk.last(f"homie/5/{KIT}/$state") is None
    assert "K7P3" in desk.log.read_text()
    desk.bind()
    desk.ready()


def test_kits_are_children_of_the_terminal_and_the_page_shares_it(desk: Desk) -> None:
    desk.bind()
    desk.start()
    desk.ready()
    root = json.loads(desk.last(f"{ROOT}/$description") or b"{}")
    assert root["children"] == [KIT]
    assert {"heartbeat", "step", "visible"} <= set(root["nodes"]["terminal"]["properties"])
    child = json.loads(desk.last(f"homie/5/{KIT}/$description") or b"{}")
    assert (child["root"], child["parent"]) == (TERMINAL, TERMINAL)
    listed = json.loads(desk.last(f"zhike/gateway/{TERMINAL}/devices") or b"[]")
    assert [(row["device"], row["room"], row["sticker"], row["seat"], row["parent"]) for row in listed] == [(KIT, ROOM, "03", "03", TERMINAL)]
    page = desk.page()
    page.publish(f"{ROOT}/terminal/step", b"2", retain=True)
    page.publish(f"{ROOT}/$description", b'{"homie": "5.0", "version": 1, "nodes": {}}', retain=True)  # an older page
    desk.wait(lambda: json.loads(desk.last(f"{ROOT}/$description") or b"{}").get("children") == [KIT], "the kits are gone from the root")
    desk.lease()
    drive_until_moving(desk)
    page.client.socket().shutdown(2)  # type: ignore[union-attr]  # the page's browser is killed: its last will speaks
    desk.kit.wait(standing=True)
    desk.until(f"{ROOT}/$state", b"ready")
    assert desk.last(f"{ROOT}/terminal/step") == b"2"


def test_a_killed_agent_leaves_a_standing_kit_and_a_lost_root(desk: Desk) -> None:
    moving(desk)
    assert desk.agent
    guards = [child for child in psutil.Process(desk.agent.pid).children() if "labkit.guard" in child.cmdline()]
    assert len(guards) == 1
    desk.agent.send_signal(signal.SIGKILL)
    assert desk.kit.wait(standing=True) < SOON_S
    desk.agent.wait(PATIENCE_S)
    desk.until(f"{ROOT}/$state", b"lost")
    desk.start()
    desk.until(f"{ROOT}/$state", b"ready")
    desk.ready()


def test_the_room_stop_is_confirmed_and_a_dead_web_stops_no_lesson(desk: Desk) -> None:
    moving(desk)
    desk.office.close()
    drive_until_moving(desk)
    desk.console.publish(f"zhike/room/{ROOM}/stop", json.dumps({"id": "s1", "by": "teacher"}))
    desk.wait(lambda: any(m.topic == f"zhike/room/{ROOM}/stopped" for m in list(desk.console.messages)), "no report")
    report = json.loads(desk.last(f"zhike/room/{ROOM}/stopped") or b"{}")
    assert (report["id"], report["confirmed"], report["unconfirmed"], report["gateway"]) == ("s1", [KIT], [], TERMINAL)
    desk.kit.wait(standing=True)


def test_a_revoked_pc_stops_its_kit_and_says_goodbye(desk: Desk) -> None:
    moving(desk)
    desk.office.answer = (403, {"status": 403, "code": "room-secret", "title": "教室口令已作废。", "remedy": "请生成新口令。"})
    desk.until(f"homie/5/{KIT}/$state", b"disconnected")
    desk.kit.wait(standing=True)
    desk.until(f"{ROOT}/$state", b"disconnected")


def test_another_terminal_without_the_wheel_moves_nothing(desk: Desk) -> None:
    desk.bind()
    desk.start()
    desk.ready()
    desk.lease()
    for _ in range(3):
        desk.drive(terminal="t-lab1-09")
    desk.office.wait(2)
    assert desk.kit.standing()


def test_the_agents_password_reaches_no_other_kit(desk: Desk) -> None:
    """What a pupil could do with the password of an agent: nothing to the kit beside."""
    thief = desk.broker.person(desk.user, "pc-word", client_id=desk.user)
    for topic in (f"homie/5/{OTHER}/main/linear-x/set", f"zhike/room/{ROOM}/lease/{OTHER}", f"zhike/room/{ROOM}/stop", "homie/5/t-lab1-04/wish/drive"):
        thief.publish(topic, b"1")
    thief.publish(f"{ROOT}/terminal/step", b"1")
    desk.until(f"{ROOT}/terminal/step", b"1")
    assert {m.topic for m in list(desk.console.messages)} & {f"homie/5/{OTHER}/main/linear-x/set", f"zhike/room/{ROOM}/lease/{OTHER}", f"zhike/room/{ROOM}/stop"} == set()


@pytest.mark.parametrize("answer", [b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"])
def test_what_is_no_answer_counts_as_no_server(answer: bytes) -> None:
    """A captive portal or a broken proxy: the agent goes on asking, and its kits stay."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            line, _ = door.accept()
            with line:
                line.recv(65536)
                line.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        office = Office(Enrolment(f"http://127.0.0.1:{door.getsockname()[1]}", "x" * 25), lambda: ("mac:1",), "pc")
        with pytest.raises(LinkDown):
            office.hello()
