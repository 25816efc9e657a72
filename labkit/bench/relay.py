"""The bare way of a wish to its board, without any check: ``python -m labkit.bench.relay PORT``."""

from __future__ import annotations

import json
import sys

import paho.mqtt.client as paho

from labkit import homie
from labkit.bench import wire

WISHES = "bench/wish/"
READY = "bench/relay"


def _forward(client: paho.Client, topic: str, payload: bytes) -> None:
    board = topic.removeprefix(WISHES)
    wish = json.loads(payload)
    client.publish(f"{homie.BASE}/{board}/main/linear-x/set", f"{wish['linear_x']:.3f}")
    client.publish(f"{homie.BASE}/{board}/main/angular-z/set", f"{wish['angular_z']:.3f}")


def main() -> None:
    """Forward until told to end."""
    clients: list[paho.Client] = []

    def ready() -> None:
        clients[0].publish(READY, b"ready", qos=1, retain=True)

    clients.append(wire.connect(int(sys.argv[1]), "bench-relay", [f"{WISHES}+"], _forward, ready))
    wire.serve(clients)


if __name__ == "__main__":
    main()
