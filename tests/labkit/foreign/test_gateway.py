"""The gateway and boards of other makers on a real broker, each with its own rights: adopted, set, refused, lost, back."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from labkit import homie
from labkit.gateway.foreign_homie5 import boards_topic
from tests.labkit.foreign.rig import GATEWAY, ForeignRig

BOARDS = (
    '{id: bench-4, profile: homie4-board, sticker: "H4", url: "mqtt:old-bench"}',
    '{id: hub-5, profile: homie5-board, sticker: "H5", url: "mqtt:?children=leaf-5"}',
    '{id: plant-1, profile: esphome-board, sticker: "E1", url: "mqtt:plant-1"}',
    '{id: plug-1, profile: tasmota-board, sticker: "T1", url: "mqtt:tasmota_C3D4E5?mac=A0B1C2C3D4E5"}',
    '{id: zkb-07, profile: dfrobot-siot-board, sticker: "S7", url: "mqtt:class3-07"}',
)
READY = {
    "bench-4": "main/bench-level", "hub-5": "bench/level", "plant-1": "main/level", "plug-1": "main/relay",
    "zkb-07": "main/temperature",
}  # fmt: skip


def state(rig: ForeignRig, device: str) -> bytes | None:
    return rig.last(homie.state_topic(device))


def all_ready(rig: ForeignRig) -> None:
    for device, path in READY.items():
        rig.until(homie.state_topic(device), b"ready")
        rig.wait(partial(rig.last, f"homie/5/{device}/{path}"), f"{device}: no {path}")


def report(rig: ForeignRig, stop_id: str) -> dict[str, Any]:
    """The gateway's report of a stop, which must come within 2 s."""

    def found() -> list[dict[str, Any]]:
        rows = [json.loads(m.payload) for m in list(rig.console.messages) if m.topic == "zhike/room/lab1/stopped"]
        return [row for row in rows if row["id"] == stop_id]

    rig.wait(found, "no report")
    return found()[0]


def told(rig: ForeignRig) -> dict[str, Any]:
    payload = rig.last(boards_topic(GATEWAY, "hub-5"))
    found: dict[str, Any] = json.loads(payload) if payload else {}
    return found


def test_five_conventions_live_die_and_come_back(make_rig: Callable[..., ForeignRig]) -> None:
    rig = make_rig(*BOARDS)
    boards = rig.boards()
    rig.serve()
    all_ready(rig)

    rig.console.publish("homie/5/bench-4/main/bench-level/set", "42")
    rig.until("homie/old-bench/bench/level", "42")
    rig.until("homie/5/bench-4/main/bench-level", "42")
    rig.console.publish("homie/5/plant-1/main/relay/set", "true")
    rig.until("homie/5/plant-1/main/relay", "true")
    rig.console.publish("homie/5/plug-1/main/relay/set", "true")
    rig.until("homie/5/plug-1/main/relay", "true")
    rig.console.publish("homie/5/zkb-07/main/brightness/set", "42")
    rig.until("homie/5/zkb-07/main/brightness", "42")

    rig.console.publish("homie/5/bench-4/main/bench-level/set", "142")
    rig.console.publish("homie/5/zkb-07/main/brightness/set", "142")
    rig.wait(lambda: bool(rig.refused("bench-4")) and bool(rig.refused("zkb-07")), "142 was not refused")
    assert "0:100" in str(rig.refused("bench-4")[-1]["en"])
    assert (rig.last("homie/5/bench-4/main/bench-level"), rig.last("homie/5/zkb-07/main/brightness")) == (b"42", b"42")

    rig.console.publish("zhike/room/lab1/stop", json.dumps({"id": "stop-1", "by": "teacher"}))
    assert sorted(report(rig, "stop-1")["confirmed"]) == ["plant-1", "plug-1"]
    rig.until("homie/5/plant-1/main/relay", "false")
    rig.until("homie/5/plug-1/main/relay", "false")
    assert rig.last("homie/5/zkb-07/main/brightness") == b"42"

    listing = json.loads(rig.last(f"zhike/gateway/{GATEWAY}/devices") or b"[]")
    parents = {row["device"]: row["parent"] for row in listing}
    assert parents == {"bench-4": GATEWAY, "hub-5": "", "plant-1": GATEWAY, "plug-1": GATEWAY, "zkb-07": GATEWAY}

    boards.send_signal(signal.SIGKILL)
    for device in ("bench-4", "hub-5", "plant-1", "plug-1"):
        rig.until(homie.state_topic(device), b"lost")
    rig.wait(lambda: told(rig).get("children") == {"leaf-5": "lost"}, f"the child is not marked: {told(rig)}")
    assert told(rig)["state"] == "lost"
    assert rig.last(homie.alert_topic(GATEWAY, "leaf-5-lost"))
    rig.console.publish("homie/5/bench-4/main/bench-level/set", "7")
    rig.wait(lambda: rig.refused("bench-4")[-1]["code"] == "lost", "a lost board took an order")

    rig.console.publish("zhike/room/lab1/stop", json.dumps({"id": "stop-2", "by": "teacher"}))
    unconfirmed = report(rig, "stop-2")["unconfirmed"]
    assert {row["device"]: (row["sticker"], row["code"]) for row in unconfirmed} == {
        "plant-1": ("E1", "lost"),
        "plug-1": ("T1", "lost"),
    }

    rig.boards()
    all_ready(rig)
    rig.wait(lambda: told(rig).get("children") == {"leaf-5": "ready"}, "the child stays lost")
    rig.wait(lambda: not rig.last(homie.alert_topic(GATEWAY, "leaf-5-lost")), "the alert stays")
    assert "Traceback" not in rig.log.read_text()
