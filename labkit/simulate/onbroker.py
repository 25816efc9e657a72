"""A simulated board that is on the broker by itself: its connection, its credentials, what it is told; both kinds of boards share it."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import queue
import random
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from labkit.links import BrokerAddress
from labkit.links.mqtt import undelayed
from labkit.simulate.faults import Faults

log = logging.getLogger("labkit.simulate")
KEEPALIVE_S = 5


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password of one board at the broker."""

    username: str
    password: str


class OnBroker:
    """One board's client. The network thread only hands over: `due` gives what has come, ``greet`` is True after each connect.

    ``faults``: orders that are lost or late. ``login`` is asked again whenever the broker refuses; ``will`` is (topic, payload) or None; ``obeys_retained``: real firmware of
    some makers obeys a retained order at every reconnect, a car must not start by itself when it comes back.
    """

    def __init__(
        self,
        device_id: str,
        broker: BrokerAddress,
        login: Callable[[], Login],
        topics: Iterable[str],
        will: tuple[str, bytes] | None,
        obeys_retained: bool,
        faults: Faults,
        seed: int,
    ) -> None:
        self._id, self._login, self._topics = device_id, login, tuple(topics)
        self._obeys_retained, self._faults, self._random = obeys_retained, faults, random.Random(f"broker {seed}")
        self._later: list[tuple[float, int, str, bytes]] = []
        self._order = itertools.count()
        self.told: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.up = self.greet = False
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=device_id, protocol=MQTTProtocolVersion.MQTTv311, clean_session=True
        )
        first = login()
        client.username_pw_set(first.username, first.password)
        if broker.tls:
            client.tls_set(ca_certs=broker.ca or None)
        client.reconnect_delay_set(1, 4)
        client.max_queued_messages_set(200)
        if will is not None:
            client.will_set(will[0], will[1], qos=1, retain=True)
        undelayed(client)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        client.connect_async(broker.host, broker.port, KEEPALIVE_S)
        client.loop_start()
        self._client = client

    def say(self, topic: str, payload: bytes, qos: int = 1, retain: bool = True) -> None:
        """Publish while connected; a board without its broker speaks into the air."""
        if self.up:
            self._client.publish(topic, payload, qos=qos, retain=retain)

    def due(self, now: float) -> Iterator[tuple[str, bytes]]:
        """Topic and payload of every order that has reached the board by now."""
        while not self.told.empty():
            topic, payload = self.told.get()
            if not self._faults.drop or self._random.random() >= self._faults.drop:
                heapq.heappush(
                    self._later, (now + self._faults.delay_ms / 1000, next(self._order), topic, payload)
                )
        while self._later and self._later[0][0] <= now:
            _, _, topic, payload = heapq.heappop(self._later)
            yield topic, payload

    def browns_out(self, seconds: float) -> bool:
        """Whether the board's power fails in these seconds; then the line is cut without a word, and comes back after the boot."""
        mean_s = self._faults.brown_out_s
        if not mean_s or not self.up or self._random.random() >= seconds / mean_s:
            return False
        self.up = False
        self._later.clear()
        while not self.told.empty():
            self.told.get()
        line = self._client.socket()
        if isinstance(line, socket.socket):
            with contextlib.suppress(OSError):  # it has broken by itself in this moment
                line.shutdown(socket.SHUT_RDWR)
        return True

    def close(self) -> None:
        """Disconnect in order."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("%s: the broker refuses: %s", self._id, reason)
            login = self._login()
            client.username_pw_set(login.username, login.password)
            return
        for topic in self._topics:
            client.subscribe(topic, 1)
        self.up = self.greet = True

    def _disconnected(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: object,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.up = False
        log.info("%s: disconnected: %s", self._id, reason)

    def _received(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        if self._obeys_retained or not message.retain:
            self.told.put((message.topic, bytes(message.payload)))
