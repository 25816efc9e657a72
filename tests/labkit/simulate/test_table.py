"""The simulated table on a real broker: its drawing, where the robots stand, and its end."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

from labkit import homie
from labkit.broker import ClientSpec, RoleSpec
from labkit.simulate.physics import school_table
from labkit.simulate.table import layout
from tests.labkit.brokers import launch
from tests.labkit.simulate.conftest import Start
from tests.labkit.simulate.labs import Line, mbot

PASSWORD = "a-generated-board-password"
TABLE = "homie/5/arena-lab1"


def test_pages_can_draw_where_the_robots_are(simulate: Start, plug: Callable[..., Line], tmp_path: Path) -> None:
    broker = launch("embedded", tmp_path)
    bridge, admin = broker.admin()
    admin.put_many(
        [RoleSpec("arena-lab1", (f"{TABLE}/#",), (), ())], [ClientSpec("arena-lab1", PASSWORD, ("arena-lab1",))]
    )
    bridge.subscribe(f"{TABLE}/#")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "boards.json").write_text(json.dumps({"arena-lab1": PASSWORD}))
    running = simulate(mbot(), arguments=("--broker", f"mqtt://127.0.0.1:{broker.config.tcp_port}"))

    assert json.loads(bridge.expect(f"{TABLE}/mbot-1/pose").payload) == {"x": 0.6, "y": 0.4, "heading": 0.0}
    drawing = json.loads(bridge.expect(f"{TABLE}/arena/layout").payload)
    assert drawing["size"] == [2.4, 1.6]
    assert len(drawing["walls"]) == 12
    description = homie.parse_description("arena-lab1", bytes(bridge.expect(f"{TABLE}/$description").payload))
    assert {node.id for node in description.nodes} == {"arena", "mbot-1"}

    line = plug(running.port("mbot-1"))
    for port, pwm in ((9, -120), (10, 120)):
        line.send(b"\xff\x55\x06\x00\x02\x0a" + bytes([port]) + struct.pack("<h", pwm))
    bridge.wait(lambda: any(_x(message) > 0.65 for message in bridge.messages), "the robot does not move")
    assert running.end() == 0
    bridge.wait(lambda: any(m.payload == b"disconnected" for m in bridge.messages), "the table does not say goodbye")
    broker.stop()


def _x(message: object) -> float:
    topic, payload = message.topic, message.payload  # type: ignore[attr-defined]  # a paho message
    return float(json.loads(payload)["x"]) if topic.endswith("/pose") and payload else 0.0


def test_the_drawing_has_everything_on_the_table() -> None:
    drawn = layout(school_table())
    assert [len(drawn[part]) for part in ("walls", "tape", "lamps")] == [12, 36, 1]  # type: ignore[arg-type]  # lists
