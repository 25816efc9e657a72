"""The simulated table on the bus, so that a page can draw it: a Homie device ``arena-<room>`` that exists in simulation only.

Property ``arena/layout`` is the table (JSON: ``size`` [m, m], ``walls`` and ``tape`` [[ax, ay, bx, by] m], ``lamps`` [[x, y, level]]);
each simulated robot is a node with the property ``pose`` (JSON: ``x`` and ``y`` in m, ``heading`` in rad, counter-clockwise from x).
One JSON property a pose, for a position must not be half old and half new, and costs one message where three would be sent.
"""

from __future__ import annotations

import json
import time

from labkit import homie
from labkit.links import Broker, BrokerAddress, Message
from labkit.model import Datatype, Device, Node, Property, State
from labkit.simulate.body import Body
from labkit.simulate.physics import Arena, Segment

POSE_S = 0.2
ARENA_NODE, LAYOUT, POSE = "arena", "layout", "pose"


def table_id(room: str) -> str:
    """Homie id (and broker user) of a room's simulated table."""
    return f"arena-{room}"


def layout(arena: Arena) -> dict[str, object]:
    """The table as ``arena/layout`` tells it; the origin is its lower left corner."""
    return {
        "size": [
            max((max(wall.ax, wall.bx) for wall in arena.walls), default=0.0),
            max((max(wall.ay, wall.by) for wall in arena.walls), default=0.0),
        ],
        "walls": [_line(wall) for wall in arena.walls],
        "tape": [_line(piece) for piece in arena.tape],
        "lamps": [[lamp.x, lamp.y, lamp.level] for lamp in arena.lamps],
    }


def _line(segment: Segment) -> list[float]:
    return [round(value, 3) for value in (segment.ax, segment.ay, segment.bx, segment.by)]


class Table:
    """Publishes where the robots of one room stand, five times a second and only what has changed; retained, QoS 0."""

    def __init__(self, room: str, arena: Arena, bodies: dict[str, Body], address: BrokerAddress) -> None:
        self._id, self._arena, self._bodies = table_id(room), arena, bodies
        self._told: dict[str, bytes] = {}
        self._next_at = 0.0
        will = (homie.state_topic(self._id), State.LOST.value.encode())
        self._broker = Broker(address, self._id, _deaf, self._introduce, will)
        self._broker.start()

    def tick(self, now: float) -> None:
        """Tell what has moved; ``now`` is the monotonic clock."""
        if now < self._next_at or not self._broker.up:
            return
        self._next_at = now + POSE_S
        for name, body in self._bodies.items():
            payload = _pose(body)
            if self._told.get(name) != payload:
                topic = homie.value_topic(self._id, POSE, name)
                if self._broker.publish(topic, payload, qos=0):
                    self._told[name] = payload

    def close(self) -> None:
        """Say goodbye: the table is no longer there."""
        self._broker.publish(homie.state_topic(self._id), State.DISCONNECTED.value.encode())
        self._broker.stop()

    def _introduce(self) -> None:
        self._told.clear()
        pose = Property(POSE, Datatype.JSON, "位置")
        robots = tuple(Node(name, name, "robot", (pose,)) for name in self._bodies)
        table = Node(ARENA_NODE, "桌面", "arena", (Property(LAYOUT, Datatype.JSON, "桌面图"),))
        device = Device(self._id, "模拟桌面", "zhike-arena", (table, *robots), version=int(time.time()))
        drawing = json.dumps(layout(self._arena), separators=(",", ":")).encode()
        self._broker.publish(homie.state_topic(self._id), State.INIT.value.encode())
        self._broker.publish(homie.description_topic(self._id), homie.describe(device))
        self._broker.publish(homie.value_topic(self._id, LAYOUT, ARENA_NODE), drawing)
        self._broker.publish(homie.state_topic(self._id), State.READY.value.encode())


def _pose(body: Body) -> bytes:
    place = {"x": round(body.pose.x, 3), "y": round(body.pose.y, 3), "heading": round(body.pose.heading, 3)}
    return json.dumps(place, separators=(",", ":")).encode()


def _deaf(_message: Message) -> None:
    """A table takes no orders."""
