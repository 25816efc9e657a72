"""Tables of the register: training and 教研, who attended, achievements, scans."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow


class Activity(SchoolRow, Base):
    """A training or 教研 activity (培训、教研活动). ``school_id``: the school or office that keeps it.

    ``kind``: training | research; ``category``: as rules.CATEGORIES. ``hours``: 学时, ``credit``: 继续教育学分 of each who attended.
    ``others``: how many attended who are not its own people (an office trains teachers of its schools), without names.
    ``import_id``: the import that made it. A removed row stays, so that it can be put back. Personal data: who entered it; 3 years after the programme.
    """

    __tablename__ = "activity_entry"
    __table_args__ = (Index("ix_activity_entry_school_day", "school_id", "held_on"),)
    kind: Mapped[str] = mapped_column(String(12))
    category: Mapped[str] = mapped_column(String(40))
    held_on: Mapped[date]
    topic: Mapped[str] = mapped_column(String(120))
    organiser: Mapped[str] = mapped_column(String(80), default="")
    hours: Mapped[float]
    credit: Mapped[float] = mapped_column(default=0.0)
    others: Mapped[int] = mapped_column(default=0)
    note: Mapped[str] = mapped_column(Text, default="")
    import_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class Attendance(SchoolRow, Base):
    """Who of the own staff attended (参加人员). ``person_id``: of a school's staff; ``account_id``: of an office's; one of the two.

    Personal data: name by reference, certificate number; employment + 3 years. Serves applications (GS-19, HA-06) and the person's own
    record; never a ranking or an appraisal.
    """

    __tablename__ = "activity_attendance"
    __table_args__ = (Index("ix_activity_attendance_school_activity", "school_id", "activity_id"),)
    activity_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("activity_entry.id"))
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("person.id"), index=True)
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"), index=True)
    certificate: Mapped[str] = mapped_column(String(60), default="")
    import_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    removed_at: Mapped[datetime | None]


class Achievement(SchoolRow, Base):
    """An achievement (成果): of a teacher, or of pupils as a total of the whole school.

    ``who``: teacher | pupils. ``year``: calendar year of the award; ``level``: rules.LEVELS. ``number``: pupils concerned (人次), 0 for teachers.
    Personal data: the teacher by reference; nothing of a single pupil is ever kept; employment + 3 years.
    """

    __tablename__ = "achievement_entry"
    __table_args__ = (Index("ix_achievement_entry_school_year", "school_id", "year"),)
    who: Mapped[str] = mapped_column(String(8))
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("person.id"), index=True)
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"), index=True)
    category: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(120))
    level: Mapped[str] = mapped_column(String(8))
    prize: Mapped[str] = mapped_column(String(20), default="")
    year: Mapped[int]
    issuer: Mapped[str] = mapped_column(String(80), default="")
    number: Mapped[int] = mapped_column(default=0)
    note: Mapped[str] = mapped_column(Text, default="")
    import_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class RegisterFile(SchoolRow, Base):
    """A scan (证书、签到表、通知的扫描件) of an activity or achievement; its bytes lie in the data folder under their SHA-256.

    Personal data: as the paper holds; as long as its entry.
    """

    __tablename__ = "register_file"
    activity_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("activity_entry.id"), index=True)
    achievement_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("achievement_entry.id"), index=True)
    name: Mapped[str] = mapped_column(String(160))
    type: Mapped[str] = mapped_column(String(8))
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    added_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    removed_at: Mapped[datetime | None]
