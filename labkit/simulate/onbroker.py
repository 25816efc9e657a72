"""A simulated board that is on the broker by itself: its connection, its credentials, what it is told; both kinds of boards share it."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from labkit.links import BrokerAddress
from labkit.links.mqtt import undelayed

log = logging.getLogger("labkit.simulate")
KEEPALIVE_S = 5


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password of one board at the broker."""

    username: str
    password: str


class OnBroker:
    """One board's client. The network thread only hands over: ``told`` holds what has come, ``greet`` is True after each connect.

    ``login`` is asked again whenever the broker refuses; ``will`` is (topic, payload) or None; ``obeys_retained``: real firmware of
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
    ) -> None:
        self._id, self._login, self._topics = device_id, login, tuple(topics)
        self._obeys_retained = obeys_retained
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
