"""The demo's lesson in this process, so that a test can break something in its middle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lms.config import Settings
from lms.core.db import db
from lms.demo import lab, run
from lms.instance import Instance
from tests.chaos.motors import moving
from tests.ports import free_ports

GRACE_S = 60.0


def settings_of(folder: Path, broker: str, database_url: str) -> Settings:
    """Settings of a demo school on free ports."""
    http, https, mqtt, ws, wss = free_ports(5)
    return Settings(
        data_dir=folder / "data",
        run_dir=folder,
        database_url=database_url,
        listen="127.0.0.1",
        http_port=http,
        https_port=https,
        broker=broker,
        mqtt_port=mqtt,
        mqtt_ws_port=ws,
        mqtt_wss_port=wss,
        origin="simulated",
    )


class Lesson:
    """A lesson that goes on in a thread of its own; :meth:`finish` gives its report.

    ``at_end`` is called when the teacher reaches for the button that ends it.
    """

    def __init__(self, demo: run.Demo, minutes: float, at_end: Callable[[Lesson], object]) -> None:
        self.demo = demo
        self._at_end = at_end
        self.run_dir = demo.instance.settings.run
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._teach, args=(minutes,), name="lesson")
        self._thread.start()

    def _teach(self, minutes: float) -> None:
        try:
            run.run_once(self.demo, minutes, self._hear)
        except BaseException as error:  # noqa: BLE001 (raised again in the test's own thread)
            self._failure = error

    def _hear(self, line: str) -> None:
        print(line)
        if line.startswith("下课"):
            self._at_end(self)

    def pid(self, name: str) -> int:
        """Process id by the file that the supervisor keeps."""
        return int((self.run_dir / "pids" / f"{name}.pid").read_text("ascii"))

    def reached(self, step: int) -> bool:
        """Whether the whole class has done this step."""
        settled = list(self.demo.tally.settled.values())
        return sum(1 for one in settled if one >= step) >= len(self.demo.terminals)

    def driving(self) -> list[str]:
        """The robots that drive now."""
        return [name for name in lab.robots() if moving(self.run_dir, name)]

    def kill(self, name: str) -> float:
        """``kill -9`` of a process; returns the moment on the monotonic clock."""
        pid = self.pid(name)
        moment = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.pid(name) != pid, f"{name} was not started again")
        return moment

    def until(self, holds: Callable[[], object], complaint: str, timeout_s: float = GRACE_S) -> None:
        """Wait until something holds."""
        pause = threading.Event()
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, complaint
            assert self._thread.is_alive(), f"the lesson is over: {complaint}"
            pause.wait(0.02)

    def finish(self) -> dict[str, Any]:
        """Wait for the end of the lesson, send everyone home, read what is left."""
        self._thread.join()
        run.leave(self.demo)
        if self._failure is not None:
            raise self._failure
        return run.report(self.demo)


@contextmanager
def lesson(settings: Settings, pupils: int, minutes: float, at_end: Callable[[Lesson], object] = lambda lesson: None) -> Iterator[Lesson]:
    """A lesson under way; whatever happens, no process stays behind."""
    with Instance(settings, say=print) as instance:
        demo = run.start(instance, pupils, 1, print)
        try:
            yield Lesson(demo, minutes, at_end)
        finally:
            run.leave(demo)
            with demo.app.app_context():
                db.session.remove()
                db.engine.dispose()
