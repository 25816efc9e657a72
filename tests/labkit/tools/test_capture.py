"""What is recorded can be played again; what belongs to pupils is never written."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import capture, homie
from labkit.capture import BusFrame, Retention, SerialFrame, Writer
from labkit.errors import BadDocument
from labkit.model import Datatype, Device, Node, Property
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, RunningBroker

AT = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
TOPICS = st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
TIMES = st.floats(0, 1e6).map(lambda t: round(t, 4))


@given(TIMES, TOPICS, st.binary(max_size=60), st.booleans(), st.booleans())
def test_a_bus_frame_survives_its_line(t: float, topic: str, payload: bytes, retain: bool, old: bool) -> None:
    frame = BusFrame(t, topic, payload, retain, old)
    assert capture.decode(capture.encode(frame)) == frame


@given(TIMES, TOPICS, st.booleans(), st.binary(max_size=60))
def test_a_serial_frame_survives_its_line(t: float, device: str, to_kit: bool, data: bytes) -> None:
    frame = SerialFrame(t, device, to_kit, data)
    assert capture.decode(capture.encode(frame)) == frame


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz"])
def test_a_file_is_plain_or_packed_by_its_name(tmp_path: Path, name: str) -> None:
    writer = Writer(tmp_path / name, AT, ("homie/#",))
    writer.put(BusFrame(0.5, "homie/5/car-1/main/range", b"83.5"))
    writer.put(SerialFrame(0.6, "mbot-1", True, b"\xff\x55"))
    writer.close()
    raw = (tmp_path / name).read_bytes()
    text = gzip.decompress(raw).decode() if name.endswith("gz") else raw.decode()
    assert json.loads(text.splitlines()[0]) == {
        "capture": 1,
        "at": "2026-09-01T08:00:00.000+00:00",
        "filters": ["homie/#"],
    }
    assert [type(f).__name__ for f in capture.read(tmp_path / name)] == ["BusFrame", "SerialFrame"]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("homie/5/t-lab1-01/answer/text", "我的答案".encode()),
        ("homie/5/t-lab1-01/terminal/needs-help", b"true"),
        ("homie/5/cam-1/main/landmarks", b"{}"),
        ("homie/5/cam-1/main/preview", b"x"),
        ("zhike/room/lab1/board", b"\xff\xd8\xff\xe0picture"),
        ("$CONTROL/dynamic-security/v1", b'{"password": "x"}'),
        ("homie/5/car-1/main/log", b"x" * (capture.MAX_PAYLOAD_BYTES + 1)),
    ],
)
def test_what_belongs_to_people_is_left_out(tmp_path: Path, topic: str, payload: bytes) -> None:
    writer = Writer(tmp_path / "c.jsonl", AT)
    writer.put(BusFrame(0.0, topic, payload))
    writer.put(BusFrame(0.1, "homie/5/t-lab1-01/wish/drive", b'{"seq": 1, "stop": true}'))
    writer.close()
    assert (writer.written, writer.left_out) == (1, 1)
    assert [f.topic for f in capture.read(tmp_path / "c.jsonl") if isinstance(f, BusFrame)] == [
        "homie/5/t-lab1-01/wish/drive"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("{}\n", 1),
        ('{"capture": 1}\n{"t": -1, "topic": "a", "payload": ""}\n', 2),
        ('{"capture": 1}\n{"t": 1, "topic": "a/#", "payload": ""}\n', 2),
        ('{"capture": 1}\n\n{"t": 1, "topic": "a", "b64": "?"}\n', 3),
        ('{"capture": 1}\n{"t": 1, "device": "d", "dir": "up", "hex": ""}\n', 2),
        ('{"capture": 1}\n{"t": 1, "device": "d", "dir": "in", "hex": "zz"}\n', 2),
    ],
)
def test_a_broken_capture_names_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(text)
    with pytest.raises(BadDocument) as caught:
        list(capture.read(path))
    assert [fault.place.line for fault in caught.value.faults] == [line]


def test_a_cut_packed_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"capture": 1}\n' * 100)[:-12])
    with pytest.raises(BadDocument):
        list(capture.read(path))


def test_live_messages_are_retained_as_their_description_says() -> None:
    node = Node(
        "main", properties=(Property("range", Datatype.FLOAT), Property("beep", Datatype.STRING, retained=False))
    )
    memory = Retention()

    def retains(topic: str, payload: bytes = b"x") -> bool:
        return memory.retains(BusFrame(0.0, topic, payload))

    assert not retains("homie/5/car-1/main/range")
    assert retains("homie/5/car-1/$description", homie.describe(Device("car-1", nodes=(node,))))
    assert retains("homie/5/car-1/main/range") and retains("homie/5/car-1/$state")
    assert not retains("homie/5/car-1/main/beep") and not retains("homie/5/car-1/main/range/set")
    assert retains("zhike/room/lab1/lease/car-1") and not retains("zhike/room/lab1/stop")


def labkit(broker: RunningBroker, *words: str) -> subprocess.Popen[str]:
    """Run one command at the broker."""
    url = f"mqtt://127.0.0.1:{broker.config.tcp_port}"
    return subprocess.Popen(
        [sys.executable, "-m", "labkit.cli", *words, "--json", "--broker", url, "--username", ADMIN],
        env={**os.environ, "LABKIT_PASSWORD": ADMIN_PASSWORD},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_lesson_is_recorded_and_played_to_a_reader(broker: RunningBroker, tmp_path: Path) -> None:
    person = broker.person(ADMIN, ADMIN_PASSWORD, client_id="capture-person")
    person.subscribe("zhike/gateway/gw-cap/mirror")
    node = Node("main", properties=(Property("range", Datatype.FLOAT),))
    person.publish("homie/5/cap-1/$description", homie.describe(Device("cap-1", nodes=(node,))), retain=True)
    path = tmp_path / "c.jsonl.gz"
    recording = labkit(broker, "record", str(path), "--mirror", "gw-cap", "--topic", "homie/5/cap-1/#")
    person.expect("zhike/gateway/gw-cap/mirror", 15)
    for number in range(5):
        person.publish("homie/5/cap-1/main/range", str(float(number)), retain=True)
    person.publish("zhike/gateway/gw-cap/frames/cap-1/in", b"\xff\x55\x00")
    person.publish("homie/5/cap-1/main/range", b"9.0", retain=True)
    person.publish("homie/5/cap-1/$state", b"ready", retain=True)
    recording.send_signal(signal.SIGINT)
    told = json.loads(recording.communicate(timeout=PATIENCE_S)[0])
    assert (told["frames"], told["left_out"]) == (9, 0)
    assert SerialFrame(0, "cap-1", False, b"\xff\x55\x00").data in [
        f.data for f in capture.read(path) if isinstance(f, SerialFrame)
    ]

    for topic in ("$description", "$state", "main/range"):
        person.publish(f"homie/5/cap-1/{topic}", b"", retain=True)
    reader = broker.person(ADMIN, ADMIN_PASSWORD, client_id="capture-reader")
    reader.subscribe("homie/5/cap-1/#")
    played = labkit(broker, "replay", str(path), "--speed", "5", "--once")
    assert json.loads(played.communicate(timeout=PATIENCE_S)[0])["messages"] == 8
    reader.expect("homie/5/cap-1/$state")
    values = [float(m.payload) for m in reader.messages if m.topic.endswith("range")]
    assert values == [0, 1, 2, 3, 4, 9]
    late = broker.person(ADMIN, ADMIN_PASSWORD, client_id="capture-late")
    late.subscribe("homie/5/cap-1/#")
    assert late.expect("homie/5/cap-1/main/range").payload == b"9.0" and late.messages[-1].retain


ORDERS = [
    "homie/5/car-1/main/linear-x/set", "homie/5/t-lab1-01/wish/drive", "homie/5/$broadcast/stop/lab1", "homie/old-bench/led/on/set",
    "zhike/room/lab1/stop", "zhike/room/lab1/lease/car-1", "zhike/room/lab1/lesson", "zhike/room/lab1/camera/cam-1/record",
    "zhike/gateway/gw-1/steer/car-1", "zhike/gateway/gw-1/adopt", "cmnd/plug/POWER",
]  # fmt: skip
NEWS = [
    "homie/5/car-1/main/linear-x", "homie/5/car-1/$state", "homie/5/car-1/$description", "homie/5/t-lab1-01/terminal/heartbeat",
    "zhike/room/lab1/stopped", "zhike/gateway/gw-1/devices", "homeassistant/switch/plant-1/relay/config",
]  # fmt: skip


def test_a_replay_gives_no_orders_unless_told(broker: RunningBroker, tmp_path: Path) -> None:
    writer = Writer(tmp_path / "c.jsonl", AT)
    for topic in (*ORDERS, *NEWS):
        writer.put(BusFrame(0.0, topic, b"{}"))
    writer.close()
    reader = broker.person(ADMIN, ADMIN_PASSWORD, client_id="orders-reader")
    reader.subscribe("homie/#", "zhike/#", "cmnd/#", "homeassistant/#")
    seen = len(reader.messages)
    for more, expected in ([], NEWS), (["--with-orders"], ORDERS + NEWS):
        played = labkit(broker, "replay", str(tmp_path / "c.jsonl"), "--speed", "0", *more)
        told = json.loads(played.communicate(timeout=PATIENCE_S)[0])
        assert (told["messages"], told["left_out"]) == (len(expected), len(ORDERS + NEWS) - len(expected))
        reader.publish("cmnd/last", b"")
        reader.wait(lambda n=seen: any(m.topic == "cmnd/last" for m in reader.messages[n:]), "not played")  # type: ignore[misc]  # a lambda's defaults have no types
        heard = {m.topic for m in reader.messages[seen:]} & set(ORDERS + NEWS)
        assert heard == set(expected)
        seen = len(reader.messages)
    reader.publish_all(((topic, b"") for topic in ORDERS + NEWS), retain=True)


def test_a_replay_beside_a_gateway_is_refused(broker: RunningBroker, tmp_path: Path) -> None:
    writer = Writer(tmp_path / "c.jsonl", AT)
    writer.put(BusFrame(0.0, "homie/5/car-1/main/range", b"1"))
    writer.close()
    gateway = broker.person(ADMIN, ADMIN_PASSWORD, client_id="gw-beside")
    gateway.publish("zhike/gateway/gw-beside/devices", b"[]", retain=True)
    gateway.publish("homie/5/gw-beside/$state", b"ready", retain=True)
    played = labkit(broker, "replay", str(tmp_path / "c.jsonl"))
    answer = json.loads(played.communicate(timeout=PATIENCE_S)[0])
    assert (played.returncode, "gw-beside 正在这个代理上运行" in answer["zh"]) == (1, True)
    forced = labkit(broker, "replay", str(tmp_path / "c.jsonl"), "--force")
    assert json.loads(forced.communicate(timeout=PATIENCE_S)[0])["messages"] == 1
    gateway.publish("homie/5/gw-beside/$state", b"lost", retain=True)
    alone = labkit(broker, "replay", str(tmp_path / "c.jsonl"))
    assert json.loads(alone.communicate(timeout=PATIENCE_S)[0])["messages"] == 1
    gateway.publish("zhike/gateway/gw-beside/devices", b"", retain=True)
    gateway.publish("homie/5/gw-beside/$state", b"", retain=True)


def test_replay_names_the_line_of_a_broken_file(broker: RunningBroker, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"capture": 1}\n{"t": 0}\n')
    played = labkit(broker, "replay", str(tmp_path / "c.jsonl"))
    answer = json.loads(played.communicate(timeout=PATIENCE_S)[0])
    assert played.returncode == 1 and "c.jsonl:2" in answer["zh"]
