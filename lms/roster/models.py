"""Tables of the roster: school, calendar, classes, people, rooms, timetable."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lms.core.db import Base, SchoolRow
from lms.core.models import Account, Organisation


class School(Base):
    """What makes an organisation a school (学校). ``id`` is the organisation's.

    ``school_type``: one of stages.SCHOOL_TYPES; ``locality``: 城区 | 镇区 | 乡村; ``system``: 6-3 | 5-4.
    ``class_style``: how class names are shown, see rules.class_name. ``host_subject``: the subject of the timetable in which AI is
    taught (AI 课所在学科, HA-04), "" where it stands as 人工智能. Personal data: none.
    """

    __tablename__ = "school"
    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    school_type: Mapped[str] = mapped_column(String(16))
    locality: Mapped[str] = mapped_column(String(8), default="城区")
    system: Mapped[str] = mapped_column(String(4), default="6-3")
    zone: Mapped[str] = mapped_column(String(40), default="Asia/Shanghai")
    class_style: Mapped[str] = mapped_column(String(16), default="grade")
    host_subject: Mapped[str] = mapped_column(String(32), default="")
    organisation: Mapped[Organisation] = relationship(lazy="joined")


class SchoolStage(SchoolRow, Base):
    """A stage that the school declares (学段), with its solution configuration 一/二/三 (GS-34..38).

    ``admitted_on``: pilot admission (window start, B2). ``training_until``: end of the one-year training service (GS-38).
    Personal data: none.
    """

    __tablename__ = "school_stage"
    __table_args__ = (UniqueConstraint("school_id", "stage"),)
    stage: Mapped[str] = mapped_column(String(8))
    class_hour_minutes: Mapped[int]
    solution_config: Mapped[int] = mapped_column(default=1)
    participates: Mapped[bool] = mapped_column(default=True)
    admitted_on: Mapped[date | None]
    training_until: Mapped[date | None]


class Term(SchoolRow, Base):
    """A term of the school calendar (学期): ``school_year`` is the year it began in, ``ordinal`` 1 autumn, 2 spring. Personal data: none."""

    __tablename__ = "term"
    __table_args__ = (UniqueConstraint("school_id", "school_year", "ordinal"),)
    school_year: Mapped[int]
    ordinal: Mapped[int]
    starts_on: Mapped[date]
    ends_on: Mapped[date]


class CalendarDay(SchoolRow, Base):
    """An entry on a day that departs from Monday–Friday (节假日、调休、停课), B1; the newest one that stands holds.

    ``follows``: 0–6, the weekday whose timetable a 调休 day follows. ``source``: national | school. ``state``: estimated | announced.
    ``grades``: None for all. An entry is never changed or deleted, since its time is evidence: it is withdrawn (撤销), countersigned
    (会签) or declined by the county. ``entered_by`` None: the installation itself. Personal data: who entered, withdrew and signed.
    """

    __tablename__ = "calendar_day"
    __table_args__ = (Index("ix_calendar_day_school_day", "school_id", "day"),)
    day: Mapped[date]
    is_school: Mapped[bool]
    follows: Mapped[int | None]
    source: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(12), default="announced")
    reason: Mapped[str] = mapped_column(String(60), default="")
    entered_at: Mapped[datetime]
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    countersigned_at: Mapped[datetime | None]
    countersigned_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    declined_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    grades: Mapped[list[int] | None]


class FlaggedWeek(SchoolRow, Base):
    """A week that the school declares not effective: exams, 军训, review (非教学周), B1; kept as :class:`CalendarDay` is.

    Personal data: who entered, withdrew and signed.
    """

    __tablename__ = "flagged_week"
    __table_args__ = (Index("ix_flagged_week_school_monday", "school_id", "monday"),)
    monday: Mapped[date]
    reason: Mapped[str] = mapped_column(String(60))
    entered_at: Mapped[datetime]
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    countersigned_at: Mapped[datetime | None]
    countersigned_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    declined_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    grades: Mapped[list[int] | None]


class NationalYear(SchoolRow, Base):
    """A year's national table as the school entered it from the notice (国家节假日表); the newest of a year stands, before the bundled one.

    ``state``: estimated | announced. ``table``: ``holidays`` [{name, from, to}], ``workdays`` [{name, day, follows}]. Personal data: who entered it.
    """

    __tablename__ = "national_year"
    __table_args__ = (Index("ix_national_year_school_year", "school_id", "year"),)
    year: Mapped[int]
    state: Mapped[str] = mapped_column(String(12))
    notice: Mapped[str] = mapped_column(String(120))
    table: Mapped[dict[str, Any]]
    entered_at: Mapped[datetime]
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class Period(SchoolRow, Base):
    """A lesson period of the day (节次) of one stage; local times. Personal data: none."""

    __tablename__ = "period"
    __table_args__ = (UniqueConstraint("school_id", "stage", "ordinal"),)
    stage: Mapped[str] = mapped_column(String(8))
    ordinal: Mapped[int]
    starts_at: Mapped[time]
    ends_at: Mapped[time]


class SchoolClass(SchoolRow, Base):
    """A class as a cohort (班级): stage + entry year + number, never its display name.

    ``kind``: administrative (行政班) | teaching (走班教学班). ``formed_on``: the 分班 date (B2). ``pin_style``: digits | pictures, what the
    pupils' new PINs are. Personal data: none.
    """

    __tablename__ = "school_class"
    __table_args__ = (UniqueConstraint("school_id", "stage", "entry_year", "number", "kind"),)
    stage: Mapped[str] = mapped_column(String(8))
    entry_year: Mapped[int]
    number: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16), default="administrative")
    formed_on: Mapped[date]
    closed_on: Mapped[date | None]
    label: Mapped[str] = mapped_column(String(40), default="")
    pin_style: Mapped[str] = mapped_column(String(8), default="digits")


class Person(SchoolRow, Base):
    """A pupil, teacher or guardian of the school (人员).

    Personal data: name and school number, to keep the register; until leaving + 1 year. No ID card number, no photograph.
    ``erased_on``: nothing of the person is held any more (删除), the row is a shell for counts.
    """

    __tablename__ = "person"
    __table_args__ = (Index("ix_person_school_kind", "school_id", "kind"),)
    kind: Mapped[str] = mapped_column(String(8))  # student | staff | guardian
    name: Mapped[str] = mapped_column(String(64))
    sex: Mapped[str] = mapped_column(String(4), default="")
    title: Mapped[str] = mapped_column(String(32), default="")  # 职称, B5
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"), unique=True)
    left_on: Mapped[date | None]
    erased_on: Mapped[date | None]
    account: Mapped[Account | None] = relationship()


class PersonAlias(SchoolRow, Base):
    """A number by which others know a person (学号、工号、学籍号), for idempotent import; never a key.

    Personal data: school number (学号 or 工号); a 学籍号 only as a keyed hash; until leaving + 1 year.
    """

    __tablename__ = "person_alias"
    __table_args__ = (UniqueConstraint("school_id", "scheme", "value"), Index("ix_person_alias_person", "person_id"))
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    scheme: Mapped[str] = mapped_column(String(16))  # student_no | staff_no | registry_hmac
    value: Mapped[str] = mapped_column(String(80))


class Enrollment(SchoolRow, Base):
    """A pupil in a class, from – until (在班); ``ends_on`` is the last day in it, None while it lasts. Personal data: class membership; until leaving + 1 year."""

    __tablename__ = "enrollment"
    __table_args__ = (
        Index("ix_enrollment_school_class", "school_id", "class_id"),
        Index("ix_enrollment_person", "person_id"),
    )
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    class_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("school_class.id"))
    roll_no: Mapped[int] = mapped_column(default=0)  # 班内序号
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]


class GuardianLink(SchoolRow, Base):
    """A guardian of a pupil (监护人). Personal data: kinship and telephone, kept only where the school asks; until leaving + 1 year."""

    __tablename__ = "guardian_link"
    __table_args__ = (UniqueConstraint("school_id", "student_id", "guardian_id"),)
    student_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    guardian_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    relation: Mapped[str] = mapped_column(String(16), default="")
    phone: Mapped[str] = mapped_column(String(20), default="")


class TeachingAssignment(SchoolRow, Base):
    """Who teaches which subject to which class (任课). Personal data: teacher's duty; employment + 3 years."""

    __tablename__ = "teaching_assignment"
    __table_args__ = (UniqueConstraint("school_id", "teacher_id", "class_id", "subject"),)
    teacher_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    class_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("school_class.id"))
    subject: Mapped[str] = mapped_column(String(32))
    ends_on: Mapped[date | None]


class Room(SchoolRow, Base):
    """A room (教室): ``kind`` lab (人工智能实验室) | classroom. ``code`` names it in MQTT topics. Personal data: none."""

    __tablename__ = "room"
    __table_args__ = (UniqueConstraint("school_id", "code"),)
    code: Mapped[str] = mapped_column(String(24))
    name: Mapped[str] = mapped_column(String(60))
    kind: Mapped[str] = mapped_column(String(12), default="lab")
    rows: Mapped[int] = mapped_column(default=6)
    columns: Mapped[int] = mapped_column(default=8)


class Seat(SchoolRow, Base):
    """A seat with a terminal (座位); enrolled once by a code that a teacher reads out, revocable. Personal data: none.

    ``terminal``: Homie device id. ``key_hash``: hash of the enrolled cookie's secret. ``host_name``: for PCs that wipe their disk.
    """

    __tablename__ = "seat"
    __table_args__ = (UniqueConstraint("school_id", "room_id", "label"), UniqueConstraint("school_id", "terminal"))
    room_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("room.id"))
    label: Mapped[str] = mapped_column(String(8))
    row: Mapped[int]
    column: Mapped[int]
    terminal: Mapped[str] = mapped_column(String(40))
    enrol_code: Mapped[str | None] = mapped_column(String(12))
    enrol_until: Mapped[datetime | None]
    key_hash: Mapped[str | None] = mapped_column(String(64))
    enrolled_at: Mapped[datetime | None]
    host_name: Mapped[str] = mapped_column(String(80), default="")


class InventoryItem(SchoolRow, Base):
    """Equipment of a room (设备台账), as HN-19 asks. Personal data: none.

    ``category``: all_in_one 教学一体机 | teacher_terminal 教师教学终端 | student_terminal 学生学习终端 | robot | camera | furniture | other.
    """

    __tablename__ = "inventory_item"
    __table_args__ = (Index("ix_inventory_item_school_room", "school_id", "room_id"),)
    room_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("room.id"))
    category: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(80))
    quantity: Mapped[int]
    software: Mapped[str] = mapped_column(String(120), default="")
    note: Mapped[str] = mapped_column(Text, default="")


class TimetableSlot(SchoolRow, Base):
    """A weekly slot of a class (课表): weekday 0–6, period, subject. ``weeks``: all | odd | even. Personal data: teacher's duty; the term + 3 years."""

    __tablename__ = "timetable_slot"
    __table_args__ = (Index("ix_timetable_slot_school_term", "school_id", "term_id", "weekday"),)
    term_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("term.id"))
    class_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("school_class.id"))
    teacher_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("room.id"))
    period_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("period.id"))
    weekday: Mapped[int]
    subject: Mapped[str] = mapped_column(String(32))
    weeks: Mapped[str] = mapped_column(String(4), default="all")


class SlotMove(SchoolRow, Base):
    """A slot that on one day is held at another time, or not at all (调课); one row a slot and day, the newest entry stands.

    ``day``: when the timetable has it; ``to_day``, ``to_period_id``: when it is held, both None where it is called off. ``room_id``,
    ``teacher_id``: who and where then. Its entry time counts: before the bell it is scheduled, afterwards it is not (B10.1).
    Personal data: teacher's duty; the term + 3 years.
    """

    __tablename__ = "slot_move"
    __table_args__ = (
        UniqueConstraint("school_id", "slot_id", "day"),
        Index("ix_slot_move_school_to_day", "school_id", "to_day"),
    )
    slot_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("timetable_slot.id", ondelete="CASCADE"))
    day: Mapped[date]
    to_day: Mapped[date | None]
    to_period_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("period.id"))
    teacher_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("room.id"))
    reason: Mapped[str] = mapped_column(String(60), default="")
    entered_at: Mapped[datetime]
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
