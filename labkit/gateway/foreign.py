"""A board that others made, behind the gateway: what it says in its own convention becomes a Homie 5 device of the lab.

Its ``$state`` follows the board's own word and last will. A ``/set`` is checked against the profile and against what the board
says of itself, then goes to the board; what is refused stands in ``main/refused`` with the reason, and in the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from labkit import homie
from labkit.boards import HA_HREF, HOMIE_HREF, STATE_HREF, Space, space
from labkit.codecs.foreign import Described, Dialect, Leftover, News, Refused, Send, StateTold, Valued
from labkit.codecs.ha_board import HaBoard
from labkit.codecs.raw_topics import RawBoard
from labkit.errors import Malformed
from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.gateway.mailbox import Heard, IdentifyOrder, Item, SetOrder, StopOrder
from labkit.gateway.worker import PUBLISH_GAP_S, REASONS, RESEND_STOP_S, Worker
from labkit.homie import Address, Part
from labkit.homie4 import Homie4Board, property_id
from labkit.lab import LabDevice
from labkit.model import MAIN_NODE, Affordance, Datatype, Property, State, Title, Value

UNSEEN_S = 6.0
STOP_WITHIN_S = 1.4
MAX_HZ = 10.0
REFUSED = Property(face.REFUSED, Datatype.JSON, "被拒绝的指令", retained=False)
_ABSENT = Title("还没有见到它：没有接上电，或用户名、主题不对", "never seen: no power, or a wrong user name or topic")


@dataclass(frozen=True)
class Mouth:
    """How a worker speaks to its board: ``say`` sends (QoS, not retained), ``clear`` takes a retained topic away."""

    say: Callable[[Send], bool]
    clear: Callable[[str], None]


class ForeignKit(Worker):
    """One bridged board; the dialect knows its convention."""

    def __init__(self, device: LabDevice, board: Board, gateway: str, mouth: Mouth) -> None:
        super().__init__(device, board)
        self.space = space(device.profile, device.id, device.url)
        self.dialect: Dialect = dialect(device, self.space)
        self._gateway, self._mouth = gateway, mouth
        self._version = 0
        self._described: tuple[tuple[Property, ...], str] | None = None
        self._natural: dict[str, str] = {}
        self._found: dict[str, Property] = {}
        self._shown_as: dict[str, str] = {}
        self._told: State | None = None
        self._began = time.monotonic()
        self._heard_at: float | None = None
        self._silent = False
        self._waiting: dict[str, Value] = {}
        self._sent_at: dict[str, float] = {}
        self._stops: list[tuple[StopOrder, float]] = []
        self._running: set[str] = set()
        self._off_at = 0.0

    def begin(self) -> None:
        """Show what the profile says, until the board tells more."""
        self._began = time.monotonic()
        self._describe((), "")
        self.become(State.INIT)
        self._take(self.dialect.settle())

    def handle(self, item: Item) -> None:
        """What the board says, and what it shall do."""
        if isinstance(item, Heard):
            if not item.retained and not self.space.is_told(item.topic):
                self._alive()
            self._take(self.dialect.hear(item.topic, item.payload, item.retained))
        elif isinstance(item, SetOrder):
            self._set(item)
        elif isinstance(item, StopOrder):
            self._halt(item)
        elif isinstance(item, IdentifyOrder):
            self.refuse("identify", "no_identify", Title("这块板卡不会闪灯", "this board cannot show itself"))

    def tick(self, now: float) -> None:
        """Draw conclusions, send what waits for the board's pace, notice silence."""
        self._take(self.dialect.settle())
        for name in [n for n in self._waiting if now - self._sent_at.get(n, -1e9) >= 1 / self._pace(n)]:
            self._order(name, self._waiting.pop(name))
        self._watch_stops(now)
        foreign = self.device.profile.foreign
        limit = foreign.silent_after_s if foreign else 0.0
        if limit and self._heard_at is not None and not self._silent and now - self._heard_at > limit:
            self._silent = True
            self._lost(State.LOST, Title(f"{limit:g} 秒没有消息", f"no word for {limit:g} s"))
        elif self._told is None and self.state is State.INIT and now - self._began > UNSEEN_S:
            self._lost(State.LOST, _ABSENT)

    def end(self) -> None:
        """What must not go on without a gateway is switched off; the board itself goes on."""
        self._off(self._to_stop())
        self.become(State.DISCONNECTED)

    def become(self, state: State) -> None:
        """Publish the state, and the profile's ``state:`` properties with it."""
        super().become(state)
        for item in self.device.profile.properties.values():
            if any(form.href == STATE_HREF for form in item.forms):
                self.publish(item.id, state is State.READY)

    def told(self, address: Address, payload: bytes, retained: bool, topic: str) -> None:
        """A trusted client's ``/set`` on the Homie 5 side; raises Malformed for a retained one, after taking it away."""
        if retained:
            self._mouth.clear(topic)
            raise Malformed("/set 不能是保留消息", "a /set must not be retained")
        if address.node == MAIN_NODE:
            self.mailbox.put(SetOrder(address.property, payload))

    # The room's stop.

    @property
    def stoppable(self) -> bool:
        """Whether the stop of the room is for it: it has something that must be switched off."""
        foreign = self.device.profile.foreign
        return bool(foreign and foreign.off_at_stop)

    def _to_stop(self) -> set[str]:
        if not self.stoppable:
            return set()
        return {name for name, at in self._natural.items() if _is_switch(self._properties[name]) and at in self._found}

    def _halt(self, order: StopOrder) -> None:
        """Switch off now, whatever else waits; proved when the board itself has said so since."""
        self._waiting.clear()
        if self.state is not State.READY:
            self._off(self._to_stop())  # perhaps it hears
            order.settle("lost")
            return
        self._running = self._to_stop()
        self._stops.append((order, time.monotonic() + STOP_WITHIN_S))
        self._off_at = 0.0
        self._watch_stops(time.monotonic())

    def _watch_stops(self, now: float) -> None:
        if not self._stops:
            return
        if now >= self._off_at:
            self._off_at = now + RESEND_STOP_S
            self._off(self._running)
        for order, deadline in self._stops:
            if not self._running:
                order.settle("")
            elif now >= deadline:
                order.settle("no_answer")
        self._stops = [(order, deadline) for order, deadline in self._stops if not order.done.is_set()]

    def _off(self, names: set[str]) -> None:
        for name in names:
            try:
                messages = self.dialect.order(self._natural.get(name, ""), False)
            except Malformed as error:
                self.noise(f"{name} cannot be switched off: {error.en}")
                continue
            for message in messages:
                self._mouth.say(message)

    # What the board says.

    def _alive(self) -> None:
        self._heard_at = time.monotonic()
        self.health.heard(self._heard_at)
        if self._silent:
            self._silent = False
            self._follow(self._told or State.READY)

    def _take(self, news: list[News]) -> None:
        for one in news:
            if isinstance(one, Valued):
                self._value(one)
            elif isinstance(one, Described):
                self._describe(one.properties, one.name)
            elif isinstance(one, StateTold):
                self._told = one.state
                self._follow(one.state)
                if one.alarm:
                    self.alert("alarm", Title("板卡自己报警", "the board itself raises an alarm"))
                else:
                    self.calm("alarm")
            elif isinstance(one, Leftover):
                self._mouth.clear(one.topic)
            else:
                assert isinstance(one, Refused)
                self.noise(one.reason.en)
                why = {"property": "", "code": "malformed", "zh": one.reason.zh, "en": one.reason.en}
                self.publish(face.REFUSED, {**why}, PUBLISH_GAP_S)

    def _follow(self, state: State) -> None:
        if state in (State.LOST, State.DISCONNECTED):
            self._lost(state, REASONS["lost"])
            return
        if state is State.READY and self.state is not State.READY:
            self.health.connected()
        self.calm("lost")
        if state is not self.state:
            self.become(state)

    def _lost(self, state: State, why: Title) -> None:
        self._waiting.clear()
        self.alert("lost", why)
        if state is not self.state:
            self.become(state)

    def _describe(self, found: tuple[Property, ...], name: str) -> None:
        """The profile's properties, then what the board has beside them, if the profile takes that over."""
        self._found = {item.id: item for item in found}
        natural = dict(self._found)
        shown: dict[str, Property] = {}
        self._natural.clear()
        for item in self.device.profile.properties.values():
            at = self._find(item)
            known = natural.pop(at, None)
            settable = known is not None and known.settable and not item.read_only
            own = replace(face.sensor(item), settable=settable, retained=known.retained if known else True)
            shown[own.id] = own
            if known is not None:
                self._natural[own.id] = at
        foreign = self.device.profile.foreign
        for own_id, own in natural.items() if foreign and foreign.discover else ():
            if own_id not in shown and own_id != face.REFUSED:
                shown[own_id] = own
                self._natural[own_id] = own_id
        self._shown_as = {at: own_id for own_id, at in self._natural.items()}
        for gone in set(self._properties) - set(shown) - {face.REFUSED}:
            self._later.pop(gone, None)
            self._board.clear(homie.value_topic(self.device.id, gone))
        own_name = printable(name)
        described = ((*shown.values(), REFUSED), own_name)
        if described != self._described:
            self._described = described
            self.serve(described[0])
            self._publish_description(own_name)

    def _publish_description(self, name: str) -> None:
        self._version = max(int(time.time()), self._version + 1)
        kit = face.kit_device(self.device, self._gateway, self._version)
        main, *rest = kit.nodes
        nodes = (replace(main, properties=tuple(self._properties.values())), *rest)
        kit = replace(kit, nodes=nodes, name=f"{self.device.title.zh}（{name}）" if name else kit.name)
        self._board.put(homie.description_topic(self.device.id), homie.describe(kit))

    def _find(self, item: Affordance) -> str:
        """The dialect's id of a profile's property; "" while the board has not described it."""
        for form in item.forms:
            if match := HOMIE_HREF.fullmatch(form.href):
                return property_id(match[1], match[2])
            if HA_HREF.fullmatch(form.href) and isinstance(self.dialect, HaBoard):
                key = form.href.partition(":")[2]
                found = next((at for at, known in self.dialect.keys().items() if known == key), "")
                if found:
                    return found
        return "" if isinstance(self.dialect, HaBoard) else homie.property_id(item.id)

    def _value(self, one: Valued) -> None:
        own_id = self._shown_as.get(one.property)
        if own_id is None:
            return
        item = self._properties[own_id]
        if one.value is False:
            self._running.discard(own_id)
        self.publish(own_id, fitting(item, one.value), PUBLISH_GAP_S if item.retained else 0.0)
        if own_id == "battery" and isinstance(one.value, (int, float)):
            self.health.charge(one.value)

    # What it shall do.

    def _set(self, order: SetOrder) -> None:
        item = self._properties.get(order.property)
        if item is None or not item.settable:
            text = Title(f"{order.property[:40]} 不能设置", f"{order.property[:40]} cannot be set")
            self.refuse(order.property, "not_settable", text)
        elif self.state is not State.READY:
            code = "lost" if self.state in (State.LOST, State.DISCONNECTED) else "not_ready"
            self.refuse(order.property, code, REASONS[code])
        else:
            try:
                self._waiting[order.property] = homie.decode(item, order.payload)
            except Malformed as error:
                self.refuse(order.property, error.code, Title(error.zh, error.en))

    def _order(self, name: str, value: Value) -> None:
        self._sent_at[name] = time.monotonic()
        at = self._natural.get(name)
        if at is None:
            return
        try:
            # The board may have described itself anew since the order came.
            wanted = homie.encode(self._properties[name], value)
            messages = self.dialect.order(at, fitting(self._found[at], value))
        except Malformed as error:
            self.refuse(name, error.code, Title(error.zh, error.en))
            return
        for message in messages:
            if not self._mouth.say(message):
                self.refuse(name, "lost", REASONS["lost"])
                return
        target = Address(Part.TARGET, self.device.id, MAIN_NODE, name).topic()
        self._board.put(target, wanted)

    def _pace(self, name: str) -> float:
        rates: Mapping[str, float] = {
            homie.property_id(key): rate.max_hz for key, rate in self.device.profile.rates.items()
        }
        return rates.get(name) or MAX_HZ

    def refuse(self, name: str, code: str, why: Title) -> None:
        """Tell the bus and the log why nothing is done."""
        self.noise(f"{name[:40]}/set: {why.en}")
        self.publish(face.REFUSED, {"property": name[:40], "code": code, "zh": why.zh, "en": why.en})


def dialect(device: LabDevice, own: Space) -> Dialect:
    """What the board's convention is read and written with."""
    convention = device.profile.transport.convention
    if convention == "homie4":
        return Homie4Board(own.base)
    if convention == "homeassistant":
        return HaBoard(own)
    return RawBoard(device.profile, own)


def _is_switch(item: Property) -> bool:
    return item.settable and item.datatype is Datatype.BOOLEAN


def printable(text: str) -> str:
    """A name that a stranger gave, for terminals and pages: no control characters, at most 80 characters."""
    return "".join(letter for letter in text if letter.isprintable())[:80]


def fitting(item: Property, value: Value) -> Value:
    """A number as the property's own kind of number; everything else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if item.datatype is Datatype.FLOAT:
        return float(value)
    return round(value) if item.datatype is Datatype.INTEGER else value
