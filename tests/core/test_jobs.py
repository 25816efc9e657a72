"""Work that is handed over is done after the commit; work by the clock is declared once."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from lms.config import Settings
from lms.core import jobs
from lms.core.db import db, write
from lms.core.models import OutboxMessage
from tests import factories as make

DONE: list[int] = []


@jobs.task("test-note")
def note(number: int) -> None:
    """Remember a number."""
    DONE.append(number)


def test_work_runs_after_the_commit_and_once(app: Flask, settings: Settings) -> None:
    school = make.make_school()
    queue = jobs.make_queue(app, settings.data_dir)
    with write():
        jobs.later(school.id, "test-note", number=7)
    assert jobs.backlog() == {"queue": 1}
    assert jobs.move_to_queue(app) == 1
    assert jobs.move_to_queue(app) == 0
    work = queue.dequeue()
    queue.execute(work)
    assert DONE == [7]
    assert queue.dequeue() is None


def test_a_rollback_takes_the_work_back(app: Flask) -> None:
    school = make.make_school()

    def fail() -> None:
        with write():
            jobs.later(school.id, "test-note", number=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert db.session.scalars(select(OutboxMessage)).all() == []


def test_unknown_work_is_refused_at_once(app: Flask) -> None:
    with pytest.raises(KeyError):
        jobs.later(None, "nobody-does-this")


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="test-note"):
        jobs.task("test-note")(note)
    with pytest.raises(ValueError, match="every 90"):
        jobs.every(90, "too-rare", lambda: None)


def test_periodic_work_is_on_the_queue(app: Flask, settings: Settings) -> None:
    queue = jobs.make_queue(app, settings.data_dir)
    names = {task.name for task in queue._registry.periodic_tasks}
    assert "forget-lockouts" in names
