"""Twenty boards that answer at once, each with its own connection: ``python -m labkit.bench.boards PORT``.

They speak Homie 5 as ``zhike-mqtt-car`` does, without wheels: what is measured is the way to them.
"""

from __future__ import annotations

import sys
from functools import partial

import paho.mqtt.client as paho

from labkit import homie
from labkit.bench import wire
from labkit.model import MAIN_NODE, Datatype, Device, Node, Property, State

SPEEDS = ("linear-x", "angular-z")


def describe(board: str) -> Device:
    """What a board says of itself."""
    speeds = tuple(Property(name, Datatype.FLOAT, settable=True) for name in SPEEDS)
    stop = Property("stop", Datatype.ENUM, format="stop", settable=True, retained=False)
    return Device(
        board,
        board,
        "zhike-mqtt-car",
        (Node(MAIN_NODE, properties=(*speeds, Property("moving", Datatype.BOOLEAN), stop)),),
    )


class Board:
    """One board: speeds and whether it moves."""

    def __init__(self, board: str) -> None:
        self._base = f"{homie.BASE}/{board}/{MAIN_NODE}/"
        self._speeds = dict.fromkeys(SPEEDS, b"0.0")
        self._moving = False

    def hear(self, client: paho.Client, topic: str, payload: bytes) -> None:
        """Obey a ``/set`` and say so."""
        name = topic.split("/")[4]
        if name == "stop":
            self._speeds = dict.fromkeys(SPEEDS, b"0.0")
            self._moving = False
            for speed in SPEEDS:
                client.publish(self._base + speed, b"0.0", retain=True)
            client.publish(self._base + "moving", b"false", retain=True)
        elif name == SPEEDS[0] or self._speeds.get(name) != payload:
            self._speeds[name] = payload
            client.publish(self._base + name, payload, retain=True)
            moving = any(float(speed) for speed in self._speeds.values())
            if moving != self._moving:
                self._moving = moving
                client.publish(self._base + "moving", b"true" if moving else b"false", retain=True)


def main() -> None:
    """Serve all boards; each says ``ready`` when it listens."""
    clients: list[paho.Client] = []

    def introduce(number: int) -> None:
        board = wire.BOARDS[number]
        clients[number].publish(homie.description_topic(board), homie.describe(describe(board)), qos=1, retain=True)
        clients[number].publish(homie.state_topic(board), State.READY.value, qos=1, retain=True)

    for number, board in enumerate(wire.BOARDS):
        filters = [homie.set_topic(board, "+")]
        clients.append(wire.connect(int(sys.argv[1]), board, filters, Board(board).hear, partial(introduce, number)))
    wire.serve(clients)


if __name__ == "__main__":
    main()
