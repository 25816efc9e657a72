"""Processes are started, watched, started again, and all gone at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lms.supervisor import Spec, StartFailed, Supervisor, listening_socket, port_free, port_open
from tests.effort import PATIENCE_S

SLEEPER = (sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()")
WITH_CHILD = (sys.executable, "-c", "import subprocess; print('up', flush=True); subprocess.run(['sleep', '600'])")


def until(true: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
    """Wait for something to become true."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_pid_file_and_log(tmp_path: Path) -> None:
    with Supervisor([Spec("sleeper", SLEEPER)], run_dir=tmp_path) as supervisor:
        supervisor.start_all()
        pid = int((tmp_path / "pids" / "sleeper.pid").read_text())
        assert pid == supervisor.pid("sleeper")
        assert until(lambda: supervisor.tail("sleeper") == "up")
    assert not alive(pid)
    assert not (tmp_path / "pids" / "sleeper.pid").exists()


def test_a_killed_process_is_back_soon(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor([Spec("sleeper", SLEEPER)], run_dir=tmp_path, say=said.append) as supervisor:
        supervisor.start_all()
        pid = supervisor.pid("sleeper")
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: supervisor.pid("sleeper") not in (None, pid))
        assert until(lambda: int((tmp_path / "pids" / "sleeper.pid").read_text()) == supervisor.pid("sleeper"))
        assert supervisor.restarts == {"sleeper": 1}
    assert "SIGKILL" in said[0]


def test_one_that_always_fails_is_tried_ever_more_rarely(tmp_path: Path) -> None:
    failing = Spec(
        "failing", (sys.executable, "-c", "import sys; print('wrong setting'); sys.exit(1)"), ready=lambda: False
    )
    with Supervisor([failing], run_dir=tmp_path, say=lambda line: None) as supervisor:
        with pytest.raises(StartFailed, match="wrong setting"):
            supervisor.start("failing", timeout_s=5)
        assert supervisor.restarts["failing"] <= 6


def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    with Supervisor([Spec("parent", WITH_CHILD)], run_dir=tmp_path) as supervisor:
        supervisor.start_all()
        pid = supervisor.pid("parent")
        assert until(lambda: bool(children(pid)))
        offspring = children(pid)
    assert until(lambda: not any(alive(child) for child in offspring))


def children(pid: int | None) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\nfrom lms.supervisor import Spec, Supervisor\n"
        f"s = Supervisor([Spec('sleeper', {SLEEPER!r})], run_dir=pathlib.Path({str(tmp_path)!r}))\n"
        "s.start_all()\nprint(s.pid('sleeper'), flush=True)\ns.wait()\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    with supervisor.stdout:
        pid = int(supervisor.stdout.readline())
        supervisor.kill()
        supervisor.wait()
    assert until(lambda: not alive(pid))


def test_sigterm_stops_everything(tmp_path: Path) -> None:
    script = (
        "import signal, pathlib, threading\nfrom lms.supervisor import Spec, Supervisor\n"
        f"with Supervisor([Spec('sleeper', {SLEEPER!r})], run_dir=pathlib.Path({str(tmp_path)!r})) as s:\n"
        "    s.start_all()\n    pause = threading.Event()\n"
        "    def tell():\n"  # once the signal is heard
        "        while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:\n            pause.wait(0.01)\n"
        "        print(s.pid('sleeper'), flush=True)\n"
        "    threading.Thread(target=tell).start()\n    s.wait()\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    with supervisor.stdout:
        pid = int(supervisor.stdout.readline())
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(PATIENCE_S) == 0
    assert not alive(pid)


def test_the_nursery_forks_and_reports(tmp_path: Path) -> None:
    environ = {"ZHIKE_DATA_DIR": str(tmp_path / "data")}
    with Supervisor([Spec("version", lms=("--version",), once=True, ready=lambda: True)], run_dir=tmp_path, environ=environ) as supervisor:
        supervisor.start("version", timeout_s=60)
        assert until(lambda: "lms, version" in supervisor.tail("version"), 60)
        assert supervisor.restarts == {}


def test_a_dead_nursery_is_replaced(tmp_path: Path) -> None:
    said: list[str] = []
    environ = {"ZHIKE_DATA_DIR": str(tmp_path / "data")}
    with Supervisor([Spec("jobs", lms=("jobs",))], run_dir=tmp_path, environ=environ, say=said.append) as supervisor:
        supervisor.start("jobs", timeout_s=60)
        first = supervisor.pid("jobs")
        assert first
        os.kill(int(Path(f"/proc/{first}/stat").read_text().rsplit(")", 1)[1].split()[1]), signal.SIGKILL)
        assert until(lambda: supervisor.pid("jobs") not in (None, first), 60)
        assert until(lambda: not alive(first))


def test_a_taken_port_is_told_plainly() -> None:
    with listening_socket("127.0.0.1", 0, what="网页") as taken:
        port = taken.getsockname()[1]
        assert port_open(port)
        assert not port_free(port, "127.0.0.1")
        with pytest.raises(StartFailed, match=str(port)):
            listening_socket("127.0.0.1", port, what="网页")
    assert not port_open(port)


def test_a_socket_that_is_held_survives_its_server(tmp_path: Path) -> None:
    serve = (
        "import socket, sys\ns = socket.socket(fileno=int(sys.argv[1]))\n"
        "while True:\n    c, _ = s.accept()\n    c.sendall(b'hello')\n    c.close()\n"
    )
    with listening_socket("127.0.0.1", 0, what="测试") as held:
        port, descriptor = held.getsockname()[1], held.fileno()
        spec = Spec("server", (sys.executable, "-c", serve, str(descriptor)), pass_fds=(descriptor,))
        with Supervisor([spec], run_dir=tmp_path, say=lambda line: None) as supervisor:
            supervisor.start_all()
            assert hello(port) == b"hello"
            pid = supervisor.pid("server")
            assert pid
            os.kill(pid, signal.SIGKILL)
            assert until(lambda: not alive(pid))
            assert hello(port) == b"hello"  # waits in the backlog, is not refused


def hello(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        return connection.recv(5)
