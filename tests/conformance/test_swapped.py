"""Two micro:bits of a kind, each with its own firmware running, plugged into each other's sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit import ports
from labkit.profiles import load_profiles
from tests.conformance.conftest import driver
from tests.conformance.microbit import Microbit
from tests.labkit.gateway.rig import Rig

PROFILE = load_profiles()["microbit-car"]
(USB,) = PROFILE.match.usb
LEFT, RIGHT = PROFILE.parameters["left_dir"], PROFILE.parameters["right_dir"]
BACKWARD = {LEFT: 1, RIGHT: 1}
STANDING = {LEFT: 0, RIGHT: 0}
SOCKETS = {"mb-1": "1-1.1", "mb-2": "1-1.2"}


@pytest.fixture
def boards(tmp_path: Path) -> Iterator[list[Microbit]]:
    """Two boards whose ports are there; which socket they are in is for the test to say."""
    made: list[Microbit] = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        made.append(Microbit(tmp_path / name))
    yield made
    for one in made:
        one.end()


@pytest.mark.parametrize("serials", [("9904A", "9904B"), ("", "")], ids=["serial numbers", "no serial numbers"])
def test_identical_boards_swapped_are_refused_until_confirmed(
    make_lab: Callable[..., Rig], boards: list[Microbit], serials: tuple[str, str]
) -> None:
    lab = make_lab(
        *(
            f'{{id: {device}, profile: microbit-car, sticker: "{device}", url: "hub:{at}"}}'
            for device, at in SOCKETS.items()
        )
    )
    first, second = boards

    def plug(board: Microbit, socket: str) -> None:
        number = boards.index(board)
        identity = f"{USB}:{serials[number]}@{socket}"
        ports.plug_in(lab.folder, f"board-{number}", board.path, identity, f"{socket} {len(lab.console.messages)}")

    plug(first, "1-1.1")
    plug(second, "1-1.2")
    lab.serve()
    for device in SOCKETS:
        lab.until(f"homie/5/{device}/$state", b"ready")
    for number, board in enumerate(boards):
        (lab.folder / "usb" / f"board-{number}.json").unlink()
        board.unplug()
    for device in SOCKETS:
        lab.until(f"homie/5/{device}/$state", b"lost")

    for board, socket in ((second, "1-1.1"), (first, "1-1.2")):
        board.plug()
        plug(board, socket)
    for device in SOCKETS:
        lab.wait(
            lambda alert=f"homie/5/{device}/$alert/unconfirmed": bool(lab.last(alert)), f"no word about {device}", 20
        )  # type: ignore[misc]  # a bound loop variable
    lab.lease(device="mb-1")
    lab.wish(linear_x=-0.2, ms=500, device="mb-1")
    lab.wait(lambda: b"unconfirmed" in (lab.value("refused", "mb-1") or b""), "the command is not refused")
    refused = json.loads(lab.value("refused", "mb-1") or b"{}")
    assert refused["code"] == "unconfirmed"
    for board in boards:
        board.gives(STANDING, 0.05)
    assert lab.room_stop()["confirmed"] == ["mb-1", "mb-2"], "what is not driven must stop all the same"

    for device in SOCKETS:
        lab.console.publish(f"homie/5/{device}/main/confirm/set", "confirm")
    lab.until("homie/5/mb-1/$state", b"ready")
    lab.release("mb-1")
    lab.lease(device="mb-1")
    with driver(lab, -0.2):
        second.gives(BACKWARD, 5)
        first.gives(STANDING, 0.05)
