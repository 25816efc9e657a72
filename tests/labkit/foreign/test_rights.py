"""A foreign board's credential on the real broker: its own topics, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from labkit.boards import SIOT_LOGIN, siot_role
from labkit.broker import BrokerAdmin, ClientSpec
from tests.labkit.brokers import KINDS, RunningBroker, launch
from tests.labkit.foreign.rig import ForeignRig
from tests.labkit.foreign.test_gateway import BOARDS


@pytest.fixture(scope="module", params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """Both brokers: the rights are the same data."""
    running = launch(request.param, tmp_path_factory.mktemp("rights-broker"))
    yield running
    running.stop()


OWN = {
    "bench-4": ["homie/old-bench/$state", "homie/old-bench/bench/level"],
    "hub-5": ["homie/5/hub-5/$state", "homie/5/leaf-5/air/temperature"],
    "plant-1": ["plant-1/status", "homeassistant/switch/plant-1/relay/config"],
    "plug-1": ["tele/tasmota_C3D4E5/LWT", "stat/tasmota_C3D4E5/RESULT", "tasmota/discovery/A0B1C2C3D4E5/config"],
    "zkb-07": ["class3-07/temperature", "class3-07/led"],
}
ORDERS = {
    "bench-4": "homie/old-bench/bench/level/set", "hub-5": "homie/5/hub-5/bench/level/set",
    "plant-1": "plant-1/switch/relay/command", "plug-1": "cmnd/tasmota_C3D4E5/POWER", "zkb-07": "class3-07/led",
}  # fmt: skip
NOBODYS = [
    "homie/5/mbot-1/main/linear-x/set", "homie/5/gw-foreign/$state", "zhike/room/lab1/stop", "homie/other/$state",
    "plant-2/status", "homeassistant/switch/other/relay/config", "cmnd/tasmota_000000/POWER", "class3-08/led",
    "tasmota/discovery/000000000000/config",
]  # fmt: skip


@pytest.mark.parametrize("name", list(OWN))
def test_a_board_writes_only_what_is_its_own(make_rig: Callable[..., ForeignRig], name: str) -> None:
    rig = make_rig(*BOARDS)
    rig.console.subscribe("#")
    board = rig.as_board(name)
    before = len(rig.console.messages)
    others = [topic for other, topics in OWN.items() if other != name for topic in topics]
    for topic in (*NOBODYS, *others):
        board.publish(topic, b"forged")
    for topic in OWN[name]:
        board.publish(topic, b"mine")
    rig.wait(lambda: rig.last(OWN[name][-1]) == b"mine", "its own word does not arrive")
    arrived = {
        m.topic: bytes(m.payload) for m in list(rig.console.messages)[before:] if m.payload in (b"mine", b"forged")
    }
    assert arrived == dict.fromkeys(OWN[name], b"mine")


@pytest.mark.parametrize("name", list(OWN))
def test_a_board_is_told_only_what_is_for_it(make_rig: Callable[..., ForeignRig], name: str) -> None:
    rig = make_rig(*BOARDS)
    board = rig.as_board(name)
    own_filter = ORDERS[name].replace("/bench/level", "/+/+").replace("/switch/relay", "/+/+")
    assert board.subscribe(own_filter) == [True]
    assert board.subscribe("#", "homie/#", "zhike/#", "homeassistant/#", "cmnd/+/POWER") == [False] * 5
    for other, topic in ORDERS.items():
        if other != name:
            rig.console.publish(topic, b"not for you")
    rig.console.publish(ORDERS[name], b"for you")
    board.expect(ORDERS[name])
    assert {m.topic for m in board.messages} == {ORDERS[name]}


def test_siots_shared_login_reaches_only_the_named_projects(make_rig: Callable[..., ForeignRig]) -> None:
    rig = make_rig(*BOARDS)
    role = siot_role([rig.spaces["zkb-07"]])
    BrokerAdmin(rig.console.client).put_many([role], [ClientSpec(*SIOT_LOGIN, (role.name,))])
    rig.console.subscribe("#")
    pupil = rig.person(*SIOT_LOGIN)
    for topic in (*NOBODYS, *OWN["plant-1"]):
        pupil.publish(topic, b"forged")
    pupil.publish("class3-07/temperature", b"25")
    rig.until("class3-07/temperature", b"25")
    assert not [m.topic for m in list(rig.console.messages) if m.payload == b"forged"]
