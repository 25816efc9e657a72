"""A value that a kit cannot be told is refused with the reason; it ends neither the worker nor the gateway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from labkit.gateway.arm_kit import ArmKit
from labkit.gateway.mailbox import DriveOrder, SetOrder
from labkit.gateway.worker import Worker
from labkit.model import Profile, Value
from labkit.profiles import load_profiles
from tests.labkit.everykit.kit_bench import KitBench, kit_bench

PROFILES = load_profiles()


def narrowed(name: str, *tight: str) -> Profile:
    """A profile whose named properties hold less than its drive model makes: `load_profile` refuses it."""
    profile = PROFILES[name]
    small = {key: replace(profile.properties[key], minimum=-0.05, maximum=0.05) for key in tight}
    return replace(profile, properties=MappingProxyType({**profile.properties, **small}))


def refusals(bench: KitBench, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What the worker publishes as refused, from now on."""
    told: list[dict[str, object]] = []
    publish = bench.worker.publish

    def listen(name: str, value: Value, gap_s: float = 0.0) -> None:
        if isinstance(value, dict):
            told.append(value)
        publish(name, value, gap_s)

    monkeypatch.setattr(bench.worker, "publish", listen)
    return told


@pytest.mark.parametrize(
    ("name", "tight"),
    [
        ("makeblock-mbot2", ("left", "right")),
        ("microbit-car", ("left", "right")),
        ("dji-robomaster-ep", ("linear_x",)),
    ],
)
def test_a_drive_beyond_the_profile_is_refused(
    name: str, tight: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kit_bench(narrowed(name, *tight), tmp_path) as bench:
        bench.ready()
        told = refusals(bench, monkeypatch)
        bench.do(DriveOrder(0.3, 0.0, 500, "t-1", 7))
        bench.turn(0.2)
        assert [(one["terminal"], one["seq"], one["code"]) for one in told] == [("t-1", 7, "malformed")]
        assert "设备档案" in str(told[0]["zh"])
        assert not bench.moves()
        bench.halted()


def test_a_joint_beyond_the_wire_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kit_bench(PROFILES["arduino-firmata-arm"], tmp_path) as bench:
        bench.ready()
        told = refusals(bench, monkeypatch)
        bench.turn(1.0)  # its greeting
        assert isinstance(bench.worker, ArmKit)
        bench.worker._joints["base"] = replace(bench.worker._joints["base"], forms=())
        bench.do(SetOrder("base", b"120"))
        bench.turn(1.0)
        assert [one["code"] for one in told] == ["malformed"]
        bench.halted()


def test_the_loop_of_a_worker_outlives_what_cannot_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kit_bench(narrowed("makeblock-mbot2", "left"), tmp_path) as bench:
        bench.ready()
        told = refusals(bench, monkeypatch)
        write = bench.worker._codec.write
        monkeypatch.setattr(
            bench.worker, "set_property", lambda _: write(bench.device.profile.properties["left"], 99)
        )
        Worker._turn(bench.worker, SetOrder("left", b"99"))
        assert [one["code"] for one in told] == ["malformed"]
