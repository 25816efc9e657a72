"""``lms up`` on an empty folder: both doors open, the first-run page makes a school, kill -9 loses nothing, nothing is left."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from lms.config import Settings, to_environ
from tests.core.test_supervisor import alive, until
from tests.effort import PATIENCE_S
from tests.ports import free_ports

FORM = {
    "name": "启航小学",
    "county": "示范区",
    "school_type": "小学",
    "locality": "城区",
    "system": "6-3",
    "config_primary": "3",
    "term_starts": "2026-09-01",
    "term_ends": "2027-01-22",
    "room_name": "人工智能实验室",
    "seats": "12",
    "admin_name": "张伟",
    "username": "zhang.wei",
    "password": "Qihang-2026!",
    "again": "Qihang-2026!",
    "class_name": "五年级1班",
    "pupils": "李一\n王二\n",
}


LAB = """\
name: gw-up
room: lab1
devices:
  - {id: mbot-1, profile: makeblock-mbot, sticker: "01", url: "sim://pty", simulate: {seed: 1}}
  - {id: car-1, profile: zhike-mqtt-car, sticker: "02", url: "mqtt:", simulate: {seed: 2}}
"""


@dataclass
class Running:
    """A running ``lms up``."""

    settings: Settings
    process: subprocess.Popen[str]
    lines: list[str]

    def pid(self, name: str) -> int:
        """Process id that the pid file names."""
        return int((self.settings.run / "pids" / f"{name}.pid").read_text())


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """``lms up`` in an empty folder, on free ports, with the embedded broker and a simulated lab."""
    folder = tmp_path_factory.mktemp("up")
    http_port, https_port, mqtt, ws, wss = free_ports(5)
    settings = Settings(
        data_dir=folder / "data",
        http_port=http_port,
        https_port=https_port,
        mqtt_port=mqtt,
        mqtt_ws_port=ws,
        mqtt_wss_port=wss,
        listen="127.0.0.1",
        broker="embedded",
    )
    lab = folder / "lab.yaml"
    lab.write_text(LAB, "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "lms", "up", "--lab", str(lab), "--simulate"],
        env={**os.environ, **to_environ(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    while not any("首次设置" in line for line in lines):
        line = process.stdout.readline()
        assert line, f"lms up ended: {lines}"
        lines.append(line)
    with process.stdout:
        yield Running(settings, process, lines)
        pids = [int(path.read_text()) for path in (settings.run / "pids").glob("*.pid")]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert not any(alive(pid) for pid in pids)


class Browser:
    """A tiny browser that keeps cookies; over HTTPS it trusts the school's certificate only."""

    def __init__(self, settings: Settings, *, secure: bool = False) -> None:
        self.port = settings.https_port if secure else settings.http_port
        self.context = ssl.create_default_context(cafile=str(settings.data_dir / "tls" / "ca.pem")) if secure else None
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, text and Location."""
        connection = (
            http.client.HTTPSConnection("localhost", self.port, timeout=PATIENCE_S, context=self.context)
            if self.context
            else http.client.HTTPConnection("localhost", self.port, timeout=PATIENCE_S)
        )
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, urllib.parse.urlencode(form) if form is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.split(";")[0]
        location = answer.getheader("Location") or ""
        connection.close()
        return answer.status, text, location


def test_both_doors_open(up: Running) -> None:
    assert Browser(up.settings).ask("GET", "/readyz")[0] == 200
    assert Browser(up.settings, secure=True).ask("GET", "/readyz")[0] == 200
    assert Browser(up.settings).ask("GET", "/")[0] == 503


def test_plain_http_on_the_https_port_is_sent_to_https(up: Running) -> None:
    browser = Browser(up.settings)
    browser.port = up.settings.https_port
    status, _text, location = browser.ask("GET", "/sign-in?a=1")
    assert (status, location) == (307, f"https://localhost:{up.settings.https_port}/sign-in?a=1")


def test_noise_on_the_https_port_does_no_harm(up: Running) -> None:
    for noise in (b"\x16\x03\x01garbage that is no TLS", b"\x00\x01", b"GET / HTTP/1.1\r\n\r\n"):
        # the server may hang up at any time
        with socket.create_connection(("127.0.0.1", up.settings.https_port), timeout=PATIENCE_S) as connection, suppress(OSError):
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert Browser(up.settings, secure=True).ask("GET", "/healthz")[0] == 200


def test_the_first_run_page_needs_the_token_of_the_console(up: Running) -> None:
    assert Browser(up.settings).ask("GET", "/welcome")[0] == 404
    assert Browser(up.settings).ask("GET", "/welcome?token=0000000000000000")[0] == 404


def test_an_empty_folder_becomes_a_school(up: Running) -> None:
    shown = re.search(r"/welcome\?token=(\w+)", "".join(up.lines))
    assert shown
    browser = Browser(up.settings, secure=True)
    page = browser.ask("GET", shown[0])[1]
    csrf = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert csrf
    form = {**FORM, "token": shown[1], "csrf_token": csrf[1]}
    refused = browser.ask("POST", "/welcome", {**form, "password": "12345678", "again": "12345678"})
    assert refused[0] == 422
    assert "启航小学" in refused[1]
    status, _text, location = browser.ask("POST", "/welcome", form)
    assert (status, location) == (302, "/welcome/ready")
    ready = browser.ask("GET", "/welcome/ready")
    assert ready[0] == 200
    assert "上第一节课" in ready[1]
    assert browser.ask("GET", shown[0])[0] == 404
    assert until(lambda: (up.settings.run / "pids" / "bridge.pid").exists(), 60)


def test_without_hardware_the_lab_is_simulated(up: Running) -> None:
    """Configuration 一: one command more than nothing, and the gateway has robots."""
    lab = up.settings.run / "lab"
    assert until(lambda: (lab / "dev" / "mbot-1").exists(), 60)
    assert until(lambda: (up.settings.run / "pids" / "gateway.pid").exists(), 60)
    assert set(json.loads((lab / "boards.json").read_text("utf-8"))) == {"car-1", "arena-lab1"}
    assert (lab / "boards.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["web", "jobs", "broker"])
def test_kill_9_is_mended(up: Running, name: str) -> None:
    pid = up.pid(name)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: up.pid(name) != pid)
    assert until(lambda: _answers(up))


def _answers(up: Running) -> bool:
    """Whether the web answers; a request that a dying worker had taken may be cut off once."""
    try:
        return Browser(up.settings).ask("GET", "/readyz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_logs_hold_no_names(up: Running) -> None:
    logs = "".join(path.read_text("utf-8", "replace") for path in (up.settings.run / "logs").glob("*.log"))
    assert "/welcome" in logs
    assert not [word for word in ("李一", "王二", "张伟", "Qihang") if word in logs]


def test_a_second_one_says_that_the_port_is_taken(up: Running, tmp_path: Path) -> None:
    other = {**os.environ, **to_environ(up.settings), "ZHIKE_DATA_DIR": str(tmp_path / "other")}
    other.pop("ZHIKE_RUN_DIR")
    done = subprocess.run(
        [sys.executable, "-m", "lms", "up"], env=other, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert str(up.settings.http_port) in done.stderr
    assert "Traceback" not in done.stderr
