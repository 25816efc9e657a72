"""A broker that dies and comes back, gateways that follow one another, and what is left over from earlier labs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit import homie
from labkit.model import Device
from tests.effort import SOON_S
from tests.labkit.brokers import KINDS, RunningBroker, launch
from tests.labkit.gateway.conftest import MBOT
from tests.labkit.gateway.rig import Rig


@pytest.fixture(params=KINDS)
def own_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    """A broker of this test's own, of each kind, because it will be killed."""
    folder = tmp_path / "broker"
    folder.mkdir()
    running = launch(request.param, folder)
    yield running
    running.stop()


def test_everything_is_published_again_after_the_broker_died(own_broker: RunningBroker, tmp_path: Path) -> None:
    rig = Rig(own_broker, tmp_path, [MBOT])
    rig.serve()
    rig.ready()
    rig.lease()
    rig.drive(linear_x=0.2, ms=500)
    own_broker.kill()
    assert rig.kit.wait(standing=True) < SOON_S
    rig.console.messages.clear()
    own_broker.restart()
    late = own_broker.person("bridge", "a-generated-admin-password", client_id="late")
    late.subscribe("homie/5/#", "zhike/#")
    wanted = ["homie/5/gw-lab1/$description", "homie/5/mbot-1/$description", "zhike/gateway/gw-lab1/devices"]
    late.wait(lambda: set(wanted) <= {m.topic for m in late.messages if m.payload}, "not all published again")
    late.wait(
        lambda: any(m.topic == "homie/5/mbot-1/$state" and m.payload == b"ready" for m in late.messages), "state"
    )
    rig.console.wait(rig.console.client.is_connected, "the console is not back")
    rig.console.subscribe("homie/5/#", "zhike/#")
    rig.lease(lesson="l2")
    rig.drive(linear_x=0.2, ms=300)
    assert rig.room_stop()["confirmed"] == ["mbot-1"]
    rig.end()
    rig.kit.close()


def test_commands_go_on_counting_after_a_killed_gateway(rig: Rig) -> None:
    rig.lease()
    for _ in range(3):
        rig.drive(linear_x=0.2, ms=300)
        rig.kit.wait(standing=True)
    rig.wait(lambda: int(rig.value("commands") or 0) >= 3, "not counted")
    before = int(rig.value("commands") or 0)
    rig.kill()
    rig.console.messages.clear()
    rig.serve()
    rig.ready()
    rig.lease(lesson="l2")
    rig.wish(linear_x=0.2, ms=300)
    rig.wait(lambda: int(rig.value("commands") or 0) > before, f"{rig.value('commands')!r} after {before}")


def test_devices_that_are_gone_are_cleared(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    ghost, stranger = Device("mbot-77", root="gw-lab1", parent="gw-lab1"), Device("lamp-1", root="gw-other")
    for device in (ghost, stranger):
        rig.console.publish(homie.description_topic(device.id), homie.describe(device), retain=True)
        rig.console.publish(homie.state_topic(device.id), b"ready", retain=True)
        rig.console.publish(f"homie/5/{device.id}/main/range", b"5.0", retain=True)
    rig.console.publish("homie/5/mbot-1/main/of-an-old-profile", b"1", retain=True)
    rig.serve()
    for topic in ("$state", "$description", "main/range"):
        rig.until(f"homie/5/mbot-77/{topic}", b"")
    rig.until("homie/5/mbot-1/main/of-an-old-profile", b"")
    rig.ready()
    assert rig.last("homie/5/lamp-1/main/range") == b"5.0"


def test_a_late_last_will_is_put_right(rig: Rig) -> None:
    rig.console.publish("homie/5/gw-lab1/$state", b"lost", retain=True)
    rig.wait(
        lambda: (
            [m.payload for m in rig.console.messages if m.topic == "homie/5/gw-lab1/$state"][-2:] == [b"lost", b"ready"]
        ),
        "still lost",
    )


def test_a_kit_shows_itself_as_homie_asks(rig: Rig) -> None:
    root = homie.parse_description("gw-lab1", rig.last("homie/5/gw-lab1/$description") or b"")
    kit = homie.parse_description("mbot-1", rig.last("homie/5/mbot-1/$description") or b"")
    assert root.children == ("mbot-1",)
    assert (kit.root, kit.parent) == ("gw-lab1", "gw-lab1")
    wanted = ("light", "line", "range", "firmware", "commands")
    rig.wait(lambda: all(rig.value(name) is not None for name in wanted), "no readings")
    node = kit.node("main")
    assert node
    for item in node.properties:
        payload = rig.value(item.id)
        assert payload is not None or not item.retained, item.id
        if payload:
            homie.decode(item, payload)
    published = {
        m.topic.removeprefix("homie/5/mbot-1/main/") for m in rig.console.messages if "mbot-1/main/" in m.topic
    }
    assert published <= {item.id for item in node.properties}
    devices = json.loads(rig.last("zhike/gateway/gw-lab1/devices") or b"[]")
    assert devices[0]["device"] == "mbot-1"
