"""A simulated board of another maker on a real broker, with its own credentials."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from labkit.boards import space
from labkit.lab import LabDevice
from labkit.links import BrokerAddress
from labkit.simulate.faults import Faults
from labkit.simulate.foreign_scripts import Said, script
from labkit.simulate.onbroker import Login, OnBroker

REPORT_S = 5.0


class ForeignBoard:
    """One board; its network thread only hands orders over, everything else happens in `tick`."""

    def __init__(
        self, device: LabDevice, faults: Faults, seed: int, broker: BrokerAddress, login: Callable[[], Login]
    ) -> None:
        self._faults, self._at = faults, time.monotonic()
        self._anew = partial(script, device.profile, space(device.profile, device.id, device.url), seed)
        self._script = self._anew()
        self._report_at = 0.0
        will = self._script.will
        last = (will.topic, will.payload.encode()) if will else None
        topics = self._script.subscriptions
        self._line = OnBroker(device.id, broker, login, topics, last, obeys_retained=True, faults=faults, seed=seed)

    def tick(self, now: float) -> None:
        """Say hello, obey, tell the sensors; a brown-out restarts the board with everything off."""
        passed, self._at = now - self._at, now
        if self._line.browns_out(passed):
            self._script = self._anew()
        if self._line.greet:
            self._line.greet = False
            self._say(self._script.hello(now))
            self._report_at = now + REPORT_S
        for topic, payload in self._line.due(now):
            answer = self._script.obey(topic, payload.decode("utf-8", "replace"))
            if not self._faults.deaf:
                self._say(answer)
        if self._line.up and now >= self._report_at:
            self._report_at = now + REPORT_S
            self._say(self._script.report(now))

    def close(self) -> None:
        """Say goodbye in order."""
        self._say(self._script.goodbye())
        self._line.close()

    def _say(self, messages: list[Said]) -> None:
        for said in messages:
            self._line.say(said.topic, said.payload.encode(), said.qos, said.retain)
