"""Serial frames on the bus, for `labkit record`: only while somebody asks, and never for longer than 10 s without a new word.

Asked on ``zhike/gateway/<gateway>/mirror`` with ``{"devices": [id]}`` (no list: all kits); the frames go out, not retained
and with QoS 0, on ``zhike/gateway/<gateway>/frames/<device>/<in|out>`` as the bytes themselves.
"""

from __future__ import annotations

import time

from labkit.gateway.board import Board
from labkit.homie import parse_json_object

ASKED_FOR_S = 10.0


def ask_topic(gateway: str) -> str:
    """Where a gateway is asked to mirror."""
    return f"zhike/gateway/{gateway}/mirror"


def frame_topic(gateway: str, device: str, way: str) -> str:
    """Where the frames of one kit go; ``way`` is ``in`` (from the kit) or ``out``."""
    return f"zhike/gateway/{gateway}/frames/{device}/{way}"


class Mirror:
    """Thread-safe: the router asks, the links' threads pass their frames by."""

    def __init__(self, gateway: str, board: Board) -> None:
        self._gateway, self._board = gateway, board
        self._devices: frozenset[str] | None = frozenset()
        self._until = 0.0

    def ask(self, payload: bytes) -> None:
        """Mirror for the next 10 s; raises Malformed."""
        named = parse_json_object(payload).get("devices")
        self._devices = frozenset(str(name) for name in named) if isinstance(named, list) else None
        self._until = time.monotonic() + ASKED_FOR_S

    def frame(self, device: str, way: str, data: bytes) -> None:
        """Pass one frame on, if somebody asks for this device's."""
        if time.monotonic() < self._until and (self._devices is None or device in self._devices):
            self._board.event(frame_topic(self._gateway, device, way), data)
