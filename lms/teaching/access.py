"""Who may act on which lesson, and the lesson's times (权限与时间)."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.auth import may
from lms.core.db import db
from lms.core.errors import NotAllowed, NotFound
from lms.core.models import Account
from lms.core.stages import CLASS_HOUR_MINUTES
from lms.roster.access import assigned
from lms.roster.models import Person, School, SchoolClass, SchoolStage, TeachingAssignment
from lms.teaching import rules
from lms.teaching.models import LessonEvent, LessonSession


def school_of(school_id: uuid.UUID) -> School:
    """The school row; raises NotFound."""
    school = db.session.get(School, school_id)
    if school is None:
        raise NotFound("school", _l("您的账号不属于任何学校。"))
    return school


def today_of(school: School) -> date:
    """The school's present calendar day."""
    return clock.local_date(clock.now(), school.zone)


def stage_of(school_id: uuid.UUID, stage: str) -> tuple[int, int]:
    """Class-hour minutes and solution configuration (1–3) of a stage; the defaults where the school declared none."""
    row = db.session.scalar(select(SchoolStage).where(SchoolStage.school_id == school_id, SchoolStage.stage == stage))
    return (row.class_hour_minutes, row.solution_config) if row is not None else (CLASS_HOUR_MINUTES[stage], 1)


def person_id_of(actor: Account) -> uuid.UUID | None:
    """Id of the member of staff behind the account."""
    return db.session.scalar(select(Person.id).where(Person.account_id == actor.id))


def class_teachers(class_id: uuid.UUID, on: date) -> frozenset[uuid.UUID]:
    """Person ids of the teachers assigned to the class on a day."""
    query = select(TeachingAssignment.teacher_id).where(TeachingAssignment.class_id == class_id, assigned(on))
    return frozenset(db.session.scalars(query))


def is_admin(actor: Account, school_id: uuid.UUID) -> bool:
    """Whether the account administers the school."""
    return may(actor, ("school_admin",), school_id)


def found_lesson(lesson_id: uuid.UUID, *, lock: bool = False) -> LessonSession:
    """The lesson, with its row locked until the open write ends if ``lock``; raises NotFound."""
    lesson = db.session.get(LessonSession, lesson_id, with_for_update=True if lock else None)
    if lesson is None:
        raise NotFound("lesson", _l("没有这节课。"))
    return lesson


def steered(actor: Account, lesson_id: uuid.UUID, *, lock: bool = False) -> LessonSession:
    """The lesson if the account may act in it; raises NotFound (also for another school's) or NotAllowed."""
    lesson = found_lesson(lesson_id, lock=lock)
    if lesson.school_id != actor.organisation_id and not is_admin(actor, lesson.school_id):
        raise NotFound("lesson", _l("没有这节课。"))
    person_id = person_id_of(actor)
    if person_id == lesson.teacher_id:
        return lesson
    teachers = class_teachers(lesson.class_id, today_of(school_of(lesson.school_id)))
    if not rules.may_steer(person_id, is_admin=is_admin(actor, lesson.school_id), lesson_teacher=lesson.teacher_id, class_teachers=teachers):
        raise NotAllowed("not-your-lesson", _l("这节课由另一位老师上。"), remedy=_l("请任课老师或管理员操作。"))
    return lesson


def times_of(lesson: LessonSession) -> rules.Times:
    """The lesson's times as the rules need them."""
    cohort = db.session.get(SchoolClass, lesson.class_id)
    minutes = stage_of(lesson.school_id, cohort.stage)[0] if cohort is not None else 40
    return rules.Times(lesson.started_at, lesson.planned_start, lesson.planned_end, minutes)


def note_event(lesson: LessonSession, kind: str, actor: Account | None, at: datetime, **detail: object) -> None:
    """Append a lesson event in the open write."""
    db.session.add(
        LessonEvent(school_id=lesson.school_id, lesson_id=lesson.id, at=at, kind=kind, actor_id=actor.id if actor else None, detail=dict(detail))
    )
