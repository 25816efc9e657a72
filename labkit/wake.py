"""Wake-on-LAN (网络唤醒): the magic packet of AMD's white paper 20213, six FF and sixteen times the MAC address, by UDP broadcast.

Veyon's WebAPI cannot wake a PC: it has to be connected to one, and one that is off connects nobody. Same subnet only.
"""

from __future__ import annotations

import re
import socket

PORT = 9
EVERYBODY = "255.255.255.255"


def mac_of(text: str) -> str:
    """A MAC address as ``00:11:22:aa:bb:cc``; raises ValueError for anything else. Colons, hyphens, dots or nothing between are all read."""
    digits = re.sub(r"[\s:.\-]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        raise ValueError(text)
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def magic_packet(mac: str) -> bytes:
    """102 bytes that wake the network card ``mac``."""
    return b"\xff" * 6 + bytes.fromhex(mac_of(mac).replace(":", "")) * 16


def wake(mac: str, address: str = EVERYBODY, port: int = PORT) -> None:
    """Send the packet three times (UDP loses some); nothing answers. Raises OSError where the network refuses broadcasts."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for _ in range(3):
            door.sendto(magic_packet(mac), (address, port))
