"""What each kind of client may do, on both brokers, through all three doors."""

from __future__ import annotations

import json

import pytest

from labkit.broker import BrokerRefused, ClientSpec, RoleSpec
from tests.labkit.brokers import ADMIN_PASSWORD, Person, RunningBroker

PUPIL, OWN = "t-lab1-07", "homie/5/t-lab1-07"
PASSWORD = "a-generated-terminal-password"


def terminal_role(terminal: str, room: str, robots: tuple[str, ...] = ()) -> RoleSpec:
    """A terminal's rights: writes below itself, reads itself, its room's lesson, and the robots of its group."""
    own = f"homie/5/{terminal}/#"
    reads = [own, f"zhike/room/{room}/lesson", f"zhike/room/{room}/stopped", f"zhike/room/{room}/lease/+"]
    reads += [f"homie/5/{robot}/#" for robot in robots]
    return RoleSpec(terminal, (own,), tuple(reads), tuple(reads))


@pytest.fixture
def school(broker: RunningBroker) -> tuple[RunningBroker, Person]:
    """The bridge with one terminal in room lab1 that holds car-1."""
    bridge, admin = broker.admin()
    admin.put_many([terminal_role(PUPIL, "lab1", ("car-1",))], [ClientSpec(PUPIL, PASSWORD, (PUPIL,))])
    bridge.subscribe("homie/5/#", "zhike/#")
    return broker, bridge


@pytest.mark.parametrize("door", ["tcp", "ws", "wss"])
def test_a_terminal_lives_in_its_lesson_through_every_door(school: tuple[RunningBroker, Person], door: str) -> None:
    broker, bridge = school
    bridge.publish("zhike/room/lab1/lesson", '{"step": 2}', retain=True)
    bridge.publish("homie/5/car-1/main/range", "31.5", retain=True)
    pupil = broker.person(PUPIL, PASSWORD, door)
    assert pupil.subscribe("zhike/room/lab1/lesson", "zhike/room/lab1/lease/+", "homie/5/car-1/#") == [True] * 3
    assert pupil.expect("zhike/room/lab1/lesson").payload == b'{"step": 2}'
    assert pupil.expect("homie/5/car-1/main/range").retain
    pupil.publish(f"{OWN}/terminal/step", "2", retain=True)
    assert bridge.expect(f"{OWN}/terminal/step").payload == b"2"


def test_a_pupil_forges_nothing(school: tuple[RunningBroker, Person]) -> None:
    broker, bridge = school
    pupil = broker.person(PUPIL, PASSWORD, "ws")
    forged = [
        "homie/5/t-lab1-08/terminal/step",
        "zhike/room/lab1/lesson",
        "homie/5/car-1/main/linear-x/set",
        "zhike/room/lab1/stop",
        "homie/5/t-lab1-070/$state",
        "zhike/room/lab1/lease/car-1",
    ]
    for topic in forged:
        pupil.publish(topic, "forged", retain=True)
        pupil.publish(topic, "forged")
    bridge.fence(pupil, f"{OWN}/terminal/heartbeat")
    assert not set(forged) & set(bridge.topics())
    late = broker.person("bridge", ADMIN_PASSWORD, client_id="late")
    late.subscribe("homie/5/#", "zhike/#")
    late.fence(bridge, "zhike/room/lab1/lesson")
    assert not set(forged) & set(late.topics()) - {"zhike/room/lab1/lesson"}


def test_a_pupil_hears_nothing_of_others(school: tuple[RunningBroker, Person]) -> None:
    broker, bridge = school
    bridge.publish("zhike/room/lab2/lesson", "retained", retain=True)
    bridge.publish("homie/5/t-lab1-08/terminal/step", "3", retain=True)
    pupil = broker.person(PUPIL, PASSWORD)
    wishes = ["#", "+/+/+", "homie/5/#", "homie/5/+/terminal/step", "zhike/room/+/lesson", "zhike/room/lab2/lesson",
              "zhike/room/lab1/#", "zhike/room/lab1/lease/#", "homie/5/car-2/#", "$SYS/#", "$CONTROL/#",
              "$CONTROL/dynamic-security/v1/response"]  # fmt: skip
    assert pupil.subscribe(*wishes) == [False] * len(wishes)
    assert pupil.subscribe("zhike/room/lab1/lesson") == [True]
    for topic in ("zhike/room/lab2/lesson", "homie/5/t-lab1-08/terminal/step", "homie/5/car-2/main/range", "a/b/c"):
        bridge.publish(topic, "live")
    pupil.fence(bridge, "zhike/room/lab1/lesson")
    assert set(pupil.topics()) == {"zhike/room/lab1/lesson"}


def test_a_wrong_password_or_name_is_refused_and_disturbs_nobody(school: tuple[RunningBroker, Person]) -> None:
    broker, bridge = school
    pupil = broker.person(PUPIL, PASSWORD, client_id="page")
    pupil.subscribe("zhike/room/lab1/lesson")
    for name, password in ((PUPIL, "wrong"), ("nobody", PASSWORD), (PUPIL, ""), ("", "")):
        intruder = broker.person(name, password, client_id="page")
        assert intruder.connects[0] == "Not authorized"
        intruder.leave()
    pupil.fence(bridge, "zhike/room/lab1/lesson")
    assert pupil.disconnects == 0


def test_a_pupil_has_no_say_in_rights(school: tuple[RunningBroker, Person]) -> None:
    broker, _ = school
    pupil = broker.person(PUPIL, PASSWORD)
    command = {
        "commands": [{"command": "deleteClient", "username": "bridge"}, {"command": "createRole", "rolename": "x"}]
    }
    pupil.publish("$CONTROL/dynamic-security/v1", json.dumps(command))
    _, admin = broker.admin()
    assert admin.list_clients() == ["bridge", PUPIL]
    assert admin.remove_role("x") is False


def test_sixty_terminals_in_one_go_and_again_without_a_hiccup(broker: RunningBroker) -> None:
    _, admin = broker.admin()
    names = [f"t-lab1-{n:02}" for n in range(60)]
    roles = [terminal_role(name, "lab1") for name in names]
    clients = [ClientSpec(name, PASSWORD + name, (name,)) for name in names]
    assert admin.put_many(roles, clients) == 120
    pupil = broker.person(names[59], PASSWORD + names[59], "ws")
    assert admin.put_many(roles, clients) == 0
    assert admin.list_clients()[1:] == names
    assert pupil.disconnects == 0


def test_a_robot_handed_over_is_heard_at_once_without_a_reconnect(school: tuple[RunningBroker, Person]) -> None:
    broker, bridge = school
    pupil = broker.person(PUPIL, PASSWORD)
    assert pupil.subscribe("homie/5/car-2/#") == [False]
    _, admin = broker.admin()
    admin.put_many([terminal_role(PUPIL, "lab1", ("car-2",))])
    assert pupil.subscribe("homie/5/car-2/#") == [True]
    pupil.fence(bridge, "homie/5/car-2/main/range")
    assert pupil.disconnects == 0


def test_a_robot_taken_away_falls_silent_though_still_subscribed(school: tuple[RunningBroker, Person]) -> None:
    broker, bridge = school
    pupil = broker.person(PUPIL, PASSWORD)
    assert pupil.subscribe("homie/5/car-1/#", "zhike/room/lab1/lesson") == [True, True]
    pupil.fence(bridge, "homie/5/car-1/main/range")
    _, admin = broker.admin()
    admin.put_many([terminal_role(PUPIL, "lab1")])
    bridge.publish("homie/5/car-1/main/range", "secret")
    pupil.fence(bridge, "zhike/room/lab1/lesson")
    assert b"secret" not in [message.payload for message in pupil.messages]


@pytest.mark.parametrize("how", ["remove", "disable", "password"])
def test_a_client_that_lost_its_right_is_thrown_out(school: tuple[RunningBroker, Person], how: str) -> None:
    broker, bridge = school
    _, admin = broker.admin()
    pupil = broker.person(PUPIL, PASSWORD, will=(f"{OWN}/$state", "lost"))
    if how == "remove":
        assert admin.remove_client(PUPIL) is True
    elif how == "disable":
        admin.disable_client(PUPIL)
    else:
        admin.put_client(PUPIL, "another-generated-password", [PUPIL])
    pupil.wait(lambda: len(pupil.connects) > 1, "not thrown out")
    assert pupil.connects[-1] == "Not authorized"
    bridge.fence(bridge, "homie/5/mark")
    assert f"{OWN}/$state" not in bridge.topics(), "whoever is thrown out has no last word"


def test_a_disabled_client_comes_back_when_enabled(school: tuple[RunningBroker, Person]) -> None:
    broker, _ = school
    _, admin = broker.admin()
    admin.disable_client(PUPIL)
    refused = broker.person(PUPIL, PASSWORD)
    assert refused.connects == ["Not authorized"]
    admin.enable_client(PUPIL)
    refused.wait(lambda: refused.connects[-1] == "Success", "not let in again")


def test_a_client_bound_to_its_identifier_cannot_take_anothers(school: tuple[RunningBroker, Person]) -> None:
    broker, _ = school
    bridge, admin = broker.admin()
    bound = ClientSpec(PUPIL, PASSWORD, (PUPIL,), client_id=PUPIL)
    assert admin.put_many(clients=[bound]) == 1
    assert admin.put_many(clients=[bound]) == 0
    fresh = ClientSpec("t-lab1-08", PASSWORD, (PUPIL,), client_id="t-lab1-08")
    assert admin.put_many(clients=[fresh]) == 1
    for name in (PUPIL, "t-lab1-08"):
        assert broker.person(name, PASSWORD, client_id="bridge-1").connects == ["Not authorized"]
        assert broker.person(name, PASSWORD, client_id=name).connects == ["Success"]
    assert bridge.disconnects == 0
    free = ClientSpec(PUPIL, PASSWORD, (PUPIL,))
    assert admin.put_many(clients=[free]) == 1
    assert admin.put_many(clients=[free]) == 0
    assert broker.person(PUPIL, PASSWORD, client_id="any").connects == ["Success"]


def test_refusals_carry_the_brokers_reason(broker: RunningBroker) -> None:
    _, admin = broker.admin()
    with pytest.raises(BrokerRefused) as caught:
        admin.command([{"command": "createClient", "username": "x", "password": "y", "roles": [{"rolename": "no"}]}])
    assert (caught.value.command, caught.value.reason) == ("createClient", "Role not found")
    for command, reason in (
        ({"command": "deleteClient", "username": "no"}, "Client not found"),
        ({"command": "createClient", "password": "y"}, "Invalid/missing username"),
        ({"command": "modifyRole", "rolename": "no"}, "Role does not exist"),
        ({"command": "deleteRole", "rolename": "no"}, "Role not found"),
        ({"command": "createClient", "username": "bridge"}, "Client already exists"),
        ({"command": "dance"}, "Unknown command"),
    ):
        with pytest.raises(BrokerRefused) as caught:
            admin.command([command])
        assert caught.value.reason == reason
    assert admin.client_roles("x") is None
    assert admin.remove_client("x") is False


def test_the_answers_of_both_brokers_have_one_shape(school: tuple[RunningBroker, Person]) -> None:
    broker, _ = school
    bridge = broker.person("bridge", ADMIN_PASSWORD, client_id="by-hand")
    bridge.subscribe("$CONTROL/dynamic-security/v1/response")
    for payload in (
        b"\xff{",
        b"{}",
        b'{"commands":[1]}',
        b'{"commands":[{"command":"getClient","username":"t-lab1-07"}]}',
    ):
        bridge.publish("$CONTROL/dynamic-security/v1", payload)
    topic = "$CONTROL/dynamic-security/v1/response"
    bridge.wait(lambda: sum(m.topic == topic for m in bridge.messages) == 4, "no answers")
    answers = [json.loads(m.payload)["responses"][0] for m in bridge.messages if m.topic == topic]
    assert [answer.get("error") for answer in answers] == [
        "Payload not valid JSON", "Invalid/missing commands", "Command not an object", None,
    ]  # fmt: skip
    client = answers[3]["data"]["client"]
    assert client.pop("textdescription").startswith("sha256:")
    assert client == {"username": PUPIL, "roles": [{"rolename": PUPIL}], "groups": []}
