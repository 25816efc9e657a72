"""What a teacher has before them today: slots, the lesson that comes next, what may be chosen (今日课表)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from lms.core import clock
from lms.core.auth import may
from lms.core.db import db
from lms.core.models import Account
from lms.core.stages import grade_of
from lms.courses import service as courses
from lms.courses.models import CatalogueUnit, PackageVersion
from lms.roster import service as roster
from lms.roster.models import Person, Room, School, SchoolClass, TeachingAssignment
from lms.teaching import rules
from lms.teaching.access import person_id_of, school_of, times_of, today_of
from lms.teaching.models import LessonSession
from lms.usage.ahead.service import Hint, hints_for
from lms.usage.models import UsageRecord

RECENT = timedelta(days=21)


@dataclass(frozen=True)
class Choice:
    """One lesson of a package that may be opened; ``value`` is "<package id>/<slug>"."""

    value: str
    title: str
    ordinal: int


@dataclass(frozen=True)
class PackageChoice:
    """A package with its lessons."""

    title: str
    lessons: tuple[Choice, ...]


@dataclass(frozen=True)
class UnitChoice:
    """A catalogue unit that a lesson may name; ``value`` is "<course>:<code>"."""

    value: str
    label: str


@dataclass(frozen=True)
class Card:
    """A lesson that may be opened (or was) at a slot, or ad hoc (``starts`` None).

    ``state``: now | soon | later | past | running | ended | closed. ``lesson``: the session, once there is one.
    """

    class_id: uuid.UUID
    class_name: str
    subject: str
    slot_id: uuid.UUID | None
    starts: datetime | None
    ends: datetime | None
    periods: tuple[int, ...]
    room_id: uuid.UUID | None
    room_name: str
    teacher_name: str
    packages: tuple[PackageChoice, ...]
    chosen: str
    chosen_title: str
    units: tuple[tuple[str, tuple[UnitChoice, ...]], ...]
    chosen_unit: str
    lesson: LessonSession | None
    state: str
    can_reopen: bool = False


@dataclass(frozen=True)
class Today:
    """The page's content: ``first`` is the card to press now, ``hints`` say of the teacher's classes which are behind."""

    first: Card | None
    cards: tuple[Card, ...]
    ad_hoc: tuple[Card, ...]
    others: tuple[tuple[uuid.UUID, str], ...]
    rooms: tuple[Room, ...]
    recent: tuple[LessonSession, ...]
    hints: Mapping[uuid.UUID, Hint]
    class_names: dict[uuid.UUID, str]


class _Desk:
    """Reads of one page, each made once."""

    def __init__(self, actor: Account) -> None:
        self.actor = actor
        self.now = clock.now()
        self.school: School = school_of(actor.organisation_id)
        self.day = today_of(self.school)
        self.person_id = person_id_of(actor)
        self.classes = {one.id: one for one in roster.classes_of(self.school.id)}
        self.rooms = {room.id: room for room in roster.rooms_of(self.school.id)}
        self.packages = [one for one in courses.installed(self.school.id) if one.kind == "package"]
        self.units = courses.units(self.school.id)
        self._manifests: dict[uuid.UUID, PackageVersion] = {}

    def name_of(self, class_id: uuid.UUID) -> str:
        cohort = self.classes.get(class_id) or db.session.get_one(SchoolClass, class_id)
        return roster.class_name(cohort, self.school, self.day)

    def package(self, package_id: uuid.UUID) -> PackageVersion:
        if package_id not in self._manifests:
            self._manifests[package_id] = courses.package_of(package_id)
        return self._manifests[package_id]


def today(actor: Account) -> Today:
    """Cards of the teacher's day; an admin who does not teach sees the whole school's."""
    desk = _Desk(actor)
    teaches = may(actor, ("teacher",), desk.school.id)
    slots = roster.slots_on(desk.school.id, desk.day, teacher_id=desk.person_id if teaches else None)
    lessons = _lessons_of(desk, teaches)
    by_slot = {lesson.slot_id: lesson for lesson in reversed(lessons) if lesson.slot_id is not None and _is_today(desk, lesson)}
    cards = [_slot_card(desk, run, by_slot) for run in rules.joined(slots)]
    used = {card.lesson.id for card in cards if card.lesson is not None}
    cards += [_open_card(desk, lesson) for lesson in lessons if lesson.state in rules.OPEN and lesson.id not in used]
    cards.sort(key=lambda card: card.starts or (card.lesson.started_at if card.lesson is not None else desk.now))
    mine = _classes_taught(desk) if teaches else list(desk.classes)
    first = next((card for state in ("running", "now", "soon") for card in cards if card.state == state), None)
    names = {class_id: desk.name_of(class_id) for class_id in {lesson.class_id for lesson in lessons}}
    return Today(
        first=first,
        cards=tuple(cards),
        ad_hoc=tuple(_card(desk, class_id, "人工智能", None, None) for class_id in mine),
        others=tuple((class_id, desk.name_of(class_id)) for class_id in desk.classes if class_id not in mine),
        rooms=tuple(desk.rooms.values()),
        recent=tuple(lesson for lesson in lessons if lesson.state in ("ended", "closed"))[:12],
        hints=hints_for(desk.school.id, mine) if teaches else {},
        class_names=names,
    )


def card_for(actor: Account, class_id: uuid.UUID) -> Card:
    """An ad hoc card for any class of the school, for a substitute."""
    desk = _Desk(actor)
    return _card(desk, class_id, "人工智能", None, None)


def _classes_taught(desk: _Desk) -> list[uuid.UUID]:
    query = select(TeachingAssignment.class_id).where(TeachingAssignment.teacher_id == desk.person_id, roster.assigned(desk.day))
    taught = set(db.session.scalars(query))
    return [class_id for class_id in desk.classes if class_id in taught]


def _lessons_of(desk: _Desk, teaches: bool) -> list[LessonSession]:
    """Lessons of the last three weeks, newest first."""
    query = select(LessonSession).where(LessonSession.school_id == desk.school.id, LessonSession.started_at > desk.now - RECENT)
    if teaches:
        query = query.where(LessonSession.teacher_id == desk.person_id)
    return list(db.session.scalars(query.order_by(LessonSession.started_at.desc()).limit(60)))


def _is_today(desk: _Desk, lesson: LessonSession) -> bool:
    return clock.local_date(lesson.started_at, desk.school.zone) == desk.day


def _slot_card(desk: _Desk, run: Sequence[roster.DaySlot], by_slot: dict[uuid.UUID, LessonSession]) -> Card:
    lesson = next((by_slot[slot.slot_id] for slot in run if slot.slot_id in by_slot), None)
    return _card(desk, run[0].class_id, run[0].subject, run, lesson)


def _open_card(desk: _Desk, lesson: LessonSession) -> Card:
    return _card(desk, lesson.class_id, lesson.subject, None, lesson)


def _state(desk: _Desk, run: Sequence[roster.DaySlot] | None, lesson: LessonSession | None) -> str:
    if lesson is not None:
        return "running" if lesson.state in rules.LIVE else lesson.state
    if run is None or run[0].starts <= desk.now < run[-1].ends:
        return "now"
    if desk.now >= run[-1].ends:
        return "past"
    return "soon" if run[0].starts - desk.now <= timedelta(minutes=20) else "later"


def _card(desk: _Desk, class_id: uuid.UUID, subject: str, run: Sequence[roster.DaySlot] | None, lesson: LessonSession | None) -> Card:
    packages, chosen, chosen_title = _package_choices(desk, class_id)
    room_id = run[0].room_id if run is not None else (lesson.room_id if lesson is not None else _usual_room(desk, class_id))
    teacher_id = run[0].teacher_id if run is not None else None
    if lesson is not None:
        chosen_title = lesson.title
    return Card(
        class_id=class_id,
        class_name=desk.name_of(class_id),
        subject=subject,
        slot_id=run[0].slot_id if run is not None else None,
        starts=run[0].starts if run is not None else None,
        ends=run[-1].ends if run is not None else (times_of(lesson).bell if lesson is not None else None),
        periods=tuple(slot.ordinal for slot in run or ()),
        room_id=room_id,
        room_name=desk.rooms[room_id].name if room_id in desk.rooms else "",
        teacher_name=(db.session.scalar(select(Person.name).where(Person.id == teacher_id)) or "") if teacher_id not in (None, desk.person_id) else "",
        packages=packages,
        chosen=chosen,
        chosen_title=chosen_title,
        units=_unit_choices(desk.units),
        chosen_unit=_next_unit(desk, class_id),
        lesson=lesson,
        state=_state(desk, run, lesson),
        can_reopen=lesson is not None and rules.may_reopen(lesson.state, lesson.reopen_until, desk.now),
    )


def _usual_room(desk: _Desk, class_id: uuid.UUID) -> uuid.UUID | None:
    """Room of the class's newest lesson, else the first lab, else none."""
    query = select(LessonSession.room_id).where(LessonSession.school_id == desk.school.id, LessonSession.class_id == class_id)
    last = db.session.scalar(query.order_by(LessonSession.started_at.desc()).limit(1))
    return last or next((room.id for room in desk.rooms.values() if room.kind == "lab"), None)


def _package_choices(desk: _Desk, class_id: uuid.UUID) -> tuple[tuple[PackageChoice, ...], str, str]:
    """Packages for the class, pinned first, with the lesson that comes next; the newest version of each other package of its stage."""
    pinned = courses.pinned(class_id)
    cohort = desk.classes.get(class_id)
    grade = None if cohort is None else _grade(desk, cohort)
    wanted = [package.id for package in pinned]
    seen = {package.slug for package in pinned}
    fitting = [one for one in desk.packages if cohort is None or one.stage == cohort.stage]
    for package in sorted(fitting, key=lambda one: abs(one.grade - grade) if grade is not None else 0):
        if package.slug not in seen:
            seen.add(package.slug)
            wanted.append(package.id)
    choices, chosen, title = [], "", ""
    for package_id in wanted:
        package = desk.package(package_id)
        lessons = tuple(
            Choice(f"{package_id}/{raw['id']}", raw["title"]["zh"], number) for number, raw in enumerate(package.manifest["lessons"], 1)
        )
        choices.append(PackageChoice(package.title, lessons))
        if not chosen and lessons:
            slug = rules.next_lesson([raw["id"] for raw in package.manifest["lessons"]], _taught(desk, class_id, package.slug))
            chosen = f"{package_id}/{slug}"
            title = next(one.title for one in lessons if one.value == chosen)
    return tuple(choices), chosen, title


def _grade(desk: _Desk, cohort: SchoolClass) -> int:
    return grade_of(cohort.stage, cohort.entry_year, desk.day, desk.school.system)


def _taught(desk: _Desk, class_id: uuid.UUID, slug: str) -> set[str]:
    """Lessons of the package (any version) that the class has had."""
    versions = [one.id for one in desk.packages if one.slug == slug]
    query = select(LessonSession.lesson_slug).where(
        LessonSession.school_id == desk.school.id, LessonSession.class_id == class_id, LessonSession.package_id.in_(versions)
    )
    return set(db.session.scalars(query))


def unit_choices(school_id: uuid.UUID) -> tuple[tuple[str, tuple[UnitChoice, ...]], ...]:
    """The school's catalogue units by volume."""
    return _unit_choices(courses.units(school_id))


def _unit_choices(units: Sequence[CatalogueUnit]) -> tuple[tuple[str, tuple[UnitChoice, ...]], ...]:
    volumes: dict[str, list[UnitChoice]] = {}
    for unit in units:
        label = f"{unit.code} {unit.title}"
        mark = f"（{unit.marked}）" if unit.marked else ""
        volumes.setdefault(f"{unit.volume}{mark}", []).append(UnitChoice(f"{unit.course}:{unit.code}", label))
    return tuple((volume, tuple(choices)) for volume, choices in volumes.items())


def _next_unit(desk: _Desk, class_id: uuid.UUID) -> str:
    """The unit after the last one that the class's records name; empty where none does: the teacher chooses the first."""
    query = select(UsageRecord.units).where(UsageRecord.school_id == desk.school.id, UsageRecord.class_id == class_id)
    recorded = [units for units in db.session.scalars(query.order_by(UsageRecord.lesson_on.desc(), UsageRecord.id.desc()).limit(20)) if units]
    by_name = {f"{unit.course}:{unit.code}": unit for unit in desk.units}
    last = max((by_name[name] for name in (recorded[0] if recorded else ()) if name in by_name), key=lambda unit: unit.ordinal, default=None)
    if last is None:
        return ""
    volume = [(unit.ordinal, name) for name, unit in by_name.items() if (unit.course, unit.volume) == (last.course, last.volume)]
    later = [pair for pair in volume if pair[0] > last.ordinal]
    return min(later)[1] if later else f"{last.course}:{last.code}"
