"""Carries orders to the PCs out, in the bridge's process: no page ever waits for a PC (指令执行).

At most ``WORKERS`` orders and ``LOOKERS`` looks are under way at once, each with one short connection, so that Veyon's 32 are never used up.
Orders of one room go one after the other; results are stored as they come. Pictures go by MQTT to the console that asked, and nowhere else.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from labkit import veyon, wake
from labkit.veyon import Api, VeyonError
from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import Refused
from lms.labs.veyon import rules, service
from lms.labs.veyon.models import PcOrder, RoomVeyon
from lms.roster.models import Room

log = logging.getLogger("lms.labs.veyon")

TURN_S = 0.25
IDLE_S = 2.0  # between looks for the first room with Veyon
WORKERS = 16
LOOKERS = 8
PICTURE_EVERY_S = 3.0
PICTURE_WIDTH = 640
LIMIT_TRIES = 8
PASSING = ("expired", "unreachable", "unconfirmed")  # what a second try may mend

Publish = Callable[[str, bytes], object]
Waker = Callable[[str], None]


@dataclass
class _Job:
    """An order under way: what each seat's thread has said so far."""

    order_id: uuid.UUID
    futures: dict[str, Future[str]]
    stored: int = 0


@dataclass
class _Look:
    """A look at a room's screens: where pictures go, which seats are under way, when each is due again (monotonic seconds)."""

    api: Api
    console: str
    pcs: dict[str, tuple[str, str]]  # seat id → (label, address)
    running: dict[str, Future[str]] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)


def perform(api: Api, action: str, address: str, pause: Callable[[float], bool]) -> str:
    """One order to one PC: ``ok`` or the code of what went wrong.

    Where Veyon's connections are used up it waits for one, 8 s at most. What may be done twice is tried a second time where the connection
    broke or the PC did not obey; a restart or shut-down never is.
    """
    again = action not in rules.POWER
    for turn in range(LIMIT_TRIES):
        try:
            _say(api, action, address, pause)
        except VeyonError as error:
            if error.code == "limit" and turn < LIMIT_TRIES - 1 and not pause(1.0):
                continue
            if again and error.code in PASSING and not pause(0.2):
                again = False
                continue
            return error.code
        return "ok"
    return "limit"


def _say(api: Api, action: str, address: str, pause: Callable[[float], bool]) -> None:
    if action in ("lock", "unlock"):
        veyon.lock(api, address, action == "lock", pause)
    elif action == "restart":
        veyon.restart(api, address, pause)
    elif action == "shut-down":
        veyon.shut_down(api, address, pause)
    else:
        with veyon.Session(api, address) as session:
            session.features()


class Runner:
    """One school's orders; :meth:`start` and :meth:`stop`. ``publish(topic, bytes)`` sends a picture; ``waker(mac)`` wakes a PC."""

    def __init__(self, app: Flask, school_id: uuid.UUID, publish: Publish, waker: Waker = wake.wake) -> None:
        self._app, self._school_id, self._publish, self._waker = app, school_id, publish, waker
        self._stopping = threading.Event()
        self._orders = ThreadPoolExecutor(WORKERS, "veyon")
        self._looks_pool = ThreadPoolExecutor(LOOKERS, "veyon-look")
        self._jobs: dict[uuid.UUID, _Job] = {}
        self._looks: dict[uuid.UUID, _Look] = {}
        self._thread = threading.Thread(target=self._run, name="veyon-orders", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; calls under way end within their own time limit."""
        self._stopping.set()
        self._thread.join(10)
        self._orders.shutdown(wait=False, cancel_futures=True)
        self._looks_pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        with self._app.app_context():
            begun, pause = False, 0.0
            while not self._stopping.wait(pause):
                pause = IDLE_S
                try:
                    if (
                        db.session.scalar(select(RoomVeyon.id).where(RoomVeyon.school_id == self._school_id).limit(1))
                        is not None
                    ):
                        if not begun:
                            self._pick_up()
                            begun = True
                        self._turn()
                        pause = TURN_S
                except (
                    SQLAlchemyError
                ) as error:  # a database that is away comes back; orders wait, old ones are given up
                    log.error("orders not read", extra={"why": type(error).__name__})
                finally:
                    db.session.remove()

    def _pick_up(self) -> None:
        """What an earlier process left half done: locks are asked again, a restart is not."""
        with write():
            for row in db.session.scalars(
                select(PcOrder).where(PcOrder.school_id == self._school_id, PcOrder.state == "running")
            ):
                if row.action in rules.POWER:
                    row.results = {seat: row.results.get(seat, "unconfirmed") for seat in row.seats}
                    row.state, row.done_at = "done", clock.now()
                else:
                    row.state, row.not_before = "waiting", clock.now()

    def _turn(self) -> None:
        now = clock.now()
        query = (
            select(PcOrder)
            .where(PcOrder.school_id == self._school_id, PcOrder.state.in_(("waiting", "running")))
            .order_by(PcOrder.id)
        )
        for row in list(db.session.scalars(query)):
            if row.action == "screens":
                self._look(row)
            elif row.state == "waiting" and row.not_before + rules.STALE < now:
                self._finish(row, dict.fromkeys(row.seats, "late"))
            elif row.state == "waiting" and row.not_before <= now and row.room_id not in self._jobs:
                self._begin(row)
        for room_id, job in list(self._jobs.items()):
            if self._store(job):
                del self._jobs[room_id]

    # ---- orders

    def _begin(self, row: PcOrder) -> None:
        settings = service.settings_of(row.room_id)
        pcs = {str(pc.seat.id): pc for pc in service.pcs_of(row.room_id)}
        try:
            api = service.api_of(settings) if settings is not None else None
        except Refused:
            api = None
        if api is None:
            self._finish(row, dict.fromkeys(row.seats, "no_key"))
            return
        with write():
            fresh = db.session.get(PcOrder, row.id, with_for_update=True, populate_existing=True)
            if fresh is None or fresh.state != "waiting":  # taken back in this moment
                return
            fresh.state = "running"
        futures: dict[str, Future[str]] = {}
        for seat in row.seats:
            pc = pcs.get(seat)
            if row.action == "wake":
                futures[seat] = self._orders.submit(self._wake, pc.mac if pc else "")
            elif pc is None or not pc.address:
                futures[seat] = _known("no_address")
            else:
                futures[seat] = self._orders.submit(perform, api, row.action, pc.address, self._stopping.wait)
        self._jobs[row.room_id] = _Job(row.id, futures)

    def _wake(self, mac: str) -> str:
        if not mac:
            return "no_mac"
        try:
            self._waker(mac)
        except OSError:
            return "no_broadcast"
        return "ok"

    def _store(self, job: _Job) -> bool:
        """Keep what is known by now; whether that is everything."""
        found = {seat: _result(future) for seat, future in job.futures.items() if future.done()}
        complete = len(found) == len(job.futures)
        if len(found) > job.stored or complete:
            with write():
                row = db.session.get_one(PcOrder, job.order_id)
                row.results = found
                if complete:
                    row.state, row.done_at = "done", clock.now()
            job.stored = len(found)
        return complete

    def _finish(self, row: PcOrder, results: dict[str, str]) -> None:
        with write():
            row.results, row.state, row.done_at = results, "done", clock.now()

    # ---- screens

    def _look(self, row: PcOrder) -> None:
        look = self._looks.get(row.id)
        if row.until is None or row.until <= clock.now():
            self._looks.pop(row.id, None)
            self._finish(row, look.results if look else dict(row.results))
            return
        if look is None:
            look = self._open_look(row)
            if look is None:
                return
            self._looks[row.id] = look
        now = time.monotonic()
        for seat in [seat for seat, future in look.running.items() if future.done()]:
            look.results[seat] = _result(look.running.pop(seat))
            look.due[seat] = now + PICTURE_EVERY_S
        for seat, (label, address) in look.pcs.items():
            if not address:
                look.results[seat] = "no_address"
            elif seat not in look.running and look.due.get(seat, 0.0) <= now:
                until = now + (row.until - clock.now()) / timedelta(seconds=1)
                look.running[seat] = self._looks_pool.submit(self._picture, look, label, address, until)
        if dict(row.results) != look.results or row.state == "waiting":
            with write():
                row.results, row.state = dict(look.results), "running"

    def _open_look(self, row: PcOrder) -> _Look | None:
        settings, room = service.settings_of(row.room_id), db.session.get(Room, row.room_id)
        try:
            if settings is None or room is None or row.ordered_by is None:
                raise Refused("no-veyon", "no Veyon")
            api = service.api_of(settings)
        except Refused:
            self._finish(row, dict.fromkeys(row.seats, "no_key"))
            return None
        pcs = {str(pc.seat.id): (pc.seat.label, pc.address) for pc in service.pcs_of(row.room_id)}
        return _Look(api, service.console_name(row.ordered_by, room.code), pcs)

    def _picture(self, look: _Look, label: str, address: str, until: float) -> str:
        if time.monotonic() >= until:
            return "stopped"
        try:
            with veyon.Session(look.api, address) as session:
                picture = session.picture(PICTURE_WIDTH, self._stopping.wait)
        except VeyonError as error:
            return error.code
        self._publish(rules.screen_topic(look.console, label), picture)
        return "ok"


def _known(code: str) -> Future[str]:
    future: Future[str] = Future()
    future.set_result(code)
    return future


def _result(future: Future[str]) -> str:
    """A thread's word; one that broke is logged with its cause and counts as failed."""
    if future.cancelled():
        return "stopped"
    problem = future.exception()
    if problem is not None:
        log.error("an order broke", exc_info=problem)
        return "strange"
    return future.result()
