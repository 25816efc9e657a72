"""Retained topics of devices that this gateway no longer has: found after connecting, and cleared."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from labkit import homie
from labkit.errors import Malformed
from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.homie import Part
from labkit.lab import Lab
from labkit.links import Broker, Message

log = logging.getLogger("labkit.gateway")
LOOK_S = 1.0


class Ghosts:
    """Looks at retained topics for a second after each connect.

    A description that names this gateway as root but is not in the lab file is a ghost: its ``$state`` goes first, then the rest
    (Homie's order of removal). The number of commands that an earlier process had counted is taken over, once. Values below our own kits that are not on the board are left from an earlier profile.
    """

    def __init__(self, lab: Lab, broker: Broker, board: Board, adopt: Callable[[str, int], None]) -> None:
        self._lab = lab
        self._broker = broker
        self._board = board
        self._own = {lab.name} | {d.id for d in lab.devices if d.bridged}
        self._found: set[str] = set()
        self._until = 0.0
        self._looking = False
        self._adopt = adopt
        self._adoptable = {d.id for d in lab.devices}

    def know(self, device_id: str) -> None:
        """One kit of ours more (called by the router; the network thread goes through the old set meanwhile)."""
        self._own = self._own | {device_id}

    def subscribe(self) -> None:
        """Descriptions of all, and everything below our own kits."""
        self._broker.subscribe("homie/5/+/$description")

    def connected(self) -> None:
        """Begin to look (called from the network thread)."""
        for device in self._own:
            self._broker.subscribe(f"homie/5/{device}/#")
        self._until = time.monotonic() + LOOK_S
        self._looking = True

    def tick(self) -> None:
        """End the look when its time is over."""
        if self._looking and time.monotonic() > self._until:
            self._looking = False
            for device in self._adoptable:
                self._adopt(device, 0)
            self._adoptable.clear()
            for device in self._own | self._found:
                self._broker.unsubscribe(f"homie/5/{device}/#")
            self._found.clear()

    def hear(self, message: Message) -> None:
        """Judge one retained message."""
        if not message.retained or not message.payload:
            return
        try:
            address = homie.parse_topic(message.topic)
        except Malformed:
            return
        if self._lab.seated and address.device == self._lab.name and address.node in face.PAGE_NODES:
            return  # the pupil's page's own
        if address.property == face.COMMANDS and address.part is Part.VALUE and address.device in self._adoptable:
            self._adoptable.discard(address.device)
            if message.payload.isdigit() and len(message.payload) < 16:
                self._adopt(address.device, int(message.payload))
        elif address.device in self._found or (address.device in self._own and not self._board.holds(message.topic)):
            if address.part is not Part.SET:
                self._broker.publish(message.topic, b"")
        elif address.part is Part.DESCRIPTION and address.device not in self._own:
            self._judge(address.device, message.payload)

    def _judge(self, device_id: str, payload: bytes) -> None:
        try:
            device = homie.parse_description(device_id, payload)
        except Malformed:
            return
        if device.root == self._lab.name:
            log.info("clearing %s, which is no longer in the lab file", device_id)
            self._found.add(device_id)
            self._broker.publish(homie.state_topic(device_id), b"")
            self._broker.publish(homie.description_topic(device_id), b"")
            self._broker.subscribe(f"homie/5/{device_id}/#")
