"""A board that is plugged in while the gateway runs is listed, adopted by a word on the broker, and drives, without a new start."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from labkit.lab import load_lab
from tests.labkit.gateway.rig import Rig
from tests.labkit.identity.bench import Bench

NAME = "gw-lab1"
LINE = '{id: mbot-7, profile: makeblock-mbot, sticker: "07", settle_ms: 0, url: "hub:1-1.1"}'


def listed(rig: Rig) -> dict[str, Any]:
    return {row["id"]: row for row in json.loads(rig.last(f"zhike/gateway/{NAME}/strangers") or b"[]")}


def adopt(rig: Rig, **order: str) -> dict[str, Any]:
    since = len(rig.console.messages)
    rig.console.publish(f"zhike/gateway/{NAME}/adopt", json.dumps(order))
    found: list[dict[str, Any]] = []

    def answered() -> bool:
        found[:] = [
            json.loads(m.payload) for m in rig.console.messages[since:] if m.topic == f"zhike/gateway/{NAME}/adopted"
        ]
        return bool(found)

    rig.wait(answered, "no answer")
    return found[0]


@pytest.fixture
def rig(make_lab: Callable[..., Rig], bench: Bench) -> Rig:
    bench.plug("one", "1-1.1", "A")
    made = make_lab(LINE)
    made.serve()
    made.ready("mbot-7")
    made.console.subscribe("zhike/#")
    bench.plug("two", "1-1.2", "B")
    made.wait(lambda: "usb-1-1-2" in listed(made), "the new board is not listed")
    return made


def test_a_newly_plugged_board_becomes_a_device_at_once(rig: Rig, bench: Bench) -> None:
    row = listed(rig)["usb-1-1-2"]
    assert row["url"] == "usb:1a86:7523:B"
    assert {"makeblock-mbot", "makeblock-orion"} <= set(row["profiles"]) and row["profile"] == ""
    assert set(listed(rig)) == {"usb-1-1-2"}
    done = adopt(rig, id="usb-1-1-2", profile="makeblock-mbot", sticker="08")
    assert (done["ok"], done["device"]) == (True, "kit-08")
    rig.ready("kit-08")
    rig.wait(lambda: not listed(rig), "it is still a stranger")
    assert sorted(rig.room_stop()["confirmed"]) == ["kit-08", "mbot-7"]
    devices = json.loads(rig.last(f"zhike/gateway/{NAME}/devices") or b"[]")
    assert [(one["device"], one["sticker"]) for one in devices] == [("mbot-7", "07"), ("kit-08", "08")]
    assert [one.id for one in load_lab(rig.lab).devices] == ["mbot-7", "kit-08"]
    rig.lease(device="kit-08")
    rig.wish(linear_x=0.1, ms=300)
    rig.wait(lambda: bench.bodies["two"].moving, "it does not drive")
    rig.wait(lambda: not bench.bodies["two"].moving, "it does not stop")


def test_a_stop_does_not_wait_for_an_adoption(rig: Rig) -> None:
    order = {"id": "usb-1-1-2", "profile": "makeblock-mbot", "sticker": "08"}
    rig.console.publish(f"zhike/gateway/{NAME}/adopt", json.dumps(order))
    assert "mbot-7" in rig.room_stop()["confirmed"]
    rig.ready("kit-08")


def test_what_cannot_be_adopted_is_said_and_changes_nothing(rig: Rig) -> None:
    before = rig.lab.read_text()
    orders = [
        ({"id": "nobody"}, "名单"),
        ({"id": "usb-1-1-2"}, "选一种"),
        ({"id": "usb-1-1-2", "profile": "ryze-tello-tt"}, "选一种"),
        ({"id": "usb-1-1-2", "profile": "makeblock-mbot", "sticker": "0/8"}, "贴纸"),
        ({"id": "usb-1-1-2", "profile": "makeblock-mbot", "device": "../x"}, "代号"),
        ({"id": "usb-1-1-2", "profile": "makeblock-mbot", "sticker": "07"}, "07"),
        ({"id": "usb-1-1-2", "profile": "makeblock-mbot", "device": "mbot-7"}, "mbot-7"),
    ]
    for order, why in orders:
        answer = adopt(rig, **order)
        assert answer["ok"] is False and why in answer["zh"], answer
    rig.console.publish(f"zhike/gateway/{NAME}/adopt", b"[1")
    assert rig.lab.read_text() == before
    assert rig.gateway and rig.gateway.poll() is None
    assert rig.room_stop()["confirmed"] == ["mbot-7"]
