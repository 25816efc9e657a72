"""Which PC it is, where it may sit, what its agent may say (电脑的身份与权限); pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from labkit import server_clock
from lms.labs import rules
from lms.labs.rules import HOMIE

MAX_KITS = 8
MAX_MARKS = 8
_MAC = re.compile(r"mac:(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_UUID = re.compile(r"uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KIT = re.compile(r"[a-z][a-z0-9-]{0,15}")  # a seat's number is digits, so that no kit of a PC can have the name of a terminal


def agent_user(terminal: str) -> str:
    """The broker user of the agent on a seat's PC."""
    return f"pc-{terminal}"


def bound_client(username: str, lesson_id: object) -> bool:
    """Whether a broker user may connect under its own name only: with a free choice it could throw out any other client."""
    return lesson_id is not None or username.startswith(agent_user(""))


def kit_id(terminal: str, kit: str) -> str:
    """Homie id of a kit plugged into a seat's PC."""
    return f"{terminal}-{kit}"


def listed_by(gateway: str, device: str) -> bool:
    """Whether a gateway may say that a device is its own; the agent of a seat's PC only below its terminal's name."""
    return not gateway.startswith("t-") or device.startswith(kit_id(gateway, ""))


def agent_rights(terminal: str, room: str, kits: Iterable[str]) -> rules.Rights:
    """The agent on a seat's PC: speaks for its terminal and its own kits, hears its room's leases, stops and wishes; nothing of other PCs' kits."""
    devices = [terminal, *(kit_id(terminal, kit) for kit in sorted(kits))]
    own = [f"{HOMIE}/{device}/#" for device in devices]
    says = [*own, f"zhike/gateway/{terminal}/#", "zhike/gateway/flush", f"zhike/room/{room}/stopped", f"{HOMIE}/$broadcast/stop/{room}"]
    hears = [*own, f"zhike/gateway/{terminal}/mirror", f"zhike/gateway/{terminal}/steer/+", server_clock.TOPIC, rules.stop_topic(room), rules.lease_topic(room, "+")]
    return rules.Rights(tuple(says), (*hears, f"{HOMIE}/+/wish/drive", f"{HOMIE}/+/$state", f"{HOMIE}/+/$description"))


def read_marks(given: Iterable[str]) -> tuple[str, ...]:
    """What can tell a PC apart, sorted; makers' placeholders (all zeros, all f, 03000200-…) tell nothing."""
    kept = {mark.lower() for mark in given if _MAC.fullmatch(mark.lower()) or _UUID.fullmatch(mark.lower())}
    digits = {mark: re.sub(r"[^0-9a-f]", "", mark.partition(":")[2]) for mark in kept}
    return tuple(sorted(mark for mark in kept if len(set(digits[mark])) > 1 and not digits[mark].startswith("030002000400")))[:MAX_MARKS]


def are_kits(names: Iterable[str]) -> bool:
    """Whether these can be the names of one PC's kits; not that of the page's own camera, below which a pupil may write."""
    found = list(names)
    free = rules.webcam_of("t") not in {kit_id("t", name) for name in found}
    return free and len(found) <= MAX_KITS and len(set(found)) == len(found) and all(_KIT.fullmatch(name) for name in found)


def same_pc(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two sets of marks are of one PC: a network card in common, and not two different boards.

    A board's uuid alone counts only where one of them has no card: cheap boards and cloned machines all have the same one.
    """
    first, second = set(one), set(other)
    cards, boards = ([{mark for mark in marks if mark.startswith(kind)} for marks in (first, second)] for kind in ("mac:", "uuid:"))
    if boards[0] and boards[1] and boards[0].isdisjoint(boards[1]):
        return False
    return bool(cards[0] & cards[1]) if cards[0] and cards[1] else bool(boards[0] & boards[1])


RUNS_KEPT = 64  # more than PCs in a room


def heard_run(runs: Sequence[str], run: str) -> tuple[list[str], bool]:
    """The starts of a PC's agent after a word of ``run``, newest last; True: an earlier start speaks again, so two PCs call themselves the same."""
    if runs and run == runs[-1]:
        return list(runs), False
    return [*(old for old in runs if old != run), run][-RUNS_KEPT:], run in runs


def suggested(hosts: Mapping[str, str], labels: Iterable[str]) -> dict[str, str]:
    """PC → the free seat that its host name ends in (``lab1-07`` → ``07``); nothing where two PCs would get the same one."""
    free = {int(label): label for label in labels if label.isdecimal()}
    ends = {pc: re.search(r"(\d{1,4})$", host) for pc, host in hosts.items()}
    wished = {pc: int(end.group(1)) for pc, end in ends.items() if end is not None}
    times = Counter(wished.values())
    return {pc: free[number] for pc, number in wished.items() if number in free and times[number] == 1}
