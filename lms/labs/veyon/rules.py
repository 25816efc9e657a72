"""What may be asked of the PCs and when; pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

ACTIONS: Final = ("lock", "unlock", "restart", "shut-down", "wake")
POWER: Final = ("restart", "shut-down")
UNDO: Final = timedelta(seconds=8)  # a restart or shut-down can be taken back so long
STALE: Final = timedelta(minutes=1)  # nobody expects an order any more that waited longer
WATCH: Final = timedelta(seconds=30)  # a look at screens ends by itself unless the console asks again
KEPT: Final = timedelta(days=180)


def first_moment(action: str, now: datetime) -> datetime:
    """When an order may be carried out: what cannot be undone waits a little."""
    return now + UNDO if action in POWER else now


def url_problem(url: str) -> str:
    """Why a WebAPI address cannot be used: ``""`` good | ``form`` | ``plain`` (http from another machine would show the key to the whole network)."""
    try:
        where = urlsplit(url)
        host, port = where.hostname or "", where.port
    except ValueError:
        return "form"
    if (
        where.scheme not in ("http", "https")
        or not host
        or where.username
        or where.query
        or where.fragment
        or port == 0
    ):
        return "form"
    return "plain" if where.scheme == "http" and not is_here(host) else ""


def is_here(host: str) -> bool:
    """Whether a host is this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_address(text: str) -> bool:
    """Whether this can be a PC's host name or address."""
    return re.fullmatch(r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,79}", text) is not None


def locked_seats(orders: Iterable[tuple[str, Mapping[str, str], Iterable[str]]]) -> frozenset[str]:
    """Seats that may still be locked after these orders, oldest first: (action, results, seats).

    One whose lock was not confirmed counts as locked, one whose unlocking was not confirmed as well: asked once more, nothing is lost.
    """
    found: set[str] = set()
    for action, results, seats in orders:
        if action == "lock":
            found |= {seat for seat in seats if results.get(seat, "ok") in ("ok", "unconfirmed", "stopped")}
        elif action == "unlock" or action in POWER:
            found -= {seat for seat in seats if results.get(seat) == "ok"}
    return frozenset(found)


def screen_topic(console: str, seat: str) -> str:
    """Where the picture of a seat's screen goes: to one teacher's console only, never retained."""
    return f"screens/{console}/{seat}"
