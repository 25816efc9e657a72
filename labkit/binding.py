"""Which board is which device: bound once, kept over reboots, doubted when something else is plugged in.

A board with a serial number of its own is known wherever it is plugged in. Boards without one look all alike; they are bound
to their socket, and when two of a kind have been out of their sockets since they were last seen, nobody can say that they
were not swapped: they are not driven until a person has looked (``labkit identify``) and confirmed (``labkit confirm``).
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from labkit.lab import Lab, LabDevice
from labkit.model import Title
from labkit.ports import SCHEMES, Listing, SerialPort, lab_ports, parse_name

log = logging.getLogger("labkit.ports")
FILE = "bindings.json"
LOOK_S = 0.5
START_S = 10.0


@dataclass(frozen=True)
class Binding:
    """What a device was when it was last known for certain; ``board`` "" = whatever is there must be confirmed first.

    ``board``, ``location``, ``session`` and ``boot`` as in SerialPort; ``firmware`` as probed; ``at`` ISO 8601, UTC; ``by``
    who confirmed it ("" = the first board that was ever seen there).
    """

    board: str = ""
    location: str = ""
    session: str = ""
    boot: str = ""
    firmware: str = ""
    at: str = ""
    by: str = ""

    @property
    def kind(self) -> str:
        """``vid:pid``."""
        return ":".join(self.board.split(":")[:2])

    @property
    def nameless(self) -> bool:
        """Whether the board has no serial number of its own."""
        return self.board.endswith(":")


@dataclass(frozen=True)
class Choice:
    """The port of a device now (None = not plugged in), and why it must not be driven yet (None = it may)."""

    port: SerialPort | None = None
    doubt: Title | None = None


ABSENT = Choice()


def resolve(
    devices: Sequence[LabDevice],
    ports: Sequence[SerialPort],
    bindings: Mapping[str, Binding],
    run_dir: Path,
    trusted: frozenset[str] = frozenset(),
) -> dict[str, Choice]:
    """The port of every device, and every doubt; pure.

    ``trusted``: the ``session`` of nameless boards that were in their sockets when the gateway started after a reboot; these
    are taken by their socket.
    """
    picked = _pick(devices, ports, bindings, run_dir)
    choices: dict[str, Choice] = {}
    for device in devices:
        port = picked.get(device.id)
        if port is None:
            choices[device.id] = ABSENT
        else:
            choices[device.id] = Choice(port, _doubt(device, port, picked, bindings, trusted))
    for device_id in _ambiguous(devices, picked, bindings, ports):
        if choices[device_id].doubt is None:
            doubt = Title("有几台一样的板子，还不知道哪台是它", "several boards alike, it is not known which one it is")
            choices[device_id] = replace(choices[device_id], doubt=doubt)
    return choices


def _pick(
    devices: Sequence[LabDevice], ports: Sequence[SerialPort], bindings: Mapping[str, Binding], run_dir: Path
) -> dict[str, SerialPort]:
    """The port of each device: what is named goes first, then boards that are known, then what is left."""
    free = {port.path: port for port in ports}
    picked: dict[str, SerialPort] = {}

    def take(device: LabDevice, port: SerialPort | None) -> None:
        if port is not None and device.id not in picked:
            picked[device.id] = free.pop(port.path, port)

    autos = [device for device in devices if _is_auto(device)]
    for device in devices:
        if device not in autos:
            take(device, _named(device, list(free.values()), run_dir))
    for device in autos:
        bound = bindings.get(device.id)
        if bound and bound.board and not bound.nameless:
            take(device, next((p for p in free.values() if p.board == bound.board), None))
    for device in autos:
        bound = bindings.get(device.id)
        if bound and bound.board:
            fits = (p for p in free.values() if p.kind == bound.kind and p.location == bound.location)
            take(device, next(fits, None))
    for device in autos:
        fits = (p for p in free.values() if p.kind in _kinds(device))
        take(device, next(fits, None))
    return picked


def _is_auto(device: LabDevice) -> bool:
    """Whether the lab file leaves open which board it is: ``auto``, or ``usb:vid:pid:`` without a serial number."""
    if device.scheme not in SCHEMES:
        return False
    name = parse_name(device.url)
    return not name.serial and not name.location


def _kinds(device: LabDevice) -> tuple[str, ...]:
    kind = parse_name(device.url).kind
    return (kind,) if kind else tuple(usb.lower() for usb in device.profile.match.usb)


def _named(device: LabDevice, ports: Sequence[SerialPort], run_dir: Path) -> SerialPort | None:
    if device.scheme not in SCHEMES:
        path = os.path.realpath(device.port(run_dir))
        known = next((p for p in ports if os.path.realpath(p.path) == path), None)
        # A port that is no USB device (a pty, a UART of the board) is what its path says.
        return known or (SerialPort(str(device.port(run_dir))) if os.path.exists(path) else None)
    name = parse_name(device.url)
    if name.location:
        return next((p for p in ports if p.location == name.location), None)
    return next((p for p in ports if p.board.lower() == f"{name.kind}:{name.serial}".lower()), None)


def _doubt(
    device: LabDevice,
    port: SerialPort,
    picked: Mapping[str, SerialPort],
    bindings: Mapping[str, Binding],
    trusted: frozenset[str],
) -> Title | None:
    """Why the board at this port may be another one than the device's."""
    if not port.kind:
        return None
    if device.scheme == "usb" and parse_name(device.url).serial:
        return None  # the lab file itself says which board it is
    bound = bindings.get(device.id)
    if bound is None:
        owner = next((d for d, b in bindings.items() if port.serial and b.board == port.board), None)
        if owner and owner != device.id:
            return Title(f"插着的是 {owner} 的板子", f"this is the board of {owner}")
        return None
    if not bound.board:
        return Title("它的板子已确认给别的设备", "its board was confirmed as another device")
    if bound.board == port.board and port.serial:
        return None
    if bound.board != port.board:
        return Title("插着的是另一块板子，可能换错了插口", "another board is plugged in, perhaps in the wrong socket")
    if bound.location != port.location:
        return Title("换了插口，这种板子没有序列号", "in another socket, and this board has no serial number")
    return _loose(port, picked, bindings, trusted)


def _loose(
    port: SerialPort, picked: Mapping[str, SerialPort], bindings: Mapping[str, Binding], trusted: frozenset[str]
) -> Title | None:
    """Doubt about a board without a serial number when it and another one of its kind have left their sockets."""

    def stayed(device_id: str, bound: Binding) -> bool:
        there = picked.get(device_id)
        if there is None or there.location != bound.location or there.board != bound.board:
            return False
        if not there.session:
            return True  # this system does not tell; the socket is all there is
        return there.session == bound.session or (there.session in trusted and there.boot != bound.boot)

    alike = {d: b for d, b in bindings.items() if b.board == port.board}
    loose = [d for d, b in alike.items() if not stayed(d, b)]
    here = next(d for d, p in picked.items() if p is port)
    if here not in loose or len(loose) < 2:
        return None
    others = "、".join(d for d in loose if d != here)
    return Title(f"和 {others} 都拔过，板子一样，可能插反了", f"it and {others} were unplugged and look alike")


def _ambiguous(
    devices: Sequence[LabDevice],
    picked: Mapping[str, SerialPort],
    bindings: Mapping[str, Binding],
    ports: Sequence[SerialPort],
) -> list[str]:
    """Devices without a binding that got one of several boards which would all do."""
    new = [d for d in devices if _is_auto(d) and d.id not in bindings]
    chosen = {picked[d.id].path for d in new if d.id in picked}
    taken = {p.path for p in picked.values()} - chosen
    unclear = []
    for device in (d for d in new if d.id in picked):
        kinds = set(_kinds(device))
        boards = [p for p in ports if p.kind in kinds and p.path not in taken]
        rivals = [d for d in new if kinds & set(_kinds(d))]
        if len(boards) > 1 or len(rivals) > 1:
            unclear.append(device.id)
    return unclear


class PortBook:
    """The ports and bindings of one gateway; thread-safe, kept in ``<run_dir>/bindings.json``.

    ``listing`` gives the ports that are there now and is asked at most twice a second. A file that cannot be read is set aside
    at the first confirmation, and every device that is not named by serial number must then be confirmed. Raises OSError when it cannot be written.
    """

    def __init__(
        self, lab: Lab, run_dir: Path, listing: Listing | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        plugged = [d for d in lab.devices if d.profile.transport.type not in ("tcp", "udp")]
        self._devices = [d for d in plugged if d.scheme in SCHEMES or d.scheme in ("serial", "sim")]
        self._run_dir = run_dir
        self._listing = listing or lab_ports(run_dir)
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = -1e9
        self._choices: dict[str, Choice] = {}
        self._ports: Sequence[SerialPort] = ()
        self._broken = False
        self._bindings = self._load()
        # Boards that are in their sockets when a gateway starts (or come up with their hub just then) were there when the PC
        # was switched on.
        self._trusting_until = clock() + (0.0 if lab.strict_identity else START_S)
        self._trusted: frozenset[str] = frozenset()

    def choice(self, device_id: str) -> Choice:
        """Where a device is plugged in now, and any doubt about it."""
        with self._lock:
            self._look()
            return self._choices.get(device_id, ABSENT)

    def add(self, device: LabDevice) -> None:
        """One device more, adopted while the gateway runs."""
        if device.profile.transport.type == "serial":
            with self._lock:
                self._devices = [*self._devices, device]
                self._looked_at = -1e9

    def free(self) -> tuple[SerialPort, ...]:
        """USB boards that are plugged in and are no device's."""
        with self._lock:
            self._look()
            taken = {os.path.realpath(c.port.path) for c in self._choices.values() if c.port}
            return tuple(p for p in self._ports if p.kind and os.path.realpath(p.path) not in taken)

    def bindings(self) -> Mapping[str, Binding]:
        """What is bound now."""
        with self._lock:
            return dict(self._bindings)

    def settle(self, device_id: str, port: SerialPort, firmware: str, at: datetime) -> Title | None:
        """The board at ``port`` has answered its probe: bind it, unless there is a doubt, which is returned."""
        with self._lock:
            self._look(anew=True)
            choice = self._choices.get(device_id, ABSENT)
            if choice.doubt is not None:
                return choice.doubt
            if choice.port is not None and choice.port.path == port.path and port.kind:
                before = self._bindings.get(device_id, Binding())
                by = before.by if before.board == port.board else ""
                self._bind(device_id, choice.port, firmware, at, by)
            return None

    def confirm(self, device_id: str, at: datetime, by: str) -> bool:
        """A person says that the board which is there now is this device; False when none is there.

        A device that had this board before must be confirmed itself.
        """
        with self._lock:
            self._look(anew=True)
            port = self._choices.get(device_id, ABSENT).port
            if port is None:
                return False
            if port.kind:
                for other, bound in self._bindings.items():
                    if other != device_id and port.serial and bound.board == port.board:
                        self._bindings[other] = Binding(at=at.isoformat(), by=by)
                self._bind(device_id, port, self._bindings.get(device_id, Binding()).firmware, at, by)
            log.info("%s: confirmed at %s by %s", device_id, port.location or port.path, by)
            return True

    def _look(self, anew: bool = False) -> None:
        now = self._clock()
        if anew or now - self._looked_at >= LOOK_S:
            self._looked_at = now
            self._ports = ports = self._listing()
            if now < self._trusting_until:
                self._trusted |= {p.session for p in ports if p.session}
            self._choices = resolve(self._devices, ports, self._bindings, self._run_dir, self._trusted)

    def _bind(self, device_id: str, port: SerialPort, firmware: str, at: datetime, by: str) -> None:
        bound = Binding(port.board, port.location, port.session, port.boot, firmware, at.isoformat(), by)
        if replace(self._bindings.get(device_id, Binding()), at="") != replace(bound, at=""):
            self._bindings[device_id] = bound
            self._save()
            self._looked_at = -1e9

    def _load(self) -> dict[str, Binding]:
        path = self._run_dir / FILE
        try:
            data = json.loads(path.read_text("utf-8"))
            return {str(key): Binding(**value) for key, value in data["bindings"].items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.error("%s cannot be read (%s): every board must be confirmed", path, error)
            self._broken = True
            return {d.id: Binding() for d in self._devices}

    def _save(self) -> None:
        path = self._run_dir / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._broken:
            self._broken = False
            path.replace(path.with_suffix(".broken"))
        draft = path.with_suffix(".new")
        document = {"version": 1, "bindings": {key: asdict(b) for key, b in sorted(self._bindings.items())}}
        with draft.open("w", encoding="utf-8") as out:
            json.dump(document, out, ensure_ascii=False, indent=1)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
