"""Which foreign board a message is for, and the list of those that nobody has named yet (未认领的板卡).

Only boards of the lab file get a worker, and only a worker sends: to a stranger nothing can be said. Strangers stand retained on
``zhike/gateway/<gateway>/strangers`` as ``[{"id", "convention", "name", "state", "url", "profile"}]``, ready for the lab file.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit import homie
from labkit.boards import Space, spaces
from labkit.broker.topics import FilterTree
from labkit.codecs import ha, tasmota
from labkit.codecs.foreign import Send
from labkit.errors import Malformed
from labkit.gateway.board import Board
from labkit.gateway.foreign import ForeignKit, Mouth, printable
from labkit.gateway.foreign_homie5 import MAX_CHILDREN, ForeignHomie5, boards_topic
from labkit.gateway.mailbox import Heard
from labkit.gateway.worker import Worker, to_json
from labkit.lab import Lab, LabDevice
from labkit.links import Broker, Message
from labkit.model import Device, State

log = logging.getLogger("labkit.gateway")
MAX_STRANGERS = 100
MAX_STATES = 2000
TELL_GAP_S = 1.0
LOOK = (
    "homie/+/$homie", "homie/+/$name", "homie/+/$state", "homeassistant/+/+/config", "homeassistant/+/+/+/config",
    "tasmota/discovery/+/config",
)  # fmt: skip
_HOMIE4 = re.compile(r"homie/([a-z0-9]+(?:-[a-z0-9]+)*)/\$(homie|name|state)")


@dataclass
class Stranger:
    """One board that is on the broker and not in the lab file."""

    id: str
    convention: str
    name: str = ""
    state: str = ""
    base: str = ""
    profile: str = ""

    def row(self) -> dict[str, str]:
        """As listed."""
        base = f"mqtt:{self.base}" if self.base else ""
        return {
            "id": self.id, "convention": self.convention, "name": self.name, "state": self.state,
            "url": base, "profile": self.profile,
        }  # fmt: skip


class ForeignRouter:
    """Belongs to the gateway's router thread."""

    def __init__(self, lab: Lab, broker: Broker, board: Board) -> None:
        self._lab, self._broker, self._board = lab, broker, board
        self._workers: dict[str, Worker] = {}
        self._spaces: dict[str, Space] = spaces(lab.devices)
        self._tree: FilterTree[str] = FilterTree()
        self._filters: dict[str, int] = {}
        self._root_of: dict[str, str] = {}
        self._states: dict[str, Message] = {}
        self._strangers: dict[tuple[str, str], Stranger] = {}
        self._plugged: list[Mapping[str, object]] = []
        self._changed = True  # an earlier process may have left a list
        self._tell_at = 0.0

    def worker(self, device: LabDevice) -> Worker:
        """The worker of one foreign board."""
        made: Worker
        if device.bridged:
            kit = ForeignKit(device, self._board, self._lab.name, Mouth(self._say, self._clear))
            for topic, qos in kit.dialect.filters():
                self._filters[topic] = max(qos, self._filters.get(topic, 0))
                self._tree.add(topic, device.id, qos)
            made = kit
        else:
            made = ForeignHomie5(device, self._board, self._lab.name)
        self._workers[device.id] = made
        return made

    def subscribe(self) -> None:
        """The boards' topics, and where strangers show themselves."""
        for topic, qos in self._filters.items():
            self._broker.subscribe(topic, qos)
        for topic in () if self._lab.seated else (*LOOK, boards_topic(self._lab.name, "+")):
            self._broker.subscribe(topic)
        self._tell_at = time.monotonic() + TELL_GAP_S

    def take(self, message: Message) -> bool:
        """Hand a message on; whether that was all that is to be done with it."""
        levels = message.topic.split("/")
        if levels[:2] == [homie.DOMAIN, "5"]:
            self._homie5(levels, message)
            return False
        if levels[0] == "zhike":
            self._left_over(levels, message)
            return False
        for device in self._tree.match(message.topic):
            self._workers[device].mailbox.put(Heard(message.topic, message.payload, message.retained))
        try:
            self._look(levels, message)
        except Malformed as error:
            log.info("a stranger on %s: %s", message.topic[:120], error.en)
        return True

    def know(self, lab: Lab) -> None:
        """The lab has one device more: its topics are no stranger's any longer."""
        self._lab, self._spaces = lab, spaces(lab.devices)
        named = {d.id for d in lab.devices}
        for key, one in list(self._strangers.items()):
            if one.id in named or any(f"mqtt:{one.base}" == d.url for d in lab.devices if one.base):
                self._forget(key)

    def listen(self, device: LabDevice) -> None:
        """Subscribe to the topics of a board that has just got its worker."""
        worker = self._workers.get(device.id)
        for topic, qos in worker.dialect.filters() if isinstance(worker, ForeignKit) else ():
            self._broker.subscribe(topic, qos)

    def stranger(self, own_id: str) -> Mapping[str, object] | None:
        """The row of a stranger, or None."""
        return next((row for row in self._rows() if row["id"] == own_id), None)

    def plugged(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Boards on this PC's cables that are no device's: listed with the others."""
        if list(rows) != self._plugged:
            self._plugged, self._changed = list(rows), True

    def _rows(self) -> list[Mapping[str, object]]:
        return [*self._plugged, *(one.row() for _, one in sorted(self._strangers.items()))]

    def tick(self) -> None:
        """Tell the list when it has changed, at most once a second."""
        now = time.monotonic()
        if self._changed and now >= self._tell_at:
            self._changed, self._tell_at = False, now + TELL_GAP_S
            self._board.put(f"zhike/gateway/{self._lab.name}/strangers", to_json(self._rows()))

    def _left_over(self, levels: list[str], message: Message) -> None:
        """What an earlier process told of a board that this lab no longer has."""
        mine = message.topic == boards_topic(self._lab.name, levels[-1])
        if mine and message.retained and message.payload and levels[-1] not in self._workers:
            self._clear(message.topic)

    # Homie 5 of others.

    def _homie5(self, levels: list[str], message: Message) -> None:
        device, last = levels[2] if len(levels) > 3 else "", levels[-1]
        root = self._root_of.get(device, device)
        if last == "set":
            worker = self._workers.get(root)
            if message.retained and message.payload and isinstance(worker, ForeignHomie5):
                log.warning("%s: a retained order on %s, taken away", root, message.topic[:120])
                self._clear(message.topic)
        elif last == "$description":
            self._description(device, message)
        elif last == "$state":
            self._keep_state(device, message)
            self._to_root(device, message)
            self._state(("homie5", device), message.payload)

    def _description(self, device: str, message: Message) -> None:
        try:
            shown = homie.parse_description(device, message.payload)
        except Malformed:
            self._root_of.pop(device, None)
            self._forget(("homie5", device))
            return
        root = shown.root or ""
        if isinstance(self._workers.get(root), ForeignHomie5) and self._lab.device(device) is None:
            self._root_of[device] = root
            self._to_root(device, message)
            if device in self._states:
                self._to_root(device, self._states[device])
        elif not root and self._lab.device(device) is None and not _ours(shown):
            children = ",".join(shown.children[:MAX_CHILDREN])
            base = f"{device}?children={children}" if children else device
            stranger = self._stranger("homie5", device, "homie5-board", base)
            if stranger:
                stranger.name = printable(shown.name)

    def _to_root(self, device: str, message: Message) -> None:
        root = self._root_of.get(device)
        if root is not None:
            self._workers[root].mailbox.put(Heard(message.topic, message.payload, message.retained))

    # Strangers.

    def _look(self, levels: list[str], message: Message) -> None:
        if match := _HOMIE4.fullmatch(message.topic):
            self._homie4(match[1], match[2], message.payload)
        elif tasmota.is_native(message.topic) and levels[3] == "config":
            self._tasmota(levels[2], message)
        elif levels[0] == "homeassistant" and levels[-1] == "config":
            self._home_assistant(message)

    def _homie4(self, device: str, what: str, payload: bytes) -> None:
        if device == "5" or self._named(f"homie/{device}/$state"):
            return
        key = ("homie4", device)
        text = printable(payload[:320].decode("utf-8", "replace"))
        if what == "state":
            self._state(key, payload)
            self._keep_state(f"homie4/{device}", Message("", payload, True))
        elif what == "homie" and text.startswith(("3.0", "4.")):
            stranger = self._stranger("homie4", device, "homie4-board", device)
            known = self._states.get(f"homie4/{device}")
            if stranger and known:
                stranger.state = _word(known.payload)
        elif what == "homie":
            self._forget(key)
        elif key in self._strangers and self._strangers[key].name != text:
            self._strangers[key].name, self._changed = text, True

    def _tasmota(self, mac: str, message: Message) -> None:
        if any(one.announces(message.topic) for one in self._spaces.values()):
            return
        if not message.payload:
            self._forget(("tasmota", mac))
            return
        if len(message.payload) > ha.MAX_CONFIG_BYTES:
            raise Malformed("发现内容太大", "a discovery message that is too large")
        document = homie.parse_json_object(message.payload)
        base = printable(str(document.get("t", "")))[:60]
        stranger = self._stranger("tasmota", mac, "tasmota-board", f"{base}?mac={mac}" if base else "")
        if stranger:
            stranger.name = printable(str(document.get("dn", "")))

    def _home_assistant(self, message: Message) -> None:
        if any(one.announces(message.topic) for one in self._spaces.values()):
            return
        _, node, object_id = ha.read_topic(message.topic)
        own_id = node or object_id
        if not message.payload:
            return
        if len(message.payload) > ha.MAX_CONFIG_BYTES:
            raise Malformed("发现内容太大", "a discovery message that is too large")
        document = ha.expand(homie.parse_json_object(message.payload))
        owner = document.get("device")
        stranger = self._stranger("homeassistant", own_id, "esphome-board" if node else "", node)
        if stranger and isinstance(owner, dict) and isinstance(owner.get("name"), str):
            stranger.name = printable(owner["name"])

    def _named(self, topic: str) -> bool:
        return any(one.tells(topic) for one in self._spaces.values())

    def _stranger(self, convention: str, own_id: str, profile: str, base: str) -> Stranger | None:
        key = (convention, own_id)
        if key not in self._strangers:
            if len(self._strangers) >= MAX_STRANGERS:
                return None
            self._strangers[key] = Stranger(own_id, convention, base=base, profile=profile)
            log.info("an unknown board: %s (%s)", own_id, convention)
        self._changed = True
        return self._strangers[key]

    def _state(self, key: tuple[str, str], payload: bytes) -> None:
        stranger = self._strangers.get(key)
        if stranger and stranger.state != _word(payload):
            stranger.state, self._changed = _word(payload), True

    def _keep_state(self, key: str, message: Message) -> None:
        """A state may come before the description that says whose it is."""
        if key in self._states or len(self._states) < MAX_STATES:
            self._states[key] = message

    def _forget(self, key: tuple[str, str]) -> None:
        if self._strangers.pop(key, None) is not None:
            self._changed = True

    # What workers do through the gateway's connection.

    def _say(self, message: Send) -> bool:
        return self._broker.publish(message.topic, message.payload, qos=message.qos, retain=False)

    def _clear(self, topic: str) -> None:
        self._broker.publish(topic, b"", qos=1, retain=True)


def _ours(device: Device) -> bool:
    """A gateway, a board of our own make, or a browser terminal, which has a node for wishes."""
    return device.type.startswith("zhike-") or device.node("wish") is not None


def _word(payload: bytes) -> str:
    text = payload[:20].decode("utf-8", "replace")
    return text if text in set(State) or text == "alert" else ""
