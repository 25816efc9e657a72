"""Simulated pupils at simulated terminals (模拟学生): the same HTTP and MQTT doors as real ones."""

from __future__ import annotations

import json
import random
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from lms.demo.answers import answer_to
from lms.demo.browser import Browser, Refusal, page_data

HEARTBEAT_S = 5.0
WISH_S = 0.2
WISH_MS = 400
DRIVE_WISHES = 12


@dataclass
class Tally:
    """What all pupils did, for the report; guarded by ``lock``."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    sent: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    signed_in: set[str] = field(default_factory=set)
    settled: dict[str, int] = field(default_factory=dict)
    wishes: int = 0

    def error(self, text: str) -> None:
        """Note what went wrong."""
        with self.lock:
            self.errors.append(text[:300])


@dataclass(frozen=True)
class Pupil:
    """Who sits where: person id, PIN, the seat's enrolment code."""

    person: str
    pin: str
    code: str
    number: int


class Terminal(threading.Thread):
    """One terminal with its pupil: enrols, signs in, follows the lesson, answers, drives; runs until ``stopping``."""

    def __init__(self, pupil: Pupil, host: str, http_port: int, ws_port: int, tally: Tally, stopping: threading.Event) -> None:
        super().__init__(name=f"pupil-{pupil.number:02d}", daemon=True)
        self.pupil, self._tally, self._stopping = pupil, tally, stopping
        self._host, self._ws_port = host, ws_port
        self._browser = Browser(host, http_port, stopping)
        self._chance = random.Random(pupil.number)
        self._news = threading.Event()
        self._mqtt: mqtt.Client | None = None
        self._id = ""
        self._lesson = ""
        self._step_version = -1
        self._step = 0
        self._faces: int | None = None
        self._leases: dict[str, dict[str, Any]] = {}
        self._seq = 0
        self._cameras: list[str] = []
        self._linked_robots: list[str] = []

    def run(self) -> None:
        """The pupil's whole day."""
        try:
            self._enrol()
            while not self._stopping.is_set():
                if self._come_in():
                    self._sit_through()
                else:
                    self._stopping.wait(1.0)
        except (OSError, Refusal, KeyError, ValueError) as error:
            if not self._stopping.is_set():
                self._tally.error(f"{self.name}: {error!r}")
        finally:
            self._disconnect()
            self._browser.close()

    def _enrol(self) -> None:
        self._browser.page("/seat")
        self._browser.call("POST", "/seat/enrol", {"code": self.pupil.code})

    def _come_in(self) -> bool:
        """Sign in if the class's lesson is open here; False while it is not."""
        door = self._browser.call("GET", "/seat")
        if door["state"] == "seated":
            return True
        if door["state"] != "lesson" or self.pupil.person not in [name["person"] for name in door["names"]]:
            return False
        answer = self._browser.call("POST", "/seat/sign-in", {"person": self.pupil.person, "pin": self.pupil.pin})
        return bool(answer["state"] == "lesson")

    def _sit_through(self) -> None:
        """Follow the lesson to its end."""
        state = self._browser.call("GET", "/api/lesson/state")
        self._lesson, self._step_version, self._linked_robots = str(state["lesson"]), -1, []
        self._browser.page("/lesson")
        self._connect()
        with self._tally.lock:
            self._tally.signed_in.add(self.pupil.person)
        while not self._stopping.is_set():
            state = self._browser.call("GET", "/api/lesson/state")
            if state["lesson"] != self._lesson or state["state"] == "ended":
                break
            if state.get("group") and not self._linked_robots:
                self._renew_access()
            if state["step_version"] != self._step_version and state["state"] == "running":
                self._take_step()
            self._news.wait(HEARTBEAT_S)
            self._news.clear()
            self._beat()
        self._disconnect()

    def _take_step(self) -> None:
        found = self._browser.call("GET", "/api/lesson/step")
        self._step, version = found["state"]["step"], found["state"]["step_version"]
        self._publish("terminal/step", str(self._step), retain=True)
        for data in page_data(found["html"]):
            activity = data.get("activity") if isinstance(data, dict) else None
            if activity:
                self._drive()
                self._answer(activity)
        self._step_version = version
        with self._tally.lock:
            self._tally.settled[self.pupil.person] = self._step

    def _answer(self, activity: dict[str, Any]) -> None:
        robot = next(iter(self._held()), "")
        answer = answer_to(activity, self._chance, robot=robot, faces=self._faces)
        if self._chance.random() < 0.5:
            self._browser.call("PUT", f"/api/drafts/{activity['id']}", {"content": answer, "version": 0, "lesson": self._lesson})
        attempt = str(uuid.uuid4())
        with self._tally.lock:
            self._tally.sent.append(attempt)
        self._browser.call("POST", "/api/attempts", {"id": attempt, "activity": activity["id"], "answer": answer, "lesson": self._lesson})

    def _held(self) -> list[str]:
        """Robots whose wheel this terminal holds."""
        return [device for device, lease in self._leases.items() if lease.get("holder") == self._id]

    def _drive(self) -> None:
        """Hold the button for a while, let go, stop."""
        if not self._held():
            return
        turn = self._chance.choice((-0.8, 0.0, 0.8))
        for _ in range(DRIVE_WISHES):
            self._wish({"linear_x": 0.12, "angular_z": turn, "ms": WISH_MS})
            if self._stopping.wait(WISH_S):
                return
        self._wish({"stop": True})

    def _wish(self, wanted: dict[str, Any]) -> None:
        self._seq += 1
        self._publish("wish/drive", json.dumps({"seq": self._seq, **wanted}), retain=False, qos=0)
        with self._tally.lock:
            self._tally.wishes += 1

    def _connect(self) -> None:
        """Become a Homie device over WebSocket; what is not ready yet is tried again by the client library."""
        self._disconnect()
        access = self._browser.call("GET", "/api/lesson/connection")
        self._id, room = access["terminal"], access["room"]
        self._cameras = [kit["id"] for kit in access["cameras"]]
        self._linked_robots = [kit["id"] for kit in access["robots"]]
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=access["client_id"], protocol=mqtt.MQTTv311, transport="websockets", reconnect_on_failure=True
        )
        client.ws_set_options(path=access["ws_path"])
        client.username_pw_set(access["username"], access["password"])
        client.will_set(f"homie/5/{self._id}/$state", "lost", qos=1, retain=True)
        client.reconnect_delay_set(1, 2)
        kits = [f"homie/5/{name}/#" for name in (*self._cameras, *self._linked_robots)]
        topics = [(topic, 1) for topic in (f"zhike/room/{room}/lesson", f"zhike/room/{room}/lease/+", *kits)]
        client.on_connect = lambda client, data, flags, reason, properties: None if reason.is_failure else self._greet(client, topics)
        client.on_message = lambda client, data, message: self._hear(message.topic, message.payload)
        client.connect_async(self._host, access["ws_port"], keepalive=10)
        client.loop_start()
        self._mqtt = client

    def _renew_access(self) -> None:
        """The group has a robot now: ask for access anew, as the page does."""
        access = self._browser.call("GET", "/api/lesson/connection")
        robots = [kit["id"] for kit in access["robots"]]
        if robots:
            self._linked_robots = robots
            if self._mqtt is not None:
                self._mqtt.subscribe([(f"homie/5/{name}/#", 1) for name in robots])

    def _greet(self, client: mqtt.Client, topics: list[tuple[str, int]]) -> None:
        client.subscribe(topics)
        for name, value in (("$state", "ready"), ("terminal/lesson", self._lesson), ("terminal/step", str(self._step)), ("terminal/visible", "true")):
            client.publish(f"homie/5/{self._id}/{name}", value, qos=1, retain=True)
        self._beat()

    def _hear(self, topic: str, payload: bytes | bytearray) -> None:
        parts = topic.split("/")
        if parts[-1] == "lesson" and parts[0] == "zhike":
            self._news.set()
        elif len(parts) == 5 and parts[3] == "lease":
            try:
                lease = json.loads(payload) if payload else {}
            except ValueError:
                return
            self._leases[parts[4]] = lease
        elif parts[-1] == "faces" and payload.isdigit():
            self._faces = int(payload)

    def _beat(self) -> None:
        self._publish("terminal/heartbeat", datetime.now(UTC).isoformat(timespec="milliseconds"), retain=True)

    def _publish(self, name: str, payload: str, *, retain: bool, qos: int = 1) -> None:
        if self._mqtt is not None and self._mqtt.is_connected():
            self._mqtt.publish(f"homie/5/{self._id}/{name}", payload, qos=qos, retain=retain)

    def _disconnect(self) -> None:
        if self._mqtt is not None:
            self._mqtt.disconnect()
            self._mqtt.loop_stop()
            self._mqtt = None
