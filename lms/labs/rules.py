"""Topics, rights and caps of a lab (主题与权限); pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

HOMIE = "homie/5"
TABLE = "arena-"  # labkit.simulate.table
HEARTBEAT_S = 5
LOST_AFTER_S = 15

# Speed caps by grade (m/s, rad/s): the youngest drive slowest.
CAPS: tuple[tuple[int, float, float], ...] = ((3, 0.15, 1.0), (6, 0.25, 1.5), (9, 0.35, 2.0), (12, 0.5, 3.0))


@dataclass(frozen=True)
class Rights:
    """Topic filters on which a client may publish and be given messages; it may subscribe to those and to the wider ``looks``."""

    send: tuple[str, ...]
    receive: tuple[str, ...]
    looks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As stored in BrokerCredential.rights."""
        return {"send": list(self.send), "receive": list(self.receive), "subscribe": [*self.receive, *self.looks]}


def caps_for(grade: int) -> tuple[float, float]:
    """Largest speed (m/s) and turn (rad/s) that a grade 1–12 may drive."""
    for last, linear, angular in CAPS:
        if grade <= last:
            return linear, angular
    return CAPS[-1][1:]


def lesson_topic(room: str) -> str:
    """Retained lesson state of a room."""
    return f"zhike/room/{room}/lesson"


def lease_topic(room: str, device: str) -> str:
    """Retained lease of a device."""
    return f"zhike/room/{room}/lease/{device}"


def stop_topic(room: str) -> str:
    """Emergency stop of a room."""
    return f"zhike/room/{room}/stop"


CHECK = "check-"


def is_check(stop_id: str) -> bool:
    """Whether a stop belongs to a lab check (课前检查; here or ``labkit lab-check``): it proves brakes, nobody pressed a red button."""
    return stop_id.startswith(CHECK)


def stop_order(stop_id: str, by: str, at: datetime, devices: Iterable[str] = ()) -> dict[str, Any]:
    """What is said on a room's stop topic: every robot of the room, or only ``devices``."""
    named = list(devices)
    return {"id": stop_id, "by": by, "at": at.isoformat(), **({"devices": named} if named else {})}


def table_of(room: str) -> str:
    """Homie id (and broker user) of a room's simulated table, which tells where its simulated robots stand."""
    return f"{TABLE}{room}"


def webcam_of(terminal: str) -> str:
    """Homie id of the camera in a terminal's browser, a child of the terminal."""
    return f"{terminal}-webcam"


def terminal_rights(terminal: str, room: str, robots: Iterable[str], cameras: Iterable[str]) -> Rights:
    """A pupil's terminal: writes only below its own device and its browser's camera; reads its room's lesson, its group's robots, the room's cameras.

    Of the simulated table it reads the drawing and where its group's robots stand.
    """
    held = tuple(robots)
    seen = [f"{HOMIE}/{device}/#" for device in (terminal, *held, *cameras)]
    table = (
        [f"{HOMIE}/{table_of(room)}/{place}" for place in ("arena/layout", *(f"{robot}/pose" for robot in held))]
        if held
        else []
    )
    room_topics = [lesson_topic(room), f"zhike/room/{room}/stopped", f"zhike/room/{room}/lease/+"]
    return Rights((f"{HOMIE}/{terminal}/#", f"{HOMIE}/{webcam_of(terminal)}/#"), tuple(seen + table + room_topics))


def console_rights(room: str, console: str) -> Rights:
    """A teacher's console: reads every device, its room and the screens that it asked for; writes only the room's stop."""
    return Rights(
        (stop_topic(room),), (f"{HOMIE}/#", f"zhike/room/{room}/#", "zhike/gateway/+/devices", "zhike/gateway/+/strangers", "zhike/gateway/+/adopted", f"screens/{console}/#")
    )


def board_rights(device: str) -> Rights:
    """A board that speaks Homie itself: its own device only."""
    return Rights((f"{HOMIE}/{device}/#",), (f"{HOMIE}/{device}/+/+/set", f"{HOMIE}/$broadcast/#"))


def notebook_user(room: str) -> str:
    """Broker user of a room's notebooks."""
    return f"notebook-{room}"


def notebook_rights(room: str, gateways: Iterable[str], sets: Mapping[str, tuple[str, ...]], sensors: Iterable[str], looks: tuple[str, ...]) -> Rights:
    """A class's Python notebooks (笔记本): read the room's robots and sensors, set what ``sets`` names of each robot, steer it by its gateway.

    ``looks``: what a notebook subscribes to; it is given only what is of its room: who is there, with its sticker, and stops. No camera,
    no terminal, no lease, no order of a room.
    """
    known = tuple(gateways)
    send = [f"{HOMIE}/{robot}/main/{name}/set" for robot, names in sets.items() for name in names]
    send += [f"zhike/gateway/{gateway}/steer/{robot}" for robot in sets for gateway in known]
    receive = [f"{HOMIE}/{device}/#" for device in (*sets, *sensors)]
    for gateway in known:
        receive += [f"{HOMIE}/{gateway}/$state", f"zhike/gateway/{gateway}/devices"]
    receive += [stop_topic(room), f"zhike/room/{room}/stopped", f"{HOMIE}/$broadcast/stop/{room}"]
    return Rights(tuple(send), tuple(receive), looks)


def derived_password(key: str, username: str, nonce: str) -> str:
    """A client's password, derived from the instance key, stored nowhere."""
    return hmac.new(key.encode(), f"{username}:{nonce}".encode(), hashlib.sha256).hexdigest()[:32]


def counted(before: int | None, now: int) -> int:
    """How much a device's counter grew; a smaller one means that it began anew."""
    if before is None:
        return 0
    return now - before if now >= before else now


LOW_BATTERY = 20


def battery_of(values: Mapping[str, Any]) -> int | None:
    """Charge in percent among a device's newest readings; None where it tells none."""
    text = str(values.get("main/battery", ""))
    try:
        percent = float(text)
    except ValueError:
        return None
    return round(percent) if 0 <= percent <= 100 else None


def number_of(values: Mapping[str, Any], topic: str) -> float | None:
    """A newest reading as a number; None where there is none."""
    try:
        return float(str(values[topic]))
    except (KeyError, ValueError):
        return None


def take_off_hindrance(
    state: str, alert: str, battery: float | None, height_cm: float | None, min_battery: float
) -> str:
    """Why a drone may not take off: ``not-ready`` | ``flying`` | ``battery-unknown`` | ``battery``; "" = it may."""
    if state != "ready" or alert:
        return "not-ready"
    if height_cm is not None and height_cm > 0:
        return "flying"
    if battery is None:
        return "battery-unknown"
    return "battery" if battery < min_battery else ""


def worries(state: str, alert: str, values: Mapping[str, Any], *, heard: bool) -> tuple[str, ...]:
    """Why somebody should look at a device before it is used: ``lost`` | ``off`` | ``starting`` | ``alert`` | ``battery`` | ``silent``."""
    battery = battery_of(values)
    found = {
        "lost": state == "lost",
        "off": state == "disconnected",
        "starting": state == "init",
        "alert": bool(alert),
        "battery": battery is not None and battery < LOW_BATTERY,
        "silent": not heard and state == "ready",
    }
    return tuple(name for name, yes in found.items() if yes)
