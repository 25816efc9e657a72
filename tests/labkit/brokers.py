"""Real brokers on free ports and real clients that remember what they were given, for the tests of labkit."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from labkit.broker import BrokerAdmin, BrokerConfig, find_mosquitto, read_config, wait_ready
from tests.effort import PATIENCE_S
from tests.ports import free_ports

KINDS = ["embedded", "mosquitto"] if find_mosquitto() else ["embedded"]
SERVING = KINDS if os.environ.get("ZHIKE_TEST_ALL") else KINDS[-1:]  # where the broker is not what is tested
ADMIN, ADMIN_PASSWORD = "bridge", "a-generated-admin-password"
WAIT_S = PATIENCE_S


def make_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """A CA of its own and a server certificate for localhost: paths of CA, certificate, key."""
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test School CA")])

    def build(name: x509.Name, public: ec.EllipticCurvePublicKey, ca: bool) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(ca_name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=30))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        return builder.add_extension(names, critical=False).sign(ca_key, hashes.SHA256())

    ca = build(ca_name, ca_key.public_key(), True)
    server = build(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), key.public_key(), False)
    paths = folder / "ca.crt", folder / "server.crt", folder / "server.key"
    paths[0].write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(server.public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class Person:
    """A paho client that keeps every message it was given and every answer to its subscriptions."""

    def __init__(self, port: int, username: str, password: str, client_id: str = "", **options: Any) -> None:
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id or username, protocol=mqtt.MQTTv311,
            transport=options.get("transport", "tcp"),
        )  # fmt: skip
        self.client.username_pw_set(username, password)
        self.client.reconnect_delay_set(0.1, 0.1)  # type: ignore[arg-type]  # a float does as well
        if "ca" in options:
            self.client.tls_set(ca_certs=str(options["ca"]))
        if "will" in options:
            topic, payload = options["will"]
            self.client.will_set(topic, payload, qos=1, retain=True)
        self.news = threading.Condition()
        self.messages: list[mqtt.MQTTMessage] = []
        self.grants: dict[int, list[bool]] = {}
        self.connects: list[str] = []
        self.disconnects = 0
        self.acked: set[int] = set()
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe
        self.client.on_publish = self._on_publish
        self.client.connect_async("127.0.0.1", port, keepalive=options.get("keepalive", 30))
        self.client.loop_start()
        self.wait(lambda: bool(self.connects), "no answer to CONNECT")

    def _on_connect(
        self, client: mqtt.Client, userdata: object, flags: object, reason: Any, properties: object
    ) -> None:
        with self.news:
            self.connects.append(str(reason))
            self.news.notify_all()

    def _on_disconnect(
        self, client: mqtt.Client, userdata: object, flags: object, reason: Any, properties: object
    ) -> None:
        with self.news:
            self.disconnects += 1
            self.news.notify_all()

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        with self.news:
            self.messages.append(message)
            self.news.notify_all()

    def _on_subscribe(self, client: mqtt.Client, userdata: object, mid: int, reasons: Any, properties: object) -> None:
        with self.news:
            self.grants[mid] = [not reason.is_failure for reason in reasons]
            self.news.notify_all()

    def _on_publish(self, client: mqtt.Client, userdata: object, mid: int, reason: object, properties: object) -> None:
        with self.news:
            self.acked.add(mid)
            self.news.notify_all()

    def wait(self, condition: Callable[[], bool], complaint: str, timeout_s: float = WAIT_S) -> None:
        """Wait until `condition` holds; it is looked at whenever something arrives."""
        with self.news:
            assert self.news.wait_for(condition, timeout_s), complaint

    def subscribe(self, *filters: str, qos: int = 1) -> list[bool]:
        """Subscribe and tell which filters were granted."""
        _, mid = self.client.subscribe([(one, qos) for one in filters])
        assert mid is not None
        self.wait(lambda: mid in self.grants, f"no SUBACK for {filters}")
        return self.grants[mid]

    def publish(self, topic: str, payload: str | bytes = b"x", retain: bool = False, qos: int = 1) -> None:
        """Publish and wait for the broker's acknowledgement."""
        mid = self.client.publish(topic, payload, qos, retain).mid
        self.wait(lambda: mid in self.acked, f"no PUBACK for {topic}")

    def publish_all(self, payloads: Iterable[tuple[str, str | bytes]], retain: bool = False) -> None:
        """Publish as fast as it goes, then wait for all acknowledgements."""
        mids = {self.client.publish(topic, payload, 1, retain).mid for topic, payload in payloads}
        self.wait(lambda: mids <= self.acked, "not all were acknowledged")

    def topics(self) -> list[str]:
        """Topics of all messages so far."""
        with self.news:
            return [message.topic for message in self.messages]

    def expect(self, topic: str, timeout_s: float = WAIT_S) -> mqtt.MQTTMessage:
        """Wait for a message on `topic` and return the last one."""
        self.wait(lambda: any(m.topic == topic for m in self.messages), f"nothing on {topic}", timeout_s)
        return [message for message in self.messages if message.topic == topic][-1]

    def fence(self, other: Person, topic: str) -> None:
        """Have `other` publish on an allowed `topic`: whatever was delivered before it has arrived when this returns."""
        mark = f"fence-{id(self)}-{len(self.messages)}".encode()
        other.publish(topic, mark)
        self.wait(lambda: any(m.payload == mark for m in self.messages), f"{topic} is not delivered")

    def wait_reconnected(self, disconnects_before: int) -> None:
        """Wait until the broker has cut the connection once more and the client is back."""
        self.wait(
            lambda: self.disconnects > disconnects_before and self.client.is_connected(), "the broker did not mind"
        )

    def break_line(self) -> None:
        """Cut the connection without a goodbye; paho connects again at once."""
        line = self.client.socket()
        if isinstance(line, socket.socket):
            line.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class RunningBroker:
    """A broker process and the ways into it."""

    config: BrokerConfig
    config_file: Path
    ca: Path
    process: subprocess.Popen[bytes]
    people: list[Person] = field(default_factory=list)

    def person(self, username: str, password: str, door: str = "tcp", **options: Any) -> Person:
        """Connect through `door`: tcp, ws or wss."""
        port = {"tcp": self.config.tcp_port, "ws": self.config.ws_port, "wss": self.config.wss_port}[door]
        assert port is not None
        if door != "tcp":
            options["transport"] = "websockets"
        if door == "wss":
            options["ca"] = self.ca
        one = Person(port, username, password, **options)
        self.people.append(one)
        return one

    def admin(self) -> tuple[Person, BrokerAdmin]:
        """The bridge, and what it provisions with."""
        bridge = self.person(ADMIN, ADMIN_PASSWORD, client_id=f"bridge-{len(self.people)}")
        return bridge, BrokerAdmin(bridge.client)

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def restart(self) -> None:
        """Start the same broker again on the same ports and folder."""
        self.process = start(self.config_file)

    def stop(self) -> None:
        """End clients and process."""
        for one in self.people:
            one.leave()
        self.process.terminate()
        self.process.wait(PATIENCE_S)


def start(config_file: Path) -> subprocess.Popen[bytes]:
    """Run `python -m labkit.broker` and wait until all its doors are open."""
    process = subprocess.Popen([sys.executable, "-m", "labkit.broker", "--config", str(config_file)])
    try:
        wait_ready(read_config(config_file), PATIENCE_S)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def launch(kind: str, folder: Path) -> RunningBroker:
    """A fresh broker of `kind` with TCP, WebSocket and WebSocket over TLS on free ports of 127.0.0.1."""
    ca, cert, key = make_certificate(folder)
    tcp, ws, wss = free_ports(3)
    (folder / "admin.password").write_text(ADMIN_PASSWORD + "\n")
    file = folder / "broker.json"
    file.write_text(
        json.dumps(
            {
                "kind": kind, "host": "127.0.0.1", "tcp_port": tcp, "ws_port": ws, "wss_port": wss,
                "cert": str(cert), "key": str(key), "data_dir": "data", "log_file": "broker.log",
                "admin_username": ADMIN, "admin_password_file": "admin.password",
            }
        )
    )  # fmt: skip
    return RunningBroker(read_config(file), file, ca, start(file))
