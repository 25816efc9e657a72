"""The measuring client: commands that chase their readings, stops that chase their proofs."""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from labkit import homie
from labkit.bench import wire
from labkit.bench.relay import WISHES
from labkit.errors import LabkitError
from labkit.links import Broker, BrokerAddress, Message

PATIENCE_S = 5.0
LOST_S = 1.0
AGAIN_S = 0.4
Send = Callable[[int, float, int], None]


def p99_ms(seconds: Sequence[float]) -> float:
    """The nearest-rank 99th percentile, in milliseconds."""
    ranked = sorted(seconds)
    return 1000 * ranked[max(0, math.ceil(0.99 * len(ranked)) - 1)]


class Pilot:
    """One client with a command on its way to each robot; the next goes when the reading has come (or at its time)."""

    def __init__(self, address: BrokerAddress) -> None:
        self._broker = Broker(address, f"bench-{uuid.uuid4().hex[:8]}", self._hear, lambda: None)
        self._news = threading.Condition()
        self._last: dict[str, bytes] = {}
        self._seq = 0
        self._until = ""
        self._send: Send | None = None
        self._chasing = False
        self._sent_at: list[float] = [0.0] * wire.ROBOTS
        self._speeds = [0.0] * wire.ROBOTS
        self._taken: list[float] = []
        self._standing: set[str] = set()
        self._report: dict[str, object] = {}
        self._indices = {board: number for number, board in enumerate(wire.BOARDS)}

    def __enter__(self) -> Pilot:
        self._broker.start()
        self._broker.wait(PATIENCE_S)
        for topic in ("homie/5/+/$state", "homie/5/+/main/linear-x", "homie/5/+/main/moving", "bench/relay"):
            self._broker.subscribe(topic, 0)
        self._broker.subscribe(f"zhike/room/{wire.ROOM}/stopped", 0)
        self._broker.subscribe(f"homie/5/{wire.BOARDS[-1]}/main/commands", 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._broker.stop()

    def wait_for(self, what: str, topics: Sequence[str]) -> None:
        """Until all these topics have been heard; raises LabkitError bench_broken."""
        with self._news:
            if not self._news.wait_for(lambda: all(topic in self._last for topic in topics), 30):
                raise LabkitError("bench_broken", f"{what} 没有就绪", f"{what} did not get ready")

    def lease_all(self, until: str) -> None:
        """Hand robot n to pilot n, until then (ISO UTC), in a lesson of its own."""
        self._until = until
        lesson = uuid.uuid4().hex
        for board, pilot in zip(wire.BOARDS, wire.PILOTS, strict=True):
            lease = {"device": board, "holder": pilot, "holders": [pilot], "lesson": lesson, "until": until}
            payload = json.dumps({**lease, "max_linear": 0.5, "max_angular": 4.0}).encode()
            self._broker.publish(f"zhike/room/{wire.ROOM}/lease/{board}", payload)
        self._broker.flush(PATIENCE_S)

    # The three ways of a command.

    def through_labkit(self, number: int, speed: float, seq: int) -> None:
        """A terminal's wish to the gateway."""
        wish = f'{{"seq":{seq},"linear_x":{speed:.3f},"angular_z":0.5,"ms":500}}'
        self._broker.publish(f"homie/5/{wire.PILOTS[number]}/wish/drive", wish.encode(), qos=0, retain=False)

    def through_relay(self, number: int, speed: float, seq: int) -> None:
        """The same wish to the bare relay."""
        wish = f'{{"seq":{seq},"linear_x":{speed:.3f},"angular_z":0.5,"ms":500}}'
        self._broker.publish(f"{WISHES}{wire.BOARDS[number]}", wish.encode(), qos=0, retain=False)

    def direct(self, number: int, speed: float, _seq: int) -> None:
        """Straight to the board."""
        topic = homie.set_topic(wire.BOARDS[number], "linear-x")
        self._broker.publish(topic, f"{speed:.3f}".encode(), qos=0, retain=False)

    def chase(self, send: Send, seconds: float) -> float:
        """Commands a second with one on its way to each robot, for so long."""
        begun = time.monotonic()
        with self._news:
            self._send, self._chasing, self._taken = send, True, []
            for number in range(wire.ROBOTS):
                self._next(number)
        while (left := begun + seconds - time.monotonic()) > 0:
            self._idle(min(left, LOST_S / 2))
            self._send_again()
        with self._news:
            self._send, taken = None, len(self._taken)
        passed = time.monotonic() - begun
        if not taken:
            raise LabkitError("bench_broken", "没有小车回应", "no robot answers")
        self._idle(0.3)
        return taken / passed

    def _send_again(self) -> None:
        """A command that was dropped (it waited too long on a busy machine) costs its second and is sent anew."""
        with self._news:
            for number, sent_at in enumerate(self._sent_at):
                if time.monotonic() - sent_at > LOST_S:
                    self._next(number)

    def pace(self, send: Send, seconds: float, hz: float) -> list[float]:
        """Times from command to reading, seconds, with every robot told ``hz`` times a second."""
        begun = time.monotonic()
        with self._news:
            self._send, self._chasing, self._taken = send, False, []
        for tick in range(round(seconds * hz * wire.ROBOTS)):
            self._idle(begun + tick / (hz * wire.ROBOTS) - time.monotonic())
            with self._news:
                self._next(tick % wire.ROBOTS)
        self._idle(0.3)
        with self._news:
            self._send = None
            return list(self._taken)

    def stop_room(self) -> float:
        """Seconds from the room's stop to the report that all have proved theirs; raises LabkitError bench_broken."""
        self._set_off()
        stop_id = str(uuid.uuid4())
        begun = time.monotonic()
        order = json.dumps({"id": stop_id, "by": "bench"}).encode()
        self._broker.publish(f"zhike/room/{wire.ROOM}/stop", order, qos=1, retain=False)
        with self._news:
            heard = self._news.wait_for(lambda: self._report.get("id") == stop_id, PATIENCE_S)
            passed = time.monotonic() - begun
            confirmed = self._report.get("confirmed")
        if not heard or not isinstance(confirmed, list) or len(confirmed) != wire.ROBOTS:
            raise LabkitError("bench_broken", f"急停没有全部确认：{self._report}", f"not all confirmed: {self._report}")
        return passed

    def stop_directly(self) -> float:
        """Seconds from publishing 20 stops to having heard 20 answers."""
        self._set_off()
        begun = time.monotonic()
        for board in wire.BOARDS:
            self._broker.publish(homie.set_topic(board, "stop"), b"stop", qos=1, retain=False)
        self._wait_all(self._standing_all, "bare stop")
        return time.monotonic() - begun

    def _set_off(self) -> None:
        """By leases of a new lesson, which end the hold of the stop before, and wishes: again where one lapsed on a busy machine."""
        self.lease_all(self._until)
        begun = time.monotonic()
        while self._standing:
            for number in range(wire.ROBOTS):
                self._seq += 1
                self.through_labkit(number, 0.2, self._seq)
            with self._news:
                moving = self._news.wait_for(lambda: not self._standing, AGAIN_S)
            if not moving and time.monotonic() - begun > PATIENCE_S:
                raise LabkitError("bench_broken", "set off：有小车没有回应", "set off: a robot does not answer")

    def _standing_all(self) -> bool:
        return len(self._standing) == wire.ROBOTS

    def _wait_all(self, fits: Callable[[], bool], what: str) -> None:
        with self._news:
            if not self._news.wait_for(fits, PATIENCE_S):
                raise LabkitError("bench_broken", f"{what}：有小车没有回应", f"{what}: a robot does not answer")

    def _next(self, number: int) -> None:
        assert self._send is not None
        self._seq += 1
        speed = 0.1 + self._seq % 300 / 1000
        self._speeds[number], self._sent_at[number] = speed, time.monotonic()
        self._send(number, speed, self._seq)

    @staticmethod
    def _idle(seconds: float) -> None:
        threading.Event().wait(max(0.0, seconds))

    def _hear(self, message: Message) -> None:
        now = time.monotonic()
        levels = message.topic.split("/")
        with self._news:
            if levels[-1] == "linear-x":
                number = self._indices[levels[2]]
                if self._send and abs(float(message.payload) - self._speeds[number]) < 1e-4:
                    self._taken.append(now - self._sent_at[number])
                    if self._chasing:
                        self._next(number)
                return
            if levels[-1] == "moving":
                (self._standing.add if message.payload == b"false" else self._standing.discard)(levels[2])
            elif levels[-1] == "stopped":
                self._report = homie.parse_json_object(message.payload)
            else:
                self._last[message.topic] = message.payload
            self._news.notify_all()
