"""Small writes share a commit; each is durable, one that fails takes nobody with it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import Connection, func, select, text

from lms.core.db import db, write
from lms.core.group_commit import KEY, write_together
from lms.core.models import InstanceState
from tests.effort import PATIENCE_S


def _put(key: str, *, fail: bool = False) -> None:
    def work(connection: Connection) -> None:
        connection.execute(InstanceState.__table__.insert().values(key=key, value="1"))  # type: ignore[attr-defined]  # a Table
        if fail:
            raise ValueError(key)

    write_together(work)


def test_thirty_threads_lose_nothing_and_failures_stay_alone(app: Flask) -> None:
    failed: list[str] = []
    lock = threading.Lock()
    gate = threading.Barrier(30)

    def work(number: int) -> None:
        with app.app_context():
            gate.wait()
            for index in range(10):
                try:
                    _put(f"{number}-{index}", fail=index == 5)
                except ValueError as error:
                    with lock:
                        failed.append(str(error))
            db.session.remove()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(failed) == sorted(f"{number}-5" for number in range(30))
    count = db.session.scalar(select(func.count()).select_from(InstanceState).where(InstanceState.key.like("%-%")))
    assert count == 30 * 9


def test_joins_an_open_write_and_rolls_back_with_it(app: Flask) -> None:
    def abandon() -> None:
        with write():
            _put("joined-1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        abandon()
    assert db.session.get(InstanceState, "joined-1") is None


def test_is_committed_when_it_returns(app: Flask) -> None:
    _put("kept-1")
    with db.engine.connect() as other:
        assert other.execute(text("SELECT value FROM instance_state WHERE key = 'kept-1'")).scalar() == "1"


def test_nobody_believes_a_commit_that_was_cut_off(app: Flask) -> None:
    def work(connection: Connection) -> str:
        raise SystemExit

    with pytest.raises(SystemExit):
        write_together(work)
    _put("after-1")  # and the turn is free again
    assert db.session.get(InstanceState, "after-1") is not None


def test_a_follower_of_a_leader_that_was_cut_off_is_told(app: Flask) -> None:
    if "zhike_writers" not in app.extensions:
        pytest.skip("PostgreSQL groups commits by itself: nobody follows")
    entered, go = threading.Event(), threading.Event()
    told: list[str] = []

    def first(connection: Connection) -> None:
        entered.set()
        go.wait(PATIENCE_S)

    def cut(connection: Connection) -> None:
        raise SystemExit

    def run(work: Callable[[Connection], None]) -> None:
        with app.app_context():
            try:
                write_together(work)
            except (SystemExit, RuntimeError) as error:
                told.append(type(error).__name__)
            db.session.remove()

    threads = [threading.Thread(target=run, args=(first,))]
    threads[0].start()
    assert entered.wait(PATIENCE_S)
    threads += [threading.Thread(target=run, args=(cut,)), threading.Thread(target=run, args=(lambda connection: None,))]
    for thread in threads[1:]:
        thread.start()
    group = app.extensions[KEY]
    pause = threading.Event()
    while len(group._waiting) < 2:
        pause.wait(0.01)
    go.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(told) == ["RuntimeError", "SystemExit"]
