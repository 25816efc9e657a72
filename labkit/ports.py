"""Serial ports by what is plugged in, not by a number that changes at every boot.

A lab file names a port by USB serial number (``usb:1a86:7523:A50285BI``), by socket (``hub:1-1.4``), by path
(``serial:///dev/ttyUSB0``) or leaves it to the profile's USB ids (``auto``). Ports come from pyserial's ``list_ports``;
a simulated board is a small JSON file below ``<run_dir>/usb/`` (see ``plug_in``), so that tests and virtual labs take the
same way as real boards.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from serial.tools import list_ports

from labkit.errors import Malformed

log = logging.getLogger("labkit.ports")
NAMED = re.compile(r"usb:([0-9a-f]{4}):([0-9a-f]{4}):?([^/#?]*)|hub:(\d+-\d+(?:\.\d+)*)|auto:?", re.IGNORECASE)
SIMULATED = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4}):([^/@]*)@(\d+-\d+(?:\.\d+)*)", re.IGNORECASE)
SCHEMES = frozenset({"usb", "hub", "auto"})
# Serial numbers that makers of bridge chips burn into every one of them: no identity.
GENERIC_SERIALS = frozenset({"", "0", "1", "0000", "0001", "00000000", "0123456789", "0123456789abcdef", "123456"})
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class SerialPort:
    """A port that is there now.

    ``kind`` is ``vid:pid`` in lower hex ("" = no USB device), ``location`` the socket (``1-1.4``), ``session`` names this
    stay in the socket: the same value = the board has not been unplugged since; ``boot`` the run of the operating system.
    """

    path: str
    kind: str = ""
    serial: str = ""
    location: str = ""
    session: str = ""
    boot: str = ""
    title: str = ""

    @property
    def board(self) -> str:
        """``vid:pid:serial``; the serial is empty where the board has none of its own."""
        return f"{self.kind}:{self.serial}" if self.kind else ""


Listing = Callable[[], Sequence[SerialPort]]


@dataclass(frozen=True)
class Name:
    """What a lab file says of a port: USB ``kind`` and ``serial``, or ``location``; all empty = ``auto``."""

    kind: str = ""
    serial: str = ""
    location: str = ""


def parse_name(url: str) -> Name:
    """Read ``usb:vid:pid:serial``, ``usb:vid:pid:``, ``hub:1-1.4`` or ``auto``; raises Malformed."""
    match = NAMED.fullmatch(url.strip())
    if match is None:
        raise Malformed(
            f"端口 {url} 应像 usb:1a86:7523:序列号、hub:1-1.4 或 auto",
            f"the port {url} should be like usb:1a86:7523:serial, hub:1-1.4 or auto",
        )
    vid, pid, serial, location = match.groups()
    return Name(f"{vid}:{pid}".lower() if vid else "", serial or "", location or "")


def system_ports() -> tuple[SerialPort, ...]:
    """The serial ports of this machine, USB ones first, by socket."""
    boot = _line(BOOT_ID)
    found = []
    for info in list_ports.comports():
        usb = info.vid is not None and info.pid is not None
        folder = getattr(info, "usb_device_path", None)
        number = _line(Path(folder) / "devnum") if folder else ""
        found.append(
            SerialPort(
                path=info.device,
                kind=f"{info.vid:04x}:{info.pid:04x}" if usb else "",
                serial=(info.serial_number or "").strip(),
                # A board with several interfaces is listed as 1-1.4:1.0; the socket is what stands before the colon.
                location=(info.location or "").partition(":")[0],
                session=f"{boot}/{number}" if number else "",
                boot=boot,
                title=info.product or info.description or "",
            )
        )
    return tuple(sorted(unique_serials(found), key=lambda p: (not p.kind, p.location, p.path)))


def unique_serials(found: Sequence[SerialPort]) -> tuple[SerialPort, ...]:
    """The ports without serial numbers that tell nothing: burnt into every chip of a maker, or there twice."""
    times = Counter(port.board for port in found)
    return tuple(
        SerialPort(**{**asdict(port), "serial": ""})
        if port.serial.lower() in GENERIC_SERIALS or times[port.board] > 1
        else port
        for port in found
    )


def lab_ports(run_dir: Path) -> Listing:
    """Ports of this machine and the simulated ones of a run directory."""

    def listing() -> tuple[SerialPort, ...]:
        return (*simulated_ports(run_dir), *system_ports())

    return listing


def simulated_ports(run_dir: Path) -> tuple[SerialPort, ...]:
    """Simulated boards that are plugged in: the files below ``<run_dir>/usb/``."""
    found = []
    for path in sorted((run_dir / "usb").glob("*.json")):
        try:
            data = json.loads(path.read_text("utf-8"))
            port = SerialPort(**{key: str(value) for key, value in data.items()})
        except FileNotFoundError:
            continue  # unplugged in this moment
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s is no simulated board: %s", path, error)
            continue
        if os.path.exists(port.path):
            found.append(port)
    return tuple(sorted(unique_serials(found), key=lambda p: (p.location, p.path)))


def plug_in(run_dir: Path, name: str, path: Path, board: str, session: str, boot: str = "simulated") -> Path:
    """Plug a simulated board in.

    ``board`` is ``vid:pid:serial@location`` (the serial may be empty), ``path`` its pty, ``session`` any text that is new
    each time. Returns the file whose removal unplugs it; raises Malformed.
    """
    match = SIMULATED.fullmatch(board)
    if match is None:
        raise Malformed(f"{board} 应像 1a86:7523:序列号@1-1.4", f"{board} should be like 1a86:7523:serial@1-1.4")
    vid, pid, serial, location = match.groups()
    port = SerialPort(str(path), f"{vid}:{pid}".lower(), serial, location, session, boot, "simulated")
    entry = run_dir / "usb" / f"{name}.json"
    entry.parent.mkdir(parents=True, exist_ok=True)
    draft = entry.with_suffix(".new")
    draft.write_text(json.dumps(asdict(port)), "utf-8")
    draft.replace(entry)
    return entry


def _line(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""
