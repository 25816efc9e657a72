"""Starts the processes of an instance, watches them and starts them again (进程监护).

Each child has one thread here that starts it, waits for it and starts it again; the thread lives as long as the child may, because the
kernel's parent-death signal belongs to the thread that forked.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from lms.core.process import die_with_parent
from lms.nursery import Nursery

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
HEALTHY_AFTER_S = 10.0
STOP_GRACE_S = 12.0
GROUP_GRACE_S = 2.0
LOG_LIMIT_BYTES = 64 * 1024 * 1024
LOGS_KEPT = 3


@dataclass(frozen=True)
class Spec:
    """One process: ``name`` is that of its pid file and log; ``ready`` tells whether it serves.

    Either ``argv`` is a command line, or ``lms`` are arguments of the ``lms`` command, run by the nursery (``{sockets}`` stands for the
    numbers that ``pass_fds`` have there; ``env`` does not apply). ``env`` is added to this process's environment. ``pass_fds`` are descriptors it inherits, as listening sockets that stay open over
    restarts. ``once`` processes are not started again when they end well.
    """

    name: str
    argv: tuple[str, ...] = ()
    lms: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    pass_fds: tuple[int, ...] = ()
    cwd: Path | None = None
    once: bool = False


class StartFailed(Exception):
    """A process did not become ready in time (启动失败)."""


def say_line(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


class Supervisor:
    """Watches processes until :meth:`stop`; usable as a context manager.

    ``run_dir`` gets ``pids/<name>.pid`` (the process itself, rewritten at each start) and ``logs/<name>.log``. ``say`` is told what
    happens, in Chinese. ``environ`` is what the nursery gets besides. ``restarts`` counts the unplanned ends by name.
    """

    def __init__(
        self,
        specs: Sequence[Spec] = (),
        *,
        run_dir: Path,
        say: Callable[[str], None] = say_line,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.run_dir = run_dir
        self.say = say
        self.restarts: dict[str, int] = {}
        self._children: dict[str, _Child] = {}
        self.ended = threading.Event()
        for folder in ("pids", "logs"):
            (run_dir / folder).mkdir(parents=True, exist_ok=True)
        self.nursery = Nursery(environ or {}, run_dir / "logs" / "nursery.log")
        self._nursed = False
        for spec in specs:
            self.add(spec)

    def add(self, spec: Spec) -> None:
        """Make a process known; :meth:`start` starts it."""
        if spec.name in self._children:
            raise ValueError(f"two processes named {spec.name}")
        if spec.lms:
            self.warm_up()
        self._children[spec.name] = _Child(spec, self)

    def warm_up(self) -> None:
        """Start the nursery now, so that it is warm when the first process is asked of it."""
        if not self._nursed:
            self._nursed = True
            self.nursery.start()

    def start(self, name: str, *, timeout_s: float = 30.0) -> None:
        """Start one process and wait until it is ready; raises StartFailed with the end of its log."""
        self._children[name].begin()
        self.wait_ready(name, timeout_s=timeout_s)

    def start_all(self, *, timeout_s: float = 30.0) -> None:
        """Start all that are not started yet at once, and wait until each is ready."""
        waiting = [child for child in self._children.values() if not child.started]
        for child in waiting:
            child.begin()
        for child in waiting:
            self.wait_ready(child.spec.name, timeout_s=timeout_s)

    def wait_ready(self, name: str, *, timeout_s: float = 30.0) -> None:
        """Wait until a process serves; raises StartFailed if it does not in time."""
        child = self._children[name]
        ready = child.spec.ready or (lambda: child.pid is not None)
        deadline = time.monotonic() + timeout_s
        while not ready():
            if time.monotonic() > deadline or self.ended.is_set() or child.gave_up.is_set():
                raise StartFailed(f"{name} 没有启动成功：\n{self.tail(name)}")
            child.changed.wait(0.05)

    def pid(self, name: str) -> int | None:
        """Process id of a running child."""
        return self._children[name].pid

    def tail(self, name: str, lines: int = 15) -> str:
        """End of a log."""
        path = self.run_dir / "logs" / f"{name}.log"
        return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:]) if path.exists() else ""

    def halt(self, name: str) -> None:
        """Stop one process for good."""
        self._children[name].halt()

    def wait(self) -> None:
        """Watch until SIGTERM or SIGINT comes (main thread only) or :meth:`end` is called; keeps logs small meanwhile."""

        def on_signal(number: int, frame: FrameType | None) -> None:
            self.ended.set()

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not self.ended.wait(60):
                for path in (self.run_dir / "logs").glob("*.log"):
                    _shorten(path)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def end(self) -> None:
        """Make :meth:`wait` return."""
        self.ended.set()

    def stop(self) -> None:
        """Stop everything that was started, last first; what does not end in time is killed."""
        self.ended.set()
        for child in reversed(list(self._children.values())):
            child.halt()
        self.nursery.stop()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class _Child:
    """One process, its thread, its pid file."""

    def __init__(self, spec: Spec, owner: Supervisor) -> None:
        self.spec = spec
        self.owner = owner
        self.started = False
        self.pid: int | None = None
        self.changed = threading.Event()
        self.gave_up = threading.Event()
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{spec.name}", daemon=True)

    def begin(self) -> None:
        """Start watching."""
        if not self.started:
            self.started = True
            self._thread.start()

    def halt(self) -> None:
        """End the process and its group, and wait for it."""
        if not self.started:
            self._halt.set()
            return
        with self._lock:  # not while it is being started
            self._halt.set()
            pid = self.pid
        if pid is not None:
            _signal_group(pid, signal.SIGTERM)
            self._thread.join(STOP_GRACE_S)
            if self._thread.is_alive():
                self.owner.say(f"{self.spec.name} 没有按时结束，强制结束")
            _end_group(pid)
        self._thread.join(STOP_GRACE_S)

    def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._halt.is_set():
            began = time.monotonic()
            try:
                status = self._run()
            except OSError as error:  # no memory, no program, no nursery
                self.owner.say(f"{self.spec.name} 不能启动：{error}")
                status = 1
            if self._halt.is_set() or (self.spec.once and status == 0):
                break
            if time.monotonic() - began > HEALTHY_AFTER_S:
                pause_s = FIRST_PAUSE_S
            self.owner.restarts[self.spec.name] = self.owner.restarts.get(self.spec.name, 0) + 1
            self.owner.say(f"{self.spec.name} {_how_it_ended(status)}，{pause_s:g} 秒后重新启动")
            if status == 2 and self.owner.restarts[self.spec.name] >= 3:  # a usage or configuration error does not heal
                self.gave_up.set()
            self._halt.wait(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        self._pid_path.unlink(missing_ok=True)

    def _run(self) -> int:
        log = self.owner.run_dir / "logs" / f"{self.spec.name}.log"
        _shorten(log)
        with log.open("ab", buffering=0) as out, self._lock:
            if self._halt.is_set():
                return 0
            pid, wait = self._nursed(out.fileno()) if self.spec.lms else self._executed(out.fileno())
            self._write_pid(pid)
            self.pid = pid
        self.changed.set()
        self.changed.clear()
        status = wait()
        self.pid = None
        return status

    def _write_pid(self, pid: int) -> None:
        draft = self._pid_path.with_suffix(".new")
        try:
            draft.write_text(f"{pid}\n", "ascii")
            draft.replace(self._pid_path)
        except OSError as error:  # the disk is full: the process is watched all the same
            self.owner.say(f"{self.spec.name} 的进程号没有写下：{error}")

    def _nursed(self, log: int) -> tuple[int, Callable[[], int]]:
        nursery = self.owner.nursery
        pid = nursery.spawn(self.spec.name, self.spec.lms, log, self.spec.pass_fds)
        return pid, lambda: nursery.wait(pid)

    def _executed(self, log: int) -> tuple[int, Callable[[], int]]:
        process = subprocess.Popen(
            self.spec.argv,
            env={**os.environ, **self.spec.env},
            cwd=self.spec.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=self.spec.pass_fds,
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),
        )
        return process.pid, process.wait

    @property
    def _pid_path(self) -> Path:
        return self.owner.run_dir / "pids" / f"{self.spec.name}.pid"


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"被信号 {signal.Signals(-status).name} 结束"
    return f"退出（状态 {status}）"


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # it has ended by itself
        return


def _end_group(pid: int) -> None:
    """Give what a process left behind (a port guard that still sends its stop) a moment, then kill it."""
    deadline = time.monotonic() + GROUP_GRACE_S
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            os.killpg(pid, 0)
        except (ProcessLookupError, PermissionError):
            return
        pause.wait(0.02)
    _signal_group(pid, signal.SIGKILL)


def _shorten(path: Path) -> None:
    """Move a long log aside by copy and truncate (its writer keeps it open to append), keeping the newest few."""
    if not path.exists() or path.stat().st_size < LOG_LIMIT_BYTES:
        return
    for number in range(LOGS_KEPT - 1, 0, -1):
        older = path.with_suffix(f".log.{number}")
        if older.exists():
            older.replace(path.with_suffix(f".log.{number + 1}"))
    shutil.copyfile(path, path.with_suffix(".log.1"))
    os.truncate(path, 0)


def listening_socket(host: str, port: int, *, what: str) -> socket.socket:
    """A listening TCP socket to hand to a child; raises StartFailed where the port is taken, with what to do."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(1024)
    except OSError as error:
        made.close()
        raise StartFailed(
            f"{what} 的端口 {port} 不能使用（{error.strerror}）：请关闭占用它的程序，或用 ZHIKE_ 设置换一个端口。"
        ) from error
    made.set_inheritable(True)
    return made


def port_open(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def port_free(port: int, host: str = "0.0.0.0") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
