"""Homie 5 both ways: whatever the model holds survives the topic tree, and whatever comes in is checked."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import homie
from labkit.errors import Malformed
from labkit.homie import Address, Part
from labkit.model import Datatype, Device, Node, Property, State

ids = st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
words = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=","), min_size=1, max_size=6)


def formats(datatype: Datatype) -> st.SearchStrategy[str]:
    if datatype is Datatype.ENUM:
        return st.lists(words, min_size=1, max_size=4, unique=True).map(",".join)
    if datatype is Datatype.COLOR:
        return st.sampled_from(["rgb", "rgb,hsv", "xyz"])
    if datatype is Datatype.INTEGER:
        return st.sampled_from(["", "0:10", ":5", "-3:", "0:10:2"])
    return st.sampled_from(["", "0.5:10.25", ":5", "-3.5:"]) if datatype is Datatype.FLOAT else st.just("")


@st.composite
def properties(draw: st.DrawFn) -> Property:
    datatype = draw(st.sampled_from(list(Datatype)))
    return Property(
        draw(ids), datatype, draw(names), draw(st.sampled_from(["", "m/s", "%", "°C"])), draw(formats(datatype)),
        draw(st.booleans()), draw(st.booleans()),
    )  # fmt: skip


nodes = st.builds(
    Node,
    ids,
    names,
    st.one_of(st.just(""), names),
    st.lists(properties(), max_size=3, unique_by=lambda p: p.id).map(tuple),
)


@st.composite
def devices(draw: st.DrawFn) -> Device:
    root = draw(st.one_of(st.none(), ids))
    return Device(
        id=draw(ids),
        name=draw(names),
        type=draw(st.one_of(st.just(""), names)),
        nodes=tuple(draw(st.lists(nodes, max_size=3, unique_by=lambda n: n.id))),
        children=tuple(draw(st.lists(ids, max_size=3))),
        root=root,
        parent=draw(ids) if root else None,
        version=draw(st.integers(0, 2**40)),
        extensions=tuple(draw(st.lists(names, max_size=2))),
    )


@given(devices())
def test_a_description_survives_both_ways(device: Device) -> None:
    assert homie.parse_description(device.id, homie.describe(device)) == device


addresses = st.one_of(
    st.builds(Address, st.sampled_from([Part.STATE, Part.DESCRIPTION]), ids),
    st.builds(Address, st.sampled_from([Part.ALERT, Part.LOG]), ids, item=ids),
    st.builds(Address, st.sampled_from([Part.VALUE, Part.SET, Part.TARGET]), ids, ids, ids),
    st.builds(Address, st.just(Part.BROADCAST), item=st.lists(ids, min_size=1, max_size=3).map("/".join)),
)


@given(addresses)
def test_a_topic_survives_both_ways(address: Address) -> None:
    assert homie.parse_topic(address.topic()) == address


@given(
    st.one_of(st.text(max_size=40), st.lists(st.text(max_size=5), max_size=6).map(lambda x: "homie/5/" + "/".join(x)))
)
def test_any_topic_is_read_or_refused(topic: str) -> None:
    try:
        address = homie.parse_topic(topic)
    except Malformed:
        return
    assert address.topic() == topic


@given(properties(), st.binary(max_size=40))
def test_any_payload_is_read_or_refused(item: Property, payload: bytes) -> None:
    try:
        value = homie.decode(item, payload)
    except Malformed:
        return
    assert not isinstance(value, float) or math.isfinite(value)


@given(st.binary(max_size=200))
def test_any_description_is_read_or_refused(payload: bytes) -> None:
    try:
        homie.parse_description("x", payload)
    except Malformed:
        return


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
shapes = st.dictionaries(
    st.sampled_from(["homie", "version", "nodes", "children", "root", "name", "extensions"]), json_values, max_size=6
)


@given(shapes, json_values)
def test_a_description_of_any_shape_is_read_or_refused(document: dict[str, Any], nodes_value: object) -> None:
    import json

    good = {"homie": "5.0", "version": 3} | {k: v for k, v in document.items() if k not in ("homie", "version")}
    good["nodes"] = {"main": {"properties": nodes_value}, "Bad Node": {}}
    device = homie.parse_description("x", json.dumps(good).encode())
    assert [n.id for n in device.nodes] == ["main"]


VALUES: list[tuple[Property, Any, bytes]] = [
    (Property("a", Datatype.INTEGER), -7, b"-7"),
    (Property("a", Datatype.FLOAT), 0.25, b"0.25"),
    (Property("a", Datatype.FLOAT), 1e300, b"1e300"),
    (Property("a", Datatype.BOOLEAN), True, b"true"),
    (Property("a", Datatype.STRING), "", b"\x00"),
    (Property("a", Datatype.STRING), "机器人", "机器人".encode()),
    (Property("a", Datatype.ENUM, format="stop,go"), "go", b"go"),
    (Property("a", Datatype.COLOR, format="rgb,hsv"), "hsv,300,50,75", b"hsv,300,50,75"),
    (Property("a", Datatype.DATETIME), "2026-11-22T08:00:00+08:00", b"2026-11-22T08:00:00+08:00"),
    (Property("a", Datatype.DURATION), "PT12H5M46S", b"PT12H5M46S"),
    (Property("a", Datatype.JSON), {"x": [1]}, b'{"x":[1]}'),
]


@pytest.mark.parametrize(("item", "value", "payload"), VALUES)
def test_values_both_ways(item: Property, value: Any, payload: bytes) -> None:
    assert homie.encode(item, value) == payload
    assert homie.decode(item, payload) == value


REFUSED = [
    (Property("a", Datatype.INTEGER), [b"", b"1.0", b"+1", b" 1", b"1e3", b"-", b"9223372036854775808", "１".encode(), b"\xff"]),
    (Property("a", Datatype.INTEGER, format="0:10"), [b"-1", b"11"]),
    (Property("a", Datatype.FLOAT), [b"", b"NaN", b"inf", b"Infinity", b"-", b".5", b"1.", b"+1", b"1 ", b"1,5", b"1e999", b"0x1"]),
    (Property("a", Datatype.FLOAT, format="-0.5:0.5"), [b"0.51", b"-9"]),
    (Property("a", Datatype.BOOLEAN), [b"", b"TRUE", b"1", b"yes", b"true "]),
    (Property("a", Datatype.ENUM, format="stop,go"), [b"", b"Stop", b" stop", b"stop,go"]),
    (Property("a", Datatype.COLOR, format="rgb"), [b"hsv,1,2,3", b"rgb,1,2", b"rgb,1,2,256", b"rgb,1,2,x", b"rgb"]),
    (Property("a", Datatype.DATETIME), [b"", b"yesterday"]),
    (Property("a", Datatype.DURATION), [b"", b"PT", b"P1D", b"5M"]),
    (Property("a", Datatype.JSON), [b"", b"1", b'"x"', b"{", b"[NaN]", b"[" * 5000]),
    (Property("a", Datatype.STRING), [b"", b"x" * 70000]),
]  # fmt: skip


@pytest.mark.parametrize(("item", "payload"), [(item, payload) for item, payloads in REFUSED for payload in payloads])
def test_what_does_not_fit_is_refused(item: Property, payload: bytes) -> None:
    with pytest.raises(Malformed):
        homie.decode(item, payload)


@pytest.mark.parametrize("value", [math.nan, math.inf, "fast", None, True])
def test_a_float_property_holds_only_numbers(value: Any) -> None:
    with pytest.raises(Malformed):
        homie.encode(Property("a", Datatype.FLOAT), value)


def test_a_step_rounds_before_the_bounds_are_checked() -> None:
    item = Property("a", Datatype.INTEGER, format="0:10:4")
    assert [homie.decode(item, str(n).encode()) for n in (0, 1, 2, 5, 9)] == [0, 0, 4, 4, 8]
    with pytest.raises(Malformed):
        homie.decode(item, b"10")


def test_a_child_of_a_lost_root_is_lost() -> None:
    assert homie.effective_state(State.READY, State.LOST) is State.LOST
    assert homie.effective_state(State.READY, State.READY) is State.READY
    assert homie.effective_state(State.SLEEPING, None) is State.SLEEPING


@pytest.mark.parametrize("payload", [b"", b"READY", b"alert", b"\xff"])
def test_unknown_states_are_refused(payload: bytes) -> None:
    with pytest.raises(Malformed):
        homie.parse_state(payload)


def test_illegal_properties_are_left_out_and_the_rest_kept() -> None:
    payload = b"""{"homie": "5.1", "version": 2, "more": 1, "nodes": {"n": {"properties": {
        "ok": {"datatype": "float", "unit": "m"}, "Bad Id": {"datatype": "float"}, "linear_x": {"datatype": "float"},
        "kind": {"datatype": "number"}, "choice": {"datatype": "enum"}, "range": {"datatype": "integer", "format": "a:b"}}}}}"""
    device = homie.parse_description("x", payload)
    assert [p.id for p in device.nodes[0].properties] == ["ok"]


def test_a_profiles_name_becomes_an_id_and_an_underscore_is_none() -> None:
    assert homie.property_id("linear_x") == "linear-x"
    assert homie.property_id("stop-confirmed") == "stop-confirmed"
    assert homie.is_id(homie.property_id("angular_z"))
    assert homie.parse_topic("homie/5/car-1/main/linear-x/set").property == "linear-x"
    for topic in ("homie/5/car-1/main/linear_x/set", "homie/5/car_1/$state", "homie/5/car-1/no_de/range"):
        with pytest.raises(Malformed):
            homie.parse_topic(topic)
