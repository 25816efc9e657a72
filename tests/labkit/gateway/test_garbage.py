"""Malformed MQTT and serial bytes are refused with a reason in the log; nothing crashes, and driving goes on."""

from __future__ import annotations

import json
import random

import pytest

from tests.effort import PATIENCE_S
from tests.labkit.gateway.rig import Rig

WISHES = [
    b"",
    b"\xff\xfe",
    b"{",
    b"[]",
    b"null",
    b'"drive"',
    b"{}",
    b'{"seq": 1}',
    b'{"seq": -1, "linear_x": 0.1}',
    b'{"seq": true, "linear_x": 0.1}',
    b'{"seq": 1.5, "linear_x": 0.1}',
    b'{"seq": 1, "linear_x": NaN}',
    b'{"seq": 1, "linear_x": Infinity}',
    b'{"seq": 1, "linear_x": 1e999}',
    b'{"seq": 1, "linear_x": "fast"}',
    b'{"seq": 1, "linear_x": null}',
    b'{"seq": 1, "linear_x": [1]}',
    b'{"seq": 1, "linear_x": true}',
    b'{"seq": 1, "linear_x": 0.1, "ms": -5}',
    b'{"seq": 1, "linear_x": 0.1, "device": "../x"}',
    b'{"seq": 1, "linear_x": ' + b"9" * 400 + b"}",
    b"[" * 3000,
    b"x" * 70000,
]
LEASES = [
    b"{",
    b"[]",
    b'{"device": "mbot-9", "holder": "t-1", "until": "2030-01-01T00:00:00Z", "max_linear": 1, "max_angular": 1}',
    b'{"holder": "T 1", "until": "2030-01-01T00:00:00Z", "max_linear": 1, "max_angular": 1}',
    b'{"holder": "t-1", "until": "tomorrow", "max_linear": 1, "max_angular": 1}',
    b'{"holder": "t-1", "until": "2030-01-01T00:00:00", "max_linear": 1, "max_angular": 1}',
    b'{"holder": "t-1", "until": "2030-01-01T00:00:00Z", "max_linear": -1, "max_angular": 1}',
    b'{"holder": "t-1", "until": "2030-01-01T00:00:00Z", "max_linear": NaN, "max_angular": 1}',
    b'{"holder": "t-1", "holders": 7, "until": "2030-01-01T00:00:00Z", "max_linear": 1, "max_angular": 1}',
]
TOPICS = [
    "homie/5/mbot-1/main/linear-x/set/more",
    "homie/5/MBOT/main/linear-x/set",
    "homie/5/mbot-1/main/linear_x/set",
    "homie/5/mbot-1/main//set",
    "homie/5//wish/drive",
    "homie/5/t lab1/wish/drive",
    "zhike/room/lab1/lease/nobody",
    "zhike/room//stop",
    "zhike/room/lab1/stop/now",
]
SETS = [b"", b"NaN", b"inf", b"1e999", b"9999", b"-0x1", b" 0.1", b"0,1", b"\x00", b"\xff", b"true"]


def drives(rig: Rig) -> None:
    """It still obeys."""
    rig.lease(max_linear=0.2, lesson=f"after {rig.seq}")
    rig.drive(linear_x=0.4, ms=300)
    rig.kit.wait(standing=True)
    assert rig.gateway
    assert rig.gateway.poll() is None


def test_malformed_mqtt_is_refused_and_nothing_crashes(rig: Rig) -> None:
    rig.lease()
    for payload in WISHES:
        rig.console.publish("homie/5/t-lab1-01/wish/drive", payload)
    for payload in LEASES:
        rig.console.publish("zhike/room/lab1/lease/mbot-1", payload)
    for topic in TOPICS:
        rig.console.publish(topic, b'{"seq": 1, "linear_x": 0.3}')
    for payload in SETS:
        rig.console.publish("homie/5/mbot-1/main/linear-x/set", payload)
        rig.console.publish("homie/5/mbot-1/main/nothing/set", payload)
    assert all(not any(motors.values()) for _, motors in rig.kit.moved)
    drives(rig)
    log = rig.log.read_text()
    for reason in ("not JSON", "should be a JSON object", "holds NaN", "is not finite", "ms should be above 0",
                   "the payload is too long", "until lacks its zone", "not a finite number", "names another device"):  # fmt: skip
        assert reason in log, reason
    assert "Traceback" not in log


def test_a_wish_that_the_broker_kept_is_refused(rig: Rig) -> None:
    rig.lease()
    rig.end()
    wish = {"seq": 1, "linear_x": 0.3, "ms": 500}
    rig.console.publish("homie/5/t-lab1-01/wish/drive", json.dumps(wish), retain=True)
    rig.serve()
    rig.wait(lambda: "must not be retained" in rig.log.read_text(), "the old wish was not refused")
    assert all(not any(motors.values()) for _, motors in rig.kit.moved)


@pytest.mark.parametrize("seed", range(3))
def test_serial_garbage_is_refused_and_nothing_crashes(rig: Rig, seed: int) -> None:
    noise = random.Random(seed)
    for _ in range(40):
        rig.kit.inject(noise.randbytes(noise.randint(1, 200)))
    rig.kit.inject(b"\xff\x55\x05\x02" + b"\x00\x00\xc0\x7f" + b"\r\n")
    rig.kit.inject(b"\xff\x55\x05\x04\xff" + b"A" * 300)
    rig.kit.garbage = b"\xff\x55\x07\x02\x00"
    drives(rig)
    rig.kit.garbage = b""
    drives(rig)
    assert rig.room_stop()["confirmed"] == ["mbot-1"]
    log = rig.log.read_text()
    assert "serial data: " in log
    assert "Traceback" not in log


def test_a_flood_of_wishes_is_thinned_to_the_kits_pace(rig: Rig) -> None:
    rig.lease()
    wishes = [json.dumps({"seq": seq, "linear_x": 0.2, "ms": 300}) for seq in range(1, 201)]
    rig.console.publish_all(("homie/5/t-lab1-01/wish/drive", wish) for wish in wishes)
    with rig.kit.changed:
        assert rig.kit.changed.wait_for(lambda: any(any(motors.values()) for _, motors in rig.kit.moved), PATIENCE_S)
    rig.kit.wait(standing=True)
    report = rig.room_stop()
    assert report["confirmed"] == ["mbot-1"]
    times = [at for at, _ in rig.kit.moved]
    assert len(times) < 2 * 26 * max(1.0, times[-1] - times[0]) + 60
