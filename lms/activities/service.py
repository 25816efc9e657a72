"""Keep and hand out pupils' work (保存与读取作品)."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Integer, String, Table, bindparam, cast, delete, func, select, type_coerce
from sqlalchemy.dialects import postgresql, sqlite

from lms.activities import fields, marking
from lms.activities.kinds import KINDS
from lms.activities.models import Attempt, Draft
from lms.activities.rules import PageContext, Work
from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.group_commit import write_together
from lms.courses.models import PackageVersion
from lms.courses.rules import Activity, Lesson
from lms.courses.service import MEDIA, lesson_of
from lms.roster.models import Enrollment, Person, School

ATTEMPT: Table = Attempt.__table__  # type: ignore[assignment]  # declared as FromClause
DRAFT_DAYS = 30
_INSERT = {
    "sqlite": sqlite.insert(ATTEMPT).on_conflict_do_nothing(index_elements=["id"]).execution_options(preserve_rowcount=True),
    "postgresql": postgresql.insert(ATTEMPT).on_conflict_do_nothing(index_elements=["id"]).execution_options(preserve_rowcount=True),
}


@dataclass(frozen=True)
class WorkContext:
    """Whose work it is and where it was done."""

    school_id: uuid.UUID
    lesson_id: uuid.UUID
    class_id: uuid.UUID
    person_id: uuid.UUID
    seat_id: uuid.UUID | None
    group_no: int | None
    content_hash: str
    lesson_slug: str

    def key(self, activity_id: str) -> str:
        """Name of an activity inside the package: ``<lesson slug>/<activity id>``."""
        return f"{self.lesson_slug}/{activity_id}"


@lru_cache(maxsize=512)
def activity_page(package_id: uuid.UUID, slug: str, activity_id: str) -> dict[str, Any]:
    """What the browser gets of an activity before the pupil has sent: kind, title, prompt, page; kept in memory, do not change it."""
    lesson = lesson_of(package_id, slug)
    activity = activity_of(lesson, activity_id)
    context = PageContext(media=MEDIA.format(hash=lesson.content_hash, lesson=slug))
    return {
        "id": activity.id,
        "kind": activity.kind,
        "icon": KINDS[activity.kind].icon,
        "title": activity.title,
        "prompt_html": activity.prompt_html,
        "points": activity.points,
        "page": KINDS[activity.kind].page(activity, context),
    }


def activity_of(lesson: Lesson, activity_id: str) -> Activity:
    """The activity of the lesson; raises NotFound."""
    found = lesson.activities.get(activity_id)
    if found is None:
        raise NotFound("activity", _l("这节课里没有这个活动。"), where=activity_id[:60])
    return found


def save_attempt(ctx: WorkContext, attempt_id: uuid.UUID, activity: Activity, answer: dict[str, Any], *, late: bool = False) -> Attempt:
    """Grade and keep one answer; committed before this returns, unless an outer ``write()`` is open.

    Idempotent by ``attempt_id``: the same answer again gives the same row (its first grading). Raises Invalid for a
    malformed answer, Refused if the id names another person's or another answer.
    """
    fields.plain(fields.record(answer, "answer"))
    grading = KINDS[activity.kind].grade(activity, answer)
    stored = grading.stored()
    if late:
        stored["late"] = True
    values: dict[str, Any] = {
        "id": attempt_id,
        "created_at": clock.now(),
        "school_id": ctx.school_id,
        "lesson_id": ctx.lesson_id,
        "class_id": ctx.class_id,
        "person_id": ctx.person_id,
        "seat_id": ctx.seat_id,
        "group_no": ctx.group_no,
        "content_hash": ctx.content_hash,
        "activity": ctx.key(activity.id),
        "kind": activity.kind,
        "answer": answer,
        "grading": stored,
        "score": grading.score,
        "max_score": float(grading.max_score),
        "done": grading.done,
    }
    if write_together(lambda connection: connection.execute(_INSERT[connection.dialect.name], values).rowcount) == 1:
        return Attempt(**values)
    with write() as session:
        return _same(session.get_one(Attempt, attempt_id), values)


def _same(row: Attempt, values: dict[str, Any]) -> Attempt:
    if row.person_id != values["person_id"]:
        raise Refused("attempt-of-another", _l("这个编号的作业属于另一位同学。"), remedy=_l("请确认登录的是自己，再提交一次。"))
    if row.answer != values["answer"] or row.activity != values["activity"]:
        raise Refused("attempt-id-used", _l("这个编号已经用来交过另一份答案。"), remedy=_l("请再提交一次。"))
    return row


def save_draft(ctx: WorkContext, activity_id: str, content: dict[str, Any], version: int) -> Draft:
    """Keep unsent work; ``version`` is the one the page last saw (0: none).

    Raises Refused ``draft-conflict`` with the newer ``version`` and ``content`` where another page of the pupil was later.
    """
    fields.plain(fields.record(content, "content"))
    now = clock.now()
    with write() as session:
        row = session.scalar(
            select(Draft).where(
                Draft.school_id == ctx.school_id,
                Draft.person_id == ctx.person_id,
                Draft.lesson_id == ctx.lesson_id,
                Draft.activity == ctx.key(activity_id),
            )
        )
        if row is None:
            row = Draft(id=new_id(), school_id=ctx.school_id, person_id=ctx.person_id, lesson_id=ctx.lesson_id, activity=ctx.key(activity_id), version=0)
            session.add(row)
        elif row.content == content:
            return row
        elif version != row.version:
            raise Refused("draft-conflict", _l("另一个页面写了更新的草稿。"), version=row.version, content=row.content)
        row.content, row.version, row.updated_at = content, row.version + 1, now
        session.flush()
        return row


def drafts(ctx: WorkContext) -> dict[str, Draft]:
    """The pupil's drafts of this lesson by activity id."""
    query = select(Draft).where(Draft.school_id == ctx.school_id, Draft.person_id == ctx.person_id, Draft.lesson_id == ctx.lesson_id)
    return {row.activity.rpartition("/")[2]: row for row in db.session.scalars(query)}


def draft_of(ctx: WorkContext, activity_id: str) -> dict[str, Any] | None:
    """The pupil's draft of one activity as the page gets it: ``{"version", "content"}``."""
    found = db.session.execute(
        select(Draft.version, Draft.content).where(
            Draft.school_id == ctx.school_id,
            Draft.person_id == ctx.person_id,
            Draft.lesson_id == ctx.lesson_id,
            Draft.activity == ctx.key(activity_id),
        )
    ).first()
    return {"version": found.version, "content": found.content} if found is not None else None


def forget_drafts(now: datetime) -> int:
    """Delete drafts older than 30 days (jobs); returns how many."""
    with write() as session:
        deleted = session.execute(delete(Draft).where(Draft.updated_at < now - timedelta(days=DRAFT_DAYS)))
        return int(getattr(deleted, "rowcount", 0))


def _of_lesson(lesson_id: uuid.UUID, school_id: uuid.UUID | None) -> tuple[ColumnElement[bool], ...]:
    """Condition that uses the index (school, lesson), whoever asks."""
    school = Attempt.school_id == school_id if school_id else Attempt.school_id.in_(select(School.id))
    return (school, Attempt.lesson_id == lesson_id)


def attempts(lesson_id: uuid.UUID, *, school_id: uuid.UUID | None = None) -> list[Attempt]:
    """Every answer sent in the lesson, in order of arrival."""
    return list(db.session.scalars(select(Attempt).where(*_of_lesson(lesson_id, school_id)).order_by(Attempt.created_at, Attempt.id)))


@dataclass(frozen=True)
class Best:
    """A pupil's standing in one activity: best score (None: not marked), tries, whether anything is missing."""

    activity_id: str
    score: float | None
    max_score: float
    tries: int
    done: bool


def best(lesson_id: uuid.UUID, person_id: uuid.UUID, *, school_id: uuid.UUID | None = None) -> dict[str, Best]:
    """The pupil's standing in the lesson by activity id."""
    return {key: value for (person, key), value in standing(lesson_id, school_id=school_id, person_id=person_id).items() if person == person_id}


def standing(
    lesson_id: uuid.UUID, *, school_id: uuid.UUID | None = None, person_id: uuid.UUID | None = None
) -> dict[tuple[uuid.UUID, str], Best]:
    """Standing of all pupils by (person, activity id), in one query: for the console and the lesson's end."""
    query = (
        select(Attempt.person_id, Attempt.activity, func.max(Attempt.score), func.max(Attempt.max_score), func.count(), func.max(cast(Attempt.done, Integer)))
        .where(*_of_lesson(lesson_id, school_id))
        .group_by(Attempt.person_id, Attempt.activity)
    )
    if person_id is not None:
        query = query.where(Attempt.person_id == person_id)
    found = {}
    for person, activity, score, most, tries, done in db.session.execute(query):
        name = activity.rpartition("/")[2]
        found[person, name] = Best(name, score, most, tries, bool(done))
    return found


@dataclass(frozen=True)
class Artefact:
    """What evidence says of a piece of work: never the work itself. ``sha256`` of its canonical JSON, ``size`` in bytes."""

    attempt_id: uuid.UUID
    person_id: uuid.UUID
    sha256: str
    size: int
    at: datetime


def artefacts(lesson_id: uuid.UUID, *, school_id: uuid.UUID | None = None) -> list[Artefact]:
    """The lesson's work as evidence names it, in order of arrival."""
    query = select(Attempt.id, Attempt.person_id, Attempt.answer, Attempt.created_at).where(*_of_lesson(lesson_id, school_id))
    found = []
    for attempt_id, person_id, answer, at in db.session.execute(query.order_by(Attempt.created_at, Attempt.id)):
        body = json.dumps(answer, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        found.append(Artefact(attempt_id, person_id, hashlib.sha256(body).hexdigest(), len(body), at))
    return found


def last_work(ctx: WorkContext, activity_id: str) -> Attempt | None:
    """The pupil's newest answer to an activity of this lesson."""
    newest = (
        select(Attempt.id)
        .where(
            Attempt.school_id == ctx.school_id,
            Attempt.person_id == ctx.person_id,
            Attempt.activity == ctx.key(activity_id),
            Attempt.lesson_id == ctx.lesson_id,
        )
        .order_by(Attempt.created_at.desc(), Attempt.id.desc())
        .limit(1)
    )
    return db.session.scalar(select(Attempt).where(Attempt.id == newest.scalar_subquery()))  # sorts ids, not answers


def anonymous_results(lesson_id: uuid.UUID, activity: Activity, *, school_id: uuid.UUID | None = None) -> dict[str, Any]:
    """The class's newest answers to an activity in figures, for the projector: no names, no free text.

    ``{"kind", "title", "people", "done", "mean": 0…100 | None, "template", "results": <the kind's own>}``.
    """
    query = (
        select(Attempt.person_id, Attempt.activity, Attempt.answer, Attempt.grading, Attempt.score, Attempt.done)
        .where(*_of_lesson(lesson_id, school_id), Attempt.activity.like(f"%/{activity.id}"))
        .order_by(Attempt.created_at, Attempt.id)
    )
    newest: dict[uuid.UUID, Work] = {}
    for person_id, key, answer, grading, score, done in db.session.execute(query):
        if key.rpartition("/")[2] == activity.id:
            newest[person_id] = Work(answer, grading["detail"], score, done)
    works = list(newest.values())
    scores = [work.score for work in works if work.score is not None]
    return {
        "kind": activity.kind,
        "title": activity.title,
        "people": len(works),
        "done": sum(1 for work in works if work.done),
        "mean": round(100 * sum(scores) / len(scores) / activity.points) if scores and activity.points else None,
        "template": f"activities/results/{activity.kind}.html",
        "results": KINDS[activity.kind].summarise(activity, works),
    }


def work_of(attempt: Attempt) -> Work:
    """An attempt without its author."""
    return Work(attempt.answer, attempt.grading.get("detail", {}), attempt.score, attempt.done)


@lru_cache(maxsize=256)
def _package_id(school_id: uuid.UUID, content_hash: str) -> uuid.UUID:
    found = db.session.scalar(select(PackageVersion.id).where(PackageVersion.school_id == school_id, PackageVersion.content_hash == content_hash))
    if found is None:
        raise NotFound("package", _l("没有这个课程包。"))
    return found


def activity_named(school_id: uuid.UUID, content_hash: str, key: str) -> Activity:
    """The activity that an attempt answers, by its ``activity`` key; raises NotFound."""
    package_id = _package_id(school_id, content_hash)
    slug, _, activity_id = key.rpartition("/")
    return activity_of(lesson_of(package_id, slug), activity_id)


def shown_answer(attempt: Attempt) -> dict[str, Any]:
    """One answer as a page shows it: ``{"activity", "attempt", "template", "shown", "given"}``; ``given``: the teacher's marking."""
    activity = activity_named(attempt.school_id, attempt.content_hash, attempt.activity)
    shown = KINDS[attempt.kind].shown(activity, work_of(attempt))
    given = marking.given(attempt) if attempt.score is None else None
    return {"activity": activity, "attempt": attempt, "template": f"activities/answers/{attempt.kind}.html", "shown": shown, "given": given}


class Try(NamedTuple):
    """One attempt in a report, without its content. ``id`` as the database spells it, good for the address of its page."""

    id: str
    score: float | None
    max_score: float
    done: bool


@dataclass(frozen=True)
class Column:
    """An activity in a report."""

    key: str
    title: str
    kind: str
    points: float


@dataclass(frozen=True)
class Line:
    """A pupil's row in a report: ``tries`` by activity key; ``percent`` of the points of what was scored, None before."""

    person_id: str
    name: str
    roll_no: int
    tries: dict[str, list[Try]]
    percent: int | None


@dataclass(frozen=True)
class ClassReport:
    """A class with all its attempts (班级作业)."""

    columns: list[Column]
    lines: list[Line]
    attempts: int


_PUPILS = (
    select(type_coerce(Person.id, String), Person.name, Enrollment.roll_no)
    .join(Enrollment, Enrollment.person_id == Person.id)
    .where(Enrollment.school_id == bindparam("school"), Enrollment.class_id == bindparam("cohort"), Enrollment.ends_on.is_(None))
    .order_by(Enrollment.roll_no)
)
# Ids stay as the database spells them: a class has thousands of attempts, and a report only links to them.
_TRIES = (
    select(
        type_coerce(Attempt.person_id, String),
        Attempt.activity,
        Attempt.kind,
        Attempt.content_hash,
        type_coerce(Attempt.id, String),
        Attempt.score,
        Attempt.max_score,
        Attempt.done,
    )
    .where(Attempt.school_id == bindparam("school"), Attempt.class_id == bindparam("cohort"))
    .order_by(Attempt.created_at, Attempt.id)
)
_TRIES_OF_LESSON = _TRIES.where(Attempt.lesson_id == bindparam("lesson"))


def class_report(class_id: uuid.UUID, lesson_id: uuid.UUID | None = None, *, school_id: uuid.UUID) -> ClassReport:
    """Pupils of the class with every attempt, in three queries however many there are; ``lesson_id`` narrows it to one lesson."""
    connection, facts = db.session.connection(), {"school": school_id, "cohort": class_id}
    rows = connection.execute(_TRIES_OF_LESSON, facts | {"lesson": lesson_id}) if lesson_id else connection.execute(_TRIES, facts)
    marked = marking.of_class(class_id, school_id)
    columns: dict[str, Column] = {}
    tries: dict[tuple[str, str], list[Try]] = {}
    count = 0
    for person_id, key, kind, content_hash, *rest in rows:
        one = Try._make(rest)
        if one.score is None:
            one = one._replace(score=marked.get(one.id))
        if key not in columns:
            columns[key] = Column(key, _title(school_id, content_hash, key), kind, one.max_score)
        tries.setdefault((person_id, key), []).append(one)
        count += 1
    lines = []
    for person_id, name, roll_no in connection.execute(_PUPILS, facts):
        own = {key: tries[person_id, key] for key in columns if (person_id, key) in tries}
        lines.append(Line(person_id, name, roll_no, own, _percent(own.values())))
    return ClassReport(sorted(columns.values(), key=lambda column: column.key), lines, count)


def _title(school_id: uuid.UUID, content_hash: str, key: str) -> str:
    try:
        return activity_named(school_id, content_hash, key).title
    except NotFound:  # the package was removed from this school; its work stays
        return key


def _percent(tries: Iterable[Sequence[Try]]) -> int | None:
    earned = whole = 0.0
    for row in tries:
        scores = [one.score for one in row if one.score is not None]
        if scores:
            earned += max(scores)
            whole += row[-1].max_score
    return round(100 * earned / whole) if whole else None


def attempt_id_of(value: Any) -> uuid.UUID:
    """The client's id of an attempt; raises Invalid for anything but a UUID in its usual form."""
    if isinstance(value, str) and len(value) == 36:
        try:
            return uuid.UUID(value)
        except ValueError:
            pass
    raise Invalid("attempt-id", _l("作业编号不对。"), where="id", remedy=_l("请刷新页面后再提交。"))
