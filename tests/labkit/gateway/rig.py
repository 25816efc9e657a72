"""One lab on one machine: a real broker, a gateway process, scripted kits, a pupil's terminal and a teacher's console."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, Person, RunningBroker
from tests.labkit.gateway.kits import ScriptedMbot

ROOM = "lab1"


class Rig:
    """A lab with the devices of ``lab_yaml``; ``kit`` is the scripted mBot with id mbot-1."""

    def __init__(self, broker: RunningBroker, folder: Path, devices: list[str]) -> None:
        self.broker = broker
        self.folder = folder
        self.lab = folder / "lab.yaml"
        self.log = folder / "gateway.log"
        self.lab.write_text(f"name: gw-lab1\nroom: {ROOM}\ndevices:\n" + "".join(f"  - {d}\n" for d in devices))
        self.kit = ScriptedMbot(folder / "dev" / "mbot-1")
        self.console = broker.person(ADMIN, ADMIN_PASSWORD, client_id="console")
        self.console.subscribe("homie/5/#", "zhike/#")
        self.gateway: subprocess.Popen[bytes] | None = None
        self.seq = 0

    def serve(self) -> subprocess.Popen[bytes]:
        """Start the gateway process and wait until the kit is ready."""
        url = f"mqtt://127.0.0.1:{self.broker.config.tcp_port}"
        with self.log.open("ab") as log:
            self.gateway = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "labkit.cli",
                    "serve",
                    "--lab",
                    str(self.lab),
                    "--run-dir",
                    str(self.folder),
                    "--broker",
                    url,
                    "--username",
                    ADMIN,
                ],
                env={**os.environ, "LABKIT_PASSWORD": ADMIN_PASSWORD},
                stderr=log,
            )
        return self.gateway

    def ready(self, device: str = "mbot-1") -> None:
        """Wait until a device is ready."""
        self.until(f"homie/5/{device}/$state", b"ready")

    def last(self, topic: str) -> bytes | None:
        """The last payload on a topic."""
        found = [m.payload for m in list(self.console.messages) if m.topic == topic]
        return bytes(found[-1]) if found else None

    def value(self, property_id: str, device: str = "mbot-1") -> bytes | None:
        """The last value of a property."""
        return self.last(f"homie/5/{device}/main/{property_id}")

    def until(self, topic: str, payload: bytes, timeout_s: float = PATIENCE_S) -> None:
        """Wait until a topic's last payload is this one."""
        self.wait(lambda: self.last(topic) == payload, f"{topic} is {self.last(topic)!r}, not {payload!r}", timeout_s)

    def wait(self, condition: Callable[[], bool], complaint: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait for a condition on what the console has seen."""
        try:
            self.console.wait(condition, complaint, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{complaint}\n{self.log.read_text()[-4000:]}") from error

    def lease(self, holder: str = "t-lab1-01", seconds: float = 60, device: str = "mbot-1", **more: Any) -> None:
        """Hand a robot to a terminal."""
        until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        data = {"device": device, "holder": holder, "holders": [holder], "lesson": "l1", "until": until}
        data |= {"max_linear": 0.3, "max_angular": 2.0} | more
        self.console.publish(f"zhike/room/{ROOM}/lease/{device}", json.dumps(data), retain=True)

    def release(self, device: str = "mbot-1") -> None:
        """Take it back."""
        self.console.publish(f"zhike/room/{ROOM}/lease/{device}", b"", retain=True)

    def wish(self, terminal: str = "t-lab1-01", **wish: Any) -> None:
        """What a terminal wants; QoS 1 only so that the test knows that the broker has it."""
        self.seq += 1
        self.console.publish(f"homie/5/{terminal}/wish/drive", json.dumps({"seq": self.seq} | wish))

    def drive(self, **wish: Any) -> None:
        """Wish until the kit moves: a slow machine may have let a wish lapse."""
        self._wish_until(lambda: not self.kit.standing(), wish)

    def stops_though_wished(self, **wish: Any) -> None:
        """Wait until the kit stands although its terminal goes on wishing: it was not the end of a wish that stopped it."""
        self._wish_until(self.kit.standing, wish)

    def _wish_until(self, fits: Callable[[], bool], wish: dict[str, Any]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not fits():
            self.wish(**wish)
            with self.kit.changed:
                self.kit.changed.wait_for(fits, 0.2)
            assert time.monotonic() < end, f"{self.kit.motors}\n{self.log.read_text()[-4000:]}"

    def room_stop(self, **data: Any) -> dict[str, Any]:
        """The teacher's button; returns the gateway's report."""
        stop_id = f"stop-{self.seq}-{len(self.console.messages)}"
        order = {"id": stop_id, "by": "teacher", "at": datetime.now(UTC).isoformat()} | data
        self.console.publish(f"zhike/room/{ROOM}/stop", json.dumps(order))
        return self.stopped(stop_id)

    def stopped(self, stop_id: str) -> dict[str, Any]:
        """The report of a stop."""
        topic = f"zhike/room/{ROOM}/stopped"

        def reports() -> list[dict[str, Any]]:
            found = [json.loads(m.payload) for m in list(self.console.messages) if m.topic == topic]
            return [r for r in found if r["id"] == stop_id]

        self.wait(lambda: bool(reports()), "no report of the stop")
        return reports()[0]

    def kill(self) -> None:
        """kill -9 of the gateway alone."""
        assert self.gateway
        self.gateway.send_signal(signal.SIGKILL)
        self.gateway.wait(PATIENCE_S)

    def end(self) -> None:
        """End the gateway in order."""
        if self.gateway and self.gateway.poll() is None:
            self.gateway.terminate()
            self.gateway.wait(PATIENCE_S)


def new_person(rig: Rig, name: str) -> Person:
    """Another client."""
    return rig.broker.person(ADMIN, ADMIN_PASSWORD, client_id=name)
