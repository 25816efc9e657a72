"""The simulated teacher (模拟教师): steers a lesson from the console's own door."""

from __future__ import annotations

import threading
import uuid
from typing import Any

from lms.demo.browser import Browser


class Teacher:
    """A teacher at the console of one lesson, signed in like a person."""

    def __init__(self, host: str, port: int, stopping: threading.Event, username: str, password: str) -> None:
        self._browser = Browser(host, port, stopping)
        self._browser.page("/sign-in")
        self._browser.form("/sign-in", username=username, password=password, next="")
        self._lesson = ""

    def take(self, lesson_id: uuid.UUID) -> dict[str, Any]:
        """Steer this lesson; returns the console's state."""
        self._lesson = str(lesson_id)
        self._browser.page(f"/console/{self._lesson}")
        return self._post("take-over", {})

    def state(self) -> dict[str, Any]:
        """The console's state."""
        return self._browser.call("GET", f"/api/lessons/{self._lesson}/state")

    def group(self, size: int) -> dict[str, Any]:
        """Make groups and deal the robots."""
        self._post("groups", {"size": size})
        return self._post("robots", {"deal": True})

    def push(self, step: int) -> dict[str, Any]:
        """Push a step to all screens."""
        return self._post("step", {"step": step})

    def end(self) -> dict[str, Any]:
        """End the lesson."""
        return self._post("end", {})

    def write_record(self) -> dict[str, Any]:
        """Have the usage record written now."""
        return self._post("close", {})

    def close(self) -> None:
        """Leave the console."""
        self._browser.close()

    def _post(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._browser.call("POST", f"/api/lessons/{self._lesson}/{verb}", body)
