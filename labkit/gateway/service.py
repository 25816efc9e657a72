"""The gateway's router: leases, wishes, stops and settings from the broker to the workers."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from labkit import homie, lease, server_clock
from labkit.binding import PortBook
from labkit.errors import LabkitError, Malformed
from labkit.gateway import face
from labkit.gateway.adopting import Adopting, adopt_topic
from labkit.gateway.arm_kit import ArmKit
from labkit.gateway.board import Board
from labkit.gateway.camera import Camera
from labkit.gateway.foreign import ForeignKit
from labkit.gateway.foreign_router import ForeignRouter
from labkit.gateway.ghosts import Ghosts
from labkit.gateway.mailbox import (
    Adopt,
    ConfirmOrder,
    DriveOrder,
    EndOrder,
    Heard,
    IdentifyOrder,
    Item,
    SetOrder,
    StopOrder,
)
from labkit.gateway.mirror import Mirror, ask_topic
from labkit.gateway.mqtt_kit import MqttKit
from labkit.gateway.recordings import SWEEP_S, Recordings
from labkit.gateway.repl_kit import ReplKit
from labkit.gateway.room_stop import RoomStop
from labkit.gateway.serial_kit import SerialKit
from labkit.gateway.serial_sensor import SerialSensor
from labkit.gateway.text_kit import TextKit
from labkit.gateway.worker import Robot, Worker, to_json, utc_now
from labkit.homie import Address, Part
from labkit.lab import Lab, LabDevice
from labkit.lease import Blink, Caps, Command, Halt, Lease, Refusal, Steer, Wheel
from labkit.links import LINKS, Broker, BrokerAddress, GuardedPort, Message
from labkit.links.text import Pushes
from labkit.model import MAIN_NODE, Kind, State, Title
from labkit.ports import Listing
from labkit.server_clock import ServerClock

log = logging.getLogger("labkit.gateway")
ROUTER_TICK_S = 0.1
END_WAIT_S = 1.5
WISH_NODE, WISH_PROPERTY = "wish", "drive"
MOST_WAITING = 5000
AT_ONCE = 16


class Gateway:
    """One gateway; ``start`` … ``stop``, or ``run`` until an event is set.

    ``now`` gives aware UTC, ``ports`` the serial ports that are there (default: this machine's and simulated ones).
    """

    def __init__(
        self,
        lab: Lab,
        address: BrokerAddress,
        run_dir: Path,
        now: Callable[[], datetime] = utc_now,
        ports: Listing | None = None,
    ) -> None:
        self.lab = lab
        self._run_dir = run_dir
        self._now = now
        self._board = Board()
        self._pushes = Pushes()
        self._book = PortBook(lab, run_dir, ports)
        self._mirror = Mirror(lab.name, self._board)
        self._inbox: deque[Message] = deque()
        self._stops: deque[Message] = deque()
        will = (homie.state_topic(lab.name), State.LOST.value.encode())
        name = f"pc-{lab.name}" if lab.seated else lab.name
        self._broker = Broker(address, name, self._heard, self._connected, will, self._turn)
        self._foreign = ForeignRouter(lab, self._broker, self._board)
        self._ghosts = Ghosts(lab, self._broker, self._board, self._adopt)
        self._adopting = Adopting(lab, self._book, self._board, self._foreign, self._grow)
        self._ending = threading.Event()
        self._tick_at = 0.0
        self._recordings = Recordings(run_dir / "recordings", lab.name, self._board)
        self._swept_at = float("-inf")
        self._boards = frozenset(device.id for device in lab.devices if not device.bridged)
        self.workers: dict[str, Worker] = {}
        self._wheels: dict[str, Wheel] = {}
        self._clock = ServerClock()
        self.failure: str = ""
        self.failed = threading.Event()

    def start(self) -> None:
        """Start the workers first (they stop their kits), then connect."""
        self._describe()
        for device in self.lab.devices:
            self._begin(device)
        self._board.attach(self._broker)
        self._subscribe()
        self._broker.start()
        log.info("%s: %d devices in %s", self.lab.name, len(self.lab.devices), ", ".join(self.lab.rooms))

    def wait_connected(self, timeout_s: float) -> None:
        """Wait for the broker; raises LinkDown."""
        self._broker.wait(timeout_s)

    def stop(self) -> None:
        """Stop all robots, say goodbye, end."""
        self._ending.set()
        robots = [w for w in list(self.workers.values()) if isinstance(w, Robot)]
        orders = [StopOrder("the gateway ends") for _ in robots]
        for robot, order in zip(robots, orders, strict=True):
            robot.mailbox.put(order)
        deadline = time.monotonic() + END_WAIT_S
        for order in orders:
            order.done.wait(max(0.0, deadline - time.monotonic()))
        workers = list(self.workers.values())
        for worker in workers:
            worker.mailbox.put(EndOrder())
        for worker in workers:
            worker.join(END_WAIT_S * 2)
        self._pushes.close()
        self._board.put(homie.state_topic(self.lab.name), State.DISCONNECTED.value.encode())
        self._broker.flush(END_WAIT_S)
        self._broker.stop()

    # Setting up.

    def _begin(self, device: LabDevice) -> None:
        worker = self._worker(device)
        worker.mirror = self._mirror
        self.workers[device.id] = worker
        if isinstance(worker, Robot):
            self._wheels[device.id] = Wheel(device.id, _caps(worker), ahead=self._clock.ahead)
        worker.start()

    def _grow(self, lab: Lab, device: LabDevice) -> None:
        """One device more while the others go on; called by the router."""
        self.lab = lab
        self._boards = frozenset(one.id for one in lab.devices if not one.bridged)
        self._book.add(device)
        self._foreign.know(lab)
        if device.bridged:
            self._ghosts.know(device.id)
        self._describe()
        self._begin(device)
        self._foreign.listen(device)
        self._hear_device(device)
        self._adopt(device.id, 0)

    def _worker(self, device: LabDevice) -> Worker:
        worker: Worker
        link = LINKS[device.scheme]
        if device.profile.transport.type in ("tcp", "udp"):
            worker = TextKit(device, self._board, self._run_dir, self._pushes)
        elif link is GuardedPort:
            worker = _serial_worker(device)(device, self._board, self._book)
        elif link is Broker and device.profile.foreign is not None:
            return self._foreign.worker(device)
        elif link is Broker:
            worker = MqttKit(device, self._board, self.lab.name)
            worker.serve(face.robot_properties(device))
            return worker
        else:
            worker = Camera(device, self._board, self._recordings)
        shown = face.kit_device(device, self.lab.name, self._version)
        node = shown.node(MAIN_NODE)
        worker.serve(node.properties if node else ())
        self._board.put(homie.description_topic(device.id), homie.describe(shown))
        worker.become(State.INIT)
        return worker

    def _describe(self) -> None:
        self._version = int(self._now().timestamp())
        own = face.gateway_device(self.lab, self._version)
        self._board.put(homie.description_topic(self.lab.name), homie.describe(own))
        self._board.put(homie.state_topic(self.lab.name), State.READY.value.encode())
        listing = [
            {
                "device": d.id,
                "profile": d.profile.id,
                "kind": d.profile.kind.value,
                "room": d.room,
                "sticker": d.sticker,
                "seat": d.seat,
                "title": d.title.zh,
                "title_en": d.title.en,
                "parent": self.lab.name if d.bridged else "",
            }
            for d in self.lab.devices
        ]
        self._board.put(f"zhike/gateway/{self.lab.name}/devices", to_json(listing))

    def _subscribe(self) -> None:
        for room in self.lab.rooms:
            self._broker.subscribe(f"zhike/room/{room}/lease/+")
            self._broker.subscribe(f"zhike/room/{room}/stop")
            self._broker.subscribe(f"zhike/room/{room}/camera/+/+")
        self._broker.subscribe(f"homie/5/+/{WISH_NODE}/{WISH_PROPERTY}", 0)
        self._broker.subscribe("homie/5/+/$state")
        self._broker.subscribe(ask_topic(self.lab.name))
        self._broker.subscribe(adopt_topic(self.lab.name))
        self._broker.subscribe(server_clock.TOPIC, 0)
        self._broker.subscribe(face.steer_topic(self.lab.name, "+"), 0)
        for device in self.lab.devices:
            self._hear_device(device)
        self._ghosts.subscribe()
        self._foreign.subscribe()

    def _hear_device(self, device: LabDevice) -> None:
        if isinstance(self.workers[device.id], MqttKit):
            # Its values; not its /set topics, for those are our own words coming back.
            self._broker.subscribe(f"homie/5/{device.id}/+/+")
        elif not device.bridged:
            self._broker.subscribe(f"homie/5/{device.id}/#")
        else:
            self._broker.subscribe(f"homie/5/{device.id}/{MAIN_NODE}/+/set", 0)

    def _connected(self) -> None:
        self._ghosts.connected()
        self._board.announce()

    def _adopt(self, device_id: str, commands: int) -> None:
        if isinstance(self.workers.get(device_id), Robot):
            self.workers[device_id].mailbox.put(Adopt(commands))

    # Routing.

    def _heard(self, message: Message) -> None:
        """A room's stop overtakes what waits for the router; a flood of wishes is cut off, stops are not."""
        levels = message.topic.split("/")
        if len(levels) == 4 and levels[1] == "room" and levels[3] == "stop":
            self._stops.append(message)
        elif (
            len(self._inbox) < MOST_WAITING or levels[-2:] != [WISH_NODE, WISH_PROPERTY] or b'"stop"' in message.payload
        ):
            self._inbox.append(message)

    def _turn(self) -> bool:
        """In the network thread, after each reading: stops first, then a few of what waits, then what is due; whether more waits."""
        try:
            while self._stops:
                self._try(self._stops.popleft())
            for _ in range(min(AT_ONCE, len(self._inbox))):
                self._try(self._inbox.popleft())
            self._tick()
        except Exception as error:
            # A fault of the router itself: the process must end, so that guards stop the kits and the supervisor starts anew.
            self.failure = f"{type(error).__name__}: {error}"
            log.exception("the router failed")
            self.failed.set()
            raise
        return bool(self._inbox)

    def _try(self, message: Message) -> None:
        try:
            self._take(message)
        except Malformed as error:
            log.warning("refused %s: %s", message.topic[:120], error.en)

    def _tick(self) -> None:
        """What is due by time; between messages at most every 0.1 s, for a busy room brings a thousand of them in a second."""
        if time.monotonic() < self._tick_at:
            return
        self._tick_at = time.monotonic() + ROUTER_TICK_S
        now = self._now()
        if time.monotonic() - self._swept_at > SWEEP_S:
            self._swept_at = time.monotonic()
            self._recordings.sweep(now)
        self._ghosts.tick()
        self._foreign.tick()
        if not self._ending.is_set():
            self._adopting.tick()
        for device_id, wheel in self._wheels.items():
            if lease.expired(wheel, now):
                log.info("%s: its lease is over", device_id)
                self._wheels[device_id] = lease.ended(wheel)
                self.workers[device_id].mailbox.put(StopOrder("lease over"))
        dead = [w.name for w in self.workers.values() if not w.is_alive()]
        if dead and not self._ending.is_set():
            raise LabkitError("worker_died", f"设备线程已结束：{'、'.join(dead)}", f"workers died: {', '.join(dead)}")

    def _take(self, message: Message) -> None:
        levels = message.topic.split("/")
        if levels[:2] == ["zhike", "room"] and len(levels) >= 4:
            if levels[3] == "stop" and len(levels) == 4:
                self._room_stop(levels[2], message)
            elif levels[3] == "lease" and len(levels) == 5:
                self._lease(levels[2], levels[4], message)
            elif levels[3] == "camera" and len(levels) == 6:
                camera = self.workers.get(levels[4])
                if isinstance(camera, Camera):
                    camera.ordered(levels[2], levels[5], message, self._now())
            return
        if message.topic == ask_topic(self.lab.name) and not message.retained:
            self._mirror.ask(message.payload)
        if message.topic == adopt_topic(self.lab.name) and not message.retained:
            self._adopting.take(message.payload)
        if message.topic == server_clock.TOPIC and not message.retained:
            self._hear_clock(message.payload)
        if message.topic == face.steer_topic(self.lab.name, levels[-1]):
            self._steer_both(levels[-1], message)
        if self._foreign.take(message) or levels[0] != homie.DOMAIN:
            return
        self._ghosts.hear(message)
        address = homie.parse_topic(message.topic)
        if address.part is Part.SET:
            self._set(address, message)
        elif (address.node, address.property) == (WISH_NODE, WISH_PROPERTY) and address.part is Part.VALUE:
            self._wish(address.device, message)
        elif address.device in self.workers and self._own_board(address.device):
            self.workers[address.device].hear(Heard(message.topic, message.payload, message.retained), address)
        elif address.part is Part.STATE:
            self._state(address.device, message)
        elif address.part is Part.DESCRIPTION and address.device == self.lab.name:
            self._board.correct(message.topic, message.payload)

    def _own_board(self, device_id: str) -> bool:
        return device_id in self._boards

    def _state(self, device: str, message: Message) -> None:
        """Someone's state: a lost terminal lets go of its wheel; a late last will of our own is put right."""
        if device == self.lab.name and not self._ending.is_set():
            self._board.correct(message.topic, message.payload)
        if message.retained or message.payload not in (State.LOST.value.encode(), State.DISCONNECTED.value.encode()):
            return
        for device_id, wheel in self._wheels.items():
            if wheel.lease and wheel.lease.holder == device:
                log.info("%s: %s is gone, stopping", device_id, device)
                self.workers[device_id].mailbox.put(StopOrder(f"{device} is gone"))

    def _hear_clock(self, payload: bytes) -> None:
        """The server's time: leases follow it, and a wrong clock of this PC is told."""
        if not self._clock.hear(payload, self._now()):
            return
        ahead, topic = self._clock.ahead, homie.alert_topic(self.lab.name, "clock")
        self._wheels = {device: lease.with_clock(wheel, ahead) for device, wheel in self._wheels.items()}
        if self._clock.wrong:
            zh, en = server_clock.remedy(ahead)
            log.warning("%s", en)
            self._board.put(topic, zh.encode())
        else:
            self._board.clear(topic)

    def _lease(self, room: str, device_id: str, message: Message) -> None:
        wheel, device = self._wheels.get(device_id), self.lab.device(device_id)
        if wheel is None or device is None:
            return  # another gateway's device in the same room
        if device.room != room:
            raise Malformed(f"{device_id} 不在 {room}", f"{device_id} is not in {room}")
        new: Lease | None = lease.parse_lease(device_id, message.payload)
        after = lease.granted(wheel, new)
        self._wheels[device_id] = after
        if lease.must_stop(wheel, after):
            self.workers[device_id].mailbox.put(StopOrder("lease taken back"))

    def _wish(self, terminal: str, message: Message) -> None:
        if message.retained:
            raise Malformed("愿望不能是保留消息", "a wish must not be retained")
        if not message.payload:
            return
        wish = lease.parse_wish(message.payload)
        held = [w for w in self._wheels.values() if w.lease and terminal in w.lease.holders]
        if wish.device:
            held = [w for w in held if w.device == wish.device]
        if not held:
            named = self._wheels.get(wish.device)
            _, refusal = lease.decide(named or Wheel("", Caps(0, 0)), terminal, wish, self._now())
            assert isinstance(refusal, Refusal)
            log.info("refused %s seq %d: %s", terminal, wish.seq, refusal.en)
            return
        driven = [w for w in held if w.lease and w.lease.holder == terminal] or held
        for wheel in held if wish.stop else driven[:1]:
            after, decision = lease.decide(wheel, terminal, wish, self._now())
            self._wheels[wheel.device] = after
            self._carry_out(wheel.device, terminal, wish.seq, decision)

    def _carry_out(self, device_id: str, terminal: str, seq: int, decision: lease.Decision) -> None:
        worker = self.workers[device_id]
        assert isinstance(worker, Robot)
        item: Item
        if isinstance(decision, Refusal):
            log.info("%s: refused %s seq %d: %s", device_id, terminal, seq, decision.en)
            worker.refuse(terminal, seq, decision.code, Title(decision.zh, decision.en))
            return
        if isinstance(decision, Command):
            item = DriveOrder(decision.linear_x, decision.angular_z, decision.ms, terminal, seq)
        elif isinstance(decision, Blink):
            item = IdentifyOrder()
        else:
            assert isinstance(decision, Halt)
            item = StopOrder(f"wish of {terminal}")
        worker.mailbox.put(item)

    def _set(self, address: Address, message: Message) -> None:
        """A trusted client writes to a kit; the broker's rights keep all others away."""
        worker = self.workers.get(address.device)
        if isinstance(worker, ForeignKit):
            worker.told(address, message.payload, message.retained, message.topic)
            return
        if worker is None or self._own_board(address.device) or not isinstance(worker, (Robot, SerialSensor)):
            return
        if message.retained or address.node != MAIN_NODE:
            raise Malformed("/set 不能是保留消息", "a /set must not be retained")
        if isinstance(worker, SerialSensor):
            confirmed = address.property == face.CONFIRM
            worker.mailbox.put(
                ConfirmOrder("a trusted client") if confirmed else SetOrder(address.property, message.payload)
            )
            return
        if address.property == face.STOP:
            self._wheels[address.device] = lease.let_go(self._wheels[address.device])
            worker.mailbox.put(StopOrder("told by a trusted client"))
        elif address.property == face.IDENTIFY:
            worker.mailbox.put(IdentifyOrder())
        elif address.property == face.CONFIRM:
            worker.mailbox.put(ConfirmOrder("a trusted client"))
        elif address.property in (face.LINEAR, face.ANGULAR):
            self._steer(worker, address.property, message.payload)
        else:
            flight = worker.device.profile.flight
            cut = flight is not None and (address.property, message.payload) == (flight.property, flight.cut.encode())
            worker.mailbox.put(SetOrder(address.property, message.payload, kept=cut))

    def _steer(self, worker: Robot, property_id: str, payload: bytes) -> None:
        item = next((p for p in face.robot_properties(worker.device) if p.id == property_id), None)
        if item is None:
            raise Malformed(f"{worker.device.id} 没有轮子", f"{worker.device.id} has no wheels")
        value = homie.decode(item, payload)
        assert isinstance(value, float)
        speed = Steer(linear_x=value) if property_id == face.LINEAR else Steer(angular_z=value)
        self._steered(worker.device.id, speed)

    def _steer_both(self, device_id: str, message: Message) -> None:
        """A notebook's speeds, which go through the gateway for boards on the broker too."""
        if message.retained:
            raise Malformed("驾驶指令不能是保留消息", "an order to drive must not be retained")
        if device_id in self._wheels and message.payload:
            self._steered(device_id, lease.parse_steer(message.payload))

    def _steered(self, device_id: str, wanted: Steer) -> None:
        self._wheels[device_id], decision = lease.steer(self._wheels[device_id], wanted, self._now())
        self._carry_out(device_id, wanted.by, 0, decision)

    def _room_stop(self, room: str, message: Message) -> None:
        if message.retained:
            raise Malformed("急停不能是保留消息", "a stop must not be retained")
        robots = [
            w
            for w in self.workers.values()
            if w.device.room == room and (isinstance(w, Robot) or (isinstance(w, ForeignKit) and w.stoppable))
        ]
        stop = RoomStop.read(message.payload, robots)
        if stop.named and not stop.robots:
            return  # another gateway's devices: whoever answers is heard as theirs
        now = self._now()
        for robot in stop.robots:
            if isinstance(robot, Robot):
                robot.hold()
            if robot.device.id in self._wheels:
                self._wheels[robot.device.id] = lease.hold(self._wheels[robot.device.id], now)
        stop.carry_out(lambda report: self._stopped(room, report))
        self._board.event(f"homie/5/$broadcast/stop/{room}", stop.id.encode())

    def _stopped(self, room: str, report: dict[str, object]) -> None:
        report |= {"at": self._now().isoformat(), "gateway": self.lab.name}
        self._broker.publish(f"zhike/room/{room}/stopped", to_json(report), qos=1, retain=False)
        log.info("room %s stopped: %s", room, report)


def _serial_worker(device: LabDevice) -> type[SerialKit] | type[SerialSensor]:
    if device.profile.kind is not Kind.ROBOT:
        return SerialSensor
    if device.profile.drive is None:
        return ArmKit
    return ReplKit if device.profile.transport.codec == "raw_repl" else SerialKit


def _caps(robot: Robot) -> Caps:
    drive = robot.drive_model
    return Caps(drive.max_mps, drive.max_radps, min(robot.safety.lease_ms, lease.MAX_DRIVE_MS))
