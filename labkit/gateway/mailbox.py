"""A worker's queue, in which a stop overtakes everything and only the newest drive waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

_numbers = count(1)


@dataclass(frozen=True)
class DriveOrder:
    """Drive at these speeds (m/s, rad/s) for at most ``ms``; ``seq`` and ``by`` name the wish."""

    linear_x: float
    angular_z: float
    ms: int
    by: str = ""
    seq: int = 0


@dataclass
class StopOrder:
    """Stop; ``done`` is set when the kit has proved it or cannot; ``failure`` then tells why not ("" = proved)."""

    reason: str
    number: int = field(default_factory=lambda: next(_numbers))
    done: threading.Event = field(default_factory=threading.Event)
    failure: str = "pending"

    def settle(self, failure: str) -> None:
        """Decide the outcome once."""
        if not self.done.is_set():
            self.failure = failure
            self.done.set()


@dataclass(frozen=True)
class IdentifyOrder:
    """Blink, beep."""


@dataclass(frozen=True)
class ConfirmOrder:
    """A person has looked: the board that is plugged in is this device; ``by`` says who."""

    by: str


@dataclass(frozen=True)
class SetOrder:
    """Set one of the kit's own settable properties; ``kept``: even when a stop overtakes it (a drone's motors are cut)."""

    property: str
    payload: bytes
    kept: bool = False


@dataclass(frozen=True)
class Came:
    """Bytes from the port."""

    data: bytes


@dataclass(frozen=True)
class Told:
    """A note of the guard or a line of the vision process; ``source`` is the link that it came from."""

    note: dict[str, object]
    source: object = None


@dataclass(frozen=True)
class Heard:
    """A Homie message of a board that is on the broker by itself."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True)
class Adopt:
    """The broker still holds how many commands an earlier gateway process had sent."""

    commands: int


@dataclass(frozen=True)
class EndOrder:
    """Stop the kit, close the link, end the worker."""


Item = DriveOrder | StopOrder | IdentifyOrder | ConfirmOrder | SetOrder | Came | Told | Heard | Adopt | EndOrder
MAX_WAITING = 2000


class Mailbox:
    """Thread-safe; ``put`` never blocks."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """Add an item; False when 2,000 wait already and the item is dropped (a stop never is).

        A stop goes to the front and throws away what waits to move the kit: drives, blinks, settings (an arm's pose, a drone's
        take-off); a drive replaces a waiting one.
        """
        with self._changed:
            if isinstance(item, StopOrder):
                self._items = deque(i for i in self._items if not _overtaken(i))
                self._items.appendleft(item)
            elif isinstance(item, DriveOrder):
                self._items = deque(i for i in self._items if not isinstance(i, DriveOrder))
                self._items.append(item)
            elif len(self._items) >= MAX_WAITING and not isinstance(item, EndOrder):
                return False
            else:
                self._items.append(item)
            self._changed.notify()
        return True

    def get(self, timeout_s: float) -> Item | None:
        """The next item, or None after the time."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not self._items:
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return None
            return self._items.popleft()


def _overtaken(item: Item) -> bool:
    return isinstance(item, (DriveOrder, IdentifyOrder)) or (isinstance(item, SetOrder) and not item.kept)


class AtOnce(Mailbox):
    """Nothing waits: whoever puts an item handles it, one at a time (``turn``).

    For kits whose link cannot hang, because it is the gateway's own connection to the broker: each thread less on the way
    is a third of a command's time. Only the end waits for the worker's own thread.
    """

    def __init__(self, turn: threading.RLock, handle: Callable[[Item], None]) -> None:
        super().__init__()
        self._turn, self._handle = turn, handle

    def put(self, item: Item) -> bool:
        """Handle the item now; an EndOrder is kept for the worker."""
        if isinstance(item, EndOrder):
            return super().put(item)
        with self._turn:
            self._handle(item)
        return True
