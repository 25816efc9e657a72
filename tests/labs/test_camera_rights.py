"""Who is given a camera's preview by a real broker, and who can ask for one: the teacher of the room, through the server."""

from __future__ import annotations

import json

import pytest
from flask import Flask

from labkit.camera_orders import order_topic, preview_topic
from lms.core.db import new_id
from lms.labs import rules, service
from lms.labs.rules import webcam_of
from tests.factories import make_room, make_school, make_staff
from tests.labs.test_bridge import KINDS, Broker, Peer, bridged, broker, provisioned, until

__all__ = ["KINDS", "broker"]


def test_only_the_rooms_teacher_gets_a_preview_and_only_the_server_asks(app: Flask, broker: Broker) -> None:
    school = make_school()
    (here, seats), (there, others) = make_room(school), make_room(school, code="lab2")
    teacher = make_staff(school).account
    assert teacher is not None
    lessons = {room.id: new_id() for room in (here, there)}
    for room in (here, there):
        service.open_terminals(room, lessons[room.id])
    gateway = service.gateway_credential(school.id, "gw-lab1")
    consoles = [service.console_credential(teacher, room) for room in (here, there)]
    picture, ask = preview_topic("lab1", "cam-1"), order_topic("lab1", "cam-1", "preview")
    port = broker.config.tcp_port
    with bridged(app, school.id, broker):
        until(
            lambda: all(
                provisioned(name)
                for name in (seats[0].terminal, others[0].terminal, "gw-lab1", *(one.username for one in consoles))
            )
        )
        lab = Peer(port, gateway, "zhike/#", "homie/5/#")
        mine, theirs = (Peer(port, one, "zhike/#", f"zhike/room/{one.room}/#", picture) for one in consoles)
        wanted = (picture, "zhike/room/lab1/#", "zhike/room/+/preview/+", "zhike/#", "#")
        near = Peer(
            port, service.terminal_credential(seats[0], here, lessons[here.id]), *wanted, "zhike/room/lab1/lesson"
        )
        far = Peer(
            port, service.terminal_credential(others[0], there, lessons[there.id]), *wanted, "zhike/room/lab2/lesson"
        )

        for peer in (near, far, mine):
            for topic in (ask, order_topic("lab1", "cam-1", "record"), picture, "zhike/gateway/gw-lab1/recordings"):
                peer.say(topic, "forged")
        near.say(f"homie/5/{webcam_of(seats[0].terminal)}/main/faces", "1")
        far.say(f"homie/5/{webcam_of(seats[0].terminal)}/main/faces", "99")
        lab.say(picture, json.dumps({"jpeg": "squares"}))
        lab.say("zhike/room/lab1/lesson", "end")
        lab.say("zhike/room/lab2/lesson", "end")
        until(lambda: ("zhike/room/lab1/lesson", "end") in near.got and ("zhike/room/lab2/lesson", "end") in far.got)
        until(lambda: any(topic == picture for topic, _ in mine.got))
        until(lambda: ("zhike/room/lab2/lesson", "end") in theirs.got)

        for peer in (near, far, theirs):
            assert not [topic for topic, _ in peer.got if topic == picture]
        assert not [text for peer in (lab, mine, near, far) for _, text in peer.got if text == "forged"]
        assert [text for topic, text in lab.got if topic.endswith("-webcam/main/faces")] == ["1"]
        for peer in (lab, mine, theirs, near, far):
            peer.end()


@pytest.mark.parametrize("what", ["preview", "record"])
def test_the_topics_lie_where_no_terminal_may_read_or_write(what: str) -> None:
    rights = rules.terminal_rights("t-lab1-01", "lab1", ["mbot-1"], ["cam-1"])
    for topic in (order_topic("lab1", "cam-1", what), preview_topic("lab1", "cam-1")):
        for pattern in (*rights.send, *rights.receive):
            head = pattern.removesuffix("#").rstrip("/")
            assert not topic.startswith(f"{head}/"), pattern
