"""A whole room on one machine: broker, gateway, simulated robots and terminals, each a process of its own.

    with Room(lab, folder, terminals=40) as room:
        room.wait_ready(60)

The broker is started on free ports unless an address is given; its account is written nowhere but into this process and its
children's environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from labkit import homie
from labkit.broker import BrokerConfig, wait_ready
from labkit.commands.console import Console
from labkit.errors import LabkitError
from labkit.lab import Lab
from labkit.links import BrokerAddress
from labkit.model import Kind, State
from labkit.simulate.terminals import terminal_ids

END_S = 10.0
ADMIN = "labkit"


@dataclass(frozen=True)
class Doors:
    """The broker of a room: address for trusted clients, and its WebSocket port for terminals (0 = none)."""

    address: BrokerAddress
    ws_port: int

    @property
    def url(self) -> str:
        """The address as a URL."""
        return f"{'mqtts' if self.address.tls else 'mqtt'}://{self.address.host}:{self.address.port}"


class Room:
    """Starts on entering, ends on leaving; ``drive`` hands every robot to a terminal, which then drives it ``wish_hz`` times a second."""

    def __init__(
        self, lab: Lab, folder: Path, *, terminals: int | None = None, drive: bool = False, wish_hz: float = 10.0,
        doors: Doors | None = None, port: int = 0, processes: tuple[str, ...] = ("robots", "gateway"),
    ) -> None:  # fmt: skip
        self.lab, self.folder, self._drive, self._wish_hz = lab, folder.resolve(), drive, wish_hz
        self.terminals = terminal_ids(lab.room, lab.terminals if terminals is None else terminals)
        self._given, self._port, self._wanted = doors, port, processes
        self.doors = doors or Doors(BrokerAddress("127.0.0.1", port or 1883), 0)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def robots(self) -> list[str]:
        """Ids of all robots of the lab file."""
        return [device.id for device in self.lab.devices if device.profile.kind is Kind.ROBOT]

    def __enter__(self) -> Room:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            if self._given is None:
                self.doors = self._start_broker()
            address = self.doors.address
            words = ["--lab", str(self.lab.path.resolve()), "--run-dir", str(self.folder), "--broker", self.doors.url]
            words += ["--username", address.username]
            for name, command in (("robots", "simulate"), ("gateway", "serve")):
                if name in self._wanted:
                    self._start(name, "labkit.cli", command, *words)
            if self.terminals:
                port = self.doors.ws_port or address.port
                self._start(
                    "terminals", "labkit.simulate.terminals", "--room", self.lab.room, "--count", str(len(self.terminals)),
                    "--host", address.host, "--port", str(port), "--username", address.username,
                    "--wish-hz", f"{self._wish_hz:g}", *([] if self.doors.ws_port else ["--tcp"]),
                )  # fmt: skip
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Until every robot and terminal is ready (and, with ``drive``, has been handed out).

        Raises LabkitError room_not_ready that names who is missing.
        """
        missing = {*self.robots, *self.terminals}
        end = time.monotonic() + timeout_s
        with Console(self.doors.address) as console:
            console.broker.subscribe("homie/5/+/$state")
            while missing and (left := end - time.monotonic()) > 0:
                self.check()
                message = console.wait_for(lambda m: m.topic.endswith("/$state"), min(left, 1.0))
                if message is None:
                    continue
                name = message.topic.split("/")[2]
                if message.payload == State.READY.value.encode():
                    missing.discard(name)
                elif name in self.robots or name in self.terminals:
                    missing.add(name)
            if missing:
                names = "、".join(sorted(missing))
                raise LabkitError(
                    "room_not_ready", f"{timeout_s:g} 秒内没有就绪：{names}", f"not ready in {timeout_s:g} s: {names}"
                )
            if self._drive:
                self.hand_out(console)

    def hand_out(self, console: Console, hours: float = 2.0) -> None:
        """Give robot n to terminal n until ``hours`` from now, as a teacher does."""
        until = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
        for robot, terminal in zip(self.robots, self.terminals, strict=False):
            lease = {"device": robot, "holder": terminal, "holders": [terminal], "lesson": "simulated", "until": until}
            payload = json.dumps({**lease, "max_linear": 0.2, "max_angular": 2.0}).encode()
            console.broker.publish(f"zhike/room/{self.lab.room}/lease/{robot}", payload)

    def check(self) -> None:
        """Raise LabkitError room_broken when one of the processes has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                tail = self._tail(name)
                raise LabkitError(
                    "room_broken", f"{name} 已退出（{process.returncode}）：{tail}", f"{name} has ended: {tail}"
                )

    def _tail(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")[-600:].strip()

    def close(self) -> None:
        """End all processes, the broker last."""
        for name in ("terminals", "gateway", "robots", "broker"):
            process = self.processes.pop(name, None)
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, module: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "LABKIT_PASSWORD": self.doors.address.password},
            )  # fmt: skip

    def _start_broker(self) -> Doors:
        folder = self.folder / "broker"
        folder.mkdir(mode=0o700, exist_ok=True)
        password = secrets.token_urlsafe(18)
        secret = folder / "admin.password"
        secret.touch(mode=0o600)
        secret.write_text(password, "ascii")
        tcp, ws = _free_ports(2)
        address = BrokerAddress("127.0.0.1", self._port or tcp, ADMIN, password)
        config = BrokerConfig(folder, ADMIN, secret, tcp_port=address.port, ws_port=ws, log_file=folder / "broker.log")
        (folder / "broker.json").write_text(json.dumps(config.to_json()), "utf-8")
        self._start("broker", "labkit.broker", "--config", str(folder / "broker.json"))
        try:
            wait_ready(config)
        except LabkitError as error:
            self.check()
            zh, en = (f"{text}；{self.folder / 'broker.log'}：{self._tail('broker')}" for text in (error.zh, error.en))
            raise LabkitError(error.code, zh, en) from error
        self.check()
        return Doors(address, ws)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def presence(address: BrokerAddress, seconds: float = 0.8) -> dict[str, str]:
    """Who is there: the ``$state`` of every Homie device on the broker."""
    with Console(address) as console:
        console.broker.subscribe("homie/5/+/$state")
        heard = console.hear(seconds)
    return {message.topic.split("/")[2]: homie.parse_state(message.payload).value for message in heard}
