"""A quiet item wakes nobody but is neither lost nor overtaken, and never holds up a stop."""

from __future__ import annotations

import threading
import time

from labkit.gateway.mailbox import Heard, Mailbox, StopOrder


def test_a_quiet_item_is_taken_at_the_end_of_the_wait() -> None:
    box, taken = Mailbox(), []
    waiting = threading.Thread(target=lambda: taken.append((box.get(0.4), time.monotonic())))
    begun = time.monotonic()
    waiting.start()
    threading.Event().wait(0.05)
    box.put(Heard("a", b"1", False), quiet=True)
    waiting.join(5)
    assert taken[0][0] == Heard("a", b"1", False)
    assert taken[0][1] - begun >= 0.35, "it woke the worker"


def test_what_came_quietly_keeps_its_place() -> None:
    box = Mailbox()
    for number in range(3):
        box.put(Heard(str(number), b"", False), quiet=number < 2)
    assert [item.topic for item in (box.get(0), box.get(0), box.get(0)) if isinstance(item, Heard)] == ["0", "1", "2"]
    assert box.get(0) is None


def test_a_stop_overtakes_quiet_items_at_once() -> None:
    box, taken = Mailbox(), []
    waiting = threading.Thread(target=lambda: taken.append(box.get(5)))
    waiting.start()
    box.put(Heard("a", b"1", False), quiet=True)
    begun = time.monotonic()
    box.put(StopOrder("now"))
    waiting.join(5)
    assert isinstance(taken[0], StopOrder | Heard) and time.monotonic() - begun < 2
    if isinstance(taken[0], Heard):  # it was already looking when the reading came
        assert isinstance(box.get(0), StopOrder)
