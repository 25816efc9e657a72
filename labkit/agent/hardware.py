"""What tells this PC apart from the others that have the same disk image: its network cards, and its board's uuid.

Not the machine id, the disk's serial number or the host name: an image copies them.
"""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

import psutil

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
LOCAL_BIT = 0x02  # of a MAC's first byte: made up by software, not by a maker


def marks(sys_folder: Path = Path("/sys")) -> tuple[str, ...]:
    """``mac:…`` of each network card and ``uuid:…`` of the board, as far as they can be read; sorted."""
    cards = _cards_of_linux(sys_folder) if sys.platform == "linux" else _cards_of_others()
    board = _board_of_windows() if sys.platform == "win32" else _line(sys_folder / "class/dmi/id/product_uuid")
    found = [f"mac:{card}" for card in cards] + ([f"uuid:{board.lower()}"] if board else [])
    return tuple(sorted(set(found)))


def host_name() -> str:
    """The PC's name, in small letters."""
    return socket.gethostname().lower()


def _cards_of_linux(sys_folder: Path) -> list[str]:
    """Cards that are devices (also of a virtual machine); not bridges, tunnels, containers. Several: only those with a cable or Wi-Fi chip."""
    found = []
    for folder in sorted((sys_folder / "class/net").glob("*")):
        address = _line(folder / "address").lower()
        if (folder / "device").exists() and _is_card(address):
            found.append(address)
    return found


def _cards_of_others() -> list[str]:
    """All addresses that a maker has given; where there is none (virtual machines), all there are."""
    rows = [row.address for rows in psutil.net_if_addrs().values() for row in rows if row.family == psutil.AF_LINK]
    found = sorted({row.lower().replace("-", ":") for row in rows} - {""})
    cards = [card for card in found if _is_card(card)]
    return [card for card in cards if not int(card[:2], 16) & LOCAL_BIT] or cards


def _is_card(address: str) -> bool:
    return _MAC.fullmatch(address) is not None and len(set(address.replace(":", ""))) > 1


def _board_of_windows() -> str:
    """The SMBIOS uuid as Windows keeps it."""
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\HardwareConfig") as key:
                return str(winreg.QueryValueEx(key, "LastConfig")[0]).strip("{}")
        except OSError:
            return ""
    return ""


def _line(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
