"""The emergency stop of a room, and what happens when processes die or cables are pulled."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable

import psutil

from tests.effort import PATIENCE_S, SOON_S
from tests.labkit.gateway.rig import Rig

SECOND = '{id: mbot-2, profile: makeblock-mbot, sticker: "12", url: "sim://pty"}'


def guards_of(rig: Rig) -> list[psutil.Process]:
    """The guard processes that the gateway started."""
    assert rig.gateway
    children = psutil.Process(rig.gateway.pid).children()
    return [child for child in children if "labkit.guard" in child.cmdline()]


def test_room_stop_is_confirmed(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.3, ms=500)
    began = time.monotonic()
    report = rig.room_stop()
    assert time.monotonic() - began < SOON_S
    assert report["confirmed"] == ["mbot-1"]
    assert report["unconfirmed"] == []
    assert rig.kit.standing()


def test_an_unplugged_and_a_silent_robot_are_listed(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(SECOND)
    rig.serve()
    rig.ready()
    rig.until("homie/5/mbot-2/$state", b"lost")
    report = rig.room_stop()
    assert report["confirmed"] == ["mbot-1"]
    assert [(r["device"], r["sticker"], r["code"]) for r in report["unconfirmed"]] == [("mbot-2", "12", "unplugged")]
    rig.kit.mute = True
    report = rig.room_stop()
    assert [(r["device"], r["code"]) for r in report["unconfirmed"]] == [
        ("mbot-1", "no_answer"),
        ("mbot-2", "unplugged"),
    ]


def test_a_cable_pulled_while_driving_is_listed_and_comes_back(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.3, ms=500)
    rig.kit.unplug()
    rig.until("homie/5/mbot-1/$state", b"lost")
    assert rig.last("homie/5/mbot-1/$alert/unplugged")
    assert rig.room_stop()["unconfirmed"][0]["code"] == "unplugged"
    rig.kit.plug()
    rig.kit.wait(standing=True)
    rig.ready()
    rig.until("homie/5/mbot-1/$alert/unplugged", b"")


def test_what_was_cut_off_while_driving_is_stopped_as_soon_as_it_is_heard_again(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.3, ms=500)
    rig.kit.cut = True
    rig.until("homie/5/mbot-1/$state", b"lost")
    assert not rig.kit.standing()  # the stops at the lease's end never came through
    rig.kit.cut = False
    rig.kit.wait(standing=True)
    rig.ready()
    rig.until("homie/5/mbot-1/main/stop-confirmed", b"true")


def test_devices_of_a_stop_may_be_named(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(SECOND)
    rig.serve()
    rig.ready()
    assert rig.room_stop(devices=["mbot-1"])["unconfirmed"] == []


def test_a_stop_that_cannot_be_read_stops_the_room(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.3, ms=500)
    rig.console.publish("zhike/room/lab1/stop", b'{"id": "broken')
    assert rig.stopped("")["confirmed"] == ["mbot-1"]
    assert rig.kit.standing()


def test_after_an_emergency_stop_the_pupil_must_let_go(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.3, ms=300)
    rig.room_stop()
    moved = len(rig.kit.moved)
    for _ in range(5):
        rig.wish(linear_x=0.3, ms=300)
    rig.room_stop()
    assert all(not any(motors.values()) for _, motors in rig.kit.moved[moved:])
    rig.lease(max_linear=0.25)
    rig.drive(linear_x=0.3, ms=300)


def test_killing_the_gateway_stops_the_kit_within_the_lease(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.3, ms=500)
    guards = guards_of(rig)
    assert len(guards) == 1
    rig.kill()
    assert rig.kit.wait(standing=True) < SOON_S
    psutil.wait_procs(guards, timeout=PATIENCE_S)
    assert not any(guard.is_running() for guard in guards)
    rig.until("homie/5/gw-lab1/$state", b"lost")
    rig.serve()
    rig.until("homie/5/gw-lab1/$state", b"ready")
    rig.wish(linear_x=0.3, ms=500)
    seen = len(rig.console.messages)
    rig.wait(
        lambda: (
            any(m.topic == "homie/5/mbot-1/$state" and m.payload == b"ready" for m in rig.console.messages[seen:])
            or rig.last("homie/5/mbot-1/$state") == b"ready"
        ),
        "not ready again",
    )


def test_killing_the_guard_starts_a_new_one_that_stops_the_kit(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.3, ms=500)
    guard = guards_of(rig)[0]
    os.kill(guard.pid, signal.SIGKILL)
    assert rig.kit.wait(standing=True) < SOON_S
    rig.wait(lambda: guards_of(rig)[0].pid != guard.pid, "no new guard")


def test_a_frozen_gateway_stops_the_kit_when_the_lease_ends(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.3, ms=500)
    assert rig.gateway
    rig.gateway.send_signal(signal.SIGSTOP)
    try:
        assert rig.kit.wait(standing=True) < SOON_S
    finally:
        rig.gateway.send_signal(signal.SIGCONT)


def test_sigterm_stops_says_goodbye_and_ends(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.3, ms=500)
    rig.end()
    assert rig.gateway
    assert rig.gateway.returncode == 0
    assert rig.kit.standing()
    rig.until("homie/5/gw-lab1/$state", b"disconnected")
    rig.until("homie/5/mbot-1/$state", b"disconnected")


def test_wrong_firmware_is_named_and_never_driven(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.kit.firmware = "09.02.001"
    rig.serve()
    rig.wait(lambda: bool(rig.last("homie/5/mbot-1/$alert/firmware")), "no alert")
    rig.lease()
    rig.wish(linear_x=0.2, ms=400)
    rig.wait(lambda: rig.value("refused") is not None, "no refusal")
    assert json.loads(rig.value("refused") or b"{}")["code"] == "wrong_firmware"
    assert all(not any(motors.values()) for _, motors in rig.kit.moved)
    assert rig.room_stop()["confirmed"] == ["mbot-1"]
