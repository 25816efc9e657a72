"""What a teacher lets a drone or an arm do: it takes off with enough battery only, lands under the ceiling, goes to named poses."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.gateway import face
from labkit.gateway.mailbox import DriveOrder, SetOrder, StopOrder
from labkit.gateway.text_kit import TextKit
from labkit.profiles import load_profile, profiles_dir
from labkit.simulate.firmata_car import FirmataBoard
from labkit.simulate.physics import Battery
from labkit.simulate.tello import Flight, TelloFirmware
from tests.labkit.everykit.kit_bench import KitBench, kit_bench

DRONE = load_profile(profiles_dir() / "ryze-tello-tt")
ARM = load_profile(profiles_dir() / "arduino-firmata-arm")


def on_the_ground(bench: KitBench) -> TelloFirmware:
    assert isinstance(bench.kit, TelloFirmware)
    assert isinstance(bench.worker, TextKit)
    bench.ready()
    bench.to_kit(b"land")
    bench.turn(3)
    assert bench.kit.flight is Flight.GROUND
    return bench.kit


@pytest.mark.parametrize(("share", "flies"), [(0.9, True), (0.2, False)])
def test_a_drone_takes_off_with_enough_battery_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, share: float, flies: bool
) -> None:
    with kit_bench(DRONE, tmp_path) as bench:
        kit = on_the_ground(bench)
        assert bench.body
        bench.body.battery = Battery(7.4 * share)
        bench.turn(0.5)
        bench.do(SetOrder("flight", b"takeoff"))
        bench.turn(2.5)
        assert (kit.flight is Flight.FLYING) is flies
        assert ("takes off from 30" in caplog.text) is not flies
        bench.do(SetOrder("flight", b"land"))
        bench.turn(3)
        assert kit.height_m == 0


def test_a_drone_near_the_ceiling_comes_down(tmp_path: Path) -> None:
    with kit_bench(DRONE, tmp_path) as bench:
        kit = on_the_ground(bench)
        kit.flight, kit.height_m = Flight.FLYING, 2.4
        bench.turn(8)
        assert (kit.flight, kit.height_m) == (Flight.GROUND, 0.0)


def test_a_landing_that_was_lost_is_said_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kit_bench(DRONE, tmp_path) as bench:
        kit = on_the_ground(bench)
        kit.flight, kit.height_m = Flight.FLYING, 0.8
        bench.turn(0.3)
        heard = kit.feed
        monkeypatch.setattr(kit, "feed", lambda data, now: [] if data == b"land" else heard(data, now))
        bench.do(DriveOrder(0.2, 0.0, 400))
        bench.turn(1.5)
        assert kit.flight is Flight.FLYING and not bench.moves()
        monkeypatch.undo()
        bench.turn(4)
        assert kit.height_m == 0


def test_an_arm_goes_to_its_named_poses_slowly_and_offers_no_speeds(tmp_path: Path) -> None:
    with kit_bench(ARM, tmp_path) as bench:
        bench.ready()
        names = {item.id for item in face.robot_properties(bench.device)}
        assert face.POSE in names and face.LINEAR not in names
        kit, pins = bench.kit, bench.device.parameters
        assert isinstance(kit, FirmataBoard)
        bench.turn(1)
        bench.do(SetOrder(face.POSE, b"left"))
        bench.turn(0.3)
        assert 90 < (kit.angle(pins["base_pin"]) or 90) < 120
        bench.turn(4)
        assert kit.angle(pins["base_pin"]) == 150
        for wrong in (b"", b"nowhere", b"\xff"):
            bench.do(SetOrder(face.POSE, wrong))
        bench.turn(1)
        assert kit.angle(pins["base_pin"]) == 150
        bench.limits_hold()


def test_no_take_off_that_comes_late_undoes_a_stop(tmp_path: Path) -> None:
    """The school's order goes a longer way than the red button: pressed before it, it may come after it."""
    with kit_bench(DRONE, tmp_path) as bench:
        kit = on_the_ground(bench)
        bench.do(StopOrder("the red button"))
        bench.turn(0.2)
        bench.do(SetOrder("flight", b"takeoff"))
        bench.turn(0.5)
        assert kit.flight is Flight.GROUND
        bench.turn(1.5)
        bench.do(SetOrder("flight", b"takeoff"))
        bench.turn(2.5)
        assert kit.flight is Flight.FLYING
        bench.do(SetOrder("flight", b"land"))
        bench.turn(3)


def test_no_pose_that_comes_late_undoes_a_stop(tmp_path: Path) -> None:
    with kit_bench(ARM, tmp_path) as bench:
        bench.ready()
        kit, pins = bench.kit, bench.device.parameters
        assert isinstance(kit, FirmataBoard)
        bench.turn(1)
        bench.do(StopOrder("the red button"))
        bench.turn(0.2)
        bench.do(SetOrder(face.POSE, b"left"))
        bench.turn(3)
        assert (kit.angle(pins["base_pin"]) or 90) == 90
