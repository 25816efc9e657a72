"""A seat's PC: the agent as a process, its kit on a pty, a broker with the rights of a school, a server that says where the PC sits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from labkit.broker import ClientSpec, RoleSpec
from lms.labs import pc_rules, rules
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, Person, RunningBroker
from tests.labkit.gateway.kits import ScriptedMbot

ROOM, TERMINAL, KIT = "lab1", "t-lab1-03", "t-lab1-03-car"
OTHER = "t-lab1-04-car"
SECRET = "ABCDE-FGHJK-MNPQR-STUVW-XYZ23"
LAB = 'name: gw-pc\nroom: any\ndevices:\n  - {id: car, profile: makeblock-mbot, url: "sim://pty"}\n'


class Office:
    """The server's side of ``hello``; ``answer`` is (status, body)."""

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, Any]] = (200, {"state": "waiting", "code": "K7P3", "page": "about:blank", "again_s": 1})
        self.asked: list[dict[str, Any]] = []
        self.news = threading.Condition()
        office = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = office.answer
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                with office.news:
                    office.asked.append(body)
                    office.news.notify_all()

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<title>lesson</title>")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, more: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until it was asked so many times more."""
        with self.news:
            wanted = len(self.asked) + more
            assert self.news.wait_for(lambda: len(self.asked) >= wanted, timeout_s), self.asked

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Desk:
    """The PC at seat 03."""

    def __init__(self, broker: RunningBroker, folder: Path, scheme: str = "wss") -> None:
        self.broker, self.folder, self.office = broker, folder, Office()
        self.log = folder / "agent.log"
        self.run_dir = folder / "run"
        self.kit = ScriptedMbot(self.run_dir / "dev" / KIT)
        (folder / "pc.yaml").write_text(LAB, "utf-8")
        config = folder / "agent.json"
        config.write_text(json.dumps({"server": self.office.url, "secret": SECRET, "ca": str(broker.ca)}), "utf-8")
        self.user = pc_rules.agent_user(TERMINAL)
        _bridge, admin = broker.admin()
        found = pc_rules.agent_rights(TERMINAL, ROOM, ["car"])
        page = rules.terminal_rights(TERMINAL, ROOM, [KIT], [])
        roles = [RoleSpec(self.user, found.send, found.receive, found.receive), RoleSpec(TERMINAL, page.send, page.receive, page.receive)]
        admin.put_many(roles=roles, clients=[ClientSpec(self.user, "pc-word", (self.user,), self.user), ClientSpec(TERMINAL, "page-word", (TERMINAL,), TERMINAL)])
        port = broker.config.wss_port if scheme == "wss" else broker.config.ws_port
        self.url = f"{scheme}://localhost:{port}/mqtt"
        self.console = broker.person(ADMIN, ADMIN_PASSWORD, client_id=f"console-{id(self)}")
        self.console.subscribe("homie/5/#", "zhike/#")
        self.agent: subprocess.Popen[bytes] | None = None
        self.seq = 0

    def bind(self) -> None:
        """The teacher has bound this PC to seat 03."""
        broker = {"url": self.url, "username": self.user, "password": "pc-word"}
        self.office.answer = (
            200,
            {"state": "bound", "code": "K7P3", "page": self.office.url, "again_s": 1, "seat": "03", "terminal": TERMINAL, "room": ROOM, "broker": broker},
        )

    def start(self) -> None:
        """Start the agent's process."""
        argv = [sys.executable, "-m", "labkit.cli", "agent", "--config", str(self.folder / "agent.json"), "--run-dir", str(self.run_dir)]
        with self.log.open("ab") as log:
            self.agent = subprocess.Popen([*argv, "--lab", str(self.folder / "pc.yaml")], stderr=log, env={**os.environ})

    def ready(self) -> None:
        self.until(f"homie/5/{KIT}/$state", b"ready")

    def page(self) -> Person:
        """The pupil's page on this PC, as an MQTT client with its last will."""
        will = (f"homie/5/{TERMINAL}/$state", b"lost")
        return self.broker.person(TERMINAL, "page-word", client_id=TERMINAL, will=will)

    def last(self, topic: str) -> bytes | None:
        found = [m.payload for m in list(self.console.messages) if m.topic == topic]
        return bytes(found[-1]) if found else None

    def until(self, topic: str, payload: bytes, timeout_s: float = PATIENCE_S) -> None:
        self.wait(lambda: self.last(topic) == payload, f"{topic} is {self.last(topic)!r}, not {payload!r}", timeout_s)

    def wait(self, condition: Callable[[], bool], complaint: str, timeout_s: float = PATIENCE_S) -> None:
        try:
            self.console.wait(condition, complaint, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{complaint}: {self.last(f'homie/5/{KIT}/$state')!r}\n{self.log.read_text()[-3000:]}") from error

    def lease(self, holder: str = TERMINAL, device: str = KIT) -> None:
        until = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
        data = {"device": device, "holder": holder, "holders": [holder], "lesson": "l1", "until": until, "max_linear": 0.3, "max_angular": 2.0}
        self.console.publish(f"zhike/room/{ROOM}/lease/{device}", json.dumps(data), retain=True)
        # The agent's broker connection hears it after this one has come back.
        self.wait(lambda: any(m.topic.endswith(f"lease/{device}") for m in list(self.console.messages)), "no lease")

    def drive(self, person: Person | None = None, terminal: str = TERMINAL) -> None:
        """One wish; the kit moves."""
        self.seq += 1
        wish = json.dumps({"seq": self.seq, "linear_x": 0.2, "ms": 500})
        (person or self.console).publish(f"homie/5/{terminal}/wish/drive", wish)

    def end(self) -> None:
        if self.agent and self.agent.poll() is None:
            self.agent.terminate()
            self.agent.wait(PATIENCE_S)
        self.kit.close()
        self.office.close()
        self.console.publish_all(((topic, b"") for topic in {m.topic for m in list(self.console.messages)}), retain=True)
