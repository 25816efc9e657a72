"""The bridge (桥): between the broker and the database, one process a school.

It provisions broker clients (again after every reconnect), publishes the outbox in order, says the time every 5 s, repeats a stop that no gateway has
answered (it may have been killed in that moment), and takes presence, readings and stop reports from MQTT into tables,
committing at most once a second: latest values and one summary a device and lesson.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from flask import Flask
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import func, select, update

from labkit import server_clock
from labkit.broker import BrokerAdmin, BrokerError, ClientSpec, RoleSpec
from lms.config import kept_secret
from lms.core import clock
from lms.core.db import db, write
from lms.core.models import OutboxMessage
from lms.labs import pc_rules, rules
from lms.labs.intake import Intake
from lms.labs.models import BrokerCredential, StopEvent
from lms.labs.service import password_of
from lms.labs.veyon.runner import Runner
from lms.roster.models import Room

log = logging.getLogger("lms.labs.bridge")

POLL_S = 0.1
COMMIT_S = 1.0
BATCH = 200
REPEAT_STOP = timedelta(seconds=4)  # a gateway answers within 1.7 s
REPEAT_FOR = timedelta(minutes=1)
ADMIN = "bridge"


def admin_password_file(data_dir: Path) -> Path:
    """Where the broker's administrator password lies; made at first use."""
    path = data_dir / "keys" / "broker-admin"
    kept_secret(path)
    return path


class Bridge:
    """One school's bridge; :meth:`run` returns after :meth:`stop`."""

    def __init__(self, app: Flask, school_id: uuid.UUID, host: str, port: int) -> None:
        settings = app.config["ZHIKE"]
        self._app, self._host, self._port = app, host, port
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._fresh = threading.Event()  # a new connection: everything is provisioned and published again
        self._retained: dict[str, str] = {}
        self._delivered: set[int] = set()
        self._repeated: dict[str, datetime] = {}
        self._school_id = school_id
        self._intake = Intake(school_id)
        self._pcs = Runner(app, school_id, self._publish_picture)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="lms-bridge", protocol=mqtt.MQTTv311)
        self._client.username_pw_set(ADMIN, admin_password_file(settings.data_dir).read_text("utf-8").strip())
        self._client.reconnect_delay_set(1, 2)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._admin = BrokerAdmin(self._client, timeout_s=5)

    def stop(self) -> None:
        """Ask :meth:`run` to finish."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped; a broker that is away is waited for, nothing is lost meanwhile."""
        with self._app.app_context():
            self._retained = _last_retained(self._school_id)
            self._client.connect_async(self._host, self._port, keepalive=20)
            self._client.loop_start()
            self._pcs.start()
            last_commit = clock.now()
            beat_at = time.monotonic()
            try:
                while not self._stopping.wait(POLL_S):
                    if self._connected.is_set():
                        if self._fresh.is_set() or time.monotonic() >= beat_at:
                            beat_at = time.monotonic() + server_clock.BEAT_S
                            self._client.publish(server_clock.TOPIC, json.dumps({"at": clock.now().isoformat()}), qos=0)
                        self._work()
                    if (clock.now() - last_commit).total_seconds() >= COMMIT_S:
                        last_commit = clock.now()
                        self._commit()
                        self._repeat_stops(last_commit)
                    db.session.remove()
                self._commit()
            finally:
                self._pcs.stop()
                self._client.disconnect()
                self._client.loop_stop()


    def _publish_picture(self, topic: str, picture: bytes) -> None:
        if self._connected.is_set():  # an old picture is worth nothing: none is kept for later
            self._client.publish(topic, picture, qos=0)

    def _work(self) -> None:
        try:
            if self._fresh.is_set():
                self._fresh.clear()
                self._provision(everything=True)
                self._republish()
            else:
                self._provision(everything=False)
            self._deliver()
        except BrokerError as error:
            log.warning("broker", extra={"reason": str(error)})
            self._fresh.set()  # tried again at the next turn, from the start

    def _provision(self, *, everything: bool) -> None:
        now = clock.now()
        if _has_expired(now):
            with write():
                db.session.execute(
                    update(BrokerCredential)
                    .where(BrokerCredential.expires_at <= now, BrokerCredential.revoked.is_(False))
                    .values(revoked=True, rev=BrokerCredential.rev + 1)
                )
        query = select(BrokerCredential).where(BrokerCredential.school_id == self._school_id)
        if not everything:
            query = query.where(BrokerCredential.applied_rev < BrokerCredential.rev)
        rows = list(db.session.scalars(query))
        if not rows:
            return
        live, dead = [row for row in rows if not row.revoked], [row for row in rows if row.revoked]
        self._admin.put_many(
            roles=[RoleSpec(row.username, tuple(row.rights["send"]), tuple(row.rights["receive"]), tuple(row.rights["subscribe"])) for row in live],
            clients=[ClientSpec(row.username, password_of(row), (row.username,), row.username if pc_rules.bound_client(row.username, row.lesson_id) else None) for row in live],
        )
        for row in dead:
            self._admin.remove_client(row.username)
        applied = [(row.id, row.rev) for row in rows if row.applied_rev < row.rev]
        if applied:
            with write():
                for key, rev in applied:
                    db.session.execute(update(BrokerCredential).where(BrokerCredential.id == key).values(applied_rev=rev))

    def _republish(self) -> None:
        for topic, payload in self._retained.items():
            self._client.publish(topic, payload, qos=1, retain=True)

    def _deliver(self) -> None:
        query = select(OutboxMessage).where(OutboxMessage.delivered_at.is_(None), OutboxMessage.destination == "mqtt", OutboxMessage.school_id == self._school_id)
        for row in list(db.session.scalars(query.order_by(OutboxMessage.seq).limit(BATCH + len(self._delivered)))):
            if row.seq in self._delivered:
                continue
            sent = self._client.publish(row.topic, row.payload, qos=1, retain=row.retain)
            try:
                sent.wait_for_publish(5)
            except (RuntimeError, ValueError) as error:
                log.warning("publish", extra={"reason": str(error)})
                return
            if not sent.is_published():
                return
            if row.retain:
                self._retained[row.topic] = row.payload
                self._intake.lesson_published(row.topic, row.payload)
            self._delivered.add(row.seq)

    def _repeat_stops(self, now: datetime) -> None:
        """Say a stop of the last minute again, with its id, until a gateway has answered it."""
        query = select(StopEvent.stop_id, StopEvent.created_at, Room.code, StopEvent.unconfirmed).join(Room, Room.id == StopEvent.room_id)
        query = query.where(~StopEvent.stop_id.startswith(rules.CHECK))  # a check that nobody answers has failed
        query = query.where(StopEvent.school_id == self._school_id, StopEvent.reported_at.is_(None), StopEvent.created_at > now - REPEAT_FOR)
        waiting = {stop_id: (self._repeated.get(stop_id, at), code, asked) for stop_id, at, code, asked in db.session.execute(query)}
        self._repeated = {stop_id: at for stop_id, at in self._repeated.items() if stop_id in waiting}
        for stop_id, (said, code, asked) in waiting.items():
            if now - said >= REPEAT_STOP and self._connected.is_set():
                self._repeated[stop_id] = now
                order = rules.stop_order(stop_id, "system", now, [str(entry["device"]) for entry in asked])
                self._client.publish(rules.stop_topic(code), json.dumps(order), qos=1)
                log.warning("no gateway has answered a stop", extra={"stop": stop_id, "room": code})

    def _commit(self) -> None:
        done = frozenset(self._delivered)
        if not done and not self._intake.dirty:
            return
        with write():
            for part in _chunks(sorted(done), 500):
                db.session.execute(update(OutboxMessage).where(OutboxMessage.seq.in_(part)).values(delivered_at=clock.now()))
            self._intake.store(clock.now())
        self._delivered -= done

    def _on_connect(self, client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            log.warning("broker refused the bridge", extra={"reason": str(reason)})
            return
        self._intake.reconnected()
        client.subscribe([("homie/5/#", 1), ("zhike/gateway/+/devices", 1), ("zhike/gateway/+/recordings", 1), ("zhike/room/+/stopped", 1), ("zhike/room/+/lesson", 1)])
        self._fresh.set()
        self._connected.set()
        log.info("connected")

    def _on_disconnect(self, client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._connected.clear()

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        self._intake.take(message.topic, bytes(message.payload), retained=message.retain, at=clock.now())


def _has_expired(now: Any) -> bool:
    query = select(BrokerCredential.id).where(BrokerCredential.expires_at <= now, BrokerCredential.revoked.is_(False)).limit(1)
    return db.session.scalar(query) is not None


def _last_retained(school_id: uuid.UUID) -> dict[str, str]:
    """The newest retained payload of each topic that is still set."""
    newest = (
        select(func.max(OutboxMessage.seq))
        .where(OutboxMessage.school_id == school_id, OutboxMessage.retain.is_(True), OutboxMessage.delivered_at.is_not(None))
        .group_by(OutboxMessage.topic)
    )
    rows = db.session.scalars(select(OutboxMessage).where(OutboxMessage.seq.in_(newest)))
    return {row.topic: row.payload for row in rows if row.payload}


def _chunks(values: list[int], size: int) -> Iterable[list[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def run_bridge(app: Flask, school_id: uuid.UUID, host: str, port: int) -> None:
    """Run the bridge of this process until SIGTERM or SIGINT."""
    bridge = Bridge(app, school_id, host, port)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: bridge.stop())
    bridge.run()

