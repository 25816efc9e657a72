"""A Homie 5 board that others made: it speaks for itself, the gateway watches it and marks its children when it is lost."""

from __future__ import annotations

from labkit import homie
from labkit.errors import Malformed
from labkit.gateway.board import Board
from labkit.gateway.mailbox import Heard, Item
from labkit.gateway.worker import REASONS, Worker, to_json
from labkit.homie import Part
from labkit.lab import LabDevice
from labkit.model import Device, State, Title

MAX_CHILDREN = 32


def boards_topic(gateway: str, device: str) -> str:
    """Where a gateway says how a foreign Homie 5 board and its children are."""
    return f"zhike/gateway/{gateway}/boards/{device}"


class ForeignHomie5(Worker):
    """Watches one root device; its topics are its own, only the node ``health`` is added by the gateway.

    On `boards_topic`, retained: ``{"device", "state", "missing": [property], "children": {id: state}}``; a child of a lost root is
    lost, whatever its own topic says (Homie 5). ``missing``: what the profile names and the board does not describe.
    """

    def __init__(self, device: LabDevice, board: Board, gateway: str) -> None:
        super().__init__(device, board)
        self._gateway = gateway
        self._described: Device | None = None
        self._children: dict[str, State] = {}
        self._own = State.INIT

    def handle(self, item: Item) -> None:
        """Its own topics, and those of its children."""
        if not isinstance(item, Heard):
            return
        try:
            self._hear(item)
        except Malformed as error:
            self.noise(f"{item.topic}: {error.en}")

    def become(self, state: State) -> None:
        """The board publishes its own state."""
        self.state = state

    def alert(self, alert_id: str, text: Title) -> None:
        """Alerts stand below the gateway, for the board's topics are not ours."""
        zh = f"{self.device.title.zh}：{text.zh}"
        self._board.put(homie.alert_topic(self._gateway, f"{self.device.id}-{alert_id}"), zh.encode())

    def calm(self, alert_id: str) -> None:
        """Take an alert back."""
        self._board.clear(homie.alert_topic(self._gateway, f"{self.device.id}-{alert_id}"))

    def _hear(self, item: Heard) -> None:
        address = homie.parse_topic(item.topic)
        if not item.payload:
            return
        if address.device != self.device.id:
            self._child(address.device, address.part, item.payload)
        elif address.part is Part.STATE:
            self._own = homie.parse_state(item.payload)
            self._follow()
        elif address.part is Part.DESCRIPTION:
            self._described = homie.parse_description(self.device.id, item.payload)
            self._tell()
        elif address.part is Part.VALUE and self._described and not item.retained:
            known = self._described.property(address.node, address.property)
            if known:
                homie.decode(known, item.payload)

    def _child(self, child: str, part: Part, payload: bytes) -> None:
        if child not in self._children and len(self._children) >= MAX_CHILDREN:
            raise Malformed("子设备太多", f"more than {MAX_CHILDREN} children")
        before = self._children.setdefault(child, State.INIT)
        if part is Part.STATE:
            self._children[child] = homie.parse_state(payload)
        if part is Part.DESCRIPTION or self._children[child] is not before:
            self._mark(child)
            self._tell()

    def _follow(self) -> None:
        if self._own in (State.LOST, State.DISCONNECTED):
            self.alert("lost", REASONS["lost"])
        else:
            self.calm("lost")
        if self._own is State.READY and self.state is not State.READY:
            self.health.connected()
        self.become(self._own)
        for child in self._children:
            self._mark(child)
        self._tell()

    def _mark(self, child: str) -> None:
        state = homie.effective_state(self._children[child], self._own)
        topic = homie.alert_topic(self._gateway, f"{child}-lost")
        if state is State.LOST:
            self._board.put(topic, f"{child}：{self.device.title.zh} 的子设备，失去连接".encode())
        else:
            self._board.clear(topic)

    def _tell(self) -> None:
        """How it stands, for the console."""
        children = {child: homie.effective_state(own, self._own).value for child, own in sorted(self._children.items())}
        row = {"device": self.device.id, "state": self._own.value, "missing": self._missing(), "children": children}
        self._board.put(boards_topic(self._gateway, self.device.id), to_json(row))

    def _missing(self) -> list[str]:
        if self._described is None:
            return []
        named = [
            (item.id, form.href.removeprefix("homie:").partition("/"))
            for item in self.device.profile.properties.values()
            for form in item.forms
            if form.href.startswith("homie:")
        ]
        return [name for name, (node, _, prop) in named if self._described.property(node, prop) is None]
