"""One connection to the school's broker (MQTT 3.1.1), which comes back by itself."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from labkit.errors import LabkitError, LinkDown
from labkit.links.mqtt_loop import Loop

log = logging.getLogger("labkit.mqtt")
DEFAULT_BROKER = "mqtt://127.0.0.1:18830"  # the product's own broker; a plain MQTT broker has MQTT_PORT
MQTT_PORT = 1883
KEEPALIVE_S = 5
RETRY_S = (1, 4)
FLUSH_TOPIC = "zhike/gateway/flush"


@dataclass(frozen=True)
class BrokerAddress:
    """``mqtt://host:port``, ``mqtts://host:port``, ``ws://host:port/path`` or ``wss://host:port/path`` with the credentials of one client.

    ``ca`` is the school CA's file; ``path`` is that of the WebSocket ("" = plain TCP).
    """

    host: str
    port: int
    username: str = ""
    password: str = ""
    tls: bool = False
    ca: str = ""
    path: str = ""

    @classmethod
    def parse(cls, url: str, username: str = "", password: str = "", ca: str = "") -> BrokerAddress:
        """Read a broker URL; raises LabkitError when it is none."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise LabkitError("bad_broker_url", f"代理地址的端口不对：{url}", f"wrong port in {url}") from error
        if parts.scheme not in ("mqtt", "mqtts", "ws", "wss") or not parts.hostname:
            raise LabkitError(
                "bad_broker_url", f"代理地址应像 {DEFAULT_BROKER}：{url}", f"should be mqtt://host:port: {url}"
            )
        tls, web = parts.scheme in ("mqtts", "wss"), parts.scheme in ("ws", "wss")
        return cls(
            host=parts.hostname,
            port=port or (8883 if tls else MQTT_PORT),
            username=username or unquote(parts.username or ""),
            password=password or unquote(parts.password or ""),
            tls=tls,
            ca=ca,
            path=(parts.path or "/mqtt") if web else "",
        )


@dataclass(frozen=True)
class Message:
    """A received message; ``retained`` = it was stored in the broker before we subscribed, so it may be old."""

    topic: str
    payload: bytes
    retained: bool


def undelayed(client: paho.Client) -> None:
    """Let small messages go at once: with Nagle's algorithm a second one waits up to 40 ms for the first one's receipt."""

    def opened(_client: paho.Client, _data: object, sock: Any) -> None:
        if isinstance(sock, socket.socket) and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    client.on_socket_open = opened


class Broker:
    """The connection; callbacks, and ``turn`` between them (see :class:`Loop`), come from its network thread and must not block.

    Nothing is queued while the link is down: state lives in retained topics, which ``on_connect`` publishes again.
    """

    def __init__(
        self,
        address: BrokerAddress,
        client_id: str,
        on_message: Callable[[Message], None],
        on_connect: Callable[[], None],
        will: tuple[str, bytes] | None = None,
        turn: Callable[[], bool] | None = None,
    ) -> None:
        self._address = address
        self._on_message = on_message
        self._on_connect = on_connect
        self._topics: dict[str, int] = {}
        self._up = threading.Event()
        self._answered = threading.Event()
        self._refused = ""
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv311, clean_session=True,
            transport="websockets" if address.path else "tcp",
        )  # fmt: skip
        if address.path:
            client.ws_set_options(path=address.path)
        client.max_queued_messages_set(1000)
        if address.username:
            client.username_pw_set(address.username, address.password)
        if address.tls:
            client.tls_set(ca_certs=address.ca or None)
        if will:
            client.will_set(will[0], will[1], qos=1, retain=True)
        undelayed(client)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        self._client = client
        self._loop = Loop(client, RETRY_S, turn)

    def start(self) -> None:
        """Connect in the background and keep trying."""
        self._client.connect_async(self._address.host, self._address.port, KEEPALIVE_S)
        self._loop.start()

    def wait(self, timeout_s: float) -> None:
        """Wait until connected; raises LinkDown: at once with the broker's reason when it refuses, else after the time."""
        self._answered.wait(timeout_s)
        if not self.up:
            where = f"{self._address.host}:{self._address.port}"
            raise LinkDown(
                f"连不上 MQTT 代理 {where}{'：' + self._refused if self._refused else ''}",
                f"cannot reach the MQTT broker {where}{': ' + self._refused if self._refused else ''}",
            )

    @property
    def up(self) -> bool:
        """Whether the broker has accepted this connection."""
        return self._up.is_set()

    def subscribe(self, topic: str, qos: int = 1) -> None:
        """Subscribe now and after every reconnect."""
        self._topics[topic] = qos
        if self.up:
            self._client.subscribe(topic, qos)

    def unsubscribe(self, topic: str) -> None:
        """Take a subscription back."""
        if self._topics.pop(topic, None) is not None and self.up:
            self._client.unsubscribe(topic)

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = True) -> bool:
        """Publish; False when the link is down (nothing is queued)."""
        if not self.up:
            return False
        return self._client.publish(topic, payload, qos=qos, retain=retain).rc == paho.MQTT_ERR_SUCCESS

    def flush(self, timeout_s: float) -> None:
        """Wait until the broker has acknowledged a last message, and so all before it."""
        if self.up:
            try:
                self._client.publish(FLUSH_TOPIC, b"", qos=1).wait_for_publish(timeout_s)
            except (RuntimeError, ValueError) as error:
                log.warning("last messages may be lost: %s", error)

    def stop(self) -> None:
        """Disconnect in order (no last will)."""
        self._loop.stop()
        self._up.clear()

    def _connected(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            self._answered.set()
            log.error("the broker refuses the connection: %s", reason)
            return
        self._refused = ""
        for topic, qos in list(self._topics.items()):
            client.subscribe(topic, qos)
        self._up.set()
        self._answered.set()
        log.info("connected to %s:%d", self._address.host, self._address.port)
        self._on_connect()

    def _disconnected(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        was_up = self._up.is_set()
        self._up.clear()
        if was_up:
            self._answered.clear()
        if was_up and reason.is_failure:
            log.warning("connection to the broker lost (%s); trying again every %d to %d s", reason, *RETRY_S)

    def _received(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._loop.heard()
        try:
            topic = message.topic
        except UnicodeDecodeError:
            log.warning("refused a message: its topic is not UTF-8")
            return
        self._on_message(Message(topic, bytes(message.payload), bool(message.retain)))
