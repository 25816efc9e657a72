"""What MQTT says about devices and terminals, gathered in memory and stored once a second (汇总)."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from labkit.lab_check import CLOCK, alerts_of
from lms.core.db import db, new_id
from lms.labs import pc_rules, rules
from lms.labs.cameras import service as cameras
from lms.labs.models import Device, DeviceLessonSummary, StopEvent, TerminalPresence
from lms.roster.models import Room, Seat

MAX_NAME = 60  # of a device
KEPT_VALUES = 24  # newest readings kept of one device
KEPT_ALERTS = 100  # of one device; a gateway may hold one for each of its boards
MAX_ALERT = 120
MAX_VALUE = 200  # characters of one reading; longer ones (landmarks) are not kept
WEB_GRACE = timedelta(seconds=30)
COUNTERS = {"main/commands", "main/frames"}
HEALTH = {f"health/{name}" for name in ("battery", "round-trip", "reading-age", "reconnects", "seat")}  # labkit.health, always kept


@dataclass
class Seen:
    """What is known of one Homie device since the last store."""

    state: str = ""
    alerts: dict[str, str] = field(default_factory=dict)  # alert id → text, as long as it stands
    values: dict[str, str] = field(default_factory=dict)
    at: datetime | None = None
    beats: int = 0
    first_beat: datetime | None = None
    lesson: str = ""
    grown: dict[str, int] = field(default_factory=dict)
    faces: int = 0
    dirty: bool = False


@dataclass(frozen=True)
class StopReport:
    """A gateway's answer to a stop in a room."""

    room: str
    body: dict[str, Any]
    at: datetime


class Intake:
    """Takes messages in the MQTT thread, stores in the bridge's thread."""

    def __init__(self, school_id: uuid.UUID) -> None:
        self._school_id = school_id
        self._lock = threading.Lock()
        self._seen: dict[str, Seen] = {}
        self._described: dict[str, dict[str, Any]] = {}
        self._new_descriptions: set[str] = set()
        self._stops: list[StopReport] = []
        self._recordings: dict[str, list[dict[str, Any]]] = {}  # gateway → what it tells of its recordings
        self._lessons: dict[str, str] = {}  # room code → lesson running there

    @property
    def dirty(self) -> bool:
        """Whether there is something to store."""
        with self._lock:
            return bool(self._stops or self._recordings or self._new_descriptions or any(seen.dirty for seen in self._seen.values()))

    def reconnected(self) -> None:
        """Connected anew: what still stands is told again, an alert that was cleared meanwhile is not."""
        with self._lock:
            for seen in self._seen.values():
                if seen.alerts:
                    seen.alerts.clear()
                    seen.dirty = True

    def lesson_published(self, topic: str, payload: str) -> None:
        """The bridge's own lesson state, so that counts go to the right lesson."""
        self.take(topic, payload.encode(), retained=True, at=None)

    def take(self, topic: str, payload: bytes, *, retained: bool, at: datetime | None) -> None:
        """One message; what cannot be read is dropped, a broken board must not stop a lesson."""
        parts = topic.split("/")
        if len(payload) > 64_000:
            return
        with self._lock:
            if topic.startswith("zhike/room/") and len(parts) == 4:
                self._room(parts[2], parts[3], _json(payload), at)
            elif topic.startswith("zhike/gateway/") and topic.endswith("/devices"):
                for entry in _json(payload, list) or []:
                    if isinstance(entry, dict) and _is_name(entry.get("device")) and pc_rules.listed_by(parts[2], entry["device"]):
                        self._described[entry["device"]] = {**entry, "gateway": parts[2]}
                        self._new_descriptions.add(entry["device"])
            elif topic.startswith("zhike/gateway/") and topic.endswith("/recordings"):
                self._recordings[parts[2]] = [entry for entry in _json(payload, list) or [] if isinstance(entry, dict)]
            elif topic.startswith(f"{rules.HOMIE}/") and len(parts) >= 4:
                self._homie(parts[2], "/".join(parts[3:]), payload.decode("utf-8", "replace").replace("\x00", ""), retained, at)

    def _room(self, room: str, what: str, body: Any, at: datetime | None) -> None:
        if what == "lesson":
            running = isinstance(body, dict) and body.get("state") in ("running", "paused")
            self._lessons[room] = str(body["lesson"]) if running and body.get("lesson") else ""
        elif what == "stopped" and isinstance(body, dict) and isinstance(body.get("id"), str) and at is not None:
            self._stops.append(StopReport(room, body, at))

    def _homie(self, device: str, what: str, text: str, retained: bool, at: datetime | None) -> None:
        if what.endswith("/set") or what == "$description" or device.startswith(rules.TABLE):  # where simulated robots stand is no school's record
            return
        seen = self._seen.setdefault(device, Seen())
        seen.dirty = True
        if not retained:
            seen.at = at
        if what == "$state":
            seen.state = text[:12] or "disconnected"  # cleared: the device was taken out of its lab
        elif what.startswith("$alert/"):
            _note_alert(seen, what.removeprefix("$alert/"), text)
        elif what == "terminal/heartbeat" and not retained:
            seen.beats += 1
            seen.first_beat = seen.first_beat or at
        elif not what.startswith("$"):
            self._value(device, seen, what, text)

    def _value(self, device: str, seen: Seen, what: str, text: str) -> None:
        if what in COUNTERS:
            if not _is_count(text):
                return
            before = seen.values.get(what)
            seen.grown[what] = seen.grown.get(what, 0) + rules.counted(int(before) if before is not None else None, int(text))
        if what == "main/faces" and text.isdecimal() and len(text) < 4:
            seen.faces = max(seen.faces, int(text))
        if what == "terminal/lesson":
            seen.lesson = text[:40]
        if len(text) <= MAX_VALUE and (what in seen.values or what in HEALTH or len(seen.values) < KEPT_VALUES):
            seen.values[what] = text

    def store(self, now: datetime) -> None:
        """Write what is new; call it inside one short write."""
        with self._lock:
            changed = {device: _taken(seen) for device, seen in self._seen.items() if seen.dirty}
            described = {device: dict(self._described[device]) for device in self._new_descriptions}
            self._new_descriptions.clear()
            stops, self._stops = self._stops, []
            recordings, self._recordings = self._recordings, {}
            lessons = dict(self._lessons)
            alerts = {device: dict(seen.alerts) for device, seen in self._seen.items() if seen.alerts}
        rooms = {room.code: room for room in db.session.scalars(select(Room).where(Room.school_id == self._school_id))}
        for device, entry in described.items():
            _store_description(device, entry, rooms)
        db.session.flush()
        for gateway, entries in recordings.items():
            cameras.take_report(self._school_id, gateway, entries)
        devices = {row.homie_id: row for row in db.session.scalars(select(Device).where(Device.school_id == self._school_id))}
        seats = {seat.terminal: seat for seat in db.session.scalars(select(Seat).where(Seat.school_id == self._school_id, Seat.terminal.in_(changed)))}
        codes: dict[uuid.UUID | None, str] = {room.id: code for code, room in rooms.items()}
        for name, seen in changed.items():
            if name in seats:
                _store_presence(seats[name], seen, lessons.get(codes[seats[name].room_id], ""))
            elif name in devices:
                room_id = devices[name].room_id
                _store_device(devices[name], seen, lessons.get(codes[room_id], "") if room_id in codes else "")
        for row in devices.values():
            if not changed.keys().isdisjoint((row.homie_id, row.gateway)) or row.homie_id in described:
                row.alerts = _alerts_of(row, alerts, devices)
                row.alert = "；".join(text for name, text in sorted(row.alerts.items()) if name != CLOCK)[:MAX_ALERT]
                row.state = self._state_of(row)
        late = [report for report in stops if not _store_stop(report, rooms, devices, lessons, now)]
        with self._lock:
            self._stops += late

    def _state_of(self, row: Device) -> str:
        """A device's own state, but ``lost`` with the gateway that it is plugged into: its own topic still says ready then."""
        with self._lock:
            own, root = self._seen.get(row.homie_id), self._seen.get(row.gateway)
            child = bool(self._described.get(row.homie_id, {}).get("parent"))
        if child and root is not None and root.state == "lost":
            return root.state
        return own.state if own is not None and own.state else row.state


def _note_alert(seen: Seen, alert: str, text: str) -> None:
    """Keep an alert until its topic is cleared by an empty payload (Homie 5, alerts)."""
    if not text:
        seen.alerts.pop(alert, None)
    elif alert in seen.alerts or len(seen.alerts) < KEPT_ALERTS:
        seen.alerts[alert] = text[:MAX_ALERT]


def _alerts_of(row: Device, alerts: dict[str, dict[str, str]], devices: dict[str, Device]) -> dict[str, str]:
    """What stands about a device: its own alerts, and its gateway's ``<device>-<alert>`` (a board of its own has no other voice when lost)."""
    names = [name for name, other in devices.items() if other.gateway == row.gateway]
    return alerts_of(row.homie_id, alerts.get(row.homie_id, {}), alerts.get(row.gateway, {}), names)


def _taken(seen: Seen) -> Seen:
    copy = Seen(seen.state, {}, dict(seen.values), seen.at, seen.beats, seen.first_beat, seen.lesson, dict(seen.grown), seen.faces)
    seen.beats, seen.first_beat, seen.grown, seen.faces, seen.dirty = 0, None, {}, 0, False
    return copy


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= MAX_NAME


def _is_count(text: str) -> bool:
    """Whether a counter's reading is one: a gateway clears the topic, a board may send anything."""
    return text.isdecimal() and len(text) < 12


def _json(payload: bytes, kind: type = dict) -> Any:
    """What a database can keep; None for the rest: NUL, half characters, NaN and infinity too, which JSON's reader takes."""
    try:
        body = json.loads(payload)
        text = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, kind) and b"\\u0000" not in text else None


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _store_description(name: str, entry: dict[str, Any], rooms: dict[str, Room]) -> None:
    room = rooms.get(str(entry.get("room", "")))
    if room is None:
        return
    row = db.session.scalar(select(Device).where(Device.school_id == room.school_id, Device.homie_id == name))
    if row is None:
        row = Device(id=new_id(), school_id=room.school_id, homie_id=name[:60], values={})
        db.session.add(row)
    row.room_id, row.gateway = room.id, str(entry.get("gateway", ""))[:60]
    row.profile, row.kind = str(entry.get("profile", ""))[:60], str(entry.get("kind", ""))[:12]
    row.title, row.sticker = str(entry.get("title", ""))[:80], str(entry.get("sticker", ""))[:12]


def _store_device(row: Device, seen: Seen, lesson: str) -> None:
    row.state, row.seen_at = seen.state or row.state, seen.at or row.seen_at
    row.values = {**row.values, **seen.values}
    lesson_id = _uuid(lesson)
    if lesson_id is None or seen.at is None:
        return
    summary = _summary(row, lesson_id)
    summary.commands += seen.grown.get("main/commands", 0)
    summary.frames += seen.grown.get("main/frames", 0)
    summary.faces_max = max(summary.faces_max, seen.faces)
    summary.first_at, summary.last_at = summary.first_at or seen.at, seen.at


def _summary(row: Device, lesson_id: uuid.UUID) -> DeviceLessonSummary:
    found = db.session.scalar(
        select(DeviceLessonSummary).where(
            DeviceLessonSummary.school_id == row.school_id, DeviceLessonSummary.lesson_id == lesson_id, DeviceLessonSummary.device_id == row.id
        )
    )
    if found is None:
        found = DeviceLessonSummary(
            id=new_id(), school_id=row.school_id, lesson_id=lesson_id, device_id=row.id, commands=0, frames=0, faces_max=0
        )
        db.session.add(found)
    return found


def _store_presence(seat: Seat, seen: Seen, lesson: str) -> None:
    lesson_id = _uuid(seen.lesson)
    if lesson_id is None or not seen.beats or seen.lesson != lesson:  # a terminal speaks only of the lesson in its room
        return
    row = db.session.scalar(
        select(TerminalPresence).where(
            TerminalPresence.school_id == seat.school_id, TerminalPresence.lesson_id == lesson_id, TerminalPresence.seat_id == seat.id
        )
    )
    if row is None:
        row = TerminalPresence(
            id=new_id(), school_id=seat.school_id, lesson_id=lesson_id, seat_id=seat.id, beats=0, step=0, visible=True, secure=False
        )
        db.session.add(row)
    row.beats += seen.beats
    row.first_at, row.last_at = row.first_at or seen.first_beat, seen.at
    step = seen.values.get("terminal/step", "")
    row.step = int(step) if step.isdecimal() and len(step) < 4 else row.step
    row.visible = seen.values.get("terminal/visible", "true") == "true"


def _store_stop(report: StopReport, rooms: dict[str, Room], devices: dict[str, Device], lessons: dict[str, str], now: datetime) -> bool:
    """Keep a stop's report; False while the web's own row may still come (the console publishes first, then posts)."""
    key = str(report.body["id"])[:40]
    event = db.session.scalar(select(StopEvent).where(StopEvent.stop_id == key))
    if event is None:
        room = rooms.get(report.room)
        if room is None or rules.is_check(key):  # the check of a command line: no stop of this school's record
            return True
        if now - report.at < WEB_GRACE:
            return False
        event = StopEvent(
            id=new_id(), school_id=room.school_id, room_id=room.id, stop_id=key, lesson_id=_uuid(lessons.get(report.room, "")), confirmed=[], unconfirmed=[]
        )
        db.session.add(event)
    confirmed = [str(name) for name in report.body.get("confirmed", []) if isinstance(name, str)][:200]
    unconfirmed = [entry for entry in report.body.get("unconfirmed", []) if isinstance(entry, dict)][:200]
    event.confirmed = sorted({*event.confirmed, *confirmed})
    # A room may have several gateways: each answers for its own robots, and takes nobody else's off the list.
    listed = {str(entry.get("device")): entry for entry in (*event.unconfirmed, *unconfirmed)}
    event.unconfirmed = [entry for name, entry in listed.items() if name not in event.confirmed]
    event.reported_at = report.at
    if event.lesson_id is not None:
        stood = dict.fromkeys(event.confirmed, True) | {str(entry.get("device")): False for entry in event.unconfirmed}
        for name in stood.keys() & devices.keys():
            _summary(devices[name], event.lesson_id).stop_confirmed = stood[name]
    return True
