"""Many small writes, one durable commit (成组提交): what waits at the same moment shares a transaction.

A commit costs one wait for the disk, whoever shares it. Forty pupils who hand in together would otherwise wait in line for forty.
A job that fails takes nobody with it. PostgreSQL groups commits by itself: there a job
gets a transaction of its own.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app
from sqlalchemy import Connection, Engine

from lms.core.db import WriterQueue, db

T = TypeVar("T")
BATCH = 64
KEY = "zhike_group_commit"


class _Job:
    """One waiting write and what became of it."""

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.saved = False
        self.leads = False
        self.woken = threading.Event()


class GroupCommit:
    """The waiting writes of one process; the first to wait leads, takes the writers' turn and commits for all."""

    def __init__(self, engine: Engine, writers: WriterQueue) -> None:
        self._engine, self._writers = engine, writers
        self._mutex = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._led = False
        self._kept: Connection | None = None
        self._pid = 0

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` and return its result once it is on disk; raises what ``work`` raised."""
        job = _Job(work)
        with self._mutex:
            self._waiting.append(job)
            job.leads, self._led = not self._led, True
        if not job.leads:
            job.woken.wait()
        if job.leads:
            self._lead()
        if job.error is not None:
            raise job.error
        if not job.saved:  # the leader was torn out of its work: nobody may believe that this is on disk
            raise RuntimeError("the shared commit was cut off")
        result: T = job.result
        return result

    def _lead(self) -> None:
        self._writers.acquire()
        with self._mutex:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        try:
            self._commit(batch)
        finally:
            self._writers.release()
            with self._mutex:
                heir = self._waiting[0] if self._waiting else None
                self._led = heir is not None
            if heir is not None:
                heir.leads = True
                heir.woken.set()
            for job in batch:
                job.woken.set()

    def _commit(self, batch: list[_Job]) -> None:
        """One transaction for the batch; where a job fails, once more with a savepoint for each, so that it takes nobody with it.

        Savepoints for all from the start would treble the statements, and every statement gives the interpreter away while the
        turn is held.
        """
        try:
            self._run(batch, _plainly)
        except Exception as error:  # noqa: BLE001 (handed to its caller, or tried again apart)
            if len(batch) == 1:
                batch[0].error = error
                return
            try:
                self._run(batch, _apart)
            except BaseException as worse:  # noqa: BLE001 (handed to every caller: nothing of the batch is on disk)
                for job in batch:
                    job.error = job.error or worse

    def _run(self, batch: list[_Job], way: Callable[[Connection, _Job], None]) -> None:
        connection = self._connection()
        try:
            with connection.begin():
                for job in batch:
                    way(connection, job)
        except BaseException:
            connection.close()
            raise
        for job in batch:
            job.saved = True

    def _connection(self) -> Connection:
        """The leader's connection: there is one leader at a time, and taking one from the pool for each commit would lengthen the turn."""
        if self._kept is None or self._kept.closed or self._pid != os.getpid():  # a forked worker must not use its parent's
            self._kept, self._pid = self._engine.connect().execution_options(zhike_write=True), os.getpid()
        return self._kept


def _plainly(connection: Connection, job: _Job) -> None:
    job.result = job.work(connection)


def _apart(connection: Connection, job: _Job) -> None:
    point = connection.begin_nested()
    try:
        job.result = job.work(connection)
        point.commit()
    except Exception as error:  # noqa: BLE001 (handed to its caller)
        point.rollback()
        job.error = error


def write_together(work: Callable[[Connection], T]) -> T:
    """Run a short job of Core statements, durable when this returns; inside ``write()`` it joins that transaction.

    ``work`` decides on what it reads through its connection, opens no other transaction, and may run in another thread and twice.
    """
    session = db.session()
    if session.info.get("zhike_writing"):
        return work(session.connection())
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("objects were changed outside write()")
    session.commit()  # ends the reading transaction: what is read next sees the work; nothing loaded is thrown away
    group: GroupCommit | None = _group(current_app._get_current_object())  # type: ignore[attr-defined]  # a LocalProxy
    if group is None:
        with db.engine.begin() as connection:
            return work(connection)
    return group.run(work)


def _group(app: Flask) -> GroupCommit | None:
    writers: WriterQueue | None = app.extensions.get("zhike_writers")
    if writers is None:
        return None
    if KEY not in app.extensions:
        app.extensions.setdefault(KEY, GroupCommit(db.engine, writers))
    group: GroupCommit = app.extensions[KEY]
    return group
