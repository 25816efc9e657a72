"""One device, one thread, one queue: a kit that hangs keeps nobody else waiting."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from labkit import health, homie
from labkit.errors import Malformed
from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.gateway.mailbox import (
    Adopt,
    DriveOrder,
    EndOrder,
    Heard,
    IdentifyOrder,
    Item,
    Mailbox,
    SetOrder,
    StopOrder,
)
from labkit.gateway.mirror import Mirror
from labkit.health import Health
from labkit.homie import Address
from labkit.lab import LabDevice
from labkit.model import Drive, Kind, Property, State, Title, Value

log = logging.getLogger("labkit.gateway")
TICK_S = 0.05
RESEND_STOP_S = 0.3
PUBLISH_GAP_S = 0.2
NOISE_LOG_GAP_S = 2.0
JUST_STOPPED_S = 1.0
REASONS = {
    "unplugged": Title("没有插上或线松了", "unplugged or a loose cable"),
    "not_opened": Title(
        "串口打不开：被别的程序占用，或没有权限", "the port cannot be opened: in use, or no permission"
    ),
    "no_answer": Title("没有回应", "no answer"),
    "lost": Title("失去连接", "connection lost"),
    "not_ready": Title("还没有准备好", "not ready yet"),
    "wrong_firmware": Title("固件不对", "wrong firmware"),
    "unreachable": Title(
        "连不上：没有开机，或不在同一个网络", "cannot be reached: switched off, or in another network"
    ),
    "missing": Title("这台设备没有这个能力", "this kit cannot do that"),
    "grounded": Title("还没有起飞：请老师让它起飞", "it is not in the air: the teacher lets it take off"),
    "stopped": Title("刚刚按了停，没有动：要做请再按一次", "it has just been stopped and stays so: press again"),
    "unconfirmed": Title("未确认是不是这一台，确认前不驱动", "not driven until confirmed"),
}


NO_WHEELS = Drive("none", 0.0, 0.0)


class Worker(threading.Thread):
    """What all devices share: publishing, alerts, the loop."""

    def __init__(self, device: LabDevice, board: Board) -> None:
        super().__init__(name=device.id, daemon=True)
        self.device = device
        self.mailbox = Mailbox()
        self.turn = threading.RLock()
        self.state = State.INIT
        self._board = board
        self._properties: dict[str, Property] = {}
        self._shown: dict[str, float] = {}
        self._later: dict[str, Value] = {}
        self._noise: dict[str, int] = {}
        self._noise_at = 0.0
        self._ended = False
        self.mirror: Mirror | None = None
        self.health = Health(device.profile, device.seat)
        self._vitals = {item.id: item for item in health.properties(device.profile)}

    def run(self) -> None:
        """Handle the queue until told to end."""
        with self.turn:
            self.begin()
        while not self._ended:
            item = self.mailbox.get(TICK_S)
            with self.turn:
                if isinstance(item, EndOrder):
                    self.end()
                    self._ended = True
                else:
                    self._turn(item)
                self._flush(time.monotonic())

    def _turn(self, item: Item | None) -> None:
        """One item and what is due; what a codec cannot write is refused here, for one kit's value must not end the gateway."""
        for act in (partial(self.handle, item) if item is not None else None, lambda: self.tick(time.monotonic())):
            try:
                if act:
                    act()
            except Malformed as error:
                self.unwritable(error)

    def unwritable(self, error: Malformed) -> None:
        """Something could not be said to the kit."""
        self.noise(error.en)

    def begin(self) -> None:
        """Called once in the worker's thread."""

    def handle(self, item: Item) -> None:
        """Take one item from the queue."""

    def tick(self, now: float) -> None:
        """Called after every item and at least every 50 ms; ``now`` is monotonic seconds."""

    def end(self) -> None:
        """Close the link."""

    def serve(self, properties: tuple[Property, ...]) -> None:
        """Name the properties that ``publish`` may use."""
        self._properties = {item.id: item for item in properties}

    def publish(self, name: str, value: Value, gap_s: float = 0.0) -> None:
        """Publish a property by its name or Homie id; with ``gap_s`` at most once in that time, the latest value last."""
        property_id, now = homie.property_id(name), time.monotonic()
        if now - self._shown.get(property_id, -1e9) < gap_s:
            self._later[property_id] = value
            return
        self._later.pop(property_id, None)
        self._shown[property_id] = now
        item = self._properties[property_id]
        topic = homie.value_topic(self.device.id, property_id)
        try:
            payload = homie.encode(item, value)
        except Malformed as error:
            self.noise(error.en)
            return
        if item.retained:
            self._board.put(topic, payload)
        else:
            self._board.event(topic, payload)

    def _flush(self, now: float) -> None:
        for name, vital in self.health.due(now).items():
            payload = homie.encode(self._vitals[name], vital)
            self._board.put(homie.value_topic(self.device.id, name, health.NODE), payload)
        for property_id in [p for p in self._later if now - self._shown[p] >= PUBLISH_GAP_S]:
            self.publish(property_id, self._later[property_id])
        if self._noise and now - self._noise_at >= NOISE_LOG_GAP_S:
            self._noise_at = now
            for reason, times in self._noise.items():
                log.warning("%s: refused %d × %s", self.device.id, times, reason)
            self._noise.clear()

    def noise(self, reason: str) -> None:
        """Note something refused; logged at most every 2 s with its count."""
        if len(self._noise) < 20 or reason in self._noise:
            self._noise[reason] = self._noise.get(reason, 0) + 1

    def become(self, state: State) -> None:
        """Publish the device's ``$state``."""
        if state is not self.state:
            log.info("%s: %s → %s", self.device.id, self.state.value, state.value)
        self.state = state
        self._board.put(homie.state_topic(self.device.id), state.value.encode())

    def hear(self, item: Heard, address: Address) -> None:
        """A message of the device's own board; called by the router, which has read its topic."""
        self.mailbox.put(item)

    def tap(self, way: str, data: bytes) -> None:
        """A frame passes on this kit's line (``in`` from it, ``out`` to it); any thread."""
        if self.mirror:
            self.mirror.frame(self.device.id, way, data)

    def alert(self, alert_id: str, text: Title) -> None:
        """Raise an alert, in Chinese, on the device."""
        topic = homie.alert_topic(self.device.id, alert_id)
        if not self._board.holds(topic):
            log.warning("%s: %s", self.device.id, text.en)
        self._board.put(topic, text.zh.encode())

    def calm(self, alert_id: str) -> None:
        """Take an alert back."""
        self._board.clear(homie.alert_topic(self.device.id, alert_id))


class Robot(Worker):
    """What all robots share: drives at the kit's pace, stops that must be proved, counts."""

    def __init__(self, device: LabDevice, board: Board) -> None:
        super().__init__(device, board)
        profile = device.profile
        if profile.kind is not Kind.ROBOT or profile.safety is None:
            raise ValueError(f"{device.id} is no robot")
        self.drive_model = profile.drive or NO_WHEELS
        self.safety = profile.safety
        self.commands = 0
        self._waiting: DriveOrder | None = None
        self._waiting_since = 0.0
        self._counted_before: int | None = None
        self._next_drive_at = 0.0
        self._stops: list[tuple[StopOrder, float]] = []
        self._resend_at = 0.0
        self._blinks: list[tuple[float, Callable[[], None]]] = []
        self._driven = False
        self._halted_at = float("-inf")

    # What a kind of robot does by itself.

    def send_drive(self, order: DriveOrder) -> bool:
        """Put a drive on the wire; False when the link did not take it; raises Malformed before anything is sent."""
        raise NotImplementedError

    def send_stop(self, number: int) -> bool:
        """Put a stop on the wire; False when the link did not take it."""
        raise NotImplementedError

    def blink(self) -> None:
        """Show which robot it is."""
        raise NotImplementedError

    def set_property(self, order: SetOrder) -> None:
        """Set one of the kit's own properties."""
        raise NotImplementedError

    def obstacle(self, stopping: bool) -> str:
        """Why the robot cannot be driven (or stopped) now: a key of REASONS, "" = it can."""
        raise NotImplementedError

    def is_moved_by(self, order: SetOrder) -> bool:
        """Whether a setting lets the kit move: one that comes just behind a stop was ordered before it and went a longer way."""
        return False

    def may_blink(self) -> bool:
        """Whether it can show itself although it cannot be driven: a person must see which one it is to confirm it."""
        return False

    def begin(self) -> None:
        """Show a standing robot whose stop is not proved yet."""
        self.publish(face.STOP_CONFIRMED, False)
        self.still()

    def handle(self, item: Item) -> None:
        """Drives wait for the kit's pace; stops do not."""
        if isinstance(item, StopOrder):
            self.halt(item)
        elif isinstance(item, DriveOrder):
            if item.linear_x == 0 and item.angular_z == 0:
                self._waiting = None
                if self._driven and not self._stops:
                    self.halt(StopOrder("zero speed"))
            else:
                self._waiting, self._waiting_since = item, time.monotonic()
        elif isinstance(item, IdentifyOrder):
            if self.may_blink() or not self._refuse("", 0):
                self.count()
                self.blink()
        elif isinstance(item, Adopt):
            self._count_from(item.commands)
        elif isinstance(item, SetOrder) and not self._refuse("", 0):
            if self.is_moved_by(item) and time.monotonic() - self._halted_at < JUST_STOPPED_S:
                self.refuse("", 0, "stopped")
            else:
                self.set_property(item)

    def tick(self, now: float) -> None:
        """Send what is due."""
        self._drive_on(now)
        for due in [b for b in self._blinks if b[0] <= now]:
            self._blinks.remove(due)
            due[1]()
        self._watch_stops(now)

    def hold(self) -> None:
        """After an emergency stop: nothing to do where all that moves the kit goes through the gateway. Called by the router."""

    def later(self, after_ms: int, act: Callable[[], None]) -> None:
        """Do something after a while unless a stop comes first."""
        self._blinks.append((time.monotonic() + after_ms / 1000, act))

    def proved(self) -> None:
        """The kit itself has said that it stands."""
        self.health.answered("stop", time.monotonic())
        for order, _ in self._stops:
            order.settle("")
        self._stops.clear()
        self._driven = False
        self.publish(face.STOP_CONFIRMED, True)
        self.still()

    def still(self) -> None:
        """Publish that the robot stands."""
        self._later.pop(face.LINEAR, None)
        self._later.pop(face.ANGULAR, None)
        self.publish(face.MOVING, False)
        self.publish(face.LINEAR, 0.0)
        self.publish(face.ANGULAR, 0.0)

    def count(self) -> None:
        """One command more went to the kit."""
        self.commands += 1
        if self._counted_before is not None:
            self.publish(face.COMMANDS, self._counted_before + self.commands, PUBLISH_GAP_S)

    def _count_from(self, before: int) -> None:
        """Go on where an earlier process ended; nothing is published before that is known, for a lower number means anew."""
        self._counted_before = before
        self.publish(face.COMMANDS, before)
        if self.commands:
            self.publish(face.COMMANDS, before + self.commands)

    def _drive_on(self, now: float) -> None:
        """Send the waiting drive at the kit's pace, and after a stop only when that is proved; an old one is dropped."""
        order = self._waiting
        if order is None:
            return
        if now - self._waiting_since > order.ms / 1000:
            self._waiting = None
            self.noise("a drive that waited too long")
        elif now >= self._next_drive_at and not self._stops:
            self._waiting = None
            self._drive(order, now)

    def _drive(self, order: DriveOrder, now: float) -> None:
        if self._refuse(order.by, order.seq):
            return
        fastest = max((rate.max_hz for rate in self.device.profile.rates.values()), default=0.0) or 25.0
        self._next_drive_at = now + 1 / fastest
        try:
            taken = self.send_drive(order)
        except Malformed as error:
            self.unwritable(error, order.by, order.seq)
            return
        if not taken:
            self.refuse(order.by, order.seq, "lost")
            return
        self._driven = True
        self.count()
        self.publish(face.STOP_CONFIRMED, False)
        self.publish(face.MOVING, True)
        self.publish(face.LINEAR, round(order.linear_x, 3), PUBLISH_GAP_S)
        self.publish(face.ANGULAR, round(order.angular_z, 3), PUBLISH_GAP_S)

    def halt(self, order: StopOrder) -> None:
        """Stop now and watch for the proof."""
        self._halted_at = time.monotonic()
        self._waiting = None
        self._blinks.clear()
        obstacle = self.obstacle(stopping=True)
        if obstacle:
            self.publish(face.STOP_CONFIRMED, False)
            order.settle(obstacle)
            return
        now = time.monotonic()
        self._stops.append((order, now + self.safety.confirm.within_ms / 1000))
        self._resend_at = now + RESEND_STOP_S
        self.health.asked("stop", now)
        # The kit first, its story afterwards.
        self.send_stop(order.number)
        self.publish(face.STOP_CONFIRMED, False)
        self.count()

    def _watch_stops(self, now: float) -> None:
        late = [order for order, deadline in self._stops if now >= deadline]
        self._stops = [(order, deadline) for order, deadline in self._stops if now < deadline]
        for order in late:
            order.settle(self.obstacle(stopping=True) or "no_answer")
            log.warning("%s: stop (%s) not proved: %s", self.device.id, order.reason, order.failure)
        if self._stops and now >= self._resend_at:
            self._resend_at = now + RESEND_STOP_S
            self.send_stop(self._stops[-1][0].number)

    def _refuse(self, by: str, seq: int) -> bool:
        obstacle = self.obstacle(stopping=False)
        if obstacle:
            self.refuse(by, seq, obstacle)
        return bool(obstacle)

    def unwritable(self, error: Malformed, by: str = "", seq: int = 0) -> None:
        """Refused with what the codec says; a profile or lab file whose numbers do not fit its kit is the usual cause."""
        why = Title(f"这个值发不到设备上：{error.zh}。请老师查设备档案", f"it cannot be said to the kit: {error.en}")
        self.refuse(by, seq, "malformed", why)

    def refuse(self, by: str, seq: int, code: str, text: Title | None = None) -> None:
        """Tell the terminal and the log why nothing is done."""
        why = text or REASONS[code]
        self.noise(f"command of {by or 'a trusted client'}: {why.en}")
        self.publish(
            face.REFUSED, {"terminal": by, "seq": seq, "code": code, "zh": why.zh, "en": why.en}, PUBLISH_GAP_S
        )


def utc_now() -> datetime:
    """The gateway's clock."""
    return datetime.now(UTC)


def to_json(value: object) -> bytes:
    """Compact JSON for the lesson topics."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
