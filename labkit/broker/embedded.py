"""The embedded MQTT 3.1.1 broker, for machines without Mosquitto: TCP, WebSocket and WebSocket over TLS.

What it does not keep: sessions end with their connection (session-present is always 0), so nothing is queued for who is
away, and retained messages live in memory only: after a restart the publishers repeat them, as Homie asks. Clients and
roles are stored. QoS 2 is taken in and given out as QoS 1. Every publish, subscription and delivery, retained ones and
last wills too, is checked against `Rights`; a credential is checked before a connection touches anything of another.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import signal
import ssl
from dataclasses import replace
from typing import Protocol

import websockets
from websockets.asyncio.server import ServerConnection, serve

from labkit.broker import packets, topics
from labkit.broker.commands import CONTROL_TOPIC, RESPONSE_TOPIC, handle
from labkit.broker.config import MAX_MESSAGE_BYTES, BrokerConfig, read_rights, store_rights
from labkit.broker.errors import BrokerUnavailable, MalformedPacket
from labkit.broker.rights import Rights

log = logging.getLogger("labkit.broker")

CONNECT_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 2000
MAX_FILTERS = 200
MAX_QUEUED_BYTES = 8 * 1024 * 1024
MAX_RETAINED = 50_000
MAX_RETAINED_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_MAX_PACKET = MAX_MESSAGE_BYTES + 2048


class Wire(Protocol):
    """One client's byte stream, whatever carries it."""

    async def receive(self) -> bytes:
        """The next bytes; empty at the end."""

    async def send(self, data: bytes) -> None:
        """Hand `data` on, waiting while the network is slower than we are."""

    async def close(self) -> None:
        """End the stream."""


class TcpWire:
    """MQTT straight on TCP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self) -> bytes:
        """The next bytes; empty at the end."""
        return await self._reader.read(_CHUNK)

    async def send(self, data: bytes) -> None:
        """Write and drain."""
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """Close the socket without waiting for a peer that does not read."""
        self._writer.close()


class WebSocketWire:
    """MQTT in binary WebSocket messages (section 6): packets may share a message or be split over several."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    async def receive(self) -> bytes:
        """The next message; empty at the end; a text message is malformed."""
        try:
            data = await self._socket.recv()
        except websockets.ConnectionClosed:
            return b""
        if isinstance(data, str):
            raise MalformedPacket("WebSocket 文本消息不是 MQTT", "a WebSocket text message is no MQTT")
        return data or await self.receive()

    async def send(self, data: bytes) -> None:
        """Send one binary message."""
        try:
            await self._socket.send(data)
        except websockets.ConnectionClosed as error:
            raise ConnectionResetError from error

    async def close(self) -> None:
        """Say goodbye to the browser, briefly."""
        await self._socket.close()


class Session:
    """One connected client: its subscriptions, packet numbers and the queue of bytes that wait for the network."""

    def __init__(self, wire: Wire, client_id: str, username: str, will: packets.Will | None) -> None:
        self.client_id, self.username, self.will = client_id, username, will
        self.filters: set[str] = set()
        self.taken_qos2: set[int] = set()
        self.receivable: dict[str, bool] = {}
        self.rights_version = -1
        self.closing = asyncio.Event()
        self._wire = wire
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._packet_id = 0

    def deliver(self, message: packets.Publish, encoded_qos0: bytes | None = None) -> None:
        """Queue a message for this client, at the QoS it carries."""
        if message.qos == 0:
            self.put(encoded_qos0 or packets.encode_publish(message))
            return
        # Nothing is redelivered to a session that ends with its connection, so acknowledged numbers need no record.
        self._packet_id = self._packet_id % 65535 + 1
        self.put(packets.encode_publish(replace(message, qos=1, packet_id=self._packet_id)))

    def put(self, data: bytes) -> None:
        """Queue bytes; a client that leaves 8 MiB unread is disconnected."""
        if self._queued_bytes + len(data) > MAX_QUEUED_BYTES:
            log.warning("client %s reads too slowly: disconnected", self.client_id)
            self.closing.set()
            return
        self._queue.append(data)
        self._queued_bytes += len(data)
        self._wake.set()

    async def write_out(self) -> None:
        """Send what is queued, for as long as the client lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                data = b"".join(self._queue)
                self._queue.clear()
                await self._wire.send(data)
                self._queued_bytes -= len(data)


class EmbeddedBroker:
    """Sessions, subscriptions and retained messages of one school."""

    def __init__(self, config: BrokerConfig, rights: Rights) -> None:
        self._config, self._rights = config, rights
        self._sessions: dict[str, Session] = {}
        self._tree: topics.FilterTree[Session] = topics.FilterTree()
        self._retained: dict[str, packets.Publish] = {}
        self._retained_bytes = 0
        self._connections = 0

    # ---- a connection's life --------------------------------------------------------------------------------------

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one TCP connection to its end."""
        await self._serve(TcpWire(reader, writer))

    async def serve_websocket(self, socket: ServerConnection) -> None:
        """Serve one WebSocket connection to its end."""
        await self._serve(WebSocketWire(socket))

    async def _serve(self, wire: Wire) -> None:
        self._connections += 1
        try:
            if self._connections <= MAX_CONNECTIONS:
                await self._admit(wire)
        except (MalformedPacket, TimeoutError, OSError, EOFError) as error:
            log.info("connection closed: %s", error or type(error).__name__)
        finally:
            self._connections -= 1
            with contextlib.suppress(OSError):
                await wire.close()

    async def _admit(self, wire: Wire) -> None:
        decoder = packets.Decoder(_MAX_PACKET)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            first: list[packets.Packet] = []
            while not first:
                data = await wire.receive()
                if not data:
                    return
                first.extend(decoder.feed(data))
        connect = first[0]
        if not isinstance(connect, packets.Connect):
            raise MalformedPacket("首个报文不是 MQTT 连接请求", "the first packet is no MQTT CONNECT")
        code = self._judge(connect)
        if code != packets.ACCEPTED:
            log.info("connection refused (%d): client %r, user %r", code, connect.client_id, connect.username)
            await wire.send(packets.encode_connack(code))
            return
        session = Session(
            wire, connect.client_id or f"auto-{secrets.token_hex(8)}", connect.username or "", connect.will
        )
        previous = self._sessions.get(session.client_id)
        if previous is not None:
            self._end(previous)
        self._sessions[session.client_id] = session
        session.put(packets.encode_connack(packets.ACCEPTED))
        # Section 3.1.2.10: one and a half times what was announced; 0 = the client may be silent for ever.
        keep_alive_s = connect.keep_alive_s * 1.5 or None
        await self._converse(wire, decoder, session, first[1:], keep_alive_s)

    def _judge(self, connect: packets.Connect) -> int:
        if connect.level != 4:
            return packets.BAD_PROTOCOL
        if not connect.client_id and not connect.clean:
            return packets.BAD_IDENTIFIER
        if not self._rights.admits(connect.username, connect.password, connect.client_id):
            return packets.NOT_AUTHORIZED
        holder = self._sessions.get(connect.client_id)
        if holder is not None and holder.username != connect.username:
            return packets.BAD_IDENTIFIER
        if connect.will is not None and not topics.is_topic(connect.will.topic):
            return packets.NOT_AUTHORIZED
        return packets.ACCEPTED

    async def _converse(
        self,
        wire: Wire,
        decoder: packets.Decoder,
        session: Session,
        early: list[packets.Packet],
        keep_alive_s: float | None,
    ) -> None:
        tasks = [
            asyncio.create_task(self._listen(wire, decoder, session, early, keep_alive_s)),
            asyncio.create_task(session.write_out()),
            asyncio.create_task(session.closing.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            self._end(session)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _listen(
        self,
        wire: Wire,
        decoder: packets.Decoder,
        session: Session,
        early: list[packets.Packet],
        keep_alive_s: float | None,
    ) -> None:
        for packet in early:
            if not self._take(session, packet):
                return
        while True:
            async with asyncio.timeout(keep_alive_s):
                data = await wire.receive()
            if not data:
                return
            for packet in decoder.feed(data):
                if not self._take(session, packet):
                    return

    def _end(self, session: Session) -> None:
        """Forget a session once, and speak its last will unless it said goodbye."""
        session.closing.set()
        for pattern in session.filters:
            self._tree.remove(pattern, session)
        session.filters.clear()
        if self._sessions.get(session.client_id) is session:
            del self._sessions[session.client_id]
        will, session.will = session.will, None
        if will is not None and self._may_send(session, will.topic):
            self._route(packets.Publish(will.topic, will.payload, will.qos, will.retain))

    def close(self) -> None:
        """End every session."""
        for session in list(self._sessions.values()):
            self._end(session)

    # ---- packets --------------------------------------------------------------------------------------------------

    def _take(self, session: Session, packet: packets.Packet) -> bool:
        """Act on one packet; False ends the connection."""
        match packet:
            case packets.Publish():
                self._take_publish(session, packet)
            case packets.Subscribe():
                self._subscribe(session, packet)
            case packets.Unsubscribe():
                for pattern in packet.filters:
                    session.filters.discard(pattern)
                    self._tree.remove(pattern, session)
                session.put(packets.encode_ack(packets.UNSUBACK, packet.packet_id))
            case packets.Ack(kind=packets.PUBREL):
                session.taken_qos2.discard(packet.packet_id)
                session.put(packets.encode_ack(packets.PUBCOMP, packet.packet_id))
            case packets.Ack():
                pass
            case packets.Ping():
                session.put(packets.encode_pingresp())
            case packets.Disconnect():
                session.will = None
                return False
            case packets.Connect():
                raise MalformedPacket("同一连接上第二次连接请求", "a second CONNECT")
        return True

    def _take_publish(self, session: Session, message: packets.Publish) -> None:
        if not topics.is_topic(message.topic):
            raise MalformedPacket("消息的主题不合规", "a topic that nobody may publish to")
        if message.qos == 1:
            session.put(packets.encode_ack(packets.PUBACK, message.packet_id))
        elif message.qos == 2:
            session.put(packets.encode_ack(packets.PUBREC, message.packet_id))
            if message.packet_id in session.taken_qos2:
                return
            session.taken_qos2.add(message.packet_id)
        if not self._may_send(session, message.topic):
            log.info("publish refused: client %s, topic %s", session.client_id, message.topic)
        elif message.topic == CONTROL_TOPIC:
            self._control(session, message.payload)
        else:
            self._route(message)

    def _may_send(self, session: Session, topic: str) -> bool:
        if topic.startswith("$") and topic != CONTROL_TOPIC:
            return False
        return self._rights.may_send(session.username, topic)

    def _may_receive(self, session: Session, topic: str) -> bool:
        if session.rights_version != self._rights.version:
            session.receivable.clear()
            session.rights_version = self._rights.version
        verdict = session.receivable.get(topic)
        if verdict is None:
            verdict = session.receivable[topic] = self._rights.may_receive(session.username, topic)
        return verdict

    def _subscribe(self, session: Session, packet: packets.Subscribe) -> None:
        codes: list[int] = []
        granted: list[tuple[str, int]] = []
        for pattern, wanted in packet.filters:
            full = pattern not in session.filters and len(session.filters) >= MAX_FILTERS
            if full or not topics.is_filter(pattern) or not self._rights.may_subscribe(session.username, pattern):
                log.info("subscription refused: client %s, filter %s", session.client_id, pattern)
                codes.append(packets.SUBSCRIPTION_REFUSED)
                continue
            qos = min(wanted, 1)
            codes.append(qos)
            granted.append((pattern, qos))
            session.filters.add(pattern)
            self._tree.add(pattern, session, qos)
        session.put(packets.encode_suback(packet.packet_id, codes))
        for pattern, qos in granted:
            self._deliver_retained(session, pattern, qos)

    def _deliver_retained(self, session: Session, pattern: str, qos: int) -> None:
        if "+" in pattern or "#" in pattern:
            found = [message for topic, message in self._retained.items() if topics.matches(pattern, topic)]
        else:
            found = [self._retained[pattern]] if pattern in self._retained else []
        for message in found:
            if self._may_receive(session, message.topic):
                session.deliver(replace(message, qos=min(message.qos, qos)))

    # ---- messages -------------------------------------------------------------------------------------------------

    def _route(self, message: packets.Publish) -> None:
        if message.retain:
            self._retain(message)
        live = replace(message, retain=False, dup=False, packet_id=0)
        encoded: bytes | None = None
        for session, granted in self._tree.match(message.topic).items():
            if not self._may_receive(session, message.topic):
                continue
            qos = min(granted, message.qos)
            if qos == 0 and encoded is None:
                encoded = packets.encode_publish(replace(live, qos=0))
            session.deliver(replace(live, qos=qos), encoded if qos == 0 else None)

    def _retain(self, message: packets.Publish) -> None:
        old = self._retained.pop(message.topic, None)
        self._retained_bytes -= len(old.payload) if old else 0
        if not message.payload:
            return
        if len(self._retained) >= MAX_RETAINED or self._retained_bytes + len(message.payload) > MAX_RETAINED_BYTES:
            log.warning("no room to retain %s", message.topic)
            return
        self._retained[message.topic] = replace(message, packet_id=0, dup=False)
        self._retained_bytes += len(message.payload)

    def _control(self, session: Session, payload: bytes) -> None:
        outcome = handle(self._rights, payload)
        if outcome.changed:
            store_rights(self._config, self._rights)
        answer = packets.Publish(RESPONSE_TOPIC, json.dumps(outcome.response, ensure_ascii=False).encode(), 1, False)
        granted = self._tree.match(RESPONSE_TOPIC).get(session)
        if granted is not None and self._may_receive(session, RESPONSE_TOPIC):
            session.deliver(replace(answer, qos=granted))
        for other in list(self._sessions.values()):
            if other.username in outcome.kicked:
                # As with Mosquitto, whoever is thrown out has no last word.
                log.info("client %s disconnected: its rights were changed", other.client_id)
                other.will = None
                self._end(other)


def _tls(config: BrokerConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.cert is None or config.key is None:
        raise BrokerUnavailable("wss 需要证书和私钥", "wss needs a certificate and a key")
    context.load_cert_chain(config.cert, config.key)
    return context


async def _listen_all(config: BrokerConfig, broker: EmbeddedBroker, stack: contextlib.AsyncExitStack) -> None:
    for name, host, port in config.listeners():
        try:
            if name == "tcp":
                await stack.enter_async_context(await asyncio.start_server(broker.serve_tcp, host, port))
                continue
            tls = _tls(config) if name == "wss" else None
            await stack.enter_async_context(
                serve(
                    broker.serve_websocket, host, port, ssl=tls, subprotocols=[websockets.Subprotocol("mqtt")],
                    compression=None, max_size=_MAX_PACKET, ping_interval=None, close_timeout=2, server_header=None,
                )
            )  # fmt: skip
        except OSError as error:
            raise BrokerUnavailable(
                f"{name} 端口 {host}:{port} 打不开：{error.strerror or error}",
                f"cannot listen on {name} {host}:{port}: {error.strerror or error}",
            ) from error


async def _run(config: BrokerConfig) -> None:
    broker = EmbeddedBroker(config, read_rights(config))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        await _listen_all(config, broker, stack)
        log.info("embedded broker: %s", ", ".join(f"{name} {host}:{port}" for name, host, port in config.listeners()))
        await stop.wait()
        broker.close()


def run_embedded(config: BrokerConfig) -> None:
    """Run the embedded broker in this process until SIGTERM or SIGINT; raises BrokerUnavailable, BrokerConfigError."""
    # The WebSocket library reports every browser that leaves as a traceback.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    asyncio.run(_run(config))
