"""A profile's samples, compared with what its codec, its properties or its camera make of them.

An exchange on a serial line: ``title``, ``do`` (``{read: property}``, ``{write: {property: value}}`` or ``{stop: true}``), ``sends`` and ``answers`` in hex,
``gives`` (property → value) and ``tells`` (names of the other events, in order). A codec is made anew for each. A message of a board of ours:
``topic``, ``payload``, ``gives`` or ``refused``; a camera's: ``line`` and ``gives``. Text kits, boards with a REPL and boards of others
answer only within a session: the project's tests replay theirs through simulated kits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from labkit import codecs, homie, yamlfile
from labkit.codecs import Codec, Reported
from labkit.errors import Fault, Malformed
from labkit.gateway import face
from labkit.gateway.camera import readings
from labkit.model import Profile

FILE = "samples/exchanges.yaml"
_IN_SESSION = ("raw_repl",)
Checker = Callable[[Profile, Mapping[str, object]], Iterator[tuple[str, object, object]]]


def checker(profile: Profile) -> Checker | None:
    """What compares one row of the profile's samples; None where a row means something only within a session or a conversation."""
    transport = profile.transport
    if profile.foreign is not None or transport.codec in _IN_SESSION:
        return None
    return {"serial": _exchange, "mqtt": _message, "vision": _line}.get(transport.type)


def faults(profile: Profile) -> Iterator[Fault]:
    """Every row that does not come out as the sample says, with its line; raises BadDocument when the file is no YAML."""
    compare = checker(profile)
    if compare is None:
        return
    for path in sorted((Path(profile.folder) / "samples").glob("*.yaml")):
        document = yamlfile.read(path)
        rows = document.data.get("exchanges") if isinstance(document.data, dict) else None
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            where = ("exchanges", index)
            try:
                for key, wanted, got in compare(profile, row):
                    zh, en = f"{key}：样例写 {wanted}，实际是 {got}", f"{key}: the sample has {wanted}, it is {got}"
                    yield document.fault((*where, key), zh, en)
            except Malformed as error:
                yield document.fault(where, error.zh, error.en)
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                yield document.fault(where, f"样例写错了：{error}", f"the sample is not right: {error!r}")


def _message(profile: Profile, row: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """A topic of a board of ours: its value, or that it is refused; an order for an action has no value."""
    address = homie.parse_topic(str(row["topic"]))
    item = next((one for one in profile.properties.values() if homie.property_id(one.id) == address.property), None)
    if item is None:
        if address.property not in {homie.property_id(action) for action in profile.actions}:
            yield "topic", "档案里有的属性", address.property
        return
    try:
        found: object = {address.property: homie.decode(face.sensor(item), str(row["payload"]).encode())}
    except Malformed:
        found = "refused"
    wanted = "refused" if row.get("refused") else row.get("gives")
    if found != wanted:
        yield "payload", wanted, found


def _line(profile: Profile, row: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """A line of the vision process."""
    found = readings(profile, json.loads(str(row["line"])))[0]
    if found != row.get("gives", {}):
        yield "gives", row.get("gives", {}), found


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


def _exchange(profile: Profile, row: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """Bytes to and from a kit on a serial line."""
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
