"""A school with everything that a device page needs, for a real browser: web, broker, bridge, simulated robots, gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from flask import Flask
from playwright.sync_api import Browser, Page
from werkzeug.serving import BaseWSGIServer, make_server

from lms.core.db import db
from lms.labs import service
from lms.labs.bridge import admin_password_file
from lms.labs.models import Device
from tests.effort import PATIENCE_S
from tests.factories import PASSWORD
from tests.labs.test_bridge import Broker, bridged, until
from tests.teaching.scene import Scene, account_of

# The first drives to the right as soon as it is told; the second stands beside it.
ROBOTS = (("mbot-1", "makeblock-mbot", "01", "sim://pty", [0.5, 0.3, 0.0]), ("car-1", "zhike-mqtt-car", "07", "mqtt:", [0.5, 1.2, 0.0]))


@dataclass
class Site:
    """The running school."""

    app: Flask
    scene: Scene
    server: BaseWSGIServer
    chrome: Browser
    broker: Broker
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def url(self) -> str:
        """Address of the web process."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def teacher(self) -> Page:
        """The teacher, signed in; a notebook's screen."""
        context = self.chrome.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN", timezone_id="Asia/Shanghai")
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(f"{self.url}/sign-in?next=/devices")
        page.fill("[name=username]", account_of(self.scene.teacher).username)
        page.fill("[name=password]", PASSWORD)
        page.click("form.card button[type=submit]")
        page.wait_for_url("**/devices")
        return page

    def motors(self, robot: str) -> list[dict[str, Any]]:
        """Changes of a simulated robot's motors."""
        path = self.folder / "sim" / f"{robot}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def stop_web(self) -> None:
        """The web process is gone for good."""
        self.server.shutdown()
        self.server.server_close()

    def end(self, process: str) -> None:
        """Kill the simulator or the gateway."""
        self.processes[process].kill()
        self.processes[process].wait(PATIENCE_S)


@contextmanager
def opened(app: Flask, scene: Scene, chrome: Browser, folder: Path) -> Iterator[Site]:
    """Everything started, both robots known to the database; everything ended."""
    settings = app.config["ZHIKE"]
    broker = Broker(folder / "broker", "embedded", admin_password_file(settings.data_dir), settings.mqtt_ws_port)
    broker.start()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with bridged(app, scene.school.id, broker):
        try:
            _start_robots(scene, folder, broker.config.tcp_port, processes)
            until(lambda: _ready(scene))
            yield Site(app, scene, server, chrome, broker, folder, processes)
        finally:
            for context in chrome.contexts:
                context.close()
            for process in processes.values():
                process.kill()
                process.wait(PATIENCE_S)
            server.shutdown()
            thread.join(PATIENCE_S)
    broker.kill()


def _start_robots(scene: Scene, folder: Path, port: int, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    robots = [
        {"id": name, "profile": profile, "sticker": sticker, "url": url, "simulate": {"seed": 1, "start": start}}
        for name, profile, sticker, url, start in ROBOTS
    ]
    lab = folder / "lab.yaml"
    lab.write_text(yaml.safe_dump({"name": "gw-test", "room": scene.room.code, "devices": robots}))
    school = scene.school.id
    boards = [service.table_credential(school, scene.room.code), service.board_credential(school, "car-1")]
    (folder / "boards.json").write_text(json.dumps({one.username: one.password for one in boards}))
    gateway = service.gateway_credential(school, "gw-test")
    until(lambda: service.gateway_credential(school, "gw-test").ready)
    where = ["--lab", str(lab), "--run-dir", str(folder), "--broker", f"mqtt://127.0.0.1:{port}"]
    processes["simulator"] = subprocess.Popen([sys.executable, "-m", "labkit.simulate", *where])
    until(lambda: (folder / "dev" / "mbot-1").exists())
    login = {"LABKIT_USERNAME": gateway.username, "LABKIT_PASSWORD": gateway.password}
    processes["gateway"] = subprocess.Popen([sys.executable, "-m", "labkit.cli", "serve", *where], env={**os.environ, **login})


def _ready(scene: Scene) -> bool:
    devices = db.session.query(Device).filter_by(school_id=scene.school.id)
    return sorted(device.homie_id for device in devices if device.state == "ready" and device.values) == ["car-1", "mbot-1"]
