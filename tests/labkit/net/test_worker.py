"""One worker without a network: whatever the kit says, it neither fails nor drives beyond its limits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.gateway.mailbox import Came, DriveOrder, IdentifyOrder, SetOrder, StopOrder, Told
from labkit.gateway.text_kit import TextKit
from labkit.lab import LabDevice, load_lab
from labkit.links.text import Pushes
from labkit.model import MAIN_NODE
from labkit.simulate.backwards import TextBackwards
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.physics import Pose, school_table
from labkit.simulate.tello import TelloFirmware
from tests.effort import examples
from tests.labkit.net.test_codecs import NOISE

KITS = {"tcp": ("dji-robomaster-ep", TextBackwards), "udp": ("ryze-tello-tt", TelloFirmware)}
FLOATS = st.one_of(st.floats(), st.floats(-1.2, 1.2))
STEPS = st.one_of(
    st.tuples(st.just("answer"), NOISE),
    st.tuples(st.just("push"), NOISE),
    st.tuples(st.just("drive"), st.tuples(FLOATS, FLOATS)),
    st.tuples(st.just("set"), st.tuples(st.sampled_from(["flight", "battery", "linear-x", "nothing"]), NOISE)),
    st.tuples(st.just("stop"), st.booleans()),
    st.tuples(st.just("identify"), st.none()),
    st.tuples(st.just("note"), st.dictionaries(st.sampled_from(["event", "first", "count", "mark", "code", "reason"]),
                                               st.one_of(st.integers(), st.sampled_from(["stop", "open", "error", "told", ""])))),
)  # fmt: skip


class Wire:
    """A link whose other end is a simulated kit, called at once; what it answers goes back to the worker when asked."""

    def __init__(self, kit: TextBackwards | TelloFirmware, stop: bytes) -> None:
        self.kit, self.halt = kit, stop
        self.now = 1.0
        self.number = 5_000_000
        self.answers: list[bytes] = []

    def drive(self, lease_ms: int, data: bytes) -> bool:
        assert 0 < lease_ms <= 500
        return self.write(data)

    def write(self, data: bytes) -> bool:
        self.now += 0.01
        for line in data.splitlines():
            self.answers += self.kit.feed(line, self.now)
        return True

    def stop(self, mark: str = "") -> bool:
        self.number += 1
        return self.write(self.halt.replace(b"{n}", b"%d" % self.number))


DEVICES: dict[str, LabDevice] = {}


def device_of(kind: str, folder: Path) -> LabDevice:
    """The kit as a lab file has it; read once."""
    if kind not in DEVICES:
        file = folder / "lab.yaml"
        file.write_text(
            f"name: gw-x\nroom: r\ndevices: [{{id: kit-1, profile: {KITS[kind][0]}, url: 'sim://{kind}'}}]\n"
        )
        DEVICES[kind] = load_lab(file).devices[0]
    return DEVICES[kind]


@contextmanager
def bench(folder: Path, kind: str) -> Iterator[tuple[TextKit, Wire, Body]]:
    """A ready worker, its wire, and the body of the kit behind it (in the air, if it flies)."""
    firmware = KITS[kind][1]
    device = device_of(kind, folder)
    assert device.profile.drive
    body = Body(school_table(), Pose(1.0, 1.0, 0.0), device.profile.drive, 1, (motors := MotorLog(folder / "log")), 0.0)
    kit = firmware(device, body, Faults(), 1, 0.0)
    worker = TextKit(device, Board(), folder, Pushes())
    node = face.kit_device(device, "gw-x", 1).node(MAIN_NODE)
    assert node
    worker.serve(node.properties)
    wire = Wire(kit, b"".join(worker._codec.stop(device.profile.actions["stop"], 0)))
    worker._port = wire  # type: ignore[assignment]  # what a worker uses of a link
    yield worker, wire, body
    motors.close()


def ready(worker: TextKit, wire: Wire) -> None:
    """Through the probe to READY."""
    worker.handle(Told({"event": "open"}, worker._port))
    probe = worker.device.profile.properties["firmware"]
    wire.write(worker._codec.read(probe))
    worker.handle(Told({"event": "push", "data": b"h:80;bat:90;vgx:0;vgy:0;"}, worker._port))
    hand_over(worker, wire)
    assert worker.obstacle(stopping=False) == ""
    if isinstance(wire.kit, TelloFirmware):
        wire.write(b"takeoff\n")
        wire.kit.tick(wire.now + 3)


def hand_over(worker: TextKit, wire: Wire) -> None:
    answers, wire.answers = wire.answers, []
    for answer in answers:
        worker.handle(Came(answer))


def take(worker: TextKit, kind: str, what: Any) -> None:
    if kind == "answer":
        worker.handle(Came(what))
    elif kind == "push":
        worker.handle(Told({"event": "push", "data": what}, worker._port))
    elif kind == "drive":
        worker.handle(DriveOrder(*what, ms=500))
    elif kind == "set":
        worker.handle(SetOrder(*what))
    elif kind == "stop":
        worker.handle(StopOrder("fuzz") if what else StopOrder(""))
    elif kind == "identify":
        worker.handle(IdentifyOrder())
    else:
        worker.handle(Told(dict(what), worker._port))


@pytest.mark.parametrize("kind", list(KITS))
@settings(max_examples=examples(100))
@given(steps=st.lists(STEPS, max_size=25))
def test_a_worker_survives_anything_and_keeps_its_limits(
    tmp_path: Path, kind: str, steps: list[tuple[str, Any]]
) -> None:
    with bench(tmp_path, kind) as (worker, wire, body):
        ready(worker, wire)
        drive = worker.drive_model
        for name, what in steps:
            take(worker, name, what)
            wire.now += 0.1
            worker.tick(wire.now)
            hand_over(worker, wire)
            forward, turn = (body.left_mps + body.right_mps) / 2, (body.right_mps - body.left_mps) / drive.wheel_base_m
            assert abs(forward) <= drive.max_mps + 1e-6
            assert abs(turn) <= drive.max_radps + 0.02
        # And it still stops.
        wire.stop()
        assert not body.moving


def test_an_idle_gateway_leaves_the_drone_its_own_landing(tmp_path: Path) -> None:
    """Each command would put off the landing after 15 s of silence."""
    with bench(tmp_path, "udp") as (worker, wire, _):
        ready(worker, wire)
        for second in range(3):  # it finds out what the drone can do, once
            worker.tick(time.monotonic() + second)
            hand_over(worker, wire)
        sent = wire.now
        for tick in range(300):
            worker.handle(Told({"event": "push", "data": b"h:80;bat:90;vgx:0;vgy:0;"}, worker._port))
            worker._heard_at = tick / 10
            worker.tick(tick / 10)
        assert wire.now == sent


def test_a_full_queue_is_said_and_a_stop_still_passes(tmp_path: Path) -> None:
    with bench(tmp_path, "udp") as (worker, _, _):
        fill(worker)


def fill(worker: TextKit) -> None:
    """More than fits; then a stop."""
    for _ in range(3000):
        worker._keep(Told({"event": "push", "data": b"h:80;"}, worker._port))
    assert worker._noise["its queue is full"] == 1000
    order = StopOrder("now")
    worker.mailbox.put(order)
    assert worker.mailbox.get(0) is order
