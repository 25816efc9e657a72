"""The lab file of one PC: which devices it has, in which room, with which sticker, and where they are plugged in."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from labkit import boards, ports, yamlfile
from labkit.errors import BadDocument, Fault, Malformed
from labkit.model import Kind, Profile, Title
from labkit.profiles import load_profiles

if TYPE_CHECKING:
    from labkit.api import Lab as Session

SCHEMA = "lab.schema.json"
SCHEMES = {
    "serial": ("serial", "usb", "hub", "auto", "sim"),
    "mqtt": ("mqtt",),
    "tcp": ("tcp", "sim"),
    "udp": ("udp", "sim"),
    "vision": ("file", "rtsp", "v4l2", "http", "https"),
}


@dataclass(frozen=True)
class Simulate:
    """How a simulated kit behaves: ``seed`` of its randomness, ``start`` pose (x m, y m, heading rad), ``faults`` to inject.

    ``usb`` (``vid:pid:serial@1-1.4``, the serial may be empty): the board shows itself as this USB device.
    """

    seed: int = 0
    start: tuple[float, float, float] | None = None
    faults: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    usb: str = ""


@dataclass(frozen=True)
class LabDevice:
    """One device of the lab.

    ``url``: ``usb:vid:pid:serial`` · ``hub:1-1.4`` · ``auto`` (see ``labkit.ports``) · ``serial:///dev/ttyUSB0`` ·
    ``sim://pty`` (the simulator's port ``<run_dir>/dev/<id>``) · ``tcp://host`` or ``udp://host`` (a text kit; ``sim://tcp``,
    ``sim://udp``) · ``mqtt:`` (a board that is on the broker by itself) ·
    ``file:///clip.avi`` · ``rtsp://…`` · ``v4l2:///dev/video0``. ``sticker`` is the number on its roof,
    ``seat`` the seat where it stands ("" = not at a fixed one); ``fps``, ``look`` and ``share`` are a camera's (see Transport);
    ``record``: it may record where the school's policy allows it (see ``labkit.recording``).
    """

    id: str
    profile: Profile
    room: str
    sticker: str
    url: str
    title: Title
    fps: float
    parameters: Mapping[str, int]
    settle_ms: int
    pattern: str
    simulate: Simulate | None
    seat: str = ""
    look: tuple[str, ...] = ()
    share: float = 1.0
    record: bool = False

    @property
    def scheme(self) -> str:
        """The URL's scheme, lower case."""
        return self.url.partition(":")[0].lower()

    @property
    def bridged(self) -> bool:
        """Whether the gateway publishes its Homie topics; a board that speaks Homie 5 publishes them itself."""
        return self.scheme != "mqtt" or self.profile.transport.convention not in ("", "homie5")

    def port(self, run_dir: Path) -> Path:
        """The path of the serial port; the link that the simulator makes where the URL is no path."""
        if self.scheme == "sim" or self.scheme in ports.SCHEMES:
            return run_dir / "dev" / self.id
        return Path(unquote(urlsplit(self.url).path))


@dataclass(frozen=True)
class Lab:
    """A gateway's name (``gw-…``), its default room and its devices.

    ``terminals`` and ``arena`` say what is simulated beside the devices (see ``labkit.simulate.physics.read_arena``).
    ``seated``: the kits are plugged into a seat's PC and are children of its terminal, ``name``, which the pupil's page shares (see ``at_seat``).
    ``strict_identity``: after a reboot, boards without serial numbers must be confirmed too (else their socket is believed).
    """

    name: str
    room: str
    title: Title
    devices: tuple[LabDevice, ...]
    path: Path
    strict_identity: bool = False
    terminals: int = 0
    arena: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    seated: bool = False

    def device(self, device_id: str) -> LabDevice | None:
        """The device of that id."""
        return next((d for d in self.devices if d.id == device_id), None)

    @property
    def rooms(self) -> tuple[str, ...]:
        """All rooms with a device, the default one first."""
        return tuple(dict.fromkeys([self.room, *(d.room for d in self.devices)]))


def load_lab(path: Path, profiles: Mapping[str, Profile] | None = None) -> Lab:
    """Read and check a lab file; raises BadDocument with file, line and cause of every fault."""
    document = yamlfile.read(path)
    yamlfile.validate(document, SCHEMA)
    known = load_profiles() if profiles is None else profiles
    data = document.data
    assert isinstance(data, dict)
    faults = tuple(_faults(document, data, known))
    if faults:
        raise BadDocument(faults)
    title = data.get("title", {"zh": data["name"], "en": data["name"]})
    return Lab(
        name=data["name"],
        room=data["room"],
        title=Title(title["zh"], title["en"]),
        devices=tuple(_device(item, known[item["profile"]], data["room"]) for item in data["devices"]),
        path=path,
        strict_identity=data.get("identity") == "strict",
        terminals=int(data.get("simulate", {}).get("terminals", 0)),
        arena=MappingProxyType(data.get("simulate", {}).get("arena", {})),
    )


def at_seat(lab: Lab, terminal: str, room: str, label: str) -> Lab:
    """The lab of one seat's PC: ``lab`` is the same file on every PC of the room, its kits become this seat's.

    ``mbot`` at the terminal ``t-lab1-03`` is ``t-lab1-03-mbot``; the first kit without a sticker of its own has the seat's number.
    """
    devices = tuple(
        replace(
            device,
            id=f"{terminal}-{device.id}",
            room=room,
            seat=label,
            sticker=device.sticker or (label if index == 0 else f"{label}-{device.id}"[:12]),
            title=Title(f"{device.title.zh} · 座位 {label}", f"{device.title.en} · seat {label}"),
        )
        for index, device in enumerate(lab.devices)
    )
    return replace(
        lab, name=terminal, room=room, title=Title(f"座位 {label}", f"seat {label}"), devices=devices, seated=True
    )


def _device(item: dict[str, object], profile: Profile, room: str) -> LabDevice:
    raw: dict[str, object] = dict(item)
    sticker = str(raw.get("sticker", ""))
    title = raw.get("title")
    simulate = raw.get("simulate")
    match = raw.get("match")
    parameters = raw.get("parameters")
    simulated = str(raw["url"]).startswith("sim:") or isinstance(simulate, dict)
    default_settle = 0 if simulated else profile.transport.open_settle_ms
    settle, fps = raw.get("settle_ms", default_settle), raw.get("fps", profile.transport.fps)
    look, share = raw.get("look"), raw.get("share", profile.transport.share)
    assert isinstance(settle, int)
    assert isinstance(fps, (int, float))
    assert isinstance(share, (int, float))
    return LabDevice(
        id=str(raw["id"]),
        profile=profile,
        room=str(raw.get("room", room)),
        sticker=sticker,
        url=str(raw["url"]),
        title=_title(title) if isinstance(title, dict) else _numbered(profile.title, sticker),
        fps=float(fps),
        parameters=MappingProxyType({**profile.parameters, **(parameters if isinstance(parameters, dict) else {})}),
        settle_ms=settle,
        pattern=str(match["pattern"]) if isinstance(match, dict) and "pattern" in match else profile.match.pattern,
        simulate=_simulate(simulate) if isinstance(simulate, dict) else None,
        seat=str(raw.get("seat", "")),
        look=tuple(str(name) for name in look) if isinstance(look, list) else profile.transport.look,
        share=float(share),
        record=bool(raw.get("record", profile.record)),
    )


def _is_place(url: str) -> bool:
    """Whether a text kit's URL is a host, perhaps with a port and ``?push=port``."""
    return re.fullmatch(r"(?:tcp|udp)://[A-Za-z0-9.-]{1,253}(?::\d{1,5})?(?:\?push=\d{1,5})?", url) is not None


def _title(data: dict[str, str]) -> Title:
    return Title(data["zh"], data["en"])


def _numbered(title: Title, sticker: str) -> Title:
    return Title(f"{title.zh} {sticker}".strip(), f"{title.en} {sticker}".strip())


def _simulate(data: dict[str, object]) -> Simulate:
    seed, start, faults = data.get("seed", 0), data.get("start"), data.get("faults", {})
    assert isinstance(seed, int)
    assert isinstance(faults, dict)
    pose = tuple(float(v) for v in start) if isinstance(start, list) else None
    return Simulate(
        seed, (pose[0], pose[1], pose[2]) if pose else None, MappingProxyType(faults), str(data.get("usb", ""))
    )


def _faults(document: yamlfile.Document, data: dict[str, Any], known: Mapping[str, Profile]) -> Iterator[Fault]:
    seen: dict[tuple[str, str], int] = {}
    for index, item in enumerate(data["devices"]):
        where = ("devices", index)
        for key in ("id", "sticker", "url"):
            value = str(item.get(key, ""))
            if key == "url" and not value.lower().startswith(("hub:", "usb:", "serial:")):
                continue
            if value.endswith(":"):
                continue  # usb:vid:pid: is any board of that kind
            if value and (key, value) in seen:
                first = document.place("devices", seen[(key, value)]).line
                yield document.fault(
                    (*where, key),
                    f"{key} {value} 已在第 {first} 行用过",
                    f"{key} {value} is already used in line {first}",
                )
            seen.setdefault((key, value), index)
        if item["id"] == data["name"]:
            yield document.fault((*where, "id"), "id 不能与网关同名", "the id is the gateway's own name")
        profile = known.get(item["profile"])
        if profile is None:
            names = "、".join(known)
            yield document.fault(
                (*where, "profile"), f"没有设备档案 {item['profile']}；有：{names}", f"unknown profile; known: {names}"
            )
            continue
        if profile.kind is Kind.TERMINAL:
            zh = "终端不写进 lab.yaml：座位在“教室”页登记，模拟的终端写 simulate: {terminals: 数量}"
            yield document.fault((*where, "profile"), zh, "terminals are not listed here: see simulate: {terminals: n}")
            continue
        yield from _url_faults(document, where, item, profile)
        for name in item.get("parameters", {}).keys() - profile.parameters.keys():
            names = "、".join(profile.parameters) or "没有"
            zh = f"{profile.id} 没有参数 {name}；它的参数：{names}"
            yield document.fault((*where, "parameters", name), zh, f"{profile.id} has no parameter {name}")
    for index, error in boards.lab_faults(data["devices"], known):
        yield document.fault(("devices", index, "url"), error.zh, error.en)
    if "simulate" in data or any("simulate" in item for item in data["devices"]):
        from labkit.simulate.rules import simulate_faults  # a lab of real kits needs no simulator

        for place, error in simulate_faults(data, known):
            yield document.fault(place, error.zh, error.en)


def _url_faults(
    document: yamlfile.Document, where: tuple[str | int, ...], item: Mapping[str, object], profile: Profile
) -> Iterator[Fault]:
    url = str(item["url"])
    scheme = url.partition(":")[0].lower()
    allowed = SCHEMES[profile.transport.type]
    if scheme not in allowed:
        names = "、".join(f"{s}:" for s in allowed)
        yield document.fault(
            (*where, "url"),
            f"{profile.id} 的地址应以 {names} 开头",
            f"the url of {profile.id} should start with {names}",
        )
    elif scheme in ("serial", "file", "v4l2") and not urlsplit(url).path.startswith("/"):
        yield document.fault(
            (*where, "url"), f"{scheme}:// 之后应是绝对路径", f"an absolute path should follow {scheme}://"
        )
    elif scheme in ("tcp", "udp") and not _is_place(url):
        yield document.fault(
            (*where, "url"), f"应像 {scheme}://192.168.1.31", f"the url should look like {scheme}://192.168.1.31"
        )
    elif scheme in ports.SCHEMES:
        try:
            ports.parse_name(url)
        except Malformed as error:
            yield document.fault((*where, "url"), error.zh, error.en)
    match = item.get("match")
    if isinstance(match, dict) and "pattern" in match:
        try:
            re.compile(str(match["pattern"]))
        except re.error as error:
            yield document.fault(
                (*where, "match", "pattern"), f"正则表达式不对：{error}", f"not a regular expression: {error}"
            )


class _Door(ModuleType):
    """This module can be called: ``labkit.lab()`` is `labkit.api.lab`, as notebooks write it."""

    def __call__(self, broker: str = "", username: str = "", password: str = "", ca: str = "", seat: str = "") -> Session:
        from labkit.api import lab

        return lab(broker, username, password, ca, seat)


sys.modules[__name__].__class__ = _Door
