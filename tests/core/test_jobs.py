"""Work that is handed over is done after the commit; work by the clock is declared once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from huey import SqliteHuey
from sqlalchemy import select

from lms.config import Settings
from lms.core import clock, jobs
from lms.core.db import db, new_id, write
from lms.core.models import OutboxMessage
from lms.core.outbox import forget_delivered
from lms.notices.models import Channel
from lms.notices.service import send_out
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


def lose(queue: SqliteHuey, app: Flask) -> None:
    """A worker takes the work and the power goes."""
    assert jobs.move_to_queue(app) == 1
    assert queue.dequeue() is not None


def test_work_that_a_power_cut_took_is_handed_over_again(
    app: Flask, settings: Settings, fixed_clock: clock.FixedClock
) -> None:
    queue = jobs.make_queue(app, settings.data_dir)
    DONE.clear()
    with write():
        jobs.later(make.make_school().id, "test-note", number=8)
    lose(queue, app)
    jobs.hand_over_again()
    assert jobs.move_to_queue(app) == 0, "it may still be at work"
    fixed_clock.at += jobs.AGAIN_AFTER + timedelta(seconds=1)
    jobs.hand_over_again()
    assert jobs.move_to_queue(app) == 1
    work = queue.dequeue()
    queue.execute(work)
    queue.execute(work)  # handed over twice: done once
    assert DONE == [8]
    fixed_clock.at += jobs.AGAIN_AFTER + timedelta(seconds=1)
    jobs.hand_over_again()
    assert jobs.move_to_queue(app) == 0


def test_work_that_is_never_done_is_given_up_where_people_see_it(
    app: Flask, settings: Settings, fixed_clock: clock.FixedClock
) -> None:
    queue = jobs.make_queue(app, settings.data_dir)
    school = make.make_school()
    channel = Channel(id=new_id(), school_id=school.id, kind="wecom", name="群", settings={"url": "http://127.0.0.1:9"})
    with write() as session:
        session.add(channel)
    send_out(school.id, "请交材料", "今天截止")
    for _try in range(jobs.TRIES):
        lose(queue, app)
        fixed_clock.at += jobs.AGAIN_AFTER + timedelta(seconds=1)
        jobs.hand_over_again()
    assert jobs.move_to_queue(app) == 0
    assert "请交材料" in db.session.get_one(Channel, channel.id).problem
    fixed_clock.at += timedelta(days=8)
    forget_delivered()
    assert db.session.scalars(select(OutboxMessage)).all() == []


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
