"""How well a kit is: round trip, battery, age of the last reading, reconnects; pure, one object a device.

Shown as the Homie node ``health`` of every device behind a gateway (properties in `properties`).
"""

from __future__ import annotations

from collections import deque
from statistics import median

from labkit.model import Datatype, Node, Profile, Property, Value

NODE = "health"
ROUND_TRIP, READING_AGE, RECONNECTS, BATTERY = "round-trip", "reading-age", "reconnects", "battery"
SEAT = "seat"
EVERY_S = 5.0
TRIPS = 9
FORGET_ASK_S = 2.0
SLOW_MS = 500.0
LOW_BATTERY = 20.0
OLD_READING_S = 5
MANY_RECONNECTS = 5


def properties(profile: Profile) -> tuple[Property, ...]:
    """Round trip (ms), age of the last reading (s), reconnects since the gateway started; battery (%) if the kit tells it; seat."""
    own = (
        Property(ROUND_TRIP, Datatype.FLOAT, "往返时间", "ms", "0:"),
        Property(READING_AGE, Datatype.INTEGER, "读数已过", "s", "0:"),
        Property(RECONNECTS, Datatype.INTEGER, "重连次数", "#", "0:"),
        Property(SEAT, Datatype.STRING, "座位"),
    )
    if BATTERY in profile.properties:
        return (*own, Property(BATTERY, Datatype.FLOAT, "电量", "%", "0:100"))
    return own


def node(profile: Profile) -> Node:
    """The Homie node that shows a kit's health."""
    return Node(NODE, "健康", "health", properties(profile))


class Health:
    """The measurements of one device; belongs to its worker's thread, ``now`` is monotonic seconds."""

    def __init__(self, profile: Profile, seat: str = "") -> None:
        self._seat = seat
        self._known = {item.id for item in properties(profile)}
        self._trips: deque[float] = deque(maxlen=TRIPS)
        self._asked: dict[str, float] = {}
        self._heard_at: float | None = None
        self._connects = 0
        self._battery: float | None = None
        self._shown_trip: float | None = None
        self._due_at = 0.0

    def asked(self, what: str, now: float) -> None:
        """A question goes out; one that is still unanswered keeps its time, for a while."""
        if now - self._asked.get(what, -1e9) > FORGET_ASK_S:
            self._asked[what] = now

    def answered(self, what: str, now: float) -> None:
        """Its answer came, and with it a reading; without a question only a reading."""
        self.heard(now)
        began = self._asked.pop(what, None)
        if began is not None:
            if not self._trips:
                self._due_at = now  # the first is shown at once
            self._trips.append((now - began) * 1000)

    def heard(self, now: float) -> None:
        """A reading came by itself."""
        self._heard_at = now

    def connected(self) -> None:
        """The link is up again; the first time is no reconnect. Questions of the old link are forgotten."""
        self._connects += 1
        self._asked.clear()

    def charge(self, percent: float) -> None:
        """The kit told its battery, 0 to 100."""
        self._battery = max(0.0, min(100.0, percent))

    @property
    def round_trip_ms(self) -> float | None:
        """The median of the last nine; None before the first."""
        return round(median(self._trips), 1) if self._trips else None

    @property
    def reconnects(self) -> int:
        """How often the link came back."""
        return max(0, self._connects - 1)

    def due(self, now: float) -> dict[str, Value]:
        """What to publish now, by property id: every 5 s; a round trip only when it changed by a fifth or more."""
        if now < self._due_at:
            return {}
        self._due_at = now + EVERY_S
        found: dict[str, Value] = {RECONNECTS: self.reconnects}
        trip = self.round_trip_ms
        if trip is not None and (self._shown_trip is None or abs(trip - self._shown_trip) > max(2.0, trip / 5)):
            self._shown_trip = found[ROUND_TRIP] = trip
        if self._heard_at is not None:
            found[READING_AGE] = int(now - self._heard_at)
        if self._battery is not None:
            found[BATTERY] = round(self._battery, 1)
        if self._seat:
            found[SEAT] = self._seat
        return {name: value for name, value in found.items() if name in self._known}
