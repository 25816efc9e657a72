"""Wishes under a lease move the kit, everything else is refused, and it stops in every case."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.effort import PATIENCE_S, SOON_S
from tests.labkit.gateway.rig import Rig


def test_a_wish_under_a_lease_moves_and_the_guard_stops(rig: Rig) -> None:
    rig.lease()
    rig.wish(linear_x=0.2, angular_z=0.0, ms=400)
    half = round(255 * 0.2 / 0.4)
    rig.kit.runs_at(left=-half, right=half)
    assert rig.kit.wait(standing=True) < SOON_S
    rig.until("homie/5/mbot-1/main/moving", b"false")
    rig.until("homie/5/mbot-1/main/stop-confirmed", b"true")
    rig.wait(lambda: int(rig.value("commands") or 0) >= 1, "no command counted")


def test_speed_is_capped_by_the_lease(rig: Rig) -> None:
    rig.lease(max_linear=0.1)
    rig.wish(linear_x=9.9, ms=300)
    quarter = round(255 * 0.1 / 0.4)
    rig.kit.runs_at(left=-quarter, right=quarter)


def test_without_a_lease_nothing_moves(rig: Rig) -> None:
    rig.wish(linear_x=0.2, ms=400)
    rig.lease(holder="t-lab1-02")
    rig.wish(linear_x=0.2, ms=400)
    rig.wish(device="mbot-1", linear_x=0.2, ms=400)
    rig.lease(holder="t-lab1-01", seconds=-5)
    rig.wish(linear_x=0.2, ms=400)
    rig.room_stop()
    assert all(not any(motors.values()) for _, motors in rig.kit.moved)
    assert "is not assigned" in rig.log.read_text()
    assert "belongs to another group" in rig.log.read_text()


def test_a_refusal_is_told_on_the_robot(rig: Rig) -> None:
    rig.lease(holder="t-lab1-02", holders=["t-lab1-01", "t-lab1-02"])
    rig.wish(linear_x=0.2, ms=400)
    rig.wait(lambda: rig.value("refused") is not None, "no refusal published")
    refusal = json.loads(rig.value("refused") or b"{}")
    assert refusal["code"] == "not_driver"
    assert refusal["terminal"] == "t-lab1-01"
    assert rig.kit.standing()


def test_taking_the_lease_back_stops(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.2, ms=500)
    rig.release()
    rig.stops_though_wished(linear_x=0.2, ms=500)


def test_a_lost_terminal_lets_go(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.2, ms=500)
    rig.console.publish("homie/5/t-lab1-01/$state", b"lost")
    rig.stops_though_wished(linear_x=0.2, ms=500)


def test_a_truncated_frame_does_not_keep_the_kit_from_stopping(rig: Rig) -> None:
    rig.lease()
    rig.drive(linear_x=0.2, ms=500)
    rig.kit.truncate()
    report = rig.room_stop()
    assert rig.kit.standing()
    assert report["confirmed"] == ["mbot-1"]
    assert report["unconfirmed"] == []


def test_trusted_clients_drive_by_set(rig: Rig) -> None:
    rig.console.publish("homie/5/mbot-1/main/linear-x/set", b"0.2")
    rig.kit.wait(standing=False)
    rig.console.publish("homie/5/mbot-1/main/stop/set", b"stop")
    rig.kit.wait(standing=True)
    rig.until("homie/5/mbot-1/main/stop-confirmed", b"true")


def test_identify_blinks_and_beeps(rig: Rig) -> None:
    rig.lease()
    rig.wish(identify=True)
    with rig.kit.changed:
        assert rig.kit.changed.wait_for(lambda: sum(device == 8 for device, _ in rig.kit.runs) >= 4, PATIENCE_S)
    assert any(device == 0x22 for device, _ in rig.kit.runs)


def test_a_pc_with_a_wrong_clock_drives_by_the_servers_and_says_so(rig: Rig) -> None:
    """The server's clock is 8 h behind the PC's: its leases seem over until it has told the time."""
    rig.lease(seconds=60 - 8 * 3600)
    rig.wish(linear_x=0.2, ms=400)
    rig.wait(lambda: b"lease_over" in (rig.value("refused") or b""), "it does not say that the time is over")
    assert rig.kit.standing()
    server = datetime.now(UTC) - timedelta(hours=8)
    rig.console.publish("zhike/clock", json.dumps({"at": server.isoformat()}))
    rig.wait(lambda: bool(rig.last("homie/5/gw-lab1/$alert/clock")), "no alert")
    assert (rig.last("homie/5/gw-lab1/$alert/clock") or b"").decode().startswith("电脑的时钟快了 8 小时")
    rig.drive(linear_x=0.2, ms=400)
    rig.console.publish("zhike/clock", json.dumps({"at": datetime.now(UTC).isoformat()}))
    rig.until("homie/5/gw-lab1/$alert/clock", b"")
    rig.stops_though_wished(linear_x=0.2, ms=400)
