"""What a teacher may let a kit do on its page (操作): a drone takes off and lands, an arm goes to a named pose; and what a stop means for it.

A profile says which of these a kit has; the gateway checks again (battery, ceiling) and is the one that refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from flask_babel import get_locale
from flask_babel import lazy_gettext as _l

from labkit.errors import LabkitError
from labkit.gateway.face import ANGULAR, IDENTIFY, LINEAR, POSE, STOP, motors
from labkit.homie import property_id
from labkit.model import Profile
from labkit.profiles import load_profile, profiles_dir
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account, OutboxMessage
from lms.labs import rules
from lms.labs.models import Device

HINDRANCES = {
    "not-ready": _l("还没有连上，或有故障没有处理。"),
    "battery-unknown": _l("还不知道它的电量，请等几秒。"),
    "battery": _l("电量不够起飞，请先换电池。"),
    "flying": _l("已经在空中。"),
}
TAKE_OFF, LAND, CUT = "takeoff", "land", "cut"


@dataclass(frozen=True)
class FlightControls:
    """A drone's: how high it is (cm; None = not told), what people keep, and why it may not take off now ("" = it may)."""

    height_cm: int | None
    min_battery: int
    ceiling_m: float
    keep_away_m: float
    hindrance: str


@dataclass(frozen=True)
class Controls:
    """What a page offers for a kit: ``drives`` whether it has wheels or rotors to steer; ``poses`` (id, name) of an arm."""

    drives: bool
    flight: FlightControls | None = None
    poses: tuple[tuple[str, str], ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is something to press."""
        return bool(self.flight or self.poses)


@lru_cache(maxsize=64)
def profile_of(profile: str) -> Profile | None:
    """A device's profile; None for one that this server does not have."""
    folder = profiles_dir() / profile
    if not profile or "/" in profile or not folder.is_dir():
        return None
    try:
        return load_profile(folder)
    except LabkitError:
        return None


def caps_of(profile: str, stage: str, grade: int) -> tuple[float, float]:
    """Largest speed (m/s) and turn (rad/s) of a kit under a class: its profile may cap a stage (学段) lower than the grade's table."""
    linear, angular = rules.caps_for(grade)
    found = profile_of(profile)
    own = found.safety.speed_caps.get(stage) if found is not None and found.safety is not None else None
    return (linear if own is None else min(linear, own)), angular


def notebook_sets(profile: str) -> tuple[str, ...]:
    """What a class's notebook may set of a robot: its lights and poses, stop, identify, and speeds where its gateway hears them.

    Never a drone's take-off or the confirmation of a swapped board: those are a teacher's. Of a board on the broker, and of a kit that
    this server does not know, only stop and identify: it obeys whoever writes to it.
    """
    found = profile_of(profile)
    if found is None or found.transport.type == "mqtt":
        return (STOP, IDENTIFY)
    hidden = motors(found.drive) if found.drive else set()
    own = [property_id(item.id) for item in found.properties.values() if not item.read_only and item.id not in hidden]
    teachers = {found.flight.property} if found.flight else set()
    speeds, poses = (LINEAR, ANGULAR) if found.drive else (), (POSE,) if found.poses else ()
    return (STOP, IDENTIFY, *speeds, *poses, *(name for name in own if name not in teachers))


def drives(profile: str) -> bool:
    """Whether a kit can be driven; one whose profile this server does not know may be."""
    found = profile_of(profile)
    return found is None or found.drive is not None


def blinks(device: Device) -> bool:
    """Whether a kit can show which one it is; a robot whose profile this server does not know may."""
    found = profile_of(device.profile)
    return device.kind == "robot" if found is None else "identify" in found.actions


def acts(profile: str) -> bool:
    """Whether a kit's page has something to press beside its stop."""
    found = profile_of(profile)
    return found is not None and bool(found.flight or found.poses)


def controls(device: Device) -> Controls:
    """What may be pressed for a device now."""
    profile = profile_of(device.profile)
    if profile is None or device.kind != "robot":
        return Controls(drives=device.kind == "robot")
    english = "en" if str(get_locale()) == "en" else "zh"
    poses = tuple((name, pose.title.text(english)) for name, pose in profile.poses.items())
    flight = profile.flight
    if flight is None:
        return Controls(profile.drive is not None, poses=poses)
    height = rules.number_of(device.values, "main/height")
    code = rules.take_off_hindrance(
        device.state, device.alert, rules.battery_of(device.values), height, flight.min_battery
    )
    told = FlightControls(
        None if height is None else round(height),
        round(flight.min_battery),
        flight.ceiling_cm / 100,
        flight.keep_away_m,
        str(HINDRANCES.get(code, "")),
    )
    return Controls(profile.drive is not None, told, poses)


def fly(actor: Account, device: Device, what: str, *, clear: bool) -> None:
    """Take off (``clear``: the teacher has seen that nobody is near), land, or cut the motors; raises Invalid or Refused with the reason."""
    profile, offered = profile_of(device.profile), controls(device).flight
    if profile is None or profile.flight is None or offered is None or what not in (TAKE_OFF, LAND, CUT):
        raise Invalid("do", _l("这台设备不会飞。"), where="do")
    if what == TAKE_OFF and not clear:
        raise Invalid("clear", _l("请先看清四周和上方，勾选“没有人、没有灯”再起飞。"), where="clear")
    if what == TAKE_OFF and offered.hindrance:
        raise Refused("take-off", offered.hindrance, remedy=_l("处理好再按起飞。"))
    words = {TAKE_OFF: profile.flight.takeoff, LAND: profile.flight.land, CUT: profile.flight.cut}
    _tell(actor, device, property_id(profile.flight.property), words[what], f"drone-{what}")


def pose(actor: Account, device: Device, name: str) -> None:
    """Let an arm go to one of its safe poses, slowly; raises Invalid."""
    if name not in dict(controls(device).poses):
        raise Invalid("pose", _l("这台设备没有这个姿势。"), where="pose")
    _tell(actor, device, POSE, name, "arm-pose")


def _tell(actor: Account, device: Device, property_: str, word: str, act: str) -> None:
    with write():
        topic = f"{rules.HOMIE}/{device.homie_id}/main/{property_}/set"
        db.session.add(
            OutboxMessage(school_id=device.school_id, destination="mqtt", topic=topic, payload=word, retain=False)
        )
        audit(actor, act, "device", device.id, school_id=device.school_id, word=word)
