"""Bus captures: what was said on the broker and on the serial lines, with times, as JSON Lines (gzip when named ``*.gz``).

The first line is the header ``{"capture": 1, "at": ISO UTC, "filters": [topic filter]}``; every other one is a frame:

- bus: ``{"t": s, "topic": text, "payload": text}``, or ``"b64"`` instead of ``"payload"`` where the bytes are not UTF-8;
  ``"retain": true`` for a retained message, ``"old": true`` for one that the broker held before the recording began;
- serial: ``{"t": s, "device": id, "dir": "in" | "out", "hex": text}``, where ``in`` is what the kit says.

``t`` counts seconds from the start of the recording. `keeps` says what is never written: what pupils do at their terminals
beyond their wishes and their presence, landmarks of people, pictures, and the broker's own administration.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TextIO

from labkit import homie
from labkit.errors import BadDocument, Fault, Malformed, Place
from labkit.homie import Part, parse_json_object
from labkit.model import Device

VERSION = 1
MAX_LINE = 1024 * 1024
MAX_PAYLOAD_BYTES = 64 * 1024
TERMINAL_PREFIX = "t-"
TERMINAL_TOPICS = frozenset({"$state", "$description", "wish/drive", "terminal/heartbeat", "terminal/step"})
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8")


@dataclass(frozen=True, slots=True)
class BusFrame:
    """One message at ``t`` s; ``old``: the broker held it before the recording began."""

    t: float
    topic: str
    payload: bytes
    retain: bool = False
    old: bool = False


@dataclass(frozen=True, slots=True)
class SerialFrame:
    """Bytes of one kit's line at ``t`` s; ``to_kit`` = sent by the PC."""

    t: float
    device: str
    to_kit: bool
    data: bytes


Frame = BusFrame | SerialFrame


def keeps(topic: str, payload: bytes) -> bool:
    """Whether a message may be written: no terminal's content, no landmarks, no pictures, nothing of ``$CONTROL`` or ``$SYS``."""
    levels = topic.split("/")
    if topic.startswith("$") or len(payload) > MAX_PAYLOAD_BYTES or payload.startswith(_PICTURES):
        return False
    if levels[-1] in ("landmarks", "preview"):
        return False
    if levels[0] == "homie" and len(levels) > 3 and levels[2].startswith(TERMINAL_PREFIX):
        return "/".join(levels[3:]) in TERMINAL_TOPICS
    return True


def encode(frame: Frame) -> str:
    """One line without its end."""
    data: dict[str, object] = {"t": round(frame.t, 4)}
    if isinstance(frame, SerialFrame):
        data |= {"device": frame.device, "dir": "out" if frame.to_kit else "in", "hex": frame.data.hex(" ")}
    else:
        data["topic"] = frame.topic
        try:
            data["payload"] = frame.payload.decode("utf-8")
        except UnicodeDecodeError:
            data["b64"] = base64.b64encode(frame.payload).decode("ascii")
        data |= {name: True for name in ("retain", "old") if getattr(frame, name)}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def decode(line: str) -> Frame:
    """Read one line; raises Malformed with what is wrong."""
    data = parse_json_object(line.encode("utf-8", "surrogatepass"))
    at = data.get("t")
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0 <= at < 1e7:
        raise Malformed("t 应为不小于 0 的秒数", "t should be seconds from 0")
    if "device" in data:
        return _serial(float(at), data)
    topic = data.get("topic")
    if not isinstance(topic, str) or not topic or set("+#\0") & set(topic):
        raise Malformed("topic 不是主题", "topic is no topic")
    return BusFrame(float(at), topic, _payload(data), data.get("retain") is True, data.get("old") is True)


def _payload(data: dict[str, object]) -> bytes:
    text, coded = data.get("payload"), data.get("b64")
    if isinstance(text, str) and coded is None:
        return text.encode("utf-8", "surrogatepass")
    if not isinstance(coded, str) or text is not None:
        raise Malformed("payload 和 b64 应有且只有一个", "either payload or b64 should be there")
    try:
        return base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("b64 不是 Base64", "b64 is no Base64") from error


def _serial(at: float, data: dict[str, object]) -> SerialFrame:
    device, way, text = data.get("device"), data.get("dir"), data.get("hex")
    if not isinstance(device, str) or way not in ("in", "out") or not isinstance(text, str):
        raise Malformed("串口帧应有 device、dir（in/out）和 hex", "a serial frame needs device, dir (in/out) and hex")
    try:
        return SerialFrame(at, device, way == "out", bytes.fromhex(text))
    except ValueError as error:
        raise Malformed("hex 不是十六进制", "hex is not hexadecimal") from error


def orders(topic: str) -> bool:
    """Whether a message tells somebody to act, which a replay must not do by itself: ``/set``, wishes, steering, all of a room but its reports, a gateway's orders."""
    levels = topic.split("/")
    if levels[0] == "homie" or levels[0] == "homeassistant":
        return levels[-1] == "set" or levels[-2:] == ["wish", "drive"] or "$broadcast" in levels
    if levels[:2] == ["zhike", "room"]:
        return levels[3:] != ["stopped"]
    if levels[:2] == ["zhike", "gateway"]:
        return levels[3:] not in (["devices"], ["strangers"], ["recordings"], ["adopted"])
    # A board's own words and what it is told share no form: of topics that are nobody's convention nothing is said.
    return True


class Retention:
    """Tells which messages were retained: a broker does not say so of live ones, so Homie's rules and the descriptions do."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}

    def retains(self, frame: BusFrame) -> bool:
        """Whether to publish this frame retained; frames are shown in their order."""
        if not frame.topic.startswith(homie.BASE):
            return frame.retain or frame.topic.split("/")[3:4] in (["lease"], ["lesson"], ["devices"])
        try:
            address = homie.parse_topic(frame.topic)
            if address.part is Part.DESCRIPTION and frame.payload:
                self._devices[address.device] = homie.parse_description(address.device, frame.payload)
        except Malformed:
            return frame.retain
        if frame.retain or address.part is not Part.VALUE:
            return frame.retain or address.part in (Part.STATE, Part.DESCRIPTION, Part.ALERT)
        known = self._devices.get(address.device)
        item = known.property(address.node, address.property) if known else None
        return item is not None and item.retained


class Writer:
    """Writes one capture; what `keeps` forbids is counted in ``left_out`` and not written."""

    def __init__(self, path: Path, at: datetime, filters: tuple[str, ...] = ()) -> None:
        self._out = _open(path, "w")
        self.written = self.left_out = 0
        header = {"capture": VERSION, "at": at.isoformat(timespec="milliseconds"), "filters": list(filters)}
        self._out.write(json.dumps(header, ensure_ascii=False) + "\n")

    def put(self, frame: Frame) -> None:
        """Write one frame, unless it may not be kept."""
        if isinstance(frame, BusFrame) and not keeps(frame.topic, frame.payload):
            self.left_out += 1
            return
        self._out.write(encode(frame) + "\n")
        self.written += 1

    def close(self) -> None:
        """Finish the file."""
        self._out.close()


def read(path: Path) -> Iterator[Frame]:
    """All frames of a capture in order; raises BadDocument with file, line and cause at the first line that is none."""
    number = 0
    try:
        with _open(path, "r") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE), ""), 1):
                if number == 1:
                    _check_header(line)
                elif line.strip():
                    yield decode(line)
        if number == 0:
            _check_header("")
    except Malformed as error:
        raise _bad(path, number, error.zh, error.en) from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise _bad(path, number + 1, f"读不出来：{error}", f"cannot be read: {error}") from error


def _check_header(line: str) -> None:
    try:
        version = parse_json_object(line.encode()).get("capture")
    except Malformed:
        version = None
    if version != VERSION:
        raise Malformed('首行应为 {"capture": 1, …}', 'the first line should be {"capture": 1, …}')


def _open(path: Path, way: Literal["r", "w"]) -> TextIO:
    if path.suffix != ".gz":
        return path.open(way, encoding="utf-8")
    return io.TextIOWrapper(gzip.GzipFile(path, f"{way}b"), encoding="utf-8")


def _bad(path: Path, line: int, zh: str, en: str) -> BadDocument:
    return BadDocument((Fault(Place(path, max(line, 1)), zh, en),))
