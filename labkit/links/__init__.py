"""Bytes and messages in and out; which link a device has follows from its URL's scheme.

``serial:``, ``usb:``, ``hub:``, ``auto`` and ``sim:`` → GuardedPort (a guard process owns the port) · ``file:``, ``rtsp:``, ``v4l2:``, ``http:`` →
VisionProcess · ``mqtt:`` → the gateway's own Broker connection.
"""

from __future__ import annotations

from labkit.links.guarded import GuardedPort
from labkit.links.mqtt import DEFAULT_BROKER, MQTT_PORT, Broker, BrokerAddress, Message
from labkit.links.vision import VisionProcess

__all__ = ["DEFAULT_BROKER", "LINKS", "MQTT_PORT", "Broker", "BrokerAddress", "GuardedPort", "Message", "VisionProcess"]

LINKS: dict[str, type[GuardedPort | VisionProcess | Broker]] = {
    "serial": GuardedPort,
    "usb": GuardedPort,
    "hub": GuardedPort,
    "auto": GuardedPort,
    "sim": GuardedPort,
    "file": VisionProcess,
    "rtsp": VisionProcess,
    "v4l2": VisionProcess,
    "http": VisionProcess,
    "https": VisionProcess,
    "mqtt": Broker,
    "tcp": GuardedPort,
    "udp": GuardedPort,
}
