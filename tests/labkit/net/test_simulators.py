"""The simulated EP and Tello alone, in time that is handed in: what the real ones do, and no deadman that they lack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.lab import LabDevice, load_lab
from labkit.simulate.backwards import TextBackwards
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.physics import Pose, school_table
from labkit.simulate.tello import Flight, TelloFirmware
from tests.effort import PATIENCE_S
from tests.labkit.brokers import RunningBroker
from tests.labkit.gateway.conftest import rigs_on
from tests.labkit.gateway.rig import Rig
from tests.labkit.net.conftest import simulators
from tests.labkit.net.test_worker import device_of


@pytest.fixture
def motors(tmp_path: Path) -> Iterator[MotorLog]:
    log = MotorLog(tmp_path / "log")
    yield log
    log.close()


def body_of(device: LabDevice, motors: MotorLog) -> Body:
    assert device.profile.drive
    return Body(school_table(), Pose(1.0, 1.0, 0.0), device.profile.drive, 1, motors, 0.0)


@pytest.fixture
def ep(tmp_path: Path, motors: MotorLog) -> tuple[TextBackwards, Body]:
    device = device_of("tcp", tmp_path)
    body = body_of(device, motors)
    return TextBackwards(device, body, Faults(), 1, 0.0), body


@pytest.fixture
def tello(tmp_path: Path, motors: MotorLog) -> tuple[TelloFirmware, Body]:
    device = device_of("udp", tmp_path)
    body = body_of(device, motors)
    return TelloFirmware(device, body, Faults(), 1, 0.0), body


def test_an_ep_obeys_only_in_sdk_mode(ep: tuple[TextBackwards, Body]) -> None:
    kit, body = ep
    assert kit.feed(b"chassis speed x 0.2 y 0 z 0 seq 1;version seq 2;", 0.1) == []
    assert not body.moving
    assert kit.feed(b"command;chassis speed x 0.2 y 0 z 0 seq 3;", 0.2) == [b"ok;", b"ok seq 3;"]
    assert body.moving


def test_an_ep_has_no_deadman_and_a_lost_stream_does_not_stop_it(ep: tuple[TextBackwards, Body]) -> None:
    kit, body = ep
    kit.feed(b"command;chassis speed x 0.01 y 0 z 0;", 0.1)
    kit.hung_up(0.2)
    for second in range(1, 60):
        kit.tick(float(second))
    assert body.moving
    assert kit.feed(b"chassis speed x 0 y 0 z 0;", 61) == []
    assert kit.feed(b"command;chassis speed x 0 y 0 z 0 seq 7;", 62) == [b"ok;", b"ok seq 7;"]
    assert not body.moving


@pytest.mark.parametrize(
    "command", ["chassis speed x nan y 0 z 0", "chassis speed x 1e9 y 0 z 0", "chassis speed x 1", "dance"]
)
def test_an_ep_refuses_what_it_does_not_know(ep: tuple[TextBackwards, Body], command: str) -> None:
    kit, body = ep
    kit.feed(b"command;", 0.1)
    assert kit.feed(f"{command} seq 9;".encode(), 0.2) == [b"error seq 9;"]
    assert not body.moving


def test_an_ep_turns_clockwise_for_positive_z(ep: tuple[TextBackwards, Body]) -> None:
    kit, body = ep
    kit.feed(b"command;chassis speed x 0 y 0 z 90;", 0.0)
    kit.tick(0.5)
    assert body.pose.heading == pytest.approx(-0.785, abs=0.01)


def test_a_tello_lands_after_15_s_of_silence_and_not_before(tello: tuple[TelloFirmware, Body]) -> None:
    kit, body = tello
    kit.feed(b"command", 0.0)
    assert kit.feed(b"takeoff", 0.1) == []
    assert [a for tick in range(1, 30) for a in kit.tick(tick / 10)] == [b"ok"]
    kit.feed(b"rc 0 1 0 0", 3.0)
    kit.tick(17.9)
    assert kit.flight is Flight.FLYING
    assert body.moving  # rc holds until the next one: there is no shorter deadman
    kit.tick(18.1)
    assert kit.flight is Flight.LANDING
    assert not body.moving
    kit.tick(20.0)
    assert (kit.flight, kit.height_m) == (Flight.GROUND, 0.0)


def test_a_tello_stops_and_lands(tello: tuple[TelloFirmware, Body]) -> None:
    kit, body = tello
    kit.feed(b"command", 0.0)
    kit.feed(b"takeoff", 0.1)
    kit.tick(2.0)
    kit.feed(b"rc 0 50 0 20", 2.1)
    assert body.moving
    for datagram in (b"rc 0 0 0 0", b"stop", b"land") * 3:
        kit.feed(datagram, 2.2)
    assert not body.moving
    kit.feed(b"rc 0 50 0 0", 2.3)  # sticks do nothing while it lands
    assert not body.moving
    assert kit.tick(4.0) == [b"ok"]
    assert kit.height_m == 0


def test_the_lab_file_alone_is_enough(net_broker: RunningBroker, tmp_path: Path) -> None:
    """``sim://tcp`` and ``sim://udp``: the simulator finds free ports and tells the gateway where it is."""
    lines = [
        '{id: ep-9, profile: dji-robomaster-ep, sticker: "31", url: "sim://tcp", simulate: {seed: 9}}',
        '{id: tello-9, profile: ryze-tello-tt, sticker: "32", url: "sim://udp", simulate: {seed: 9}}',
    ]
    with rigs_on(net_broker, tmp_path) as make:
        rig: Rig = make(*lines)
        rig.serve()
        for device in ("ep-9", "tello-9"):
            rig.until(f"homie/5/{device}/$state", b"lost")
        simulator = simulators(rig, lines, rig.folder)
        for device in ("ep-9", "tello-9"):
            rig.until(f"homie/5/{device}/$state", b"ready")
        assert sorted(rig.room_stop(devices=["ep-9", "tello-9"])["confirmed"]) == ["ep-9", "tello-9"]
        rig.end()
        simulator.terminate()
        assert simulator.wait(PATIENCE_S) == 0
    assert not (tmp_path / "dev" / "ep-9").exists()
    assert load_lab(tmp_path / "lab.yaml").device("ep-9")
