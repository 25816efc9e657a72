"""Broken and hostile words of foreign boards: refused with a reason, never a crash, never a message where it is not the board's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import boards
from labkit.boards import Space, space
from labkit.broker.topics import covers
from labkit.codecs import ha, tasmota
from labkit.codecs.channel import Template
from labkit.codecs.foreign import MAX_PROPERTIES, MAX_TOPICS, Described, Dialect, Refused
from labkit.codecs.ha_board import HaBoard
from labkit.codecs.raw_topics import RawBoard
from labkit.errors import BadDocument, Malformed
from labkit.gateway.mailbox import SetOrder, StopOrder
from labkit.homie4 import Homie4Board
from labkit.model import Profile, Value
from labkit.profiles import load_profiles
from tests.effort import examples
from tests.labkit.foreign.bench import Bench, board_of, lab_of

PROFILES = load_profiles()
ESPHOME, TASMOTA, SIOT = (PROFILES[p] for p in ("esphome-board", "tasmota-board", "dfrobot-siot-board"))
PLANT = space(ESPHOME, "plant-1", "mqtt:plant-1")
PLUG = space(TASMOTA, "plug-1", "mqtt:tasmota_C3D4E5?mac=A0B1C2C3D4E5")
CONFIG = "homeassistant/switch/plant-1/relay/config"
GOOD: dict[str, Any] = {
    "name": "Relay", "stat_t": "plant-1/switch/relay/state", "cmd_t": "plant-1/switch/relay/command", "avty_t": "plant-1/status",
}  # fmt: skip
DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000
BROKEN: list[tuple[str, bytes, str]] = [
    ("not JSON", b"{", "not JSON"),
    ("not UTF-8", b"\xff\xfe", "not UTF-8"),
    ("no object", b"[1]", "JSON object"),
    ("NaN", json.dumps(GOOD | {"min": float("nan")}).encode(), "NaN"),
    ("too big", json.dumps(GOOD | {"x": "y" * ha.MAX_CONFIG_BYTES}).encode(), "more than"),
    ("too deep", DEEP[: ha.MAX_CONFIG_BYTES], "not JSON"),
    ("a number as topic", json.dumps(GOOD | {"stat_t": 7}).encode(), "no topic"),
    ("a list as topic", json.dumps(GOOD | {"cmd_t": ["a"]}).encode(), "no topic"),
    ("wildcard +", json.dumps(GOOD | {"stat_t": "plant-1/+/state"}).encode(), "no topic"),
    ("wildcard #", json.dumps(GOOD | {"stat_t": "plant-1/#"}).encode(), "no topic"),
    ("a robot's topic", json.dumps(GOOD | {"cmd_t": "homie/5/mbot-1/main/linear-x/set"}).encode(), "not this board's"),
    ("the room's stop", json.dumps(GOOD | {"cmd_t": "zhike/room/lab1/stop"}).encode(), "not this board's"),
    ("the broker's rights", json.dumps(GOOD | {"cmd_t": "$CONTROL/dynamic-security/v1"}).encode(), "no topic"),
    ("another board's", json.dumps(GOOD | {"stat_t": "plant-2/switch/relay/state"}).encode(), "not this board's"),
    ("its own state as order", json.dumps(GOOD | {"cmd_t": "plant-1/status"}).encode(), "not this board's"),
    ("a base in a base", json.dumps(GOOD | {"~": "~/x"}).encode(), "names itself"),
    ("a base with wildcard", json.dumps(GOOD | {"~": "plant-1/#"}).encode(), "no topic"),
    ("one thing twice", json.dumps(GOOD | {"state_topic": "plant-1/x"}).encode(), "given twice"),
    ("a program as template", json.dumps(GOOD | {"val_tpl": "{% for i in range(10**9) %}{{i}}{% endfor %}"}).encode(), "template"),
    ("an attribute of Python", json.dumps(GOOD | {"val_tpl": "{{ value.__class__ }}"}).encode(), "template"),
    ("no topics", json.dumps({"name": "x"}).encode(), "neither"),
    ("words that are lists", json.dumps(GOOD | {"pl_on": ["ON"]}).encode(), "no word"),
    ("long words", json.dumps(GOOD | {"pl_on": "x" * 65}).encode(), "no word"),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "reason"), [pytest.param(p, r, id=i) for i, p, r in BROKEN])
def test_a_broken_discovery_is_refused_with_its_reason(payload: bytes, reason: str, tmp_path: Path) -> None:
    bench = Bench(board_of(tmp_path, "esphome-board", "mqtt:plant-1"))
    bench.hears(CONFIG, payload)
    bench.turn()
    assert reason in str(bench.refusals[-1]["en"])
    assert bench.refusals[-1]["zh"]
    assert bench.shown.property("main", "relay") is not None, "the profile's own stays"
    assert bench.shown.property("main", "relay") == bench.kit._properties["relay"]
    assert not bench.kit._properties["relay"].settable
    bench.set("relay", "true")
    assert bench.sent == []


@pytest.mark.parametrize("number", ["min", "max", "step"])
@pytest.mark.parametrize("value", [float("inf"), 1e300, "7", None, [], True])
def test_a_number_with_wild_bounds_is_refused(number: str, value: object) -> None:
    document = GOOD | {"min": 0, "max": 10, "step": 1} | {number: value}
    with pytest.raises(Malformed):
        ha.read_config("homeassistant/number/plant-1/x/config", json.dumps(document).encode(), PLANT)


def test_a_flood_of_discoveries_is_cut_off() -> None:
    board = HaBoard(PLANT)
    for number in range(MAX_PROPERTIES + 50):
        topic = f"homeassistant/switch/plant-1/r{number}/config"
        document = GOOD | {"stat_t": f"plant-1/{number}"}
        board.hear(topic, json.dumps(document).encode(), True)
    described = next(one for one in board.settle() if isinstance(one, Described))
    assert len(described.properties) == MAX_PROPERTIES


def test_a_flood_of_topics_is_cut_off() -> None:
    board = Homie4Board("x")
    news = [one for n in range(MAX_TOPICS * 2) for one in board.hear(f"homie/x/n{n}/$properties", b"a", True)]
    assert len(news) == 1
    assert len(board._heard) == MAX_TOPICS


def test_homie4_names_that_repeat_or_reach_out_are_refused() -> None:
    board = Homie4Board("x")
    rows = {
        "$homie": "4.0.0", "$nodes": "a,a,../b,A,c[]", "a/$properties": "p,p,q r,$state", "a/p/$datatype": "integer",
        "a/p/$format": "9:1", "$state": "ready",
    }  # fmt: skip
    for path, text in rows.items():
        board.hear(f"homie/x/{path}", text.encode(), True)
    news = board.settle()
    assert [one.properties for one in news if isinstance(one, Described)] == [()]
    assert {one.reason.en.partition(":")[0] for one in news if isinstance(one, Refused)} >= {"a/p"}


TEXT = st.text(max_size=40)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
TOPICS = st.sampled_from(
    ["plant-1/a/b/command", "plant-1/status", "plant-1/x", "~x", "x~", "#", "+", "", "homie/5/mbot-1/main/stop/set", "$SYS/x"]
) | st.text(max_size=30)  # fmt: skip
KEYS = st.sampled_from(
    [
        *ha._SHORT,
        *ha._SHORT.values(),
        "~",
        "name",
        "schema",
        "min",
        "max",
        "step",
        "brightness",
        "rl",
        "tp",
        "ft",
        "t",
        "sn",
    ]
)
DOCUMENTS = st.dictionaries(
    KEYS | TEXT,
    SCALARS | TOPICS | st.lists(SCALARS, max_size=4) | st.dictionaries(KEYS | TEXT, SCALARS | TOPICS, max_size=5),
    max_size=14,
)
# Nearly good ones: one that would be taken over, with a few things changed.
NEARLY = st.builds(
    lambda more: {**GOOD, "min": 0, "max": 9, "step": 1, "bri": True, **more},
    DOCUMENTS.map(lambda d: dict(list(d.items())[:2])),
)
COMPONENTS = st.sampled_from([*boards.COMPONENTS, "device", "climate", "../x", ""])


VALUES: tuple[Value, ...] = (True, 1, 0.5, "x", "rgb,1,2,3")


def own_commands(news: list[Any], dialect: Dialect, owner: Space) -> None:
    """Whatever was described, an order goes only where the board is told."""
    for one in news:
        for item in one.properties if isinstance(one, Described) else ():
            for value in VALUES if item.settable else ():
                sent = sends(dialect, item.id, value)
                assert all(owner.is_told(message.topic) for message in sent), sent


def sends(dialect: Dialect, name: str, value: Value) -> tuple[Any, ...]:
    """What an order sends; nothing when it is refused."""
    try:
        return dialect.order(name, value)
    except Malformed:
        return ()


@settings(max_examples=examples(120))
@given(COMPONENTS, NEARLY | DOCUMENTS, st.lists(st.tuples(TOPICS, st.binary(max_size=60)), max_size=6))
def test_any_discovery_leaves_the_gateway_alive(
    component: str, document: dict[str, object], values: list[tuple[str, bytes]]
) -> None:
    board = HaBoard(PLANT)
    news = board.hear(f"homeassistant/{component}/plant-1/x/config", json.dumps(document).encode(), True)
    for topic, payload in values:
        news += board.hear(topic, payload, False)
    news += board.settle()
    own_commands(news, board, PLANT)


@settings(max_examples=examples(80))
@given(st.sampled_from(["config", "sensors"]), DOCUMENTS | st.dictionaries(TEXT, SCALARS), st.binary(max_size=60))
def test_any_tasmota_discovery_leaves_the_gateway_alive(kind: str, document: dict[str, object], payload: bytes) -> None:
    board = HaBoard(PLUG)
    topic = f"tasmota/discovery/A0B1C2C3D4E5/{kind}"
    news = [*board.hear(topic, json.dumps(document).encode(), True), *board.hear(topic, payload, True)]
    news += board.hear("tele/tasmota_C3D4E5/SENSOR", payload, False)
    news += board.settle()
    own_commands(news, board, PLUG)


PATHS = st.sampled_from(
    ["$homie", "$nodes", "$state", "$name", "a/$properties", "a/p/$datatype", "a/p/$format", "a/p/$settable", "a/p", "a/p/set",
     "b/q", "$nodes/set", "", "//", "a/$x/$y"]
) | st.text(max_size=20)  # fmt: skip
WORDS = st.sampled_from(
    [
        "4.0.0",
        "3.0.1",
        "5.0",
        "a",
        "a,b",
        "p,q",
        "integer",
        "float",
        "color",
        "rgb",
        "enum",
        "x,y",
        "0:100",
        "1:0",
        "true",
        "ready",
        "alert",
        "lost",
        "7",
        "1,2,3",
    ]
)


@settings(max_examples=examples(120))
@given(st.lists(st.tuples(PATHS, WORDS.map(str.encode) | st.binary(max_size=30), st.booleans()), max_size=25))
def test_any_homie4_board_leaves_the_gateway_alive(messages: list[tuple[str, bytes, bool]]) -> None:
    board = Homie4Board("x")
    owner = space(PROFILES["homie4-board"], "x", "mqtt:x")
    for path, payload, retained in messages:
        news = board.hear(f"homie/x/{path}", payload, retained)
        news += board.settle()
        own_commands(news, board, owner)


@settings(max_examples=examples(100))
@given(
    st.sampled_from(["temperature", "button", "led", "brightness", "text", "x/y"]),
    st.binary(max_size=40),
    st.booleans(),
)
def test_any_siot_message_leaves_the_gateway_alive(name: str, payload: bytes, retained: bool) -> None:
    owner = space(SIOT, "zkb-1", "mqtt:class3-07")
    board = RawBoard(SIOT, owner)
    own_commands([*board.settle(), *board.hear(f"class3-07/{name}", payload, retained)], board, owner)


@settings(max_examples=examples(60))
@given(
    st.sampled_from(["homie4-board", "esphome-board", "dfrobot-siot-board"]),
    st.lists(
        st.tuples(
            st.sampled_from(["relay", "bench-level", "led", "brightness", "online", "refused", "x"]),
            st.binary(max_size=12),
        ),
        max_size=6,
    ),
)
def test_any_order_leaves_the_worker_alive(tmp_path: Path, profile: str, orders: list[tuple[str, bytes]]) -> None:
    bench = Bench(board_of(tmp_path, profile, "mqtt:x"))
    for name, payload in orders:
        bench.set(name, payload.decode("latin-1"))
    assert all(bench.kit.space.is_told(message.topic) for message in bench.sent)


NAMES = ["relay", "x", "bench-level", "temperature", "lamp", "lamp-brightness"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("config"), st.sampled_from(NAMES), NEARLY | DOCUMENTS),
        st.tuples(st.just("gone"), st.sampled_from(NAMES), st.none()),
        st.tuples(st.just("value"), st.sampled_from(["plant-1/switch/relay/state", "plant-1/status"]), st.sampled_from(["ON", "OFF", "online", "offline", "7", "nan"])),
        st.tuples(st.just("set"), st.sampled_from(NAMES), st.sampled_from(["true", "false", "7", "0.5", "rgb,1,2,3", ""])),
        st.tuples(st.just("stop"), st.none(), st.none()),
        st.tuples(st.just("turn"), st.none(), st.sampled_from([0.0, 0.05, 1.0, 7.0])),
    ),
    max_size=20,
)  # fmt: skip


@settings(max_examples=examples(80))
@given(STEPS)
def test_any_life_of_a_board_leaves_the_worker_alive(tmp_path: Path, steps: list[tuple[str, Any, Any]]) -> None:
    bench = Bench(board_of(tmp_path, "esphome-board", "mqtt:plant-1"))
    orders = []
    for what, name, given_ in steps:
        if what in ("config", "gone"):
            component = "number" if name == "x" else "light" if name == "lamp" else "switch"
            payload = "" if what == "gone" else json.dumps(given_)
            bench.hears(f"homeassistant/{component}/plant-1/{name}/config", payload)
        elif what == "value":
            bench.hears(name, given_)
        elif what == "set":
            bench.kit.handle(SetOrder(name, given_.encode()))
        elif what == "stop":
            orders.append(StopOrder("room"))
            bench.kit.handle(orders[-1])
        else:
            bench.turn(given_)
    bench.turn(2.0)
    assert all(bench.kit.space.is_told(message.topic) for message in bench.sent)
    assert all(order.done.is_set() for order in orders)
    bench.kit.end()


@settings(max_examples=examples(100))
@given(st.sampled_from(sorted(p for p in PROFILES if PROFILES[p].foreign)), st.text(max_size=30))
def test_any_address_owns_no_topic_of_the_platform(name: str, base: str) -> None:
    profile: Profile = PROFILES[name]
    try:
        own = space(profile, "kit-1", f"mqtt:{base}")
    except (Malformed, ValueError):
        return
    for theirs in (*own.writes, *own.reads, *own.discovery):
        for ours in (
            "homie/5/mbot-1/main/linear-x/set",
            "zhike/room/lab1/stop",
            "$CONTROL/dynamic-security/v1",
            "homie/5/#",
            "#",
        ):
            assert not covers(theirs, ours), (theirs, ours)


@pytest.mark.parametrize(
    ("profile", "url", "cause"),
    [
        ("homie4-board", "mqtt:5", "Homie 设备号"),
        ("homie4-board", "mqtt:+", "不能作板卡的主题"),
        ("homie5-board", "mqtt:other", "应是它的 Homie 设备号"),
        ("homie5-board", "mqtt:?children=A%2Fb", "children"),
        ("esphome-board", "mqtt:homie", "属于平台"),
        ("esphome-board", "mqtt:zhike/room", "属于平台"),
        ("esphome-board", "mqtt:$SYS", "不能作板卡的主题"),
        ("esphome-board", "mqtt:a//b", "不能作板卡的主题"),
        ("tasmota-board", "mqtt:tasmota_1", "地址缺 mac"),
        ("tasmota-board", "mqtt:tasmota_1?mac=%23", "不能作板卡的主题"),
        ("dfrobot-siot-board", "mqtt:homeassistant", "属于平台"),
    ],
)  # fmt: skip
def test_a_wrong_address_in_the_lab_file_is_named(profile: str, url: str, cause: str, tmp_path: Path) -> None:
    with pytest.raises(BadDocument) as caught:
        board_of(tmp_path, profile, url)
    assert cause in caught.value.zh
    assert caught.value.faults[0].place.line == 4


def test_two_boards_cannot_share_topics(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match="重叠"):
        lab_of(
            tmp_path,
            '{id: a, profile: esphome-board, url: "mqtt:class"}',
            '{id: b, profile: dfrobot-siot-board, url: "mqtt:class"}',
        )


TEMPLATES = [
    ("{{ value_json.a.b }}", {"a": {"b": 7}}, 7),
    ("{{value_json['a b'][\"c\"]}}", {"a b": {"c": "x"}}, "x"),
    ("{{ value_json.list[1] | float | round(1) }}", {"list": [1, 2.5]}, 2.5),
    ("{{ value_json.gone | default('') }}", {}, None),
]


@pytest.mark.parametrize(("template", "document", "value"), TEMPLATES)
def test_templates_are_paths(template: str, document: dict[str, object], value: object) -> None:
    assert Template.parse(template).find(json.dumps(document).encode()) == value


@settings(max_examples=examples(100))
@given(st.text(alphabet="{} value_json.[]'\"|()0123abfloatr%", max_size=60))
def test_any_template_is_a_path_or_refused(text: str) -> None:
    try:
        template = Template.parse(text)
    except Malformed:
        return
    assert template.path is None or text.count("value_json") == 1
    template.find(b'{"a": 1}')


def test_native_topics() -> None:
    assert tasmota.is_native("tasmota/discovery/A0/config")
    assert not tasmota.is_native("tasmota/discovery/A0/config/x")
