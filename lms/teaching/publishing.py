"""What the room hears of its lesson (课堂广播): one retained topic, written in the transaction that changed the lesson."""

from __future__ import annotations

from typing import Any

from lms.core import clock
from lms.core.db import db
from lms.labs import service as labs
from lms.labs.veyon import service as pcs
from lms.roster.models import Room
from lms.teaching.models import LessonSession


def room_of(lesson: LessonSession) -> Room | None:
    """The lesson's room."""
    return db.session.get(Room, lesson.room_id) if lesson.room_id is not None else None


def lesson_state(lesson: LessonSession) -> dict[str, Any]:
    """What terminals see of the lesson: the retained payload of ``zhike/room/<room>/lesson``."""
    return {
        "lesson": str(lesson.id),
        "state": "ended" if lesson.state == "closed" else lesson.state,
        "step": lesson.step,
        "step_version": lesson.steps_pushed,
        "rev": lesson.rev,
        "at": clock.now().isoformat(timespec="milliseconds"),
        "watched_until": pcs.watch_end(lesson.school_id, lesson.id),
    }


def publish(lesson: LessonSession) -> None:
    """Tell the room, in the transaction that changed the lesson."""
    room = room_of(lesson)
    if room is not None:
        labs.publish_lesson(lesson.school_id, room.code, lesson_state(lesson))
