"""Every profile, whatever it is: its samples go through its simulator, and no input makes a worker fail or a motor leave its limits."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import codecs, homie, samples, yamlfile
from labkit.boards import space
from labkit.codecs import Event, Noise, Raised, Reported
from labkit.codecs.raw_repl import RawReplCodec
from labkit.codecs.text_sdk import TextCodec
from labkit.errors import Malformed
from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.gateway.camera import readings
from labkit.gateway.mailbox import Came, DriveOrder, Heard, IdentifyOrder, Item, SetOrder, StopOrder
from labkit.gateway.mqtt_kit import MqttKit
from labkit.gateway.worker import Robot
from labkit.homie import Part
from labkit.lab import load_lab
from labkit.lease import parse_wish
from labkit.links import Broker, BrokerAddress
from labkit.model import Datatype, Kind, Profile, Property, State, Value
from labkit.profiles import load_profiles
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.foreign_scripts import script
from labkit.simulate.mqtt_car import MqttCar, described
from labkit.simulate.onbroker import Login
from labkit.simulate.physics import Pose, school_table
from labkit.simulate.terminals import describe
from tests.labkit.everykit.kit_bench import device_of, kit_bench, simulated
from tests.labkit.foreign.bench import Bench, Hub, Wall

PROFILES = load_profiles()


def family(profile: Profile) -> str:
    """How a profile's kits are reached, as far as it matters here."""
    if profile.kind is Kind.TERMINAL:
        return "terminal"
    if profile.foreign:
        return "hub" if profile.transport.convention == "homie5" else "foreign"
    return {"serial": "wired", "tcp": "wired", "udp": "wired"}.get(profile.transport.type, profile.transport.type)


def rows(profile: Profile) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The profile's samples."""
    (file,) = sorted((Path(profile.folder) / "samples").glob("*.yaml"))
    data = yamlfile.read(file).data
    assert isinstance(data, dict)
    assert data["exchanges"]
    return data, data["exchanges"]


def foreign_bench(profile: Profile, folder: Path) -> tuple[Bench, Any]:
    """A foreign board's worker and its simulated board."""
    device = device_of(profile, folder, rows(profile)[0]["url"])
    return Bench(device), script(profile, space(profile, device.id, device.url), 1)


# Samples.


def wired_samples(profile: Profile, folder: Path) -> None:
    """What the codec sends is what the sample says; what the simulated kit answers is understood as the sample says."""
    for number, row in enumerate(rows(profile)[1]):
        tells = row.get("tells", [])
        with wired_kit(
            profile, folder / str(number), str(row.get("do", {}).get("read", "")) if "Lacking" in tells else ""
        ) as kit:
            one = kit.session(row)
            if "do" not in row:
                continue
            sent = sends(one, profile, row["do"])
            assert sent == (row["sends"].encode() if isinstance(one, TextCodec) else bytes.fromhex(row["sends"])), row[
                "title"
            ]
            events = kit.ask(one, sent)
            assert isinstance(one, RawReplCodec) or not [e for e in events if isinstance(e, Noise)], (
                row["title"],
                events,
            )
            kinds = {type(e).__name__ for e in events}
            if "Lacking" in tells:
                assert kinds & {"Lacking", "Reported"}, row["title"]
                continue
            assert set(row.get("gives", {})) <= {e.property for e in events if isinstance(e, Reported)}, row["title"]
            assert set(tells) <= kinds, row["title"]


class WiredKit:
    """A simulated kit alone, and a codec that talks to it."""

    def __init__(self, profile: Profile, folder: Path, lacks: str) -> None:
        self.profile, self.now, self.motors = profile, 0.0, MotorLog(folder / "log")
        self.kit, self.body = simulated(device_of(profile, folder), self.motors, self.now, Faults(lacks=lacks))

    def ask(self, one: Any, data: bytes) -> list[Event]:
        """Say it to the kit and give it three seconds; what the codec makes of the answers."""
        lines = data.splitlines() if self.profile.transport.type == "udp" else [data]
        replies = [said for line in lines for said in self.kit.feed(line, self.now)]
        for _ in range(150):
            self.now += 0.02
            replies += self.kit.tick(self.now)
        return [event for said in replies for event in one.feed(said)]

    def session(self, row: dict[str, Any]) -> Any:
        """A codec in a session that is open; a kit that tells something by itself has told all of it."""
        first = codecs.create(self.profile.transport.codec, self.profile)
        self.ask(first, first.opening())
        for piece in first.program() if isinstance(first, RawReplCodec) else ():
            assert not [e for e in self.ask(first, piece) if isinstance(e, Raised)]
        if isinstance(first, TextCodec):
            pushed = {item.id for item in self.profile.properties.values() if item.form("observeproperty")}
            told = [e for datagram in self.kit.pushes(self.now + 1) for e in first.push(datagram)]
            assert pushed <= {e.property for e in told if isinstance(e, Reported)}
            first = cast(
                TextCodec, codecs.create(self.profile.transport.codec, self.profile)
            )  # samples begin to number anew
        elif "stop" in row.get("do", {}):
            first.expect_stop()
        return first


@contextmanager
def wired_kit(profile: Profile, folder: Path, lacks: str) -> Iterator[WiredKit]:
    folder.mkdir(parents=True)
    kit = WiredKit(profile, folder, lacks)
    yield kit
    kit.motors.close()


def sends(one: Any, profile: Profile, do: dict[str, Any]) -> bytes:
    """The bytes of what an exchange does."""
    if "read" in do:
        return bytes(one.read(profile.properties[do["read"]]))
    if "drive" in do:
        return bytes(one.drive(*do["drive"]))
    if "write" in do and isinstance(one, RawReplCodec):
        return one.write_all({profile.properties[name]: value for name, value in do["write"].items()})
    if "write" in do:
        return b"".join(one.write(profile.properties[name], value) for name, value in do["write"].items())
    if "stop" not in do:
        return b""
    assert profile.safety
    if isinstance(one, TextCodec):
        one.expect_stop(do["stop"], 3)
    return b"".join(one.stop(profile.actions[profile.safety.stop], 0)).replace(b"{n}", b"%d" % do["stop"])


def foreign_samples(profile: Profile, folder: Path) -> None:
    """The simulated board is understood, and obeys every order that the worker sends it."""
    bench, board = foreign_bench(profile, folder)
    for said in [*board.hello(0.0), *board.report(30.0)]:
        assert bench.kit.space.tells(said.topic) or bench.kit.space.announces(said.topic), said
        bench.hears(said.topic, said.payload)
    bench.turn()
    assert (bench.state, bench.refusals) == ("ready", [])
    node = bench.shown.node("main")
    assert node
    obeyed = 0
    for item in node.properties:
        if item.settable and item.id not in (face.IDENTIFY,) and (value := some(item)) is not None:
            bench.sent.clear()
            bench.set(item.id, homie.encode(item, value).decode())
            for order in bench.sent:
                answer = board.obey(order.topic, order.payload.decode())
                for said in answer or [SimpleNamespace(topic=order.topic, payload=order.payload)]:
                    bench.hears(said.topic, said.payload)
            bench.turn()
            obeyed += bench.value(item.id) == value
    assert obeyed


def some(item: Property) -> Value | None:
    """A value that the property may have."""
    low = item.format.partition(":")[0]
    values: dict[Datatype, Value] = {
        Datatype.BOOLEAN: True,
        Datatype.INTEGER: int(float(low or 0)) + 1,
        Datatype.FLOAT: float(low or 0) + 1,
    }
    return values.get(item.datatype)


def hub_samples(profile: Profile, folder: Path) -> None:
    """The simulated root is known with its children."""
    device = device_of(profile, folder, rows(profile)[0]["url"], "hub-5")
    hub, board = Hub(device), script(profile, space(profile, device.id, device.url), 1)
    for said in board.hello(0.0):
        hub.hears(said.topic, said.payload)
    assert hub.kit.state is State.READY
    assert board.obey("homie/5/hub-5/bench/level/set", "42")[-1].payload == "42"


def board_samples(profile: Profile, folder: Path) -> None:
    """The simulated board takes every order of the samples, refuses the wrong ones, and says what the samples say it says."""
    device = device_of(profile, folder, "mqtt:", "car-1")
    assert profile.drive
    motors = MotorLog(folder / "log")
    body = Body(school_table(), Pose(0.6, 0.4, 0.0), profile.drive, 1, motors, 0.0)
    car = MqttCar(device, body, Faults(), 1, BrokerAddress.parse("mqtt://127.0.0.1:1"), lambda: Login("car-1", ""))
    own = {item.id: item for item in car.homie.nodes[0].properties}
    for row in rows(profile)[1]:
        address, payload = homie.parse_topic(row["topic"]), str(row["payload"]).encode()
        if address.part is Part.SET:
            car.obey(address.property, payload, 0.0)
            assert body.moving is not bool(row.get("refused")), row["title"]
            car.obey("stop", b"stop", 0.0)
        else:
            assert homie.decode(own[address.property], payload) == row["gives"][address.property]
    car.close()
    motors.close()


def camera_samples(profile: Profile, folder: Path) -> None:
    """A line of the vision process becomes what the sample says."""
    for row in rows(profile)[1]:
        assert readings(profile, json.loads(row["line"]))[0] == row["gives"], row["title"]


def terminal_samples(profile: Profile, folder: Path) -> None:
    """A lesson page, the agent of its PC and the simulated terminal describe what the profile says; each sample has its property."""
    own = {(form.href.partition(":")[2], item.type) for item in profile.properties.values() for form in item.forms}
    kinds = {Datatype.DATETIME: "string", Datatype.JSON: "object", Datatype.INTEGER: "integer", Datatype.BOOLEAN: "boolean"}
    (folder / "lab.yaml").write_text("name: gw-x\nroom: r\ndevices: []\n")
    agent = face.gateway_device(replace(load_lab(folder / "lab.yaml"), seated=True), 1)
    for device in (describe("t-r-01"), agent):
        said = {
            (f"{node.id}/{one.id}", kinds.get(one.datatype, "string"))
            for node in device.nodes
            if node.id in face.PAGE_NODES
            for one in node.properties
        }
        assert said == own
    script_ = (Path(__file__).parents[3] / "lms" / "static" / "js" / "terminal.js").read_text(encoding="utf-8")
    page = re.search(r"const SETTINGS = \{(.*?)\};", script_)
    assert page
    names = {name.strip().strip('"') for name in re.findall(r'([\w"-]+): "', page[1])}
    assert {f"terminal/{name}" for name in names} | {"wish/drive"} == {href for href, _ in own}
    assert list(samples.faults(profile)) == []
    assert len(rows(profile)[1]) >= len(own)


SAMPLES: dict[str, Callable[[Profile, Path], None]] = {
    "wired": wired_samples, "foreign": foreign_samples, "hub": hub_samples, "mqtt": board_samples, "vision": camera_samples,
    "terminal": terminal_samples,
}  # fmt: skip


@pytest.mark.parametrize("name", list(PROFILES))
def test_its_samples_go_through_its_simulator(name: str, tmp_path: Path) -> None:
    SAMPLES[family(PROFILES[name])](PROFILES[name], tmp_path)


# Any input.

FLOATS = st.floats() | st.floats(-1.5, 1.5)
NOISE = st.binary(max_size=40) | st.sampled_from(
    [b"\xff\x55\r\n", b"ok", b"error", b"ok seq 5000003;", b"\x04\x04>OK! 0 0\r\n", b"raw REPL; CTRL-B to exit\r\n>", b"\xf0\x6e\x05\x03\x00\xf7", b"vgx:0;vgy:0;yaw:1;h:9;"]
)  # fmt: skip
PAYLOADS = st.sampled_from(
    [b"true", b"120", b"-9999", b"0.3", b"takeoff", b"land", b"line-tracking", b"NaN", b"1e999", b"", b"\xff"]
) | st.binary(max_size=6)


def steps(profile: Profile) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """What may come to a worker of this profile, one after the other."""
    names = sorted(
        {homie.property_id(name) for name in (*profile.properties, *profile.actions, "nothing", "stop", "linear-x")}
    )
    return st.lists(
        st.one_of(
            st.tuples(st.just("noise"), NOISE),
            st.tuples(st.just("push"), NOISE),
            st.tuples(st.just("drive"), st.tuples(FLOATS, FLOATS, st.integers(1, 2000))),
            st.tuples(st.just("drive"), st.tuples(FLOATS, FLOATS, st.integers(1, 2000))),
            st.tuples(st.just("set"), st.tuples(st.sampled_from(names), PAYLOADS)),
            st.tuples(st.just("stop"), st.none()),
            st.tuples(st.just("identify"), st.none()),
            st.tuples(st.just("time"), st.floats(0.01, 0.7)),
            st.tuples(st.just("note"), st.dictionaries(st.sampled_from(["event", "first", "count", "mark", "code", "reason"]), st.integers() | st.sampled_from(["stop", "error", "told", ""]))),
        ),
        max_size=14,
    )  # fmt: skip


def item_of(kind: str, what: Any) -> Item | None:
    """The queue's item of a step."""
    makers: dict[str, Callable[[], Item]] = {
        "noise": lambda: Came(what),
        "drive": lambda: DriveOrder(*what),
        "set": lambda: SetOrder(*what),
        "stop": lambda: StopOrder("fuzz"),
        "identify": IdentifyOrder,
    }
    return makers[kind]() if kind in makers else None


def wired_input(profile: Profile, folder: Path, given_: list[tuple[str, Any]]) -> None:
    """A kit on this PC: in the end it stands, proved, and still drives."""
    with kit_bench(profile, folder) as bench:
        bench.ready()
        for kind, what in given_:
            if kind in ("push", "note"):
                bench.tell({"event": "push", "data": what} if kind == "push" else dict(what))
            elif item := item_of(kind, what):
                bench.do(item)
            bench.turn(what if kind == "time" else 0.03)
            bench.limits_hold()
        if isinstance(bench.worker, Robot):
            bench.halted()
        bench.limits_hold()


def foreign_input(profile: Profile, folder: Path, given_: list[tuple[str, Any]]) -> None:
    """A board of others: orders go only where it is told, whatever it says."""
    bench, board = foreign_bench(profile, folder)
    topics = [said.topic for said in [*board.hello(0.0), *board.report(30.0)]]
    for number, (kind, what) in enumerate(given_):
        if kind in ("noise", "push"):
            bench.hears(topics[number % len(topics)], what)
        elif kind != "drive" and (item := item_of(kind, what)):
            bench.kit.handle(item)
        bench.turn(what if kind == "time" else 0.1)
    assert all(bench.kit.space.is_told(message.topic) for message in bench.sent)
    bench.kit.end()


def hub_input(profile: Profile, folder: Path, given_: list[tuple[str, Any]]) -> None:
    """A root of others: whatever it and its children say."""
    device = device_of(profile, folder, rows(profile)[0]["url"], "hub-5")
    hub, board = Hub(device), script(profile, space(profile, device.id, device.url), 1)
    topics = [said.topic for said in board.hello(0.0)]
    for number, (kind, what) in enumerate(given_):
        if kind in ("noise", "push"):
            hub.kit.handle(Heard(topics[number % len(topics)], what, False))
        hub.kit.tick(time.monotonic() + number)


def board_input(profile: Profile, folder: Path, given_: list[tuple[str, Any]]) -> None:
    """A board of ours: what it is told is within its limits, or it refuses it."""
    device, wall, notices = device_of(profile, folder, "mqtt:", "car-1"), Wall(), Board()
    notices.attach(cast(Broker, wall))
    kit = MqttKit(device, notices, "gw-x")
    kit.serve(face.robot_properties(device))

    def hears(what: str, payload: bytes, retained: bool) -> None:
        topic = f"homie/5/car-1/{what}"
        kit.hear(Heard(topic, payload, retained), homie.parse_topic(topic))

    hears("$description", homie.describe(described(device)), True)
    hears("$state", b"ready", True)
    drive = profile.drive
    assert drive
    limits = {homie.property_id(drive.linear): drive.max_mps, homie.property_id(drive.angular): drive.max_radps}
    for kind, what in given_:
        if kind in ("noise", "push"):
            hears("main/moving", what, False)
        elif item := item_of(kind, what):
            kit.handle(item)
        kit.tick(time.monotonic() + 1.0)
    for topic, payload in wall.events:
        address = homie.parse_topic(topic)
        item_ = described(device).property(address.node, address.property)
        if (
            address.part is Part.SET
            and address.property in limits
            and item_
            and (value := taken(item_, payload)) is not None
        ):
            assert abs(value) <= limits[address.property] + 1e-9


def taken(item: Property, payload: bytes) -> float | None:
    """What the board makes of it; None when it refuses."""
    try:
        value = homie.decode(item, payload)
    except Malformed:
        return None
    assert isinstance(value, float)
    return value


def camera_input(profile: Profile, folder: Path, given_: list[tuple[str, Any]]) -> None:
    """A camera: any line of the vision process gives readings of the right type, or none."""
    names = sorted(item.forms[0].href.removeprefix("vision:") for item in profile.properties.values())
    for number, (_, what) in enumerate(given_):
        readings(profile, {names[number % len(names)]: what.decode("latin-1") if isinstance(what, bytes) else what})


def terminal_input(profile: Profile, folder: Path, given_: list[tuple[str, Any]]) -> None:
    """A page's wish, whatever it is, is one or is refused."""
    for _, what in given_:
        if isinstance(what, bytes):
            with suppress(Malformed):
                parse_wish(what)


INPUTS: dict[str, Callable[[Profile, Path, list[tuple[str, Any]]], None]] = {
    "wired": wired_input, "foreign": foreign_input, "hub": hub_input, "mqtt": board_input, "vision": camera_input,
    "terminal": terminal_input,
}  # fmt: skip


@pytest.mark.parametrize("name", list(PROFILES))
@settings(max_examples=25)
@given(data=st.data())
def test_no_input_ends_a_worker_or_moves_a_motor_outside_its_limits(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    profile = PROFILES[name]
    INPUTS[family(profile)](profile, tmp_path, data.draw(steps(profile)))
