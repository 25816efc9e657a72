"""The page "课前检查": a real bridge, a real gateway and simulated boards; what it says per seat and sticker, and how fast."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core.db import db
from lms.labs import service
from lms.labs.bridge import admin_password_file
from lms.labs.models import Device, StopEvent
from tests.effort import PATIENCE_S
from tests.factories import make_room, make_school, make_staff, sign_in, token
from tests.labkit.identity.bench import Bench
from tests.labs.test_bridge import Broker, bridged, until


def kit(number: int) -> str:
    where = f'settle_ms: 0, url: "hub:1-1.{number}"'
    return f'  - {{id: robot-{number}, profile: makeblock-mbot, sticker: "0{number}", seat: "A{number}", {where}}}\n'


@contextmanager
def gateway(folder: Path, room: str, school_id: object, port: int, *numbers: int) -> Iterator[subprocess.Popen[bytes]]:
    lab = folder / "lab.yaml"
    lab.write_text(f"name: gw-test\nroom: {room}\ndevices:\n" + "".join(map(kit, numbers)))
    made = service.gateway_credential(school_id, "gw-test")  # type: ignore[arg-type]  # a UUID
    until(lambda: service.gateway_credential(school_id, "gw-test").ready)  # type: ignore[arg-type]  # a UUID
    where = ["--lab", str(lab), "--run-dir", str(folder), "--broker", f"mqtt://127.0.0.1:{port}"]
    login = {"LABKIT_USERNAME": made.username, "LABKIT_PASSWORD": made.password}
    process = subprocess.Popen([sys.executable, "-m", "labkit.cli", "serve", *where], env={**os.environ, **login})
    yield process
    process.terminate()
    process.wait(PATIENCE_S)


def states() -> dict[str, tuple[str, str]]:
    return {row.homie_id: (row.state, row.alert) for row in db.session.scalars(select(Device))}


def checked(client: FlaskClient, room: str) -> tuple[str, float]:
    """Press the button; the page when it is done, and the seconds that took."""
    began = time.monotonic()
    answer = client.post(f"/labs/check/{room}", data={"csrf_token": token(client, "/devices")})
    assert answer.status_code == 302
    waiting = client.get(answer.location).text
    if "正在检查" in waiting:
        address = re.search(r'"url": "(/api/labs/rooms/[^"]+)"', waiting.replace("\\u0026", "&"))
        assert address and "js/labs/check.js" in waiting
        until(lambda: client.get(address[1]).json["done"], 20)  # type: ignore[index]  # JSON
    page = until(lambda: None if "正在检查" in (text := client.get(answer.location).text) else text)
    return str(page), time.monotonic() - began


def row(page: str, device: str) -> str:
    return page.partition(f'data-device="{device}"')[2].partition("</tr>")[0]


def test_the_page_says_what_to_fix_by_seat_and_sticker(
    app: Flask, client: FlaskClient, tmp_path: Path, bench: Bench
) -> None:
    broker = Broker(tmp_path / "broker", "embedded", admin_password_file(app.config["ZHIKE"].data_dir))
    broker.start()
    school = make_school()
    room, _ = make_room(school)
    code = room.code
    sign_in(client, make_staff(school))
    bench.plug("one", "1-1.1", "A")
    bench.plug("two", "1-1.2", "B", firmware="09.01.001")
    with (
        bridged(app, school.id, broker),
        gateway(tmp_path, code, school.id, broker.config.tcp_port, 1, 2, 3) as process,
    ):
        until(
            lambda: states().get("robot-1", ("", ""))[0] == "ready" and "固件" in states().get("robot-2", ("", ""))[1],
            30,
        )
        until(lambda: "没有插上" in states().get("robot-3", ("", ""))[1])
        until(
            lambda: (
                db.session.scalar(select(Device).where(Device.homie_id == "robot-1")) or Device(values={})
            ).values.get("health/round-trip")
        )
        page, seconds = checked(client, code)
        assert seconds < 30
        assert "3 台设备，2 处要先处理。 1 台小车已试停。" in page
        assert "座位 A2 · 02 号" in row(page, "robot-2") and "09.01.001" in row(page, "robot-2")
        assert page.count('data-device="robot-2"') == 1
        vital = page.partition('data-vital="robot-1"')[2].partition("</tr>")[0]
        assert "毫秒" in vital and "秒前" in vital and ">A1<" in vital and "正常" in vital
        assert "座位 A3 · 03 号" in row(page, "robot-3") and "要修" in row(page, "robot-3")
        assert 'data-device="robot-1"' not in page
        event = db.session.scalar(select(StopEvent))
        assert event is not None and "robot-1" in event.confirmed
        kit_page = client.get(f"/labs/device/{code}/01").text
        assert "毫秒" in kit_page and "重连次数" in kit_page

        bench.unplug("one")
        until(lambda: states()["robot-1"][0] == "lost")
        bench.plug("other", "1-1.1", "C")
        until(lambda: "未确认" in states()["robot-1"][1])
        assert "另一块板子" in row(checked(client, code)[0], "robot-1")
        asked = client.get(f"/labs/device/{code}/01").text
        device = db.session.scalar(select(Device).where(Device.homie_id == "robot-1"))
        assert device and f"/labs/devices/{device.id}/confirm" in asked
        client.post(f"/labs/devices/{device.id}/confirm", data={"csrf_token": token(client, "/devices")})
        until(lambda: states()["robot-1"] == ("ready", ""))

        process.kill()
        process.wait(PATIENCE_S)
        until(lambda: states()["robot-1"][0] == "lost")
        page, _ = checked(client, code)
        assert "网关 gw-test 没有运行" in row(page, "gw-test") and 'data-device="robot-1"' not in page
    broker.kill()
    db.session.remove()


def test_a_stranger_cannot_check_another_schools_room(app: Flask, client: FlaskClient) -> None:
    room, _ = make_room(make_school())
    sign_in(client, make_staff(make_school()))
    answer = client.post(f"/labs/check/{room.code}-x", data={"csrf_token": token(client, "/devices")})
    assert answer.status_code == 404
    assert db.session.scalar(select(StopEvent)) is None
