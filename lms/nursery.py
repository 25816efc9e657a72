"""The nursery (进程托儿所): one process that has imported everything once and forks the platform's processes from there.

Web, bridge and jobs then share the memory of the libraries, and a killed one is back in a tenth of a second instead of two. It has one
thread, no database connection and no lock when it forks. ``python -m lms.nursery DESCRIPTOR`` is started by the supervisor, which speaks
with it over a Unix socket: a JSON line with the arguments of ``lms`` and the descriptors (log first, then listening sockets) asks for a
process; the answers are ``{"pid"}`` in the order of asking and ``{"ended", "status"}`` when one ends.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from lms.config import get_settings
from lms.core.process import die_with_parent, name_this

MAX_REQUEST = 64 * 1024
MAX_DESCRIPTORS = 16
REAP_S = 0.5
SHARED = ("lms.cli", "lms.server", "lms.labs.bridge", "huey.consumer")
WARM_S = 60.0


class Nursery:
    """The supervisor's side: starts the nursery, starts it again when it dies, asks it for processes."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._environ = environ
        self._log = log
        self._asking = threading.Lock()
        self._changed = threading.Condition()
        self._ready = False
        self._halt = False
        self._door: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._born: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._alive: set[int] = set()
        self._ended: dict[int, int] = {}
        self._keeper = threading.Thread(target=self._keep, name="nursery", daemon=True)

    def start(self) -> None:
        """Start it; returns before it is warm."""
        self._keeper.start()

    def spawn(self, name: str, arguments: Sequence[str], log: int, sockets: Sequence[int] = ()) -> int:
        """Fork a process that runs ``lms`` with the arguments; its pid. Raises OSError where the nursery does not answer in a minute."""
        with self._asking:
            with self._changed:
                if not self._changed.wait_for(lambda: self._ready or self._halt, WARM_S) or self._door is None:
                    raise OSError("the nursery did not start, see nursery.log")
                door = self._door
            request = json.dumps({"name": name, "arguments": list(arguments)}).encode()
            socket.send_fds(door, [request], [log, *sockets])
            pid = self._born.get(timeout=WARM_S)
            if pid == 0:
                raise OSError("the nursery died")
            with self._changed:
                if pid not in self._ended:
                    self._alive.add(pid)
            return pid

    def wait(self, pid: int) -> int:
        """Wait until a process ends; its exit status, negative for a signal."""
        with self._changed:
            self._changed.wait_for(lambda: pid in self._ended)
            self._alive.discard(pid)
            return self._ended.pop(pid)

    def stop(self) -> None:
        """End the nursery; its children have been ended before."""
        with self._changed:
            self._halt = True
            process = self._process
            self._changed.notify_all()
        if process is not None:
            process.terminate()
            self._keeper.join(5)

    def _keep(self) -> None:
        while not self._halt:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with self._log.open("ab", buffering=0) as out, theirs:
                self._process = subprocess.Popen(
                    (sys.executable, "-m", "lms.nursery", str(theirs.fileno())),
                    env={**os.environ, **self._environ},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    preexec_fn=partial(die_with_parent, os.getpid()),
                )
            with ours:
                self._door = ours
                while message := ours.recv(MAX_REQUEST):
                    self._heard(json.loads(message))
                self._gone()
            self._process.wait()

    def _heard(self, message: dict[str, int]) -> None:
        with self._changed:
            if "ready" in message:
                self._ready = True
            elif "pid" in message:
                self._born.put(message["pid"])
            else:
                self._ended[message["ended"]] = message["status"]
            self._changed.notify_all()

    def _gone(self) -> None:
        """The nursery died and its children with it."""
        with self._changed:
            self._ready, self._door = False, None
            self._ended.update(dict.fromkeys(self._alive, -signal.SIGTERM))
            self._born.put(0)
            self._changed.notify_all()
        while not self._born.empty():
            self._born.get()


def warm_up() -> None:
    """Import what the children need and build what they share; connects to nothing."""
    for name in SHARED:
        import_module(name)
    import_module("lms.app").shared_app(get_settings())
    import_module("sqlalchemy.orm").configure_mappers()
    gc.collect()
    gc.freeze()  # what is shared stays untouched by the collector


def serve(door: socket.socket) -> None:
    """Fork what is asked for until the supervisor closes the socket."""
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([door.fileno(), wake_read], [], [], REAP_S)
        if wake_read in ready:
            os.read(wake_read, 4096)
        report_ended(door)
        if door.fileno() in ready:
            request, descriptors, _flags, _address = socket.recv_fds(door, MAX_REQUEST, MAX_DESCRIPTORS)
            if not request:
                return
            pid = fork(json.loads(request), descriptors, door)
            for descriptor in descriptors:
                os.close(descriptor)
            tell(door, pid=pid)


def fork(request: dict[str, Any], descriptors: list[int], door: socket.socket) -> int:
    """Fork one process; the child never returns."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        die_with_parent(parent)
        log, *sockets = descriptors
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        door.close()
        name_this(f"zhike-{request['name']}")
        status = run_lms(
            [argument.replace("{sockets}", ",".join(map(str, sockets))) for argument in request["arguments"]]
        )
    finally:
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # nothing of the nursery runs on in its child


def run_lms(arguments: list[str]) -> int:
    """Run an ``lms`` command in this process; its exit status."""
    from lms.cli import main

    sys.argv = ["lms", *arguments]
    try:
        main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def report_ended(door: socket.socket) -> None:
    """Collect the children that have ended and tell the supervisor."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        tell(door, ended=pid, status=os.waitstatus_to_exitcode(status))


def tell(door: socket.socket, **facts: int) -> None:
    """One message to the supervisor."""
    door.send(json.dumps(facts).encode())


def main() -> None:
    """Warm up, say so, serve."""
    door = socket.socket(fileno=int(sys.argv[1]))
    warm_up()
    tell(door, ready=os.getpid())
    serve(door)


if __name__ == "__main__":
    main()
