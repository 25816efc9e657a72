"""Devices, nodes, properties, actions and readings (Homie 5's words); frozen, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

Value = str | int | float | bool | list[object] | dict[str, object]
MAIN_NODE = "main"


class Datatype(StrEnum):
    """Homie 5 property datatypes."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    ENUM = "enum"
    COLOR = "color"
    DATETIME = "datetime"
    DURATION = "duration"
    JSON = "json"


class State(StrEnum):
    """Homie 5 device lifecycle; LOST comes by last will or when a bridge loses the device."""

    INIT = "init"
    READY = "ready"
    DISCONNECTED = "disconnected"
    SLEEPING = "sleeping"
    LOST = "lost"


class Kind(StrEnum):
    """What a lab device is for."""

    ROBOT = "robot"
    CAMERA = "camera"
    SENSOR = "sensor"
    TERMINAL = "terminal"
    GATEWAY = "gateway"


@dataclass(frozen=True)
class Property:
    """A quantity of a node; ``format`` as in Homie 5 (``min:max[:step]``, ``a,b,c`` for enum)."""

    id: str
    datatype: Datatype
    name: str = ""
    unit: str = ""
    format: str = ""
    settable: bool = False
    retained: bool = True


@dataclass(frozen=True)
class Node:
    """A logical part of a device; all kit properties stand under the node ``main``."""

    id: str
    name: str = ""
    type: str = ""
    properties: tuple[Property, ...] = ()

    def property(self, property_id: str) -> Property | None:
        """The property of that id, if the node has it."""
        return next((p for p in self.properties if p.id == property_id), None)


@dataclass(frozen=True)
class Device:
    """A Homie device; ``root`` and ``parent`` are set for children of a gateway only."""

    id: str
    name: str = ""
    type: str = ""
    nodes: tuple[Node, ...] = ()
    children: tuple[str, ...] = ()
    root: str | None = None
    parent: str | None = None
    version: int = 1
    extensions: tuple[str, ...] = ()

    def node(self, node_id: str) -> Node | None:
        """The node of that id, if the device has it."""
        return next((n for n in self.nodes if n.id == node_id), None)

    def property(self, node_id: str, property_id: str) -> Property | None:
        """The property at ``node/property``, if the device has it."""
        node = self.node(node_id)
        return node.property(property_id) if node else None


@dataclass(frozen=True)
class Reading:
    """A value that a device gave for one of its properties, in the property's unit; ``at`` is aware UTC."""

    device: str
    property: str
    value: Value
    at: datetime


@dataclass(frozen=True)
class Title:
    """A name in Chinese and English."""

    zh: str
    en: str

    def text(self, lang: str = "zh") -> str:
        """The name in one language."""
        return self.en if lang.startswith("en") else self.zh


@dataclass(frozen=True)
class Form:
    """How one affordance is spoken on the wire (TD 1.1 ``forms`` entry).

    ``href`` belongs to the codec; ``reply`` is the reply's type (``f32``, ``str`` …); the reading is
    ``raw * factor + offset`` rounded to ``round`` digits; ``after_ms`` delays one step of an action.
    """

    href: str
    op: tuple[str, ...] = ()
    reply: str = ""
    factor: float = 1.0
    offset: float = 0.0
    round: int | None = None
    after_ms: int = 0


@dataclass(frozen=True)
class Affordance:
    """A property of a profile (TD 1.1 PropertyAffordance with its DataSchema)."""

    id: str
    title: Title
    type: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    enum: tuple[str, ...] = ()
    read_only: bool = False
    write_only: bool = False
    forms: tuple[Form, ...] = ()

    def form(self, *ops: str) -> Form | None:
        """The first form that serves one of the operations."""
        return next((f for f in self.forms if any(op in f.op for op in ops)), None)


@dataclass(frozen=True)
class Action:
    """An action of a profile (TD 1.1 ActionAffordance): its forms are carried out in order."""

    id: str
    title: Title
    forms: tuple[Form, ...]
    idempotent: bool = False


@dataclass(frozen=True)
class Transport:
    """How a kit is reached: ``serial`` with a codec, ``mqtt`` (own board), ``vision`` (camera), ``tcp`` or ``udp`` (text kit).

    A text kit takes commands at ``port`` and tells its state by UDP to our ``push_port`` (0 = it does not).

    A camera looks for ``look`` (see ``labkit.vision.counts.LOOKS``) at most ``fps`` times a second, with at most ``share`` (0–1] of a core.

    ``convention`` says what a board on the broker speaks: ``homie5``, ``homie4``, ``homeassistant`` or ``raw`` topics.
    """

    type: str
    convention: str = ""
    codec: str = ""
    baud: int = 115200
    open_settle_ms: int = 0
    fps: float = 8.0
    schemes: tuple[str, ...] = ()
    program: str = ""
    after: str = ""
    port: int = 0
    push_port: int = 0
    look: tuple[str, ...] = ("faces", "hands")
    share: float = 1.0


@dataclass(frozen=True)
class Confirm:
    """What proves a stop: the codec's own acknowledgement, or a property that reads ``equals`` within ``within_ms``."""

    by: str = "codec"
    property: str = ""
    equals: float | bool | str | None = None
    within_ms: int = 1000


@dataclass(frozen=True)
class Safety:
    """The profile's stop action, the longest drive without a new word (``lease_ms`` ≤ 500) and how a stop is proved."""

    stop: str
    lease_ms: int = 500
    device_deadman_ms: int | None = None
    repeat_stop: int = 3
    resync_before_stop: int = 0
    confirm: Confirm = field(default_factory=Confirm)
    speed_caps: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Drive:
    """How ``linear_x`` (m/s) and ``angular_z`` (rad/s, left turn positive) become the kit's own properties.

    ``differential``: wheel speeds ``linear_x ∓ angular_z·wheel_base_m/2`` scaled so that ``max_mps`` is ``max_pwm``;
    wheels named in ``invert`` change sign. ``twist``: the kit takes both quantities itself. ``hold``: zero speeds are a drive
    like any other (a drone hovers as long as somebody holds it), not a stop.
    """

    model: str
    max_mps: float
    max_radps: float
    left: str = "left"
    right: str = "right"
    linear: str = "linear_x"
    angular: str = "angular_z"
    wheel_base_m: float = 0.12
    max_pwm: int = 255
    min_pwm: int = 0
    invert: frozenset[str] = frozenset()
    hold: bool = False


@dataclass(frozen=True)
class Rate:
    """How often: at most so many writes, polls or reports a second; 0 = not."""

    max_hz: float = 0.0
    poll_hz: float = 0.0
    report_hz: float = 0.0


@dataclass(frozen=True)
class Match:
    """What identifies the kit: USB ``vid:pid`` ids, and a property read at connect that must match ``pattern``.

    ``abilities``: property or action → the pattern that the probe must match too for the kit to have it.
    """

    usb: tuple[str, ...] = ()
    probe: str = ""
    pattern: str = ""
    abilities: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def lacking(self, version: str) -> tuple[str, ...]:
        """The properties and actions that a kit with this firmware does not have."""
        return tuple(thing for thing, pattern in self.abilities.items() if not re.search(pattern, version))


@dataclass(frozen=True)
class Foreign:
    """A board that others made: which topics are its own (templates with ``{base}``), and what it may bring of itself.

    ``writes``: what it publishes; ``reads``: what it is told by; ``discovery``: where it describes itself. ``discover``: take
    over what it describes beside the profile's properties. ``silent_after_s``: no word for so long = lost (0 = never).
    ``off_at_stop``: the stop of the room, and the gateway's end, switch off every boolean that can be set: a pump may hang on it.
    """

    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    discovery: tuple[str, ...] = ()
    discover: bool = False
    silent_after_s: float = 0.0
    off_at_stop: bool = False


@dataclass(frozen=True)
class Flight:
    """How a drone is let up and down: the words of ``property`` that take off, land, and cut the motors (it falls).

    It does not take off below ``min_battery`` percent, and lands when it is higher than ``ceiling_cm``; people stay
    ``keep_away_m`` away.
    """

    property: str
    takeoff: str
    land: str
    cut: str
    min_battery: float
    ceiling_cm: float
    keep_away_m: float


@dataclass(frozen=True)
class Pose:
    """A named, safe pose of an arm: joint → angle in degrees."""

    title: Title
    joints: Mapping[str, float]


@dataclass(frozen=True)
class Profile:
    """A checked device profile; see ``labkit/schemas/profile.schema.json``."""

    id: str
    title: Title
    kind: Kind
    transport: Transport
    properties: Mapping[str, Affordance]
    actions: Mapping[str, Action]
    match: Match = field(default_factory=Match)
    parameters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    rates: Mapping[str, Rate] = field(default_factory=lambda: MappingProxyType({}))
    safety: Safety | None = None
    drive: Drive | None = None
    foreign: Foreign | None = None
    flight: Flight | None = None
    poses: Mapping[str, Pose] = field(default_factory=lambda: MappingProxyType({}))
    stale_after_s: float = 2.0
    record: bool = False
    needs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    folder: str = ""

    def title_of(self, thing: str) -> Title:
        """The name of one of its properties or actions."""
        return self.properties[thing].title if thing in self.properties else self.actions[thing].title
