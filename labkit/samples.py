"""A serial profile's ``samples/exchanges.yaml`` replayed through its codec: what is sent, and what the answers mean.

Each exchange: ``title``, ``do`` (``{read: property}``, ``{write: {property: value}}`` or ``{stop: true}``), ``sends`` and ``answers`` in hex,
``gives`` (property → value) and ``tells`` (names of the other events, in order). A codec is made anew for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from labkit import codecs, yamlfile
from labkit.codecs import Codec, Reported
from labkit.errors import Fault, Malformed
from labkit.model import Profile

FILE = "samples/exchanges.yaml"
# A board with a REPL answers only inside a session that is already open: its samples are replayed by a test of their own.
_IN_SESSION = ("raw_repl",)


def faults(profile: Profile) -> Iterator[Fault]:
    """Every exchange that the codec does not repeat, with its line; raises BadDocument when the file is no YAML."""
    path = Path(profile.folder) / FILE
    transport = profile.transport
    if transport.type != "serial" or transport.codec in _IN_SESSION or not path.is_file():
        return
    document = yamlfile.read(path)
    assert isinstance(document.data, dict)
    rows = document.data.get("exchanges")
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        where = ("exchanges", index)
        if not isinstance(row, dict) or not isinstance(row.get("do"), dict):
            yield document.fault(where, "缺少 do", "do is missing")
            continue
        try:
            for key, wanted, got in _differences(profile, row):
                zh, en = f"{key}：样例写 {wanted}，编解码器给 {got}", f"{key}: the sample has {wanted}, the codec {got}"
                yield document.fault((*where, key), zh, en)
        except Malformed as error:
            yield document.fault((*where, "do"), error.zh, error.en)
        except (KeyError, ValueError) as error:
            yield document.fault(where, f"样例写错了：{error}", f"the sample is not right: {error!r}")


def given(profile: Profile) -> dict[str, object]:
    """Each property's first value among the answers of the profile's samples; empty where there are none."""
    path = Path(profile.folder) / FILE
    data = yamlfile.read(path).data if path.is_file() else None
    rows = data.get("exchanges") if isinstance(data, dict) else None
    found: dict[str, object] = {}
    for row in rows if isinstance(rows, list) else []:
        gives = row.get("gives") if isinstance(row, dict) else None
        found = (gives if isinstance(gives, dict) else {}) | found
    return found


def _differences(profile: Profile, row: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    codec = codecs.create(profile.transport.codec, profile)
    wanted = str(row.get("sends", ""))
    sent = sends(codec, profile, row).hex(" ")
    if sent != wanted:
        yield "sends", wanted, sent
    codec.expect_stop()
    events = codec.feed(bytes.fromhex(str(row.get("answers", ""))))
    given = {event.property: event.value for event in events if isinstance(event, Reported)}
    if given != row.get("gives", {}):
        yield "gives", row.get("gives", {}), given
    told = [type(event).__name__ for event in events if not isinstance(event, Reported)]
    if told != row.get("tells", []):
        yield "tells", row.get("tells", []), told


def sends(codec: Codec, profile: Profile, row: Mapping[str, object]) -> bytes:
    """The bytes of what an exchange does; raises Malformed, or KeyError for a property that is not there."""
    do = row["do"]
    assert isinstance(do, dict)
    if "read" in do:
        return codec.read(profile.properties[do["read"]])
    if "write" in do:
        return b"".join(codec.write(profile.properties[name], value) for name, value in do["write"].items())
    if "stop" in do and profile.safety:
        return b"".join(codec.stop(profile.actions[profile.safety.stop], 0))
    return b""
