"""A terminal in a process of its own that wants to drive forward ten times a second, until somebody kills it.

``python terminal.py PORT USERNAME PASSWORD TERMINAL LINEAR_X``
"""

from __future__ import annotations

import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def main(port: str, username: str, password: str, terminal: str, linear_x: str) -> None:
    """Drive for ever."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, f"{terminal}-alone", protocol=mqtt.MQTTv311)
    client.username_pw_set(username, password)
    client.connect("127.0.0.1", int(port))
    client.loop_start()
    seq, pace = 0, threading.Event()
    while True:
        seq += 1
        wish = {"seq": seq, "linear_x": float(linear_x), "ms": 500}
        client.publish(f"homie/5/{terminal}/wish/drive", json.dumps(wish))
        pace.wait(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
