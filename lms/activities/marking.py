"""The teacher marks what no program can (批改): points and a sentence for the pupil; the newest marking of an answer counts."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l
from sqlalchemy import String, Uuid, bindparam, select, type_coerce

from lms.activities.models import Attempt, Marking
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account

MOST_COMMENT = 500
_OF_CLASS = (
    select(type_coerce(Marking.attempt_id, String), Marking.score)
    .join(Attempt, Attempt.id == Marking.attempt_id)
    .where(Attempt.school_id == bindparam("school"), Attempt.class_id == bindparam("cohort", type_=Uuid()), Marking.school_id == bindparam("school"))
    .order_by(Marking.created_at, Marking.id)
)


@dataclass(frozen=True)
class Given:
    """What stands beside an answer now."""

    score: float
    comment: str
    by: str


def mark(actor: Account, attempt: Attempt, score: str, comment: str) -> Marking:
    """Give points (0 … the most of the answer, steps of 0.5) and a comment of up to 500 characters.

    Raises Invalid for other points or a longer comment, Refused where the program has marked already.
    """
    if attempt.score is not None:
        raise Refused("marked-by-program", _l("这份作答由系统评分，不能改。"))
    points = _points(score, attempt.max_score)
    comment = comment.strip()
    if len(comment) > MOST_COMMENT:
        raise Invalid("comment-long", _l("评语太长：最多 %(most)d 个字。", most=MOST_COMMENT), where="comment")
    with write() as session:
        made = Marking(school_id=attempt.school_id, attempt_id=attempt.id, marker_id=actor.id, score=points, comment=comment)
        session.add(made)
        audit(actor, "mark-work", "attempt", attempt.id, school_id=attempt.school_id, score=points)
    return made


def _points(text: str, most: float) -> float:
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if not (0 <= points <= most and points * 2 == int(points * 2)):
        raise Invalid("points", _l("请填 0 到 %(most)g 之间的分数，可以有半分。", most=most), where="score")
    return points


def given(attempt: Attempt) -> Given | None:
    """The newest marking of an answer; None where there is none."""
    row = db.session.execute(
        select(Marking.score, Marking.comment, Account.display_name)
        .join(Account, Account.id == Marking.marker_id)
        .where(Marking.school_id == attempt.school_id, Marking.attempt_id == attempt.id)
        .order_by(Marking.created_at.desc(), Marking.id.desc())
        .limit(1)
    ).first()
    return Given(row.score, row.comment, row.display_name) if row is not None else None


def of_class(class_id: uuid.UUID, school_id: uuid.UUID) -> dict[str, float]:
    """Points given in a class by attempt id (as the database spells it)."""
    rows = db.session.connection().execute(_OF_CLASS, {"school": school_id, "cohort": class_id})
    return {row[0]: row[1] for row in rows}


def next_waiting(attempt: Attempt) -> uuid.UUID | None:
    """The next answer to the same activity in the same lesson that nobody has marked yet: each pupil's newest, in order of arrival."""
    marked = select(Marking.attempt_id).where(Marking.school_id == attempt.school_id, Marking.attempt_id == Attempt.id)
    rows = db.session.execute(
        select(Attempt.id, Attempt.person_id, marked.exists())
        .where(
            Attempt.school_id == attempt.school_id,
            Attempt.lesson_id == attempt.lesson_id,
            Attempt.activity == attempt.activity,
            Attempt.score.is_(None),
        )
        .order_by(Attempt.created_at, Attempt.id)
    )
    newest = {person: (attempt_id, done) for attempt_id, person, done in rows}
    return next((attempt_id for attempt_id, done in newest.values() if not done and attempt_id != attempt.id), None)
