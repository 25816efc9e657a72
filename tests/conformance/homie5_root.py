"""A Homie 5 root device with two children that knows nothing of labkit: paho and the convention only.

``python homie5_root.py PORT USERNAME PASSWORD DEVICE`` makes ``DEVICE``, ``DEVICE-a`` and ``DEVICE-b``.
"""

from __future__ import annotations

import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def main(port: str, username: str, password: str, device: str) -> None:
    """Stay until killed."""
    children = [f"{device}-a", f"{device}-b"]
    client = mqtt.Client(CallbackAPIVersion.VERSION2, device, protocol=mqtt.MQTTv311)
    client.username_pw_set(username, password)
    client.will_set(f"homie/5/{device}/$state", "lost", 1, True)
    client.connect("127.0.0.1", int(port), keepalive=5)
    client.loop_start()
    for one in (device, *children):
        description = {"homie": "5.0", "version": 1, "name": one, "nodes": {}}
        description |= {"children": children} if one == device else {"root": device, "parent": device}
        client.publish(f"homie/5/{one}/$state", "init", 1, True)
        client.publish(f"homie/5/{one}/$description", json.dumps(description), 1, True)
        client.publish(f"homie/5/{one}/$state", "ready", 1, True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
