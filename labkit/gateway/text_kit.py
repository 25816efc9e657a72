"""A robot that is spoken to in lines of text over TCP or UDP: guard, codec, probe, pushes, abilities, proof of stop."""

from __future__ import annotations

import re
import time
from enum import Enum
from functools import partial
from pathlib import Path

from labkit import codecs
from labkit.codecs import Ack, Noise, Reported, StopProved
from labkit.codecs.events import Lacking
from labkit.codecs.text_sdk import TextCodec
from labkit.errors import LinkDown, Malformed
from labkit.gateway import face
from labkit.gateway.behind_guard import PROBE_EVERY_S, PROBE_PATIENCE_S, REOPEN_S, SILENCE_S, BehindGuard
from labkit.gateway.board import Board
from labkit.gateway.mailbox import Came, DriveOrder, Item, SetOrder, StopOrder, Told
from labkit.gateway.worker import PUBLISH_GAP_S, Robot, log
from labkit.homie import decode
from labkit.lab import LabDevice
from labkit.links import GuardedPort
from labkit.links.text import Pushes, TextAddress
from labkit.model import State, Title

ABILITY_TRIES = 4
FRESH_DRIVE_S = 0.05
LAND_AGAIN_S, LAND_MARK = 1.0, "land"


class Phase(Enum):
    """Where the connection stands; only READY drives."""

    CLOSED = "closed"
    REACHING = "reaching"
    PROBING = "probing"
    WRONG = "wrong firmware"
    READY = "ready"


class TextKit(BehindGuard, Robot):
    """One RoboMaster, one Tello. A kit that is not reached is tried again by its guard every second."""

    _codec: TextCodec

    def __init__(self, device: LabDevice, board: Board, run_dir: Path, pushes: Pushes) -> None:
        super().__init__(device, board)
        self._run_dir, self._pushes = run_dir, pushes
        self._phase = Phase.CLOSED
        self._reopen_at = self._probe_at = self._probing_since = self._heard_at = self._drove_at = 0.0
        self._armed = False
        self._was_silent = False
        self._stop_mark = ""
        self._stop_first = 0
        self._lacks: set[str] = set()
        self._has: set[str] = set()
        self._height: float | None = None
        self._charge: float | None = None
        self._land_at: float | None = None
        self._due: dict[str, float] = {}
        self._tries: dict[str, int] = {}

    # What a robot does.

    def obstacle(self, stopping: bool) -> str:
        """A kit without a connection cannot even be stopped; only READY can be driven."""
        if self._phase in (Phase.CLOSED, Phase.REACHING):
            return "unreachable"
        if stopping or self._phase is Phase.READY:
            return ""
        return "wrong_firmware" if self._phase is Phase.WRONG else "not_ready"

    def send_drive(self, order: DriveOrder) -> bool:
        """Both speeds in one command; the guard stops the kit when no other follows in time."""
        if self._port is None:
            return False
        data = self._codec.drive(order.linear_x, order.angular_z)
        self._armed = False
        self._land_at = None
        self._drove_at = time.monotonic()
        return self._port.drive(min(order.ms, self.safety.lease_ms), data)

    def send_stop(self, number: int) -> bool:
        """The guard knows the kit's stop; its note with this number arms the proof."""
        self._land_later()
        return self._port is not None and self._port.stop(str(number))

    def _land_later(self) -> None:
        """A stop that is proved stands in the air; its landing may have been lost, so it is said again until the kit is down."""
        if self.drive_model.hold:
            self._land_at = time.monotonic() + LAND_AGAIN_S

    def blink(self) -> None:
        """The profile's identify action, step by step."""
        action = self.device.profile.actions.get("identify")
        if action is None or self._missing("identify"):
            self.refuse("", 0, "missing")
            return
        for after_ms, data in self._codec.act(action):
            self.later(after_ms, partial(self._write, data))

    def is_moved_by(self, order: SetOrder) -> bool:
        """A take-off."""
        flight = self.device.profile.flight
        return flight is not None and (order.property, order.payload) == (flight.property, flight.takeoff.encode())

    def set_property(self, order: SetOrder) -> None:
        """Write one of the kit's own properties, after checking it (a drone's ``flight``: take off, land, cut the motors)."""
        affordance = face.affordance(self.device.profile, order.property)
        if affordance is None or affordance.read_only or affordance.id in face.motors(self.drive_model):
            self.noise(f"{order.property} cannot be set")
            return
        if self._missing(affordance.id):
            self.refuse("", 0, "missing")
            return
        try:
            value = decode(face.sensor(affordance), order.payload)
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise Malformed("应为数或词", f"{order.property} should be a number or a word")
            data = self._codec.write(affordance, value)
            if self._stays_down(affordance.id, value):
                return
            self._land_at = None
            self._write(data)
        except Malformed as error:
            self.noise(error.en)
            return
        self.count()
        self.publish(order.property, value)

    def _stays_down(self, property_id: str, value: float | str) -> bool:
        """A take-off without a known, sufficient battery is refused with the reason."""
        flight = self.device.profile.flight
        if flight is None or (property_id, value) != (flight.property, flight.takeoff):
            return False
        if self._charge is not None and self._charge >= flight.min_battery:
            return False
        zh = (
            "还不知道电量"
            if self._charge is None
            else f"电量只有 {self._charge:g}%，要 {flight.min_battery:g}% 才起飞：请换电池"
        )
        en = f"battery at {self._charge} %, it takes off from {flight.min_battery:g} %"
        self.refuse("", 0, "battery", Title(zh, en))
        return True

    def _watch_height(self, height_cm: float) -> None:
        """Nearer to the ceiling than allowed: down."""
        flight, self._height = self.device.profile.flight, height_cm
        if flight and height_cm > flight.ceiling_cm and not self._stops and self._land_at is None:
            self.halt(StopOrder("too high"))
            zh = f"飞到 {height_cm:g} 厘米，超过 {flight.ceiling_cm:g} 厘米：已让它降落"
            self.alert("too-high", Title(zh, f"at {height_cm:g} cm, above {flight.ceiling_cm:g} cm: landing"))
        elif height_cm == 0:
            self.calm("too-high")

    def handle(self, item: Item) -> None:
        """Answers, pushes and guard notes here, orders in Robot."""
        if isinstance(item, Came):
            self._take(self._codec.feed(item.data), alive=True)
        elif isinstance(item, Told):
            if item.source is self._port:
                self._note(item.note)
        elif isinstance(item, DriveOrder) and self.drive_model.hold:
            self._hold(item)
        else:
            super().handle(item)

    def tick(self, now: float) -> None:
        """Open, probe, poll, watch for silence."""
        super().tick(now)
        if self._phase is Phase.CLOSED and now >= self._reopen_at:
            self._open(now)
        elif self._phase in (Phase.PROBING, Phase.WRONG) and now >= self._probe_at:
            self._probe(now)
        elif self._phase is Phase.READY:
            self._poll(now)
            if self._land_at is not None and now >= self._land_at and not self._stops and self._port:
                self._land_at = now + LAND_AGAIN_S if self._height else None
                if self._height:
                    self._port.stop(LAND_MARK)

    # The connection.

    def _new_codec(self) -> TextCodec:
        codec = super()._new_codec()
        if not isinstance(codec, TextCodec):
            raise ValueError(f"{self.device.id}: {self.device.profile.transport.codec} is no text codec")
        return codec

    def _open(self, now: float) -> None:
        self._reopen_at = now + REOPEN_S
        try:
            address = TextAddress.find(self.device, self._run_dir)
            if address is None:
                self._lost("unreachable")
                return
            self._codec = self._new_codec()
            port = GuardedPort(lambda data: self._keep(Came(data)), lambda note: self._keep(Told(note, port)), self.tap)
            self._pushes.listen(address, lambda data: self._keep(Told({"event": "push", "data": data}, port)))
        except (LinkDown, Malformed) as error:
            self.alert("unreachable", Title(error.zh, error.en))
            self.become(State.LOST)
            return
        self._port, self._phase = port, Phase.REACHING
        stop = self._codec.stop(self.device.profile.actions[self.safety.stop], self.safety.resync_before_stop)
        port.open(address.url, 0, self.device.settle_ms, stop, self.safety.repeat_stop, self._codec.numbers_from)

    def _note(self, note: dict[str, object]) -> None:
        event, now = note.get("event"), time.monotonic()
        if event == "push":
            data = note["data"]
            assert isinstance(data, bytes)
            # Pushes prove nothing about a stream that may be broken; over UDP they are all that an idle kit says.
            self._take(self._codec.push(data), alive=self.device.profile.transport.type == "udp")
        elif event == "open":
            self._phase = Phase.PROBING
            self._was_silent = False  # the guard has stopped it anew
            self._probing_since, self._probe_at = now, now
            self._lacks.clear()
            self._has.clear()
            self._tries.clear()
            self._height = self._charge = None
            self._due = {p: now for p, rate in self.device.profile.rates.items() if rate.poll_hz}
            self.become(State.INIT)
            self.calm("unreachable")
        elif event == "stop":
            self._guard_stopped(note, now)
        elif event == "error":
            self.noise(f"link: {note.get('code')}: {note.get('detail')}")
            if note.get("code") == "not_opened":
                self._lost("unreachable")
        elif event == "exit":
            code = note.get("code")
            log.warning("%s: its guard ended (%s)", self.device.id, code)
            self._phase, self._port = Phase.CLOSED, None
            killed = isinstance(code, int) and code < 0
            self._reopen_at = now if killed else now + REOPEN_S
            if not killed:
                self._lost("unreachable")

    def _guard_stopped(self, note: dict[str, object], now: float) -> None:
        """Arm the proof for the stop that waits (sent again, its earlier numbers still count), or for one of the guard's own."""
        mark = str(note.get("mark", ""))
        if note.get("reason") != "told":
            self._land_later()
        first, count = _whole(note.get("first")), _whole(note.get("count"))
        again = bool(mark) and mark == self._stop_mark and first >= self._stop_first
        if not again:
            self._stop_mark, self._stop_first = mark, first
        self._codec.expect_stop(self._stop_first, first + count - self._stop_first, again)
        if self._stops:
            self._armed = mark == str(self._stops[-1][0].number)
        else:
            self._armed = now - self._drove_at > FRESH_DRIVE_S
        if note.get("reason") != "told":
            self.publish(face.STOP_CONFIRMED, False)
            log.info("%s: the guard stopped it (%s)", self.device.id, note.get("reason"))

    # What the kit says.

    def _take(self, events: list[codecs.Event], alive: bool) -> None:
        for event in events:
            if isinstance(event, Noise):
                self.noise(f"text: {event.reason}")
                continue
            if alive:
                self._heard_at = time.monotonic()
            if isinstance(event, StopProved):
                if self._armed:
                    self._armed = False
                    self.proved()
            elif isinstance(event, Lacking):
                self._without(event)
            elif isinstance(event, Reported):
                self._read(event)
            elif isinstance(event, Ack):
                self.health.heard(self._heard_at)

    def _read(self, event: Reported) -> None:
        self.health.answered(event.property, time.monotonic())
        self._has.add(event.property)
        self._lacks.discard(event.property)
        if event.property == self.device.profile.match.probe:
            self._firmware(str(event.value))
        self.publish(event.property, event.value, PUBLISH_GAP_S)
        if event.property == "height" and isinstance(event.value, (int, float)):
            self._watch_height(event.value)
        if event.property == "battery" and isinstance(event.value, (int, float)):
            self._charge = event.value
        self._charged(event)

    def _without(self, event: Lacking) -> None:
        if event.property == self.device.profile.match.probe:
            self._firmware(event.answer[:40])
            return
        if event.property not in self._lacks:
            log.info("%s: it has no %s (%s)", self.device.id, event.property, event.answer[:40])
        self._lacks.add(event.property)
        self._due.pop(event.property, None)

    def _missing(self, thing: str) -> bool:
        needed = self.device.profile.needs.get(thing)
        return needed is not None and needed not in self._has

    def _firmware(self, version: str) -> None:
        if not re.search(self.device.pattern, version):
            self._phase = Phase.WRONG
            zh = f"固件不对：读到 {version!r}，应符合 {self.device.pattern}；请升级固件"
            self.alert("firmware", Title(zh, f"wrong firmware: read {version!r}, expected {self.device.pattern}"))
            self.become(State.INIT)
            return
        self.calm("firmware")
        if self._phase is not Phase.READY and self._silent_pushes():
            if time.monotonic() - self._probing_since < PROBE_PATIENCE_S:
                return
            zh = "收不到状态数据：请让防火墙放行这个 UDP 端口"
            self.alert("no-answer", Title(zh, "no state comes: let the firewall pass this UDP port"))
            return
        self.calm("no-answer")
        if self._phase is not Phase.READY:
            self._phase = Phase.READY
            self.health.connected()
            if self._was_silent:
                # Its stops may all have been lost while it was not heard.
                self._was_silent = False
                self.halt(StopOrder("heard again"))
            self.become(State.READY)

    def _silent_pushes(self) -> bool:
        """Whether the kit's stop is proved by what it pushes, and nothing of that has come yet."""
        return self.device.profile.transport.type == "udp" and not any(
            item.id in self._has for item in self.device.profile.properties.values() if item.form("observeproperty")
        )

    # What it is asked.

    def _probe(self, now: float) -> None:
        self._probe_at = now + PROBE_EVERY_S
        if self._was_silent and self._port:
            self._port.stop(
                str(self._stops[-1][0].number) if self._stops else ""
            )  # whenever the link comes back, a stop is the first word that arrives
        self._ask(self.device.profile.match.probe, now)
        if self._phase is Phase.PROBING and now - self._probing_since > PROBE_PATIENCE_S:
            self._lost("no_answer")

    def _poll(self, now: float) -> None:
        if now - self._heard_at > SILENCE_S:
            self._phase, self._probing_since, self._probe_at = Phase.PROBING, now, now
            self._was_silent = True
            self._lost("no_answer")
            self.halt(StopOrder("no answer"))
            return
        for property_id, due in list(self._due.items()):
            if now >= due:
                self._due[property_id] = now + 1 / self.device.profile.rates[property_id].poll_hz
                self._ask(property_id, now)
        for property_id in set(self.device.profile.needs.values()) - self._has - self._lacks:
            if now >= self._probe_at and self._tries.get(property_id, 0) < ABILITY_TRIES:
                self._probe_at = now + PROBE_EVERY_S
                self._tries[property_id] = self._tries.get(property_id, 0) + 1
                self._ask(property_id, now)

    def _hold(self, order: DriveOrder) -> None:
        """A kit that flies: zero speeds are held as long as somebody holds them; nobody drives what stands on the ground."""
        if self._height == 0 and not self.obstacle(stopping=False):
            self.refuse(order.by, order.seq, "grounded")
            return
        self._waiting, self._waiting_since = order, time.monotonic()


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
