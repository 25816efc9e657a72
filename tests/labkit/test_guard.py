"""The guard process on a real pty: it stops the kit when told, when the lease ends, when its pipe closes, when it starts."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import guard
from labkit.links import child
from labkit.links.guarded import GuardedPort
from tests.effort import PATIENCE_S, SOON_S

STOP = b"<halt>"


class Kit:
    """The kit's end of the port: everything that it was sent, with times."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        self.got: list[tuple[float, bytes]] = []
        self.news = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.gone = False

    def unplug(self) -> None:
        """Close both ends; the reader is woken first, for a blocked read would keep the port alive."""
        self.gone = True
        os.write(self.slave, b"x")
        self.reader.join(PATIENCE_S)
        os.close(self.slave)
        os.close(self.master)

    def _read(self) -> None:
        while True:
            data = os.read(self.master, 4096)
            if self.gone:
                return
            with self.news:
                self.got.append((time.monotonic(), data))
                self.news.notify_all()

    def bytes(self) -> bytes:
        return b"".join(data for _, data in self.got)

    def wait(self, data: bytes, count: int = 1, timeout_s: float = PATIENCE_S) -> float:
        """Wait until the kit was sent these bytes so many times; when that was."""
        with self.news:
            assert self.news.wait_for(lambda: self.bytes().count(data) >= count, timeout_s), self.bytes()
        return self.got[-1][0]


@pytest.fixture
def kit() -> Iterator[Kit]:
    one = Kit()
    yield one
    if not one.gone:
        one.unplug()


STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    """Close the pipes of every guard that a test started, and wait for its end."""
    yield
    while STARTED:
        process = STARTED.pop()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        process.wait(PATIENCE_S)


def launch(*arguments: str) -> subprocess.Popen[bytes]:
    STARTED.append(child.start("labkit.guard", *arguments))
    return STARTED[-1]


def start(kit: Kit, *more: str) -> subprocess.Popen[bytes]:
    process = launch("--port", kit.path, "--baud", "115200", "--stop", STOP.hex(), "--repeat", "1", *more)
    kit.wait(STOP)
    return process


def send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin
    process.stdin.write(data)
    process.stdin.flush()


def notes(process: subprocess.Popen[bytes]) -> list[dict[str, object]]:
    """All notes, once the guard has ended."""
    assert process.stdout
    return [json.loads(body) for kind, body in guard.frames(process.stdout) if kind == b"E"]


def test_it_stops_the_kit_as_soon_as_it_starts(kit: Kit) -> None:
    began = time.monotonic()
    start(kit)
    assert time.monotonic() - began < SOON_S


def test_a_drive_ends_with_its_lease(kit: Kit) -> None:
    process = start(kit)
    send(process, guard.drive_frame(200, b"drive"))
    driven = kit.wait(b"drive")
    assert 0.15 < kit.wait(STOP, 2) - driven < SOON_S


def test_no_lease_is_longer_than_half_a_second(kit: Kit) -> None:
    process = start(kit)
    send(process, guard.drive_frame(60000, b"drive"))
    driven = kit.wait(b"drive")
    assert kit.wait(STOP, 2) - driven < SOON_S


def test_a_further_drive_prolongs_and_a_write_does_not(kit: Kit) -> None:
    process = start(kit)
    send(process, guard.drive_frame(300, b"drive1"))
    began = kit.wait(b"drive1")
    threading.Event().wait(0.2)
    send(process, guard.drive_frame(300, b"drive2"))
    threading.Event().wait(0.2)
    send(process, guard.frame(b"W", b"ask"))
    assert 0.45 < kit.wait(STOP, 2) - began < SOON_S


def test_a_closed_pipe_stops_and_ends(kit: Kit) -> None:
    process = start(kit)
    send(process, guard.drive_frame(500, b"drive"))
    kit.wait(b"drive")
    assert process.stdin
    process.stdin.write(guard.drive_frame(500, b"half a frame")[:6])
    process.stdin.close()
    closed = time.monotonic()
    assert kit.wait(STOP, 2) - closed < SOON_S
    assert process.wait(PATIENCE_S) == 0
    assert b"half" not in kit.bytes()
    assert [n["reason"] for n in notes(process) if n["event"] == "stop"] == ["open", "end"]


def test_a_stop_overtakes_the_drives_before_it_and_not_those_after_it(kit: Kit) -> None:
    process = start(kit)
    process.send_signal(signal.SIGSTOP)
    send(process, guard.drive_frame(500, b"early") + guard.frame(b"S", b"7") + guard.drive_frame(300, b"late"))
    process.send_signal(signal.SIGCONT)
    kit.wait(b"late")
    assert kit.bytes().index(b"late") > kit.bytes().rindex(STOP)
    if b"early" in kit.bytes():
        assert kit.bytes().index(b"early") < kit.bytes().rindex(STOP)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_and_ends(kit: Kit, number: signal.Signals) -> None:
    process = start(kit)
    send(process, guard.drive_frame(500, b"drive"))
    kit.wait(b"drive")
    process.send_signal(number)
    kit.wait(STOP, 2)
    assert process.wait(PATIENCE_S) == 0


def test_what_the_port_gives_comes_out(kit: Kit) -> None:
    got: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    said: queue.SimpleQueue[dict[str, object]] = queue.SimpleQueue()
    port = GuardedPort(got.put, said.put)
    port.open(Path(kit.path), 115200, 0, (STOP,), 1)
    assert said.get(timeout=PATIENCE_S)["event"] == "open"
    os.write(kit.master, bytes(range(256)))
    received = b""
    while len(received) < 256:
        received += got.get(timeout=PATIENCE_S)
    assert received == bytes(range(256))
    assert port.stop("42")
    marks = []
    while "42" not in marks:
        marks.append(said.get(timeout=PATIENCE_S).get("mark"))
    port.close()


def test_only_one_guard_has_the_port(kit: Kit) -> None:
    start(kit)
    second = launch("--port", kit.path, "--baud", "115200")
    out, _ = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == guard.EXIT_NOT_OPENED
    assert b"not_opened" in out


def test_a_port_that_goes_away_ends_it(kit: Kit) -> None:
    process = start(kit)
    kit.unplug()
    assert process.wait(PATIENCE_S) == guard.EXIT_GONE
    assert next(n.get("code") for n in notes(process) if n["event"] == "error") == "gone"


@pytest.mark.parametrize("junk", [b"Z\x00\x03abc", b"D\x00\x01x", struct.pack(">cH", b"W", 0), b"S\x00\x02\xff\xfe"])
def test_junk_on_the_pipe_does_no_harm(kit: Kit, junk: bytes) -> None:
    process = start(kit)
    send(process, junk + guard.drive_frame(100, b"drive"))
    kit.wait(b"drive")
    kit.wait(STOP, 2)
    assert process.poll() is None


def test_a_port_that_takes_no_bytes_does_not_hang_the_guard(kit: Kit) -> None:
    """A kit that hangs: the pty's buffer is full and nobody reads."""
    stuck, slave = pty.openpty()
    tty.setraw(slave)
    process = launch("--port", os.ttyname(slave), "--baud", "115200", "--stop", STOP.hex(), "--repeat", "1")
    for _ in range(40):
        send(process, guard.frame(b"W", b"x" * 4000))
    assert process.stdin
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 0
    assert "slow" in [n.get("code") for n in notes(process)]
    os.close(stuck)
    os.close(slave)


def test_it_is_light() -> None:
    """Nothing heavy may delay a new guard."""
    listing = subprocess.run(
        [child.sys.executable, "-c", "import sys, labkit.guard; print(' '.join(sys.modules))"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert not {"yaml", "jsonschema", "paho", "click", "numpy", "labkit.profiles", "asyncio"} & set(listing)
    assert len(listing) < 160


def test_a_system_without_sighup_is_guarded_too(tmp_path: Path) -> None:
    """Windows: the name is not there at all."""
    code = "import signal; del signal.SIGHUP; import sys; from labkit import guard; sys.exit(guard.main())"
    words = [sys.executable, "-c", code, "--port", str(tmp_path / "none"), "--baud", "115200"]
    run = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False)
    assert run.returncode == guard.EXIT_NOT_OPENED, run.stderr
