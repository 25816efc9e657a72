"""One lab with foreign boards: real broker, real gateway process with its own rights, simulated boards in another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from labkit.boards import Space, gateway_role, spaces
from labkit.broker import BrokerAdmin, ClientSpec
from labkit.lab import load_lab
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, Person, RunningBroker

GATEWAY, ROOM = "gw-foreign", "lab1"
PASSWORD = "a-generated-password-of-"


class ForeignRig:
    """A lab with the devices of ``lab.yaml``; every board has the credential that `Space.role` describes, and no other right."""

    def __init__(self, broker: RunningBroker, folder: Path, devices: Sequence[str]) -> None:
        self.broker, self.folder = broker, folder
        self.lab_file, self.log = folder / "lab.yaml", folder / "gateway.log"
        rows = "".join(f"  - {device}\n" for device in devices)
        self.lab_file.write_text(f"name: {GATEWAY}\nroom: {ROOM}\ndevices:\n{rows}", encoding="utf-8")
        self.lab = load_lab(self.lab_file)
        self.console = broker.person(ADMIN, ADMIN_PASSWORD, client_id=f"console-{folder.name}")
        self.console.subscribe("homie/#", "zhike/#", "homeassistant/#", "tasmota/#", "stat/#", "tele/#", "cmnd/#")
        self.people = [self.console]
        self.provision()
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def spaces(self) -> dict[str, Space]:
        """Every board's own topics."""
        return spaces(self.lab.devices)

    def provision(self) -> None:
        """Roles and clients of every board and of the gateway, as `lms.labs` makes them."""
        admin = BrokerAdmin(self.console.client)
        roles = [own.role(name) for name, own in self.spaces.items()]
        roles.append(gateway_role(GATEWAY, self.spaces.values()))
        clients = [ClientSpec(role.name, PASSWORD + role.name, (role.name,)) for role in roles]
        admin.put_many(roles, clients)
        (self.folder / "boards.json").write_text(json.dumps({name: PASSWORD + name for name in self.spaces}))

    def serve(self) -> subprocess.Popen[bytes]:
        """Start the gateway with its own credential."""
        command = [
            sys.executable, "-m", "labkit.cli", "serve", "--lab", str(self.lab_file), "--run-dir", str(self.folder),
            "--broker", self.url, "--username", GATEWAY,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            return self._run(command, {"LABKIT_PASSWORD": PASSWORD + GATEWAY}, log.fileno())

    def boards(self) -> subprocess.Popen[bytes]:
        """Start all simulated boards, in one process."""
        command = [
            sys.executable, "-m", "labkit.simulate", "--lab", str(self.lab_file), "--run-dir", str(self.folder),
            "--broker", self.url,
        ]  # fmt: skip
        with (self.folder / "boards.log").open("ab") as log:
            return self._run(command, {}, log.fileno())

    @property
    def url(self) -> str:
        """The broker's address."""
        return f"mqtt://127.0.0.1:{self.broker.config.tcp_port}"

    def _run(self, command: list[str], more: dict[str, str], log: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env={**os.environ, **more}, stderr=log)
        self._running.append(process)
        return process

    def as_board(self, name: str) -> Person:
        """A client with a board's own credential."""
        return self.person(name, PASSWORD + name)

    def person(self, username: str, password: str) -> Person:
        """A client of this test."""
        self.people.append(self.broker.person(username, password, client_id=f"{username}-by-hand"))
        return self.people[-1]

    def last(self, topic: str) -> bytes | None:
        """The last payload on a topic."""
        found = [m.payload for m in list(self.console.messages) if m.topic == topic]
        return bytes(found[-1]) if found else None

    def until(self, topic: str, payload: bytes | str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until a topic's last payload is this one."""
        data = payload.encode() if isinstance(payload, str) else payload
        self.wait(lambda: self.last(topic) == data, f"{topic} is not {data!r}", timeout_s)

    def wait(self, condition: Callable[[], object], complaint: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait for a condition on what the console has seen."""
        try:
            self.console.wait(lambda: bool(condition()), complaint, timeout_s)
        except AssertionError as error:
            log = self.log.read_text() if self.log.exists() else ""
            seen = sorted({m.topic for m in list(self.console.messages)})
            raise AssertionError(f"{complaint}\n{log[-3000:]}\n{seen}") from error

    def refused(self, device: str) -> list[dict[str, object]]:
        """What the gateway refused for this device."""
        topic = f"homie/5/{device}/main/refused"
        return [json.loads(m.payload) for m in list(self.console.messages) if m.topic == topic]

    def end(self) -> None:
        """End everything and clear what it left on the broker."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._running:
            process.wait(PATIENCE_S)
        topics = {m.topic for m in list(self.console.messages) if m.payload}
        self.console.publish_all(((topic, b"") for topic in topics), retain=True)
        for person in self.people:
            person.leave()
            self.broker.people.remove(person)
