"""A robot with its own board on the broker: the gateway forwards wishes, ends drives and reads back the stop.

Its worker's thread only watches the time: orders and readings are handled by the router as they come.
"""

from __future__ import annotations

import re
import time

from labkit import health, homie
from labkit.errors import Malformed
from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.gateway.mailbox import AtOnce, DriveOrder, Heard, Item, SetOrder, StopOrder
from labkit.gateway.worker import REASONS, Robot
from labkit.homie import Address, Part
from labkit.lab import LabDevice
from labkit.lease import HANDS_OFF
from labkit.model import Device, State, Title, Value

_HREF = re.compile(r"homie:([a-z0-9-]+)/([a-z0-9-]+)(?:\?value=(.+))?")


class MqttKit(Robot):
    """One board; its topics are its own, only ``commands`` and ``stop-confirmed`` are added by the gateway."""

    def __init__(self, device: LabDevice, board: Board, gateway: str) -> None:
        super().__init__(device, board)
        self.mailbox = AtOnce(self.turn, self._at_once)
        self._gateway = gateway
        self._described: Device | None = None
        self._own_state: State | None = None
        self._asked_at: float | None = None
        self._deadline: float | None = None
        self._moving: Value | None = None
        self._held_at: float | None = None
        self._told = 0
        self._speeds = [self._write_topic(name) for name in (self.drive_model.linear, self.drive_model.angular)]

    def obstacle(self, stopping: bool) -> str:
        """A lost board cannot be driven; one that was never seen neither."""
        if self._own_state in (State.LOST, State.DISCONNECTED, None):
            return "lost"
        return "" if stopping or self._own_state is State.READY else "not_ready"

    def become(self, state: State) -> None:
        """The board publishes its own state."""
        self.state = state

    def alert(self, alert_id: str, text: Title) -> None:
        """Alerts about a board stand below the gateway, for the board's own topics are not ours."""
        zh = f"{self.device.title.zh}：{text.zh}"
        self._board.put(homie.alert_topic(self._gateway, f"{self.device.id}-{alert_id}"), zh.encode())

    def calm(self, alert_id: str) -> None:
        """Take an alert back."""
        self._board.clear(homie.alert_topic(self._gateway, f"{self.device.id}-{alert_id}"))

    def still(self) -> None:
        """The board says itself whether it moves."""

    def publish(self, name: str, value: Value, gap_s: float = 0.0) -> None:
        """Only what the board does not publish itself."""
        if name in (face.COMMANDS, face.STOP_CONFIRMED, face.REFUSED):
            super().publish(name, value, gap_s)

    def send_drive(self, order: DriveOrder) -> bool:
        """Both speeds; the gateway sends zeros when the time is over."""
        self._asked_at = self._held_at = None
        self._deadline = time.monotonic() + min(order.ms, self.safety.lease_ms) / 1000
        for topic, speed in zip(self._speeds, (order.linear_x, order.angular_z), strict=True):
            if topic:
                self._board.event(topic, b"%.3f" % speed)
        return True

    def send_stop(self, number: int) -> bool:
        """The first of the profile's stop forms; all of them where that was not proved, or nobody watches any more (0).

        What the board publishes from now on may prove it.
        """
        again, self._told = number in (self._told, 0), number
        self._deadline = None
        self._asked_at = time.monotonic()
        self._moving = None
        forms = self.device.profile.actions[self.safety.stop].forms
        for form in forms if again else forms[:1]:
            self._act(form.href)
        return True

    def blink(self) -> None:
        """The profile's identify forms."""
        action = self.device.profile.actions.get("identify")
        for form in action.forms if action else ():
            self._act(form.href)

    def set_property(self, order: SetOrder) -> None:
        """Not ours: trusted clients write to the board itself."""
        self.noise(f"{order.property}/set belongs to the board")

    def hold(self) -> None:
        """Whoever writes to the board itself does not ask the gateway: it is stopped again until it has stood for 0.6 s."""
        with self.turn:
            self._held_at = time.monotonic()

    def hear(self, item: Heard, address: Address) -> None:
        """The board's topics; orders come by the mailbox."""
        with self.turn:
            try:
                self._hear(item, address)
            except Malformed as error:
                self.noise(f"{item.topic}: {error.en}")

    def _at_once(self, item: Item) -> None:
        if self._ended and not isinstance(item, StopOrder):
            return  # nobody watches the time any more, so no drive would end
        self.handle(item)
        self._drive_on(time.monotonic())

    def tick(self, now: float) -> None:
        """End a drive whose time is over."""
        super().tick(now)
        if self._deadline is not None and now >= self._deadline:
            self.halt(StopOrder("lease"))

    def end(self) -> None:
        """Leave the board standing."""
        self.send_stop(0)

    def _hear(self, item: Heard, address: Address) -> None:
        if address.part is Part.STATE:
            self._hear_state(homie.parse_state(item.payload))
        elif address.part is Part.DESCRIPTION:
            self._described = homie.parse_description(self.device.id, item.payload)
        elif address.part is Part.VALUE and self._described and item.payload:
            known = self._described.property(address.node, address.property)
            if known and address.property not in (face.COMMANDS, face.STOP_CONFIRMED, face.REFUSED):
                value = homie.decode(known, item.payload)
                if not item.retained:
                    self._measure(address.property, value)
                    self._read_back(address.property, value)

    def _measure(self, property_id: str, value: Value) -> None:
        self.health.heard(time.monotonic())
        if property_id == health.BATTERY and isinstance(value, (int, float)):
            self.health.charge(value)

    def _hear_state(self, state: State) -> None:
        if state is State.READY and self._own_state is not State.READY:
            self.health.connected()
        self._own_state = state
        if state in (State.LOST, State.DISCONNECTED):
            self.alert("lost", REASONS["lost"])
            self._waiting, self._deadline = None, None
        else:
            self.calm("lost")
        self.become(state)

    def _read_back(self, property_id: str, value: Value) -> None:
        """Only a live message after the stop was asked for proves it."""
        if property_id == face.MOVING:
            self._moving = value
        if self._held_at is not None and _tells_motion(property_id, value):
            self._stop_again()
        if self._asked_at is None:
            return
        confirm = self.safety.confirm
        stands = (
            property_id == homie.property_id(confirm.property) and value == confirm.equals and self._moving is not True
        )
        if stands or (property_id == face.MOVING and value is False):
            self._asked_at = None
            self.proved()

    def _stop_again(self) -> None:
        now, held_at = time.monotonic(), self._held_at or 0.0
        self._held_at = now if now - held_at < HANDS_OFF.total_seconds() else None
        if self._held_at is not None:
            self.noise("it was driven past the gateway after an emergency stop")
            self.halt(StopOrder("held"))

    def _act(self, href: str) -> None:
        match = _HREF.fullmatch(href)
        if match and match[3]:
            self._board.event(homie.set_topic(self.device.id, match[2], match[1]), match[3].encode())

    def _write_topic(self, name: str) -> str:
        """Where a property of the profile is written, "" where it cannot be."""
        known = self.device.profile.properties.get(name)
        form = known.form("writeproperty") if known else None
        match = _HREF.fullmatch(form.href) if form else None
        return homie.set_topic(self.device.id, match[2], match[1]) if match else ""


def _tells_motion(property_id: str, value: Value) -> bool:
    return (property_id == face.MOVING and value is True) or (property_id in (face.LINEAR, face.ANGULAR) and value != 0)
