"""Verbs on past lessons: read rows against the school, enter them as records of grade C, undo an import by corrections (补录)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound
from lms.core.models import Account
from lms.core.stages import CLASS_HOUR_MINUTES, grade_of
from lms.courses import service as courses
from lms.roster import service as roster
from lms.roster.calendar import is_school_day
from lms.roster.models import PersonAlias, School, SchoolClass
from lms.roster.rules import ClassNameError, parse_class_name, squeeze
from lms.usage import service as usage
from lms.usage.corrections import service as corrections
from lms.usage.evidence.lesson_facts import LessonFacts
from lms.usage.judging.lessons import KIND_NAMES
from lms.usage.models import VOID, UsageRecord
from lms.usage.ownclasses import own_classes
from lms.usage.past.models import PastImport
from lms.usage.past.planned import (
    ClassInfo,
    Fault,
    Judged,
    Known,
    Lesson,
    Row,
    against_records,
    number,
    part_of,
    start_of,
    sums,
    teacher_of,
)
from lms.usage.reasons import N_, reason
from lms.usage.schoolyear.planned import date_of

NAMESPACE = uuid.UUID("5f1c6e0a-6d0e-5c55-9d7e-3a0f6f1b7c21")
SUBJECT = "人工智能"


class Desk:
    """What rows are read against, each asked once."""

    def __init__(self, actor: Account, school: School) -> None:
        self.school = school
        self.own = own_classes(actor, roster.today_of(school))
        self.classes = {row.id: row for row in roster.classes_of(school.id)}
        self.terms = sorted(roster.terms_of(school.id), key=lambda term: term.starts_on)
        self.calendars = {term.id: roster.school_calendar(school.id, term) for term in self.terms}
        self.hours = {row.stage: row.class_hour_minutes for row in roster.stages_of(school.id)}
        self.periods = {
            stage: {one.ordinal: (one.starts_at, one.ends_at) for one in roster.periods_of(school.id, stage)}
            for stage in {row.stage for row in self.classes.values()}
        }
        self.names = {row.id: roster.class_name(row, school, roster.today_of(school)) for row in self.classes.values()}
        self.known = Known(
            today=roster.today_of(school),
            terms=[(term.starts_on, term.ends_on) for term in self.terms],
            teachers=_teachers(school.id),
            units=_units(school.id),
            kinds={name: kind for kind, name in KIND_NAMES.items()}
            | {"常规": "regular", "合班": "combined", "线上": "online"},
            subject=SUBJECT,
            taught=_taught(school),
        )

    def info(self, cohort: SchoolClass) -> ClassInfo:
        """A class as rows need it."""
        hour = self.hours.get(cohort.stage) or CLASS_HOUR_MINUTES[cohort.stage]
        return ClassInfo(str(cohort.id), self.names[cohort.id], hour, self.periods.get(cohort.stage, {}))

    def class_of(self, text: str, day: date) -> SchoolClass | None:
        """The class that a name means on a day: as the school shows it, else as the parser reads it."""
        for cohort in self.classes.values():
            shown = {self.names[cohort.id], roster.class_name(cohort, self.school, day), cohort.label}
            if squeeze(text) in {squeeze(name) for name in shown if name}:
                return cohort
        try:
            ref = parse_class_name(text, self.school.system)
        except ClassNameError:
            return None
        fits = [
            one
            for one in self.classes.values()
            if one.number == ref.number
            and (ref.stage is None or one.stage == ref.stage)
            and (ref.entry_year is None or one.entry_year == ref.entry_year)
            and (ref.grade is None or grade_of(one.stage, one.entry_year, day, self.school.system) == ref.grade)
        ]
        return fits[0] if len(fits) == 1 else None


def _teachers(school_id: uuid.UUID) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    people = roster.staff_of(school_id)
    aliases = select(PersonAlias.person_id, PersonAlias.value).where(
        PersonAlias.school_id == school_id, PersonAlias.scheme == "staff_no"
    )
    numbers = {row[0]: row[1] for row in db.session.execute(aliases)}
    for person in people:
        for name in {person.name.replace(" ", ""), numbers.get(person.id, "")} - {""}:
            found[name] = (*found.get(name, ()), str(person.id))
    return found


def _units(school_id: uuid.UUID) -> dict[str, str]:
    course = usage.course_of(school_id)
    found: dict[str, str] = {}
    for unit in [
        *courses.units(school_id),
        *courses.units(school_id, course),
    ]:  # the course that counts comes last and wins
        value = f"{unit.course}:{unit.code}"
        for name in (value, unit.code, unit.title, f"{unit.code} {unit.title}"):
            found[squeeze(name)] = value
    return found


def standing(school_id: uuid.UUID) -> list[UsageRecord]:
    """Records that no correction replaced or withdrew."""
    replaced = select(UsageRecord.corrects_id).where(
        UsageRecord.school_id == school_id, UsageRecord.corrects_id.is_not(None)
    )
    query = select(UsageRecord).where(
        UsageRecord.school_id == school_id, UsageRecord.id.not_in(replaced), UsageRecord.kind != VOID
    )
    return list(db.session.scalars(query))


def _taught(school: School) -> dict[tuple[str, date], list[tuple[time, time, str]]]:
    found: dict[tuple[str, date], list[tuple[time, time, str]]] = {}
    for row in standing(school.id):
        begins, ends = clock.local(row.started_at, school.zone).time(), clock.local(row.ended_at, school.zone).time()
        key = _key(str(row.class_id), row.lesson_on, begins) if _by_hand(row) else ""
        found.setdefault((str(row.class_id), row.lesson_on), []).append((begins, ends, key))
    return found


def _by_hand(row: UsageRecord) -> bool:
    return row.detail.get("end_reason") == "paper"


def _key(class_id: str, day: date, starts: time) -> str:
    return f"{class_id}/{day.isoformat()}/{starts:%H:%M}"


def judged(actor: Account, school: School, rows: Sequence[Row]) -> list[Judged]:
    """Every row with its verdict, in the order of the file."""
    desk = Desk(actor, school)
    found: list[Judged] = []
    seen: set[str] = set()
    for row in rows:
        try:
            one = _understood(desk, row)
        except Fault as fault:
            found.append(Judged(row, "bad", column=fault.column, why=fault.why, class_name=row.get("班级")))
            continue
        one = against_records(one, desk.known)
        if one.lesson is not None and one.lesson.key in seen and one.state == "new":
            one = replace(
                one, state="bad", column="日期", why=reason("twice", N_("与前面一行是同一个班、同一时间的课"))
            )
        if one.lesson is not None:
            seen.add(one.lesson.key)
        found.append(one)
    return found


def _understood(desk: Desk, row: Row) -> Judged:
    day = _day(desk, row, "日期", needed=True)
    assert day is not None
    cohort = _class(desk, row, day)
    info = desk.info(cohort)
    starts, length = start_of(row, info)
    minutes = number(row, "分钟", length)
    roster_size = number(row, "应到", len(roster.roster_of(cohort.id, day)))
    leave, present = number(row, "请假", 0), number(row, "实到", None)
    sums(roster_size, leave, present)
    hours = number(row, "课时", 2 if minutes >= 1.5 * info.class_hour else 1)
    kind = _kind(desk, row)
    makeup = _day(desk, row, "补哪天的课", needed=kind == "makeup")
    unit = _unit(desk, row)
    lesson = Lesson(
        key=_key(info.id, day, starts),
        class_id=info.id,
        day=day,
        starts=starts,
        minutes=minutes,
        class_hours=max(1, hours),
        subject=row.get("学科")[:32] or SUBJECT,
        title=row.get("课题")[:120],
        units=(unit,) if unit else (),
        teacher_id=teacher_of(row, desk.known),
        roster=roster_size,
        leave=leave,
        present=present,
        kind=kind,
        makeup_of=f"{makeup.isoformat()}/paper" if makeup and kind == "makeup" else None,
        part_of=part_of(row, info.id, day, _day(desk, row, "第一部分日期", needed=False)),
    )
    return Judged(row, "new", lesson, class_name=info.name, teacher=row.get("任课教师"))


def _day(desk: Desk, row: Row, column: str, *, needed: bool) -> date | None:
    text = row.get(column)
    if not text:
        if needed:
            raise Fault(column, reason("empty", N_("没有填")))
        return None
    starts, ends = desk.known.terms[-1] if desk.known.terms else (desk.known.today, desk.known.today)
    try:
        day = date_of(text, starts, ends)
    except ValueError as error:
        raise Fault(column, reason("date", N_("日期看不懂：%(text)s；请写成 2026-11-03 这样"), text=text)) from error
    if day > desk.known.today and column == "日期":
        raise Fault(column, reason("future", N_("%(day)s 还没有到"), day=day.isoformat()))
    if not any(first <= day <= last for first, last in desk.known.terms):
        raise Fault(column, reason("no-term", N_("%(day)s 不在校历的任何学期里"), day=day.isoformat()))
    return day


def _class(desk: Desk, row: Row, day: date) -> SchoolClass:
    text = row.get("班级")
    cohort = desk.class_of(text, day) if text else None
    if cohort is None:
        raise Fault("班级", reason("no-class", N_("本校没有这个班：%(text)s"), text=text or "–"))
    if desk.own is not None and str(cohort.id) not in desk.own:
        raise Fault("班级", reason("not-your-class", N_("您没有任教 %(name)s"), name=desk.names[cohort.id]))
    term = next(term for term in desk.terms if term.starts_on <= day <= term.ends_on)
    if not is_school_day(
        desk.calendars[term.id], day, grade_of(cohort.stage, cohort.entry_year, day, desk.school.system)
    ):
        raise Fault("日期", reason("no-school", N_("校历上 %(day)s 这个年级不上课"), day=day.isoformat()))
    return cohort


def _kind(desk: Desk, row: Row) -> str:
    text = row.get("课型")
    if not text:
        return "regular"
    kind = desk.known.kinds.get(text)
    if kind is None:
        raise Fault("课型", reason("kind", N_("应填 %(names)s 之一"), names="、".join(KIND_NAMES.values())))
    return kind


def _unit(desk: Desk, row: Row) -> str:
    text = row.get("教材的课")
    if not text:
        return ""
    found = desk.known.units.get(squeeze(text))
    if found is None:
        raise Fault("教材的课", reason("unit", N_("学校的教材目录里没有“%(text)s”"), text=text))
    return found


def enter(actor: Account, school: School, rows: Sequence[Row], file_name: str, sha256: str) -> PastImport | None:
    """Enter the new rows as usage records of grade C; known and skipped rows change nothing. None where no row is new.

    Raises Invalid where a row has a fault: it is shown first.
    """
    verdicts = judged(actor, school, rows)
    if any(one.state == "bad" for one in verdicts):
        raise Invalid("past-rows", _l("有几行不能导入。"), remedy=_l("请改好文件后重新上传。"))
    lessons = [one.lesson for one in verdicts if one.state == "new" and one.lesson is not None]
    if not lessons:
        return None
    with write():
        records = [
            usage.record_lesson(_facts(school, lesson), actor) for lesson in sorted(lessons, key=lambda one: one.day)
        ]
        made = PastImport(id=new_id(), school_id=school.id, file_name=file_name[:120], sha256=sha256)
        made.record_ids, made.entered_at, made.entered_by = [str(one.id) for one in records], clock.now(), actor.id
        db.session.add(made)
        db.session.flush()
        audit(actor, "enter-past-lessons", "past_import", made.id, school_id=school.id, records=len(records))
    return made


def _facts(school: School, lesson: Lesson) -> LessonFacts:
    zone = ZoneInfo(school.zone)
    starts = datetime.combine(lesson.day, lesson.starts, zone).astimezone(UTC)
    ends = datetime.combine(lesson.day, lesson.ends, zone).astimezone(UTC)
    return LessonFacts(
        school_id=school.id,
        lesson_id=_lesson_id(school, lesson),
        class_id=uuid.UUID(lesson.class_id),
        teacher_id=uuid.UUID(lesson.teacher_id),
        room_id=None,
        lesson_on=lesson.day,
        started_at=starts,
        ended_at=max(ends, starts),
        minutes=lesson.minutes,
        class_hours=lesson.class_hours,
        kind=lesson.kind,
        subject=lesson.subject,
        units=lesson.units,
        roster=lesson.roster,
        present=lesson.present,
        on_leave=lesson.leave,
        slot_start=None,
        slot_end=None,
        modality="no-terminals",
        title=lesson.title or lesson.subject,
        end_reason="paper",
        makeup_of=lesson.makeup_of,
        part_of=dict(lesson.part_of) if lesson.part_of else None,
        manual=True,
    )


def _lesson_id(school: School, lesson: Lesson) -> uuid.UUID:
    """The same lesson has the same id; one that was withdrawn and is entered again has the next."""
    for attempt in range(1, 100):
        found = uuid.uuid5(NAMESPACE, f"{school.id}/{lesson.key}/{attempt}")
        query = select(UsageRecord.id).where(UsageRecord.school_id == school.id, UsageRecord.lesson_id == found)
        if db.session.scalar(query.limit(1)) is None:
            return found
    raise Invalid("past-rows", _l("这节课已补录和撤销太多次。"), where=lesson.key)


def imports_of(school_id: uuid.UUID) -> list[PastImport]:
    """Imports, newest first."""
    query = select(PastImport).where(PastImport.school_id == school_id)
    return list(db.session.scalars(query.order_by(PastImport.entered_at.desc(), PastImport.id.desc()).limit(50)))


def undo(actor: Account, import_id: uuid.UUID, reason: str) -> int:
    """Propose to withdraw every record of an import that stands; another person countersigns. Returns how many."""
    row = db.session.get(PastImport, import_id)
    if row is None or row.school_id != actor.organisation_id:
        raise NotFound("past-import", _l("没有这次补录。"))
    return corrections.void(
        actor, [uuid.UUID(one) for one in row.record_ids], reason or str(_l("撤销补录 %(name)s", name=row.file_name))
    )


def left_of(rows: Iterable[PastImport], school_id: uuid.UUID) -> dict[uuid.UUID, int]:
    """How many records of each import still stand as they were entered."""
    there = {str(row.id) for row in standing(school_id)}
    return {row.id: sum(one in there for one in row.record_ids) for row in rows}
