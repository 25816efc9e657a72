"""A simulated board of another maker on a real broker, with its own credentials."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from labkit.boards import space
from labkit.lab import LabDevice
from labkit.links import BrokerAddress
from labkit.simulate.faults import Faults
from labkit.simulate.foreign_scripts import Said, script
from labkit.simulate.mqtt_car import Login

log = logging.getLogger("labkit.simulate")
KEEPALIVE_S = 5
REPORT_S = 5.0


class ForeignBoard:
    """One board; its network thread only hands orders over, everything else happens in `tick`."""

    def __init__(
        self, device: LabDevice, faults: Faults, seed: int, broker: BrokerAddress, login: Callable[[], Login]
    ) -> None:
        self._device, self._faults, self._login = device, faults, login
        self._script = script(device.profile, space(device.profile, device.id, device.url), seed)
        self._orders: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._greet = self._up = False
        self._report_at = 0.0
        self._client = self._connect(broker)

    def tick(self, now: float) -> None:
        """Say hello, obey, tell the sensors."""
        if self._greet:
            self._greet = False
            self._say(self._script.hello(now))
            self._report_at = now + REPORT_S
        while not self._orders.empty():
            topic, payload = self._orders.get()
            answer = self._script.obey(topic, payload.decode("utf-8", "replace"))
            if not self._faults.deaf:
                self._say(answer)
        if self._up and now >= self._report_at:
            self._report_at = now + REPORT_S
            self._say(self._script.report(now))

    def close(self) -> None:
        """Say goodbye in order."""
        self._say(self._script.goodbye())
        self._client.disconnect()
        self._client.loop_stop()

    def _say(self, messages: list[Said]) -> None:
        for said in messages if self._up else ():
            self._client.publish(said.topic, said.payload.encode(), qos=said.qos, retain=said.retain)

    def _connect(self, broker: BrokerAddress) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._device.id,
            protocol=MQTTProtocolVersion.MQTTv311,
            clean_session=True,
        )
        login = self._login()
        client.username_pw_set(login.username, login.password)
        if broker.tls:
            client.tls_set(ca_certs=broker.ca or None)
        client.reconnect_delay_set(1, 4)
        client.max_queued_messages_set(200)
        will = self._script.will
        if will is not None:
            client.will_set(will.topic, will.payload.encode(), qos=1, retain=True)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        client.connect_async(broker.host, broker.port, KEEPALIVE_S)
        client.loop_start()
        return client

    def _connected(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("%s: the broker refuses: %s", self._device.id, reason)
            login = self._login()
            client.username_pw_set(login.username, login.password)
            return
        for topic in self._script.subscriptions:
            client.subscribe(topic, 1)
        self._up = self._greet = True

    def _disconnected(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: object,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._up = False
        log.info("%s: disconnected: %s", self._device.id, reason)

    def _received(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        # Real firmware of these makers obeys a retained order at every reconnect: so does this.
        self._orders.put((message.topic, bytes(message.payload)))
