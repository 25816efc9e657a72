"""What may go wrong with a simulated kit, set per device in lab.yaml under `simulate: {faults: …}`; every chance is seeded."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, fields

from labkit import codecs
from labkit.errors import LabkitError
from labkit.model import Profile


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances are 0–1 each.

    `noise`: a stray byte before a reply. `truncate`: a reply loses its tail. `lose`: a byte on its way to the kit is lost,
    so that the frame it belonged to swallows what follows. `drop`: an MQTT or UDP command is lost. `delay_ms`: replies and commands
    come later. `brown_out_s`: the kit restarts after so many seconds of driving (mean; a board without wheels: of running). `firmware`: what it says it is.
    `deaf`: it takes commands but answers nothing any more. `deadman_ms`: an MQTT board's own deadman (0 = none).
    `lacks`: properties that a text kit does not have because an add-on is missing (`range`, `controller`), with spaces between.
    """

    noise: float = 0.0
    truncate: float = 0.0
    lose: float = 0.0
    drop: float = 0.0
    delay_ms: int = 0
    brown_out_s: float = 0.0
    firmware: str = ""
    deaf: bool = False
    deadman_ms: int | None = None
    lacks: str = ""


_CABLE = frozenset({"noise", "truncate", "lose", "delay_ms", "firmware", "deaf"})
_AIR = frozenset({"drop", "delay_ms", "deaf"})


def honoured(profile: Profile) -> frozenset[str]:
    """The faults that a simulated kit of this profile can have."""
    transport, wheels = profile.transport, {"brown_out_s"} if profile.drive else set()
    if profile.foreign is not None:
        return _AIR | {"brown_out_s"}
    if transport.type == "mqtt":
        return _AIR | {"deadman_ms"} | wheels
    if transport.type in ("tcp", "udp"):
        return _CABLE | {"drop", "lacks"} | wheels
    if transport.type == "serial":
        return _CABLE | ({"lacks"} if codecs.kit_end(transport.codec, profile, profile.parameters) else set()) | wheels
    return frozenset()


_CHANCES = ("noise", "truncate", "lose", "drop")


def read_faults(device: str, data: Mapping[str, object]) -> Faults:
    """Check the faults of one device; raises LabkitError bad_faults that names the key."""
    known = {field.name for field in fields(Faults)}
    for key, value in data.items():
        if key not in known:
            names = "、".join(sorted(known))
            raise LabkitError("bad_faults", f"{device}：没有故障 {key}；有：{names}", f"{device}: unknown fault {key}")
        if not _fits(key, value):
            raise LabkitError(
                "bad_faults", f"{device}：故障 {key} 不能是 {value!r}", f"{device}: {key} cannot be {value!r}"
            )
    return Faults(**dict(data))  # type: ignore[arg-type]  # names and types were checked above


def _fits(key: str, value: object) -> bool:
    if key in ("firmware", "lacks"):
        return isinstance(value, str) and value.isascii() and len(value) <= 60
    if key == "deaf":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return key == "deadman_ms" and value is None
    if key in _CHANCES:
        return 0 <= value <= 1
    return value >= 0 and (key == "brown_out_s" or isinstance(value, int))


class FaultyLine:
    """The cable between a kit and its PC, both ways."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults, self._random = faults, random.Random(f"line {seed}")

    def to_kit(self, data: bytes) -> bytes:
        """What arrives of bytes sent to the kit."""
        if not self._faults.lose:
            return data
        return bytes(byte for byte in data if self._random.random() >= self._faults.lose)

    def from_kit(self, reply: bytes) -> bytes:
        """What arrives of one reply."""
        if not reply or self._faults.deaf:
            return b""
        if self._random.random() < self._faults.truncate:
            reply = reply[: self._random.randrange(len(reply))]
        if self._random.random() < self._faults.noise:
            reply = bytes([self._random.randrange(256)]) + reply
        return reply
