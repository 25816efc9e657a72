"""All simulated devices of one lab file, in one process apart from the gateway."""

from __future__ import annotations

import json
import logging
import selectors
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from urllib.parse import unquote, urlsplit

from labkit import codecs
from labkit.errors import LabkitError
from labkit.lab import Lab, LabDevice, Simulate
from labkit.links import BrokerAddress
from labkit.model import Kind
from labkit.simulate import physics
from labkit.simulate.backwards import Backwards, TextBackwards
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults, read_faults
from labkit.simulate.firmata_car import NO_WHEELS, FirmataBoard
from labkit.simulate.foreign import ForeignBoard
from labkit.simulate.huskylens import Huskylens
from labkit.simulate.mbot import MbotFirmware
from labkit.simulate.mqtt_car import MqttCar
from labkit.simulate.netport import NetKit, TextFirmware
from labkit.simulate.onbroker import Login
from labkit.simulate.physics import Pose
from labkit.simulate.port import Firmware, SerialKit
from labkit.simulate.repl_board import ReplBoard
from labkit.simulate.table import Table, table_id
from labkit.simulate.tello import TelloFirmware

log = logging.getLogger("labkit.simulate")

TICK_S = 0.02
CLIP_TIMEOUT_S = 60
BOARDS_FILE = "boards.json"
# Firmware whose behaviour no profile can say; every other kit is its profile run backwards.
_ON_WHEELS: Mapping[str, type[MbotFirmware] | type[FirmataBoard] | type[ReplBoard]] = {
    "makeblock_ff55": MbotFirmware,
    "firmata": FirmataBoard,
    "raw_repl": ReplBoard,
}


class Fleet:
    """The simulated devices; `run` serves them in the calling thread until `stop` is called."""

    def __init__(
        self,
        lab: Lab,
        run_dir: Path,
        broker: BrokerAddress,
        credentials: Path | None = None,
        told: threading.Event | None = None,
    ) -> None:
        self._run_dir, self._broker = run_dir, broker
        self._credentials = credentials or run_dir / BOARDS_FILE
        self._told = told or threading.Event()
        self._arena = physics.read_arena(lab.arena) if lab.arena else physics.school_table()
        self._kits: list[SerialKit | NetKit] = []
        self._cars: list[MqttCar | ForeignBoard] = []
        self._logs: list[MotorLog] = []
        self._bodies: dict[str, dict[str, Body]] = {}
        self._tables: list[Table] = []
        try:
            for device in lab.devices:
                self._add(device)
            for room, bodies in self._bodies.items():
                self._set_table(room, bodies)
        except BaseException:
            self._close()
            raise

    @property
    def count(self) -> int:
        """How many robots are simulated."""
        return len(self._kits) + len(self._cars)

    def stop(self) -> None:
        """Make `run` return; may be called from a signal handler or another thread."""
        self._told.set()

    def run(self) -> None:
        """Serve all devices until told to stop; then motors stop, ports and connections are closed."""
        with selectors.DefaultSelector() as selector:
            for kit in self._kits:
                selector.register(kit, selectors.EVENT_READ, kit)
            due = time.monotonic()
            while not self._told.is_set():
                for key, _ in selector.select(max(0.0, due - time.monotonic())):
                    key.data.readable(time.monotonic())
                now = time.monotonic()
                if now >= due:
                    due = max(due + TICK_S, now)
                    for kit in self._kits:
                        kit.tick(now)
                    for car in self._cars:
                        car.tick(now)
                    for table in self._tables:
                        table.tick(now)
        self._close()

    def _close(self) -> None:
        for car in self._cars:
            car.close()
        for kit in self._kits:
            kit.close()
        for table in self._tables:
            table.close()
        for motors in self._logs:
            motors.close()

    def _add(self, device: LabDevice) -> None:
        settings = device.simulate or Simulate()
        if device.profile.kind is Kind.CAMERA and device.simulate is not None:
            _ensure_clip(device)
        if device.profile.foreign is not None:
            self._add_foreign(device, settings)
            return
        told = device.scheme in ("tcp", "udp") and device.simulate is not None
        if device.scheme == "sim" or settings.usb or told or (device.scheme == "mqtt" and device.profile.drive):
            self._add_kit(device, settings)

    def _add_foreign(self, device: LabDevice, settings: Simulate) -> None:
        """A board of another maker, on the broker by itself."""
        seed = settings.seed or zlib.crc32(device.id.encode())
        faults = read_faults(device.id, settings.faults)
        self._cars.append(ForeignBoard(device, faults, seed, self._broker, lambda: self._login(device.id)))

    def _add_kit(self, device: LabDevice, settings: Simulate) -> None:
        """A kit of our own profiles, with wheels or without, on the broker, a socket or a serial line."""
        seed = settings.seed or zlib.crc32(device.id.encode())
        faults, now = read_faults(device.id, settings.faults), time.monotonic()
        body = self._body(device, settings, seed, now)
        if device.scheme == "mqtt":
            assert body
            self._cars.append(MqttCar(device, body, faults, seed, self._broker, lambda: self._login(device.id)))
        elif device.profile.transport.type in ("tcp", "udp"):
            self._kits.append(
                NetKit(device, self._run_dir, text_firmware(device, body, faults, seed, now), faults.delay_ms / 1000)
            )
        else:
            firmware = serial_firmware(device, body, faults, seed, now)
            self._kits.append(SerialKit(device.port(self._run_dir), firmware, faults.delay_ms / 1000, settings.usb))

    def _body(self, device: LabDevice, settings: Simulate, seed: int, now: float) -> Body | None:
        """Its wheels on the room's table; a Firmata board without any has pins that are watched all the same."""
        drive = device.profile.drive
        if drive is None and device.profile.transport.codec != "firmata":
            return None
        self._logs.append(MotorLog(self._run_dir / "sim" / f"{device.id}.jsonl"))
        start = Pose(*settings.start) if settings.start else physics.free_pose(self._arena, seed)
        body = Body(self._arena, start, drive or NO_WHEELS, seed, self._logs[-1], now)
        if drive:
            self._bodies.setdefault(device.room, {})[device.id] = body
        return body

    def _set_table(self, room: str, bodies: dict[str, Body]) -> None:
        """Show the room's table to pages; where boards have credentials of their own, only if the table has one too."""
        login = self._login(table_id(room))
        if login.password or not self._credentials.exists():
            address = replace(self._broker, username=login.username, password=login.password)
            self._tables.append(Table(room, self._arena, bodies, address))

    def _login(self, device_id: str) -> Login:
        """The board's own credentials, read anew each time because the school may renew them."""
        try:
            known = json.loads(self._credentials.read_text(encoding="utf-8"))
            entry = known.get(device_id)
        except FileNotFoundError:
            entry = None
        except (OSError, ValueError, AttributeError) as error:
            log.warning("%s: %s", self._credentials, error)
            entry = None
        if isinstance(entry, Mapping):
            return Login(str(entry.get("username", device_id)), str(entry.get("password", "")))
        if isinstance(entry, str):
            return Login(device_id, entry)
        return Login(self._broker.username or device_id, self._broker.password)


def serial_firmware(device: LabDevice, body: Body | None, faults: Faults, seed: int, now: float) -> Firmware:
    """What a kit on a serial line does; raises LabkitError not_simulated for a protocol without a kit's end."""
    codec = device.profile.transport.codec
    if codec == "huskylens":
        return Huskylens(device, faults, seed, now)
    if body and codec in _ON_WHEELS:
        return _ON_WHEELS[codec](device, body, faults, seed, now)
    _must_have_end(device)
    return Backwards(device, body, faults, seed, now)


def text_firmware(device: LabDevice, body: Body | None, faults: Faults, seed: int, now: float) -> TextFirmware:
    """What a text kit does; a Tello that flies has a height. Raises LabkitError not_simulated as `serial_firmware`."""
    profile = device.profile
    if body and profile.drive and profile.drive.hold and profile.transport.codec == "tello":
        return TelloFirmware(device, body, faults, seed, now)
    _must_have_end(device)
    return TextBackwards(device, body, faults, seed, now)


def _must_have_end(device: LabDevice) -> None:
    codec = device.profile.transport.codec
    if codecs.kit_end(codec, device.profile, device.parameters) is None:
        raise LabkitError(
            "not_simulated", f"{device.id}：还不能模拟使用 {codec} 的设备", f"{device.id}: {codec} cannot be simulated"
        )


def run(
    lab: Lab,
    run_dir: Path,
    *,
    broker: str,
    username: str = "",
    password: str = "",
    ca: str = "",
    credentials: Path | None = None,
) -> None:
    """Simulate all devices of `lab` whose URL is `sim://pty` or `mqtt:` until SIGTERM or SIGINT.

    Serial kits get a pty with a link `<run_dir>/dev/<id>`; every kit writes its motors' changes to `<run_dir>/sim/<id>.jsonl`.
    MQTT boards connect to `broker` (`mqtt://host:port`) with what `credentials` (default `<run_dir>/boards.json`) holds for
    them, `{"<id>": "<password>"}` or `{"<id>": {"username", "password"}}`; else with `username` (default: the id) and
    `password`. A camera with a `simulate` entry and a `file://` URL gets a clip there if there is none.
    """
    told = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        told.set()

    if threading.current_thread() is threading.main_thread():
        # Before the first port is seen: who sees one may end us at once.
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
    fleet = Fleet(lab, run_dir, BrokerAddress.parse(broker, username, password, ca), credentials, told)
    log.info("%d robots simulated for %s", fleet.count, lab.name)
    fleet.run()


def _ensure_clip(device: LabDevice) -> None:
    """Make the clip of a simulated camera, in a process of its own: the vision libraries are heavy."""
    path = Path(unquote(urlsplit(device.url).path))
    if device.scheme != "file" or path.exists():
        return
    made = subprocess.run(
        [sys.executable, "-m", "labkit.simulate.clips", "--out", str(path)],
        check=False, timeout=CLIP_TIMEOUT_S, capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode != 0:
        log.error("%s: no clip made: %s", device.id, made.stderr.strip().rpartition("\n")[2])
