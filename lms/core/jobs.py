"""Background jobs (后台任务): what need not hold a page up, and what happens by the clock.

A room declares at import time: ``@task("import-roster")`` for work handed over by :func:`later`, and ``every(1, "close-lessons", fn)`` for
work by the clock. Work handed over is an outbox row of the deciding transaction; the ``lms jobs`` process moves it into the queue.

The queue forgets a task when a worker takes it, so the outbox row says when the work was done: what a power cut or a last failure left undone
is handed over again after :data:`AGAIN_AFTER`, :data:`TRIES` times in all. Then it is given up, and the room writes that down where people see it.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from lms.core import clock
from lms.core.db import db, write
from lms.core.models import OutboxMessage

if TYPE_CHECKING:
    from huey import SqliteHuey

log = logging.getLogger("lms.jobs")

TASKS: dict[str, Callable[..., None]] = {}
GIVEN_UP: dict[str, Callable[..., None]] = {}
PERIODIC: dict[str, tuple[int, Callable[[], None]]] = {}
MOVE_EVERY_S = 1.0
WORKERS = 2
AGAIN_AFTER = timedelta(minutes=15)  # longer than any task may take
TRIES = 3


def task(name: str, *, given_up: Callable[..., None] | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a function as background work; its arguments must be JSON values, and it must be safe to run twice.

    ``given_up`` gets the same arguments when the work could not be done in the end: it says so where people look.
    """

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        if name in TASKS:
            raise ValueError(f"two background tasks named {name}")
        TASKS[name] = function
        if given_up is not None:
            GIVEN_UP[name] = given_up
        return function

    return declare


def every(minutes: int, name: str, function: Callable[[], None]) -> None:
    """Declare work by the clock: every ``minutes`` (1–59) inside an app context; an error is logged and the next turn comes."""
    if not 1 <= minutes <= 59:
        raise ValueError(f"{name}: every {minutes} minutes")
    if name in PERIODIC:
        raise ValueError(f"two periodic tasks named {name}")
    PERIODIC[name] = (minutes, function)


def later(school_id: uuid.UUID | None, name: str, **arguments: Any) -> None:
    """Hand work over in the open transaction; it runs in the jobs process after the commit, until it was done once or is given up."""
    if name not in TASKS:
        raise KeyError(name)
    with write() as session:
        session.add(OutboxMessage(school_id=school_id, destination="queue", topic=name, payload=json.dumps(arguments)))


def make_queue(app: Flask, folder: Path) -> SqliteHuey:
    """The queue in ``folder`` with every declared task on it."""
    from huey import SqliteHuey, crontab

    folder.mkdir(parents=True, exist_ok=True)
    queue = SqliteHuey("zhike", filename=str(folder / "jobs.sqlite"), results=False)

    @queue.task(name="zhike", retries=3, retry_delay=5)  # type: ignore[untyped-decorator]  # huey has no types
    def run(seq: int, name: str, arguments: dict[str, Any]) -> None:
        with app.app_context():
            carry_out(seq, name, arguments)

    for name, (minutes, function) in PERIODIC.items():
        queue.periodic_task(crontab(minute=f"*/{minutes}"), name=name)(_in_context(app, function))
    app.extensions["zhike_queue"] = run
    return queue


def carry_out(seq: int, name: str, arguments: dict[str, Any]) -> None:
    """Do the work of an outbox row, unless it was done or given up meanwhile, and note that it is done."""
    message = db.session.get(OutboxMessage, seq)
    undone = message is not None and message.done_at is None
    db.session.rollback()
    if undone:
        TASKS[name](**arguments)
        _note_done(seq)


def _note_done(seq: int) -> None:
    with write() as session:
        session.execute(update(OutboxMessage).where(OutboxMessage.seq == seq).values(done_at=clock.now()))


def hand_over_again() -> None:
    """Work that the queue took and that was not done: into the queue once more, or given up after :data:`TRIES`."""
    lost = db.session.scalars(
        select(OutboxMessage)
        .where(
            OutboxMessage.destination == "queue",
            OutboxMessage.delivered_at < clock.now() - AGAIN_AFTER,
            OutboxMessage.done_at.is_(None),
        )
        .order_by(OutboxMessage.seq)
    ).all()
    for message in lost:
        again = message.tries + 1 < TRIES
        log.log(logging.WARNING if again else logging.ERROR, "work not done", extra={"task": message.topic, "again": again})
        with write() as session:
            row = session.get_one(OutboxMessage, message.seq)
            row.tries += 1
            if again:
                row.delivered_at = None
                continue
            row.done_at = clock.now()
            if message.topic in GIVEN_UP:
                GIVEN_UP[message.topic](**json.loads(message.payload))


every(5, "hand-over-again", hand_over_again)


def _in_context(app: Flask, function: Callable[[], None]) -> Callable[[], None]:
    def turn() -> None:
        with app.app_context():
            function()

    return turn


def move_to_queue(app: Flask, limit: int = 200) -> int:
    """Move handed-over work from the outbox into the queue; returns how many. At least once: a crash between repeats them."""
    waiting = db.session.scalars(
        select(OutboxMessage)
        .where(OutboxMessage.destination == "queue", OutboxMessage.delivered_at.is_(None))
        .order_by(OutboxMessage.seq)
        .limit(limit)
    ).all()
    for message in waiting:
        app.extensions["zhike_queue"](message.seq, message.topic, json.loads(message.payload))
    if waiting:
        with write() as session:
            session.execute(
                update(OutboxMessage)
                .where(OutboxMessage.seq.in_([message.seq for message in waiting]))
                .values(delivered_at=clock.now())
            )
    db.session.rollback()
    return len(waiting)


def backlog() -> dict[str, int]:
    """Undelivered outbox rows by destination."""
    rows = db.session.execute(
        select(OutboxMessage.destination, func.count())
        .where(OutboxMessage.delivered_at.is_(None))
        .group_by(OutboxMessage.destination)
    ).all()
    return {row[0]: row[1] for row in rows}


class Jobs:
    """The jobs process: huey's consumer, and the thread that feeds it from the outbox."""

    def __init__(self, app: Flask, folder: Path) -> None:
        from huey.consumer import Consumer

        self._app = app
        self._ended = threading.Event()
        self._queue = make_queue(app, folder)
        self._consumer = Consumer(
            self._queue, workers=WORKERS, periodic=True, initial_delay=0.2, max_delay=2.0, backoff=1.3
        )
        self._feeder = threading.Thread(target=self._feed, name="outbox", daemon=True)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        self._feeder.start()
        self._consumer.run()
        self._ended.set()
        self._feeder.join(5)

    def _feed(self) -> None:
        with self._app.app_context():
            while not self._ended.wait(MOVE_EVERY_S):
                try:
                    move_to_queue(self._app)
                except SQLAlchemyError as error:  # a database that is away comes back; the rows wait
                    db.session.remove()
                    log.error("outbox not read", extra={"why": type(error).__name__})
