"""A stop overtakes what waits; where nothing may wait, one item is handled at a time by whoever brings it."""

from __future__ import annotations

import threading

from labkit.gateway.mailbox import (
    AtOnce,
    DriveOrder,
    EndOrder,
    Heard,
    IdentifyOrder,
    Item,
    Mailbox,
    SetOrder,
    StopOrder,
)
from tests.effort import PATIENCE_S


def test_a_stop_goes_first_and_takes_waiting_drives_and_blinks_away() -> None:
    box = Mailbox()
    for item in (Heard("a", b"1", False), DriveOrder(0.1, 0.0, 500), IdentifyOrder(), StopOrder("now")):
        box.put(item)
    assert isinstance(box.get(0), StopOrder)
    assert box.get(0) == Heard("a", b"1", False)
    assert box.get(0) is None


def test_a_stop_takes_waiting_take_offs_and_poses_away_but_not_the_cut_of_the_motors() -> None:
    box, cut = Mailbox(), SetOrder("flight", b"emergency", kept=True)
    for item in (SetOrder("flight", b"takeoff"), SetOrder("pose", b"left"), cut, StopOrder("now")):
        box.put(item)
    assert isinstance(box.get(0), StopOrder)
    assert (box.get(0), box.get(0)) == (cut, None)


def test_only_the_newest_drive_waits() -> None:
    box = Mailbox()
    for speed in (0.1, 0.2, 0.3):
        box.put(DriveOrder(speed, 0.0, 500))
    assert box.get(0) == DriveOrder(0.3, 0.0, 500)
    assert box.get(0) is None


def test_an_item_wakes_who_waits() -> None:
    box, taken = Mailbox(), []
    waiting = threading.Thread(target=lambda: taken.append(box.get(30)))
    waiting.start()
    box.put(Heard("a", b"1", False))
    waiting.join(PATIENCE_S)
    assert taken == [Heard("a", b"1", False)]


def test_at_once_handles_one_item_at_a_time_in_the_thread_that_brings_it() -> None:
    inside, most, handled = 0, 0, []
    met = threading.Barrier(4)

    def handle(item: Item) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        handled.append((item, threading.current_thread()))
        threading.Event().wait(0.001)
        inside -= 1

    box = AtOnce(threading.RLock(), handle)

    def bring(number: int) -> None:
        met.wait(PATIENCE_S)
        for _ in range(10):
            box.put(Heard(str(number), b"", False))

    threads = [threading.Thread(target=bring, args=(number,), name=str(number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (most, len(handled)) == (1, 40)
    assert all(isinstance(item, Heard) and item.topic == thread.name for item, thread in handled)
    assert box.get(0) is None


def test_at_once_keeps_the_end_for_the_worker() -> None:
    handled: list[Item] = []
    box = AtOnce(threading.RLock(), handled.append)
    box.put(EndOrder())
    assert (handled, box.get(0)) == ([], EndOrder())
