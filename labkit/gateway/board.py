"""The retained topics of one gateway: published when they change, and all again after a reconnect."""

from __future__ import annotations

import threading

from labkit.homie import Part
from labkit.links import Broker


class Board:
    """Thread-safe notice board; ``$state`` topics go out last, so that ``ready`` follows what it announces."""

    def __init__(self) -> None:
        self._notices: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._broker: Broker | None = None

    def attach(self, broker: Broker) -> None:
        """Publish through this connection from now on."""
        self._broker = broker

    def put(self, topic: str, payload: bytes) -> None:
        """Publish a retained topic unless it stands there already."""
        with self._lock:
            if self._notices.get(topic) == payload:
                return
            self._notices[topic] = payload
            if self._broker:
                self._broker.publish(topic, payload)

    def clear(self, topic: str) -> None:
        """Take a retained topic away."""
        with self._lock:
            if self._notices.pop(topic, None) is not None and self._broker:
                self._broker.publish(topic, b"")

    def event(self, topic: str, payload: bytes) -> None:
        """Publish once, not retained, QoS 0."""
        if self._broker:
            self._broker.publish(topic, payload, qos=0, retain=False)

    def holds(self, topic: str) -> bool:
        """Whether a topic stands on the board."""
        with self._lock:
            return topic in self._notices

    def correct(self, topic: str, payload: bytes) -> None:
        """Somebody has published ``payload`` where our own notice stands: publish ours again, if it is another one."""
        with self._lock:
            ours = self._notices.get(topic)
            if ours is not None and ours != payload and self._broker:
                self._broker.publish(topic, ours)

    def announce(self) -> None:
        """Publish everything again, states last."""
        with self._lock:
            if self._broker is None:
                return
            ordered = sorted(self._notices.items(), key=lambda notice: notice[0].endswith("/" + Part.STATE.value))
            for topic, payload in ordered:
                self._broker.publish(topic, payload)
