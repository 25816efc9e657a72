"""Whatever is plugged in wherever: no port twice, and nothing drives that is not the board it was bound to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.binding import PortBook
from labkit.lab import Lab, load_lab
from labkit.ports import SerialPort, unique_serials
from labkit.profiles import load_profile, profiles_dir
from tests.effort import examples

AT = datetime(2026, 9, 1, tzinfo=UTC)
SOCKETS = ("1-1", "1-2", "1-3")
DEVICES = ("hub:1-1", "hub:1-2", "auto", "usb:1a86:7523:A")
MBOT = load_profile(profiles_dir() / "makeblock-mbot")
# Two boards with serial numbers of their own, two without, and a clone that pretends to be the first.
BOARDS = ("A", "B", "", "", "A")
# A world is which board is in which socket; every change is a new stay of every board that moved.
WORLDS = st.lists(
    st.permutations((*range(len(BOARDS)), None, None)).map(lambda found: tuple(found[:3])), min_size=2, max_size=8
)


def lab_of(folder: Path) -> Lab:
    lines = "".join(f'  - {{id: d-{n}, profile: makeblock-mbot, url: "{url}"}}\n' for n, url in enumerate(DEVICES))
    path = folder / "lab.yaml"
    path.write_text(f"name: gw-lab1\nroom: lab1\ndevices:\n{lines}")
    return load_lab(path, {MBOT.id: MBOT})


@settings(max_examples=examples(150))
@given(worlds=WORLDS)
def test_nothing_drives_that_is_not_what_it_was(tmp_path: Path, worlds: list[tuple[int | None, ...]]) -> None:
    (tmp_path / "bindings.json").unlink(missing_ok=True)
    now = [0.0]
    there: list[SerialPort] = []
    book = PortBook(lab_of(tmp_path), tmp_path, lambda: unique_serials(there), lambda: now[0])
    driven: dict[str, str] = {}  # device → serial number of the board that it drove first ("" = it has none)
    stays: dict[tuple[str, int], int] = {}
    before: tuple[int | None, ...] = (None, None, None)
    for turn, world in enumerate(worlds):
        for socket, board, last in zip(SOCKETS, world, before, strict=True):
            if board is not None and board != last:
                stays[(socket, board)] = turn
        there[:] = [
            SerialPort(f"/dev/tty-{s}", "1a86:7523", BOARDS[b], s, f"boot/{stays[(s, b)]}/{s}", "boot")
            for s, b in zip(SOCKETS, world, strict=True)
            if b is not None
        ]
        now[0] += 60
        choices = {f"d-{n}": book.choice(f"d-{n}") for n in range(len(DEVICES))}
        used = [c.port.path for c in choices.values() if c.port]
        assert len(used) == len(set(used)), choices
        for device, choice in choices.items():
            if choice.port and book.settle(device, choice.port, "06.01.009", AT) is None:
                assert driven.setdefault(device, choice.port.serial) == choice.port.serial, (device, worlds[: turn + 1])
        before = world
