"""Lab check before the lesson (课前检查) on the page: robots that nobody uses prove a stop, then everything known is judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from flask_babel import get_locale
from sqlalchemy import select

from labkit.lab_check import FIX, Facts, Finding, judge
from labkit.model import Kind, State
from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.models import Account, OutboxMessage
from lms.labs import rules, service
from lms.labs.models import Device, DeviceLease, StopEvent
from lms.roster.models import Room

PATIENCE = timedelta(seconds=8)  # a gateway answers within 1.7 s, the bridge stores within 1 s more


@dataclass(frozen=True)
class Line:
    """One thing to do, in the page's language; ``urgent`` before the lesson, else to be watched."""

    where: str
    text: str
    urgent: bool
    device: str


@dataclass(frozen=True)
class Vital:
    """How well one device is: battery in percent, round trip in ms, age of the last reading in s, reconnects; None = not told."""

    device: Device
    seat: str
    battery: int | None
    trip_ms: int | None
    reading_s: int | None
    reconnects: int | None


@dataclass(frozen=True)
class Result:
    """What a check found; ``done`` False while gateways may still answer."""

    done: bool
    devices: int
    proved: int
    lines: tuple[Line, ...]

    @property
    def urgent(self) -> int:
        """How many devices are to be seen to before the lesson."""
        return len({line.device for line in self.lines if line.urgent})


def in_use(room: Room) -> bool:
    """Whether groups hold robots of the room: then nobody's robot is stopped for a check."""
    query = select(DeviceLease.id).join(Device, Device.id == DeviceLease.device_id)
    query = query.where(Device.room_id == room.id, DeviceLease.released_at.is_(None), DeviceLease.until > clock.now())
    return db.session.scalar(query.limit(1)) is not None


def begin(actor: Account, room: Room) -> str:
    """Ask every robot of the room for a stop; the stop's id, or "" where a lesson is on and only what is known is judged."""
    if in_use(room):
        return ""
    return service.stop_room(actor, room, None, f"{rules.CHECK}{new_id().hex}").stop_id


def result(room: Room, run: str) -> Result:
    """What is known now: ``run`` as `begin` gave it; an unknown one is as good as none."""
    event = db.session.scalar(select(StopEvent).where(StopEvent.stop_id == run, StopEvent.room_id == room.id)) if run else None
    devices = service.devices_in(room.id)
    asked = {d.homie_id for d in devices if d.kind == Kind.ROBOT.value and d.state == State.READY.value} if event else set()
    reasons = {str(row.get("device")): str(row.get("reason", "")) for row in (event.unconfirmed if event else []) if isinstance(row, dict)}
    proved = set(event.confirmed) if event else set()
    waiting = asked - proved - reasons.keys()
    done = event is None or not waiting or clock.now() - event.created_at > PATIENCE
    answered = {d.gateway for d in devices if d.homie_id in proved | reasons.keys()}
    silent = {d.gateway for d in devices if d.homie_id in asked and done} - answered
    # A kit that its gateway has lost has an alert that says why; lost without one, it is lost with its gateway.
    silent |= {d.gateway for d in devices if d.state == State.LOST.value and not d.alert}
    facts = []
    for device in devices:
        stood = None if device.homie_id not in asked else device.homie_id in proved
        facts.append(_facts(device, stood if done else None, reasons.get(device.homie_id, ""), lost=device.gateway in silent))
    english = str(get_locale()) == "en"
    lines = tuple(_line(finding, english) for finding in judge(facts))
    return Result(done, len(devices), len(proved & asked), lines)


def vitals(room: Room) -> list[Vital]:
    """How well each device of a room is; a reading is older by the time since the device was last heard."""
    found = []
    for device in service.devices_in(room.id):
        told = _facts(device, None, "", lost=False)
        age = told.number("reading-age")
        if age is not None and device.seen_at is not None:
            age += max(0.0, (clock.now() - device.seen_at).total_seconds())
        battery = told.number("battery")
        battery = told.number("battery", "main") if battery is None else battery
        numbers = (battery, told.number("round-trip"), age, told.number("reconnects"))
        found.append(Vital(device, told.seat, *(None if n is None else round(n) for n in numbers)))
    return found


def _facts(device: Device, proved: bool | None, why: str, *, lost: bool) -> Facts:
    values = {name: str(value) for name, value in device.values.items()}
    return Facts(
        device=device.homie_id,
        kind=Kind(device.kind) if device.kind in set(Kind) else Kind.SENSOR,
        sticker=device.sticker,
        seat=values.get("health/seat", ""),
        title=device.title,
        gateway=device.gateway,
        state=State(device.state) if device.seen_at is not None and device.state in set(State) else None,
        root=State.LOST if lost else State.READY,
        alerts=dict(device.alerts),
        values=values,
        proved=proved,
        why=why,
    )


def _line(finding: Finding, english: bool) -> Line:
    where, text = (finding.where_en, finding.en) if english else (finding.where, finding.zh)
    return Line(where, text, finding.level == FIX, finding.device)


def confirm(actor: Account, device: Device) -> None:
    """A person has looked: the board that is plugged in is this device; the gateway drives it again."""
    with write():
        topic = f"{rules.HOMIE}/{device.homie_id}/main/confirm/set"
        db.session.add(OutboxMessage(school_id=device.school_id, destination="mqtt", topic=topic, payload="confirm", retain=False))
        audit(actor, "confirm-board", "device", device.id, school_id=device.school_id)
