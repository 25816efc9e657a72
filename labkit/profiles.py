"""Device profiles: YAML → JSON Schema → checks of meaning → frozen Profile.

A profile is a folder ``device_profiles/<maker>-<model>/`` with ``profile.yaml`` (W3C WoT Thing Description 1.1 terms and one
``x-lab`` block), ``samples/`` and ``README.md``. A broken folder stops the start with file, line and cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from labkit import boards, codecs, homie, yamlfile
from labkit.errors import BadDocument, Fault, Malformed, Place
from labkit.model import (
    Action,
    Affordance,
    Confirm,
    Drive,
    Flight,
    Foreign,
    Form,
    Kind,
    Match,
    Pose,
    Profile,
    Rate,
    Safety,
    Title,
    Transport,
)
from labkit.vision.counts import DEFAULT_LOOKS

PROFILE_FILE = "profile.yaml"
SCHEMA = "profile.schema.json"
VISION_FIELDS = frozenset(
    {"faces", "hands", "poses", "motion", "frame", "fps", "stale", "watched", "recording", "landmarks"}
)
_HOMIE_HREF = re.compile(r"homie:[a-z0-9-]+/([a-z0-9-]+)(\?value=[^/#+]+)?")


def profiles_dir() -> Path:
    """The folder of all profiles: package data of the wheel, or the top folder of a checkout."""
    packaged = Path(str(resources.files("labkit"))) / "device_profiles"
    if packaged.is_dir():
        return packaged
    return Path(str(resources.files("labkit"))).parent / "device_profiles"


def load_profiles(folder: Path | None = None) -> Mapping[str, Profile]:
    """All profiles below a folder (default: the shipped ones) by id.

    Raises BadDocument with the faults of all broken folders: nothing is skipped.
    """
    top = folder or profiles_dir()
    if not top.is_dir():
        raise BadDocument((Fault(Place(top), "没有这个设备档案目录", "there is no such folder of profiles"),))
    profiles: dict[str, Profile] = {}
    faults: list[Fault] = []
    for path in sorted(p for p in top.iterdir() if p.is_dir() and not p.name.startswith((".", "_"))):
        try:
            profile = load_profile(path)
        except BadDocument as error:
            faults.extend(error.faults)
        else:
            profiles[profile.id] = profile
    if faults:
        raise BadDocument(tuple(faults))
    return MappingProxyType(profiles)


def load_profile(folder: Path) -> Profile:
    """One profile folder; raises BadDocument with every fault found."""
    document = yamlfile.read(folder / PROFILE_FILE)
    yamlfile.validate(document, SCHEMA)
    data = document.data
    assert isinstance(data, dict)
    profile = _build(data, folder)
    faults = tuple(_faults(document, profile, data))
    if faults:
        raise BadDocument(faults)
    return profile


def _build(data: dict[str, object], folder: Path) -> Profile:
    lab = _dict(data["x-lab"])
    match = _dict(lab.get("match", {}))
    probe = _dict(match.get("probe", {}))
    privacy = _dict(lab.get("privacy", {}))
    return Profile(
        id=str(data["id"]),
        title=_title(data["title"]),
        kind=Kind(str(lab["kind"])),
        transport=_transport(_dict(lab["transport"]), folder),
        properties=MappingProxyType({k: _affordance(k, _dict(v)) for k, v in _dict(data["properties"]).items()}),
        actions=MappingProxyType({k: _action(k, _dict(v)) for k, v in _dict(data.get("actions", {})).items()}),
        match=Match(
            usb=tuple(str(u) for u in _list(match.get("usb", []))),
            probe=str(probe.get("read", "")),
            pattern=str(probe.get("pattern", "")),
            abilities=MappingProxyType({k: str(v) for k, v in _dict(probe.get("abilities", {})).items()}),
        ),
        parameters=MappingProxyType({k: _int(v) for k, v in _dict(lab.get("parameters", {})).items()}),
        rates=MappingProxyType({k: _rate(_dict(v)) for k, v in _dict(lab.get("rates", {})).items()}),
        safety=_safety(_dict(lab["safety"])) if "safety" in lab else None,
        drive=_drive(_dict(lab["drive"])) if "drive" in lab else None,
        foreign=_foreign(_dict(lab["foreign"])) if "foreign" in lab else None,
        flight=_flight(_dict(lab["flight"])) if "flight" in lab else None,
        poses=MappingProxyType({k: _pose(_dict(v)) for k, v in _dict(lab.get("poses", {})).items()}),
        stale_after_s=_float(_dict(lab.get("camera", {})).get("stale_after_s", 2.0)),
        record=bool(privacy.get("record", False)),
        needs=MappingProxyType({k: str(v) for k, v in _dict(lab.get("needs", {})).items()}),
        folder=str(folder),
    )


def _transport(data: dict[str, object], folder: Path) -> Transport:
    return Transport(
        type=str(data["type"]),
        convention=str(data.get("convention", "")),
        codec=str(data.get("codec", "")),
        baud=_int(data.get("baud", 115200)),
        open_settle_ms=_int(data.get("open_settle_ms", 0)),
        fps=_float(data.get("fps", 8.0)),
        schemes=tuple(str(s) for s in _list(data.get("schemes", []))),
        program=_program(folder / str(data["program"])) if "program" in data else "",
        after=str(data.get("after", "")),
        port=_int(data.get("port", 0)),
        push_port=_int(data.get("push_port", 0)),
        look=tuple(str(name) for name in _list(data.get("look", list(DEFAULT_LOOKS)))),
        share=_float(data.get("share", 1.0)),
    )


def _program(path: Path) -> str:
    """The device-side program that a profile names; a missing one is a fault of the profile."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDocument(
            (Fault(Place(path), "读不到板上程序", f"cannot read the board's program: {error}"),)
        ) from error


def _affordance(property_id: str, data: dict[str, object]) -> Affordance:
    return Affordance(
        id=property_id,
        title=_title(data["title"]),
        type=str(data["type"]),
        unit=str(data.get("unit", "")),
        minimum=_optional_float(data.get("minimum")),
        maximum=_optional_float(data.get("maximum")),
        enum=tuple(str(v) for v in _list(data.get("enum", []))),
        read_only=bool(data.get("readOnly", False)),
        write_only=bool(data.get("writeOnly", False)),
        forms=tuple(_form(_dict(f)) for f in _list(data["forms"])),
    )


def _action(action_id: str, data: dict[str, object]) -> Action:
    forms = tuple(_form(_dict(f)) for f in _list(data["forms"]))
    return Action(action_id, _title(data["title"]), forms, bool(data.get("idempotent", False)))


def _form(data: dict[str, object]) -> Form:
    scale = _dict(data.get("x-scale", {}))
    return Form(
        href=str(data["href"]),
        op=tuple(str(o) for o in _list(data.get("op", []))),
        reply=str(data.get("x-reply", "")),
        factor=_float(scale.get("factor", 1.0)),
        offset=_float(scale.get("offset", 0.0)),
        round=_int(data["x-round"]) if "x-round" in data else None,
        after_ms=_int(data.get("x-after-ms", 0)),
    )


def _safety(data: dict[str, object]) -> Safety:
    confirm = _dict(data.get("confirm", {"by": "codec"}))
    equals = confirm.get("equals")
    deadman = data.get("device_deadman_ms")
    return Safety(
        stop=str(data["stop"]),
        lease_ms=_int(data["lease_ms"]),
        device_deadman_ms=None if deadman is None else _int(deadman),
        repeat_stop=_int(data.get("repeat_stop", 3)),
        resync_before_stop=_int(data.get("resync_before_stop", 0)),
        confirm=Confirm(
            by=str(confirm["by"]),
            property=str(confirm.get("property", "")),
            equals=equals if isinstance(equals, (bool, int, float, str)) else None,
            within_ms=_int(confirm.get("within_ms", 1000)),
        ),
        speed_caps=MappingProxyType({k: _float(v) for k, v in _dict(data.get("speed_caps", {})).items()}),
    )


def _drive(data: dict[str, object]) -> Drive:
    return Drive(
        model=str(data["model"]),
        max_mps=_float(data["max_mps"]),
        max_radps=_float(data["max_radps"]),
        left=str(data.get("left", "left")),
        right=str(data.get("right", "right")),
        linear=str(data.get("linear", "linear_x")),
        angular=str(data.get("angular", "angular_z")),
        wheel_base_m=_float(data.get("wheel_base_m", 0.12)),
        max_pwm=_int(data.get("max_pwm", 255)),
        min_pwm=_int(data.get("min_pwm", 0)),
        invert=frozenset(str(w) for w in _list(data.get("invert", []))),
        hold=bool(data.get("hold", False)),
    )


def _foreign(data: dict[str, object]) -> Foreign:
    return Foreign(
        writes=tuple(str(t) for t in _list(data.get("writes", []))),
        reads=tuple(str(t) for t in _list(data.get("reads", []))),
        discovery=tuple(str(t) for t in _list(data.get("discovery", []))),
        discover=bool(data.get("discover", False)),
        silent_after_s=_float(data.get("silent_after_s", 0)),
        off_at_stop=bool(data.get("off_at_stop", False)),
    )


def _rate(data: dict[str, object]) -> Rate:
    return Rate(_float(data.get("max_hz", 0)), _float(data.get("poll_hz", 0)), _float(data.get("report_hz", 0)))


def _faults(document: yamlfile.Document, profile: Profile, data: dict[str, object]) -> Iterator[Fault]:
    """What the schema cannot say: names that must refer to each other, hrefs that their codec must understand."""
    folder = document.path.parent.name
    if profile.id != folder:
        yield document.fault(
            ("id",), f"id {profile.id} 与目录名 {folder} 不同", f"id {profile.id} differs from its folder {folder}"
        )
    if profile.transport.codec and profile.transport.codec not in codecs.names():
        known = "、".join(codecs.names())
        yield document.fault(
            ("x-lab", "transport", "codec"),
            f"没有编解码器 {profile.transport.codec}；有：{known}",
            f"unknown codec; known: {known}",
        )
        return
    yield from _property_faults(document, profile)
    yield from _form_faults(document, profile)
    yield from _reference_faults(document, profile)
    yield from _drive_faults(document, profile)
    yield from _safety_faults(document, profile)
    yield from _flight_faults(document, profile)
    yield from _pose_faults(document, profile)
    for where, error in boards.profile_faults(profile):
        yield document.fault(where, error.zh, error.en)


def _property_faults(document: yamlfile.Document, profile: Profile) -> Iterator[Fault]:
    named: dict[str, str] = {}
    for item in profile.properties.values():
        where, wire_id = ("properties", item.id), homie.property_id(item.id)
        other = named.setdefault(wire_id, item.id)
        if other != item.id:
            yield document.fault(
                where, f"{item.id} 与 {other} 的 Homie 名相同", f"{item.id} and {other} have the same Homie id"
            )
        for match in filter(None, (_HOMIE_HREF.fullmatch(form.href) for form in item.forms)):
            if match[1] != wire_id and profile.foreign is None:
                yield document.fault(
                    (*where, "forms"), f"{item.id} 的 Homie 名应为 {wire_id}", f"{item.id} should be {wire_id} in Homie"
                )
        if item.read_only and item.write_only:
            yield document.fault(
                where, f"{item.id} 不能既 readOnly 又 writeOnly", f"{item.id} cannot be readOnly and writeOnly"
            )
        if item.minimum is not None and item.maximum is not None and item.minimum >= item.maximum:
            yield document.fault(
                (*where, "minimum"), f"{item.id} 的 minimum 不小于 maximum", f"{item.id}: minimum is not below maximum"
            )


def _form_faults(document: yamlfile.Document, profile: Profile) -> Iterator[Fault]:
    for group, items in (("properties", profile.properties), ("actions", profile.actions)):
        for item_id, item in items.items():
            for index, form in enumerate(item.forms):
                try:
                    _check_form(profile, form, item_id)
                except Malformed as error:
                    yield document.fault((group, item_id, "forms", index), error.zh, error.en)


def _check_form(profile: Profile, form: Form, own: str) -> None:
    transport = profile.transport.type
    if transport in ("serial", "tcp", "udp"):
        codecs.create(profile.transport.codec, profile).check(form, own)
    elif profile.foreign is not None:
        boards.check_form(profile, form)
    elif transport == "mqtt" and not _HOMIE_HREF.fullmatch(form.href):
        raise Malformed(f"{form.href} 应为 homie:节点/属性", f"{form.href} should be homie:node/property")
    elif transport == "vision" and form.href.removeprefix("vision:") not in VISION_FIELDS:
        known = "、".join(sorted(VISION_FIELDS))
        raise Malformed(
            f"{form.href} 应为 vision: 加 {known} 之一", f"{form.href} should be vision: and one of {known}"
        )


def _reference_faults(document: yamlfile.Document, profile: Profile) -> Iterator[Fault]:
    named: list[tuple[tuple[str, ...], str]] = [(("x-lab", "rates", key), key) for key in profile.rates]
    if profile.match.probe:
        named.append((("x-lab", "match", "probe", "read"), profile.match.probe))
    drive = profile.drive
    if drive:
        pair = (drive.left, drive.right) if drive.model == "differential" else (drive.linear, drive.angular)
        named.extend((("x-lab", "drive"), name) for name in pair)
        named.extend((("x-lab", "drive", "invert"), wheel) for wheel in sorted(drive.invert))
    if profile.safety and profile.safety.confirm.by == "property":
        named.append((("x-lab", "safety", "confirm"), profile.safety.confirm.property))
    for thing, needed in profile.needs.items():
        named.append((("x-lab", "needs", thing), needed))
        if thing not in profile.properties and thing not in profile.actions:
            yield document.fault(("x-lab", "needs", thing), f"没有名为 {thing} 的属性或动作", f"there is no {thing}")
    for where, name in named:
        if name not in profile.properties:
            yield document.fault(where, f"没有名为 {name} 的属性", f"there is no property {name}")
    yield from _pattern_faults(document, profile)


def _drive_faults(document: yamlfile.Document, profile: Profile) -> Iterator[Fault]:
    """A drive's properties must be writable and hold everything that the drive model makes (`labkit.gateway.drive`)."""
    drive = profile.drive
    if drive is None:
        return
    needs: dict[str, tuple[str, float]]
    if drive.model == "differential":
        needs = {drive.left: ("max_pwm", drive.max_pwm), drive.right: ("max_pwm", drive.max_pwm)}
    else:
        needs = {drive.linear: ("max_mps", drive.max_mps), drive.angular: ("max_radps", drive.max_radps)}
    for name, (key, most) in needs.items():
        item = profile.properties.get(name)
        if item is None:
            continue  # named by _reference_faults
        if item.read_only or item.form("writeproperty") is None or item.type not in ("integer", "number"):
            zh = f"{name} 用来驱动，应是能写的数：加一个 op 为 writeproperty 的 form，去掉 readOnly"
            yield document.fault(("properties", name), zh, f"{name} drives: it should be a number that can be written")
        if (item.maximum is not None and item.maximum < most) or (item.minimum is not None and item.minimum > -most):
            zh = f"{name} 的 minimum、maximum 容不下 {key} 的 ±{most:g}：在 drive 里写对 {key}，或改 {name} 的范围"
            en = f"the limits of {name} do not hold ±{most:g} of {key}: mend {key} in drive, or the limits"
            yield document.fault(("x-lab", "drive", key), zh, en)


def _pattern_faults(document: yamlfile.Document, profile: Profile) -> Iterator[Fault]:
    """Regular expressions of the probe, and abilities that a kit cannot do without."""
    match, drive, safety = profile.match, profile.drive, profile.safety
    where = ("x-lab", "match", "probe")
    patterns: list[tuple[tuple[str, ...], str]] = [((*where, "pattern"), match.pattern)] if match.pattern else []
    patterns += [((*where, "abilities", thing), pattern) for thing, pattern in match.abilities.items()]
    for place, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            yield document.fault(place, f"正则表达式不对：{error}", f"not a regular expression: {error}")
    vital = {match.probe, *((drive.left, drive.right, drive.linear, drive.angular) if drive else ())}
    vital |= {safety.stop} if safety else set()
    for thing in match.abilities:
        if thing not in profile.properties and thing not in profile.actions:
            yield document.fault((*where, "abilities", thing), f"没有名为 {thing} 的属性或动作", f"there is no {thing}")
        elif thing in vital:
            zh = f"{thing} 不能缺：没有它就是固件不对，写进 pattern"
            yield document.fault((*where, "abilities", thing), zh, f"{thing} is vital: ask for it in pattern")


def _safety_faults(document: yamlfile.Document, profile: Profile) -> Iterator[Fault]:
    safety, drive = profile.safety, profile.drive
    if safety is None:
        return
    if safety.stop not in profile.actions:
        yield document.fault(
            ("x-lab", "safety", "stop"), f"没有名为 {safety.stop} 的动作", f"there is no action {safety.stop}"
        )
    for stage, cap in safety.speed_caps.items():
        if drive and cap > drive.max_mps:
            yield document.fault(
                ("x-lab", "safety", "speed_caps", stage),
                f"{stage} 的限速 {cap} 超过 max_mps {drive.max_mps}",
                f"cap {cap} is above max_mps",
            )
    if safety.confirm.by == "codec" and not profile.transport.codec:
        yield document.fault(
            ("x-lab", "safety", "confirm"),
            "没有 codec 的设备不能由 codec 确认停止",
            "only a kit with a codec confirms by it",
        )


def _flight_faults(document: yamlfile.Document, profile: Profile) -> Iterator[Fault]:
    flight = profile.flight
    if flight is None:
        return
    item = profile.properties.get(flight.property)
    for name in (flight.takeoff, flight.land, flight.cut):
        if item is None or name not in item.enum:
            zh, en = f"属性 {flight.property} 没有 {name} 这一项", f"{flight.property} has no word {name}"
            yield document.fault(("x-lab", "flight"), zh, en)


def _pose_faults(document: yamlfile.Document, profile: Profile) -> Iterator[Fault]:
    for name, pose in profile.poses.items():
        for joint, angle in pose.joints.items():
            item = profile.properties.get(joint)
            low, high = (item.minimum, item.maximum) if item else (None, None)
            if low is None or high is None or not low <= angle <= high:
                yield document.fault(
                    ("x-lab", "poses", name, "joints", joint),
                    f"{joint} 不是有上下限的关节，或 {angle:g} 超出它的范围",
                    f"{joint} is no joint with limits, or {angle:g} is outside them",
                )


def _flight(data: dict[str, object]) -> Flight:
    return Flight(
        property=str(data["property"]),
        takeoff=str(data["takeoff"]),
        land=str(data["land"]),
        cut=str(data["cut"]),
        min_battery=_float(data["min_battery"]),
        ceiling_cm=_float(data["ceiling_cm"]),
        keep_away_m=_float(data["keep_away_m"]),
    )


def _pose(data: dict[str, object]) -> Pose:
    return Pose(_title(data["title"]), MappingProxyType({k: _float(v) for k, v in _dict(data["joints"]).items()}))


def _title(value: object) -> Title:
    data = _dict(value)
    return Title(str(data["zh"]), str(data["en"]))


def _dict(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def _int(value: object) -> int:
    assert isinstance(value, (int, float))
    return int(value)


def _float(value: object) -> float:
    assert isinstance(value, (int, float))
    return float(value)


def _optional_float(value: object) -> float | None:
    return None if value is None else _float(value)
