"""Ports for servers that a test starts."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

# Below the ports that the system gives to connections, so that no connection of another test takes one meanwhile.
RANGE = range(11_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    found: set[int] = set()
    while len(found) < count:
        port = random.SystemRandom().choice(RANGE)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
    return list(found)


def free_port() -> int:
    """A port that nobody listens on."""
    return free_ports(1)[0]
