"""Boards that others made (外来板卡): which topics are a board's own, and what it may therefore write and be told. Pure.

A lab file names such a board by ``url: "mqtt:<base>[?key=value&…]"``; the profile's templates hold ``{base}`` and the keys.
``children`` (Homie 5 ids, comma-separated) is the one key with a meaning of its own. An empty base is the device's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from labkit.broker.admin import RoleSpec
from labkit.broker.topics import covers, is_filter, is_topic, matches
from labkit.errors import Malformed
from labkit.model import Form, Kind, Profile

FOREIGN = ("homie4", "homie5", "homeassistant", "raw")
RESERVED = frozenset({"homie", "zhike", "homeassistant"})
COMPONENTS = ("sensor", "binary_sensor", "switch", "light", "number")
HOMIE_HREF = re.compile(r"homie:([a-z0-9-]+)/([a-z0-9-]+)")
HA_HREF = re.compile(rf"ha:({'|'.join(COMPONENTS)})/([A-Za-z0-9_-]+)")
TOPIC_HREF = re.compile(r"topic:([^#?+]+)(#(?:/[^/?#]+)+)?(?:\?on=([^&?#]*)&off=([^&?#]*))?")
SIOT_LOGIN = ("siot", "dfrobot")
STATE_HREF = "state:ready"
_BASE = re.compile(r"[^+#$\x00-\x1f\x7f/]{1,64}(/[^+#$\x00-\x1f\x7f/]{1,64}){0,5}")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FIELD = re.compile(r"\{([a-z]+)\}")
_MAX_CHILDREN = 32


@dataclass(frozen=True)
class Space:
    """The topics of one board: it publishes on ``writes`` and ``discovery`` only, and is told on ``reads`` only (filters)."""

    base: str
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    discovery: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()

    def tells(self, topic: str) -> bool:
        """Whether the board itself publishes on this topic."""
        return is_topic(topic) and any(matches(own, topic) for own in self.writes)

    def is_told(self, topic: str) -> bool:
        """Whether the board may be told something on this topic: the only ones on which the gateway will speak to it."""
        return is_topic(topic) and any(matches(own, topic) for own in self.reads)

    def announces(self, topic: str) -> bool:
        """Whether a discovery topic is one of this board's."""
        return is_topic(topic) and any(matches(own, topic) for own in self.discovery)

    def fill(self, template: str) -> str:
        """A template with this board's values; raises Malformed when the result is no topic or filter."""
        return _fill(template, dict(self.fields))

    def role(self, name: str) -> RoleSpec:
        """What the broker shall let this board do, with credentials of its own: nothing but its own topics."""
        return RoleSpec(name, (*self.writes, *self.discovery), self.reads, self.reads)


def space(profile: Profile, device_id: str, url: str) -> Space:
    """The topics of the board at ``url`` in the words of its profile; raises Malformed with what is wrong."""
    base, given = read_url(device_id, url)
    children = tuple(c for c in given.pop("children", "").split(",") if c)
    if len(children) > _MAX_CHILDREN or any(not _ID.fullmatch(child) for child in children):
        raise Malformed("children 应为 Homie 号", "children should be Homie ids")
    fields = {**given, "base": base}
    if "mac" in given:
        fields.setdefault("tail", given["mac"][-6:])
    convention = profile.transport.convention
    if base != device_id and convention in ("homie5", ""):
        raise Malformed(
            "Homie 5 板卡的 id 应是它的 Homie 设备号", "the id of a Homie 5 board should be its Homie device id"
        )
    if convention in ("homie4", "homie5", ""):
        return _homie_space(convention, base, children, fields)
    foreign = profile.foreign
    if foreign is None:
        raise Malformed(f"{profile.id} 缺 x-lab.foreign", f"{profile.id} lacks x-lab.foreign")
    writes, reads, discovery = (
        tuple(_fill(template, fields) for template in group)
        for group in (foreign.writes, foreign.reads, foreign.discovery)
    )
    for topic in (*writes, *reads):
        first = topic.partition("/")[0]
        if first in RESERVED or first in ("+", "#") or first.startswith("$"):
            raise Malformed(
                f"主题 {topic} 属于平台，不能给外来板卡", f"{topic} belongs to the platform, not to a foreign board"
            )
    return Space(base, writes, reads, discovery, children, tuple(fields.items()))


def read_url(device_id: str, url: str) -> tuple[str, dict[str, str]]:
    """``mqtt:<base>?key=value`` → base and keys; raises Malformed for wildcards, ``$``, empty levels, control characters."""
    rest, _, query = url.partition(":")[2].partition("?")
    base = unquote(rest) or device_id
    given = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=8))
    for value in (base, *(v for k, v in given.items() if k != "children")):
        if not _BASE.fullmatch(value):
            raise Malformed(
                f"{value[:60]!r} 不能作板卡的主题：不能有 + # $ 和空层级", f"{value[:60]!r} is no base of topics"
            )
    return base, given


def _homie_space(convention: str, base: str, children: Sequence[str], fields: Mapping[str, str]) -> Space:
    # homie/5 is the root of Homie 5: a Homie 4 device of that id would own everybody's topics.
    if not _ID.fullmatch(base) or base == "5":
        raise Malformed(f"{base[:60]!r} 不是 Homie 设备号", f"{base[:60]!r} is no Homie device id")
    if convention == "homie4":
        reads = (f"homie/{base}/+/+/set", f"homie/{base}/$broadcast/#", "homie/$broadcast/#")
        return Space(base, (f"homie/{base}/#",), reads, fields=tuple(fields.items()))
    own = (base, *children)
    told = (*(f"homie/5/{one}/+/+/set" for one in own), "homie/5/$broadcast/#")
    writes = tuple(f"homie/5/{one}/#" for one in own)
    return Space(base, writes, told, (), tuple(children), tuple(fields.items()))


def _fill(template: str, fields: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in fields:
            raise Malformed(
                f"地址缺 {match[1]}：写成 mqtt:<base>?{match[1]}=…",
                f"the url lacks {match[1]}: mqtt:<base>?{match[1]}=…",
            )
        return fields[match[1]]

    filled = _FIELD.sub(value, template)
    if not is_filter(filled) or "{" in filled:
        raise Malformed(f"{template} 不是主题", f"{template} is no topic")
    return filled


class Named(Protocol):
    """What this module needs of a lab's device."""

    @property
    def id(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def profile(self) -> Profile: ...


def spaces(devices: Iterable[Named]) -> dict[str, Space]:
    """The topics of every foreign board of a lab, by device."""
    return {
        one.id: space(one.profile, one.id, one.url)
        for one in devices
        if one.profile.foreign is not None and one.url.startswith("mqtt:")
    }


def gateway_role(name: str, spaces: Iterable[Space]) -> RoleSpec:
    """What a gateway needs at the broker beside ``homie/5/#`` and ``zhike/#``: to hear its foreign boards, and to tell them."""
    told = dict.fromkeys(topic for one in spaces for topic in one.reads)
    heard = dict.fromkeys(topic for one in spaces for topic in one.writes)
    listing = ("homie/#", "homeassistant/#", "tasmota/discovery/#")
    receive = ("zhike/#", *listing, *heard)
    return RoleSpec(name, ("homie/5/#", "zhike/#", *told), receive, receive)


def siot_role(spaces: Iterable[Space]) -> RoleSpec:
    """SIoT's shared default login `SIOT_LOGIN`, for a school that cannot give each board its own: the named projects only.

    Whoever knows it (everybody does) can speak as any of these boards, so none of them may carry something that moves.
    """
    own = tuple(dict.fromkeys(topic for one in spaces for topic in one.writes))
    return RoleSpec(SIOT_LOGIN[0], own, own, own)


def check_form(profile: Profile, form: Form) -> None:
    """Raise Malformed when a form of a foreign board's profile is not of its convention."""
    convention = profile.transport.convention
    pattern, shape = {
        "homeassistant": (HA_HREF, "ha:component/object_id"),
        "raw": (TOPIC_HREF, "topic:{base}/名[#/json/指针][?on=…&off=…]"),
    }.get(convention, (HOMIE_HREF, "homie:node/property"))
    if form.href != STATE_HREF and not pattern.fullmatch(form.href):
        raise Malformed(f"{form.href} 应为 {shape} 或 {STATE_HREF}", f"{form.href} should be {shape} or {STATE_HREF}")


def profile_faults(profile: Profile) -> Iterator[tuple[tuple[str | int, ...], Malformed]]:
    """What is wrong with a profile of a foreign board, with the place in the file."""
    foreign, convention = profile.foreign, profile.transport.convention
    where = ("x-lab", "foreign")
    if foreign is None:
        if convention not in ("", "homie5"):
            yield (
                ("x-lab", "transport", "convention"),
                Malformed(f"{convention} 需要 x-lab.foreign", f"{convention} needs x-lab.foreign"),
            )
        return
    if profile.transport.type != "mqtt" or convention not in FOREIGN:
        yield where, Malformed("foreign 只用于 mqtt 和一种 convention", "foreign is for mqtt with a convention only")
        return
    if profile.kind is not Kind.SENSOR:
        yield (
            ("x-lab", "kind"),
            Malformed(
                "外来板卡不能开车：没有什么能证明它停了", "a foreign board cannot drive: nothing proves its stop"
            ),
        )
    for item in profile.properties.values():
        if item.type == "object":
            yield ("properties", item.id, "type"), Malformed("外来板卡没有 object", "a foreign board has no objects")
    named = [f"{{{key}}}" for key in sorted(_keys(foreign.writes + foreign.reads + foreign.discovery) - {"base"})]
    url = "mqtt:x?" + "&".join(f"{key[1:-1]}=x" for key in named)
    try:
        one = space(profile, "x", url)
        for item in profile.properties.values():
            for match in filter(None, (TOPIC_HREF.fullmatch(form.href) for form in item.forms)):
                one.fill(match[1])
    except Malformed as error:
        yield where, error
        return
    if convention in ("homeassistant", "raw") and not one.writes:
        yield where, Malformed("缺 writes：板卡发布的主题", "writes is missing: what the board publishes")
    for topic in (t for t in foreign.reads if "{base}" not in t):
        yield where, Malformed(f"reads 里的 {topic} 缺 {{base}}", f"{topic} in reads lacks {{base}}")


def _keys(templates: Iterable[str]) -> set[str]:
    return {key for template in templates for key in _FIELD.findall(template)}


def lab_faults(
    devices: Sequence[Mapping[str, object]], known: Mapping[str, Profile]
) -> Iterator[tuple[int, Malformed]]:
    """Wrong addresses of foreign boards in a lab file, and boards whose topics are also another's, by position."""
    taken: list[tuple[str, str]] = []
    for index, item in enumerate(devices):
        profile = known.get(str(item["profile"]))
        if profile is None or profile.foreign is None or not str(item["url"]).startswith("mqtt:"):
            continue
        try:
            one = space(profile, str(item["id"]), str(item["url"]))
        except Malformed as error:
            yield index, error
            continue
        own = [topic for topic in (*one.reads, *one.writes) if one.base in topic]
        other = next((d for d, t in taken for topic in own if covers(t, topic) or covers(topic, t)), None)
        if other is not None:
            yield index, Malformed(f"主题与 {other} 的重叠", f"its topics overlap those of {other}")
        taken.extend((str(item["id"]), topic) for topic in own)
