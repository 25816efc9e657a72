"""The agent's loop: ask the server where this PC sits, be the gateway of its kits there, show the right page."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from labkit.agent.kiosk import Kiosk
from labkit.agent.office import Office, Standing
from labkit.errors import LabkitError, LinkDown
from labkit.gateway import Gateway
from labkit.lab import Lab, at_seat
from labkit.ports import Listing

log = logging.getLogger("labkit.agent")
RETRY_S = 3.0
REFUSED_S = 15.0
LOOK_S = 0.5
QUIT = "quit"


class Agent:
    """One PC. ``lab``: the kits that may be plugged into it (the same file on every PC), None = none; ``kiosk``: None = no full screen."""

    def __init__(
        self, office: Office, lab: Lab | None, run_dir: Path, kiosk: Kiosk | None = None, ports: Listing | None = None
    ) -> None:
        self._office, self._lab, self._run_dir, self._kiosk, self._ports = office, lab, run_dir, kiosk, ports
        self._standing: Standing | None = None
        self._shown: tuple[str, ...] = ()
        self.gateway: Gateway | None = None

    def run(self, told: threading.Event) -> None:
        """Work until told to end, or until the technician's ``labkit agent quit``."""
        self._run_dir.mkdir(parents=True, exist_ok=True)
        (self._run_dir / QUIT).unlink(missing_ok=True)
        if self._kiosk:
            self._kiosk.start()
        try:
            while not told.is_set():
                if self._rested(told, self._turn()):
                    log.info("told to quit on this PC")
                    return
        finally:
            self._leave_seat()
            if self._kiosk:
                self._kiosk.close()

    def _rested(self, told: threading.Event, pause_s: float) -> bool:
        """Wait until the next turn; True where the technician has said to quit."""
        end = time.monotonic() + pause_s
        while not told.is_set() and time.monotonic() < end:
            if (self._run_dir / QUIT).exists():
                return True
            if self.gateway and self.gateway.failed.is_set():
                return False
            told.wait(LOOK_S)
        return False

    def _turn(self) -> float:
        """One question to the server and what follows; returns the seconds until the next one."""
        if self.gateway and self.gateway.failed.is_set():
            log.error("the gateway failed: %s; starting it anew", self.gateway.failure)
            self._leave_seat()
        try:
            standing = self._office.hello()
        except LinkDown as error:
            log.warning("%s", error.en)
            self._say_once("away", "正在连接学校服务器…", error.zh)
            return RETRY_S  # kits stay with this seat: a dead web stops no lesson
        except LabkitError as error:
            log.error("%s", error.en)
            self._leave_seat()
            self._say_once(error.code, "这台电脑不能上课", error.zh)
            return REFUSED_S
        self._sit(standing)
        self._show(standing)
        return standing.again_s

    def _sit(self, standing: Standing) -> None:
        before, self._standing = self._standing, standing
        if standing.state != "bound" and (before is None or before.state != standing.state):
            log.warning("this PC has no seat (%s): its code is %s", standing.state, standing.code)
        if (
            self.gateway
            and before
            and (before.terminal, before.room, before.broker) == (standing.terminal, standing.room, standing.broker)
        ):
            return
        self._leave_seat()
        if self._lab is None or standing.broker is None:
            return
        lab = at_seat(self._lab, standing.terminal, standing.room, standing.seat)
        log.info("seat %s: %s", standing.seat, ", ".join(device.id for device in lab.devices))
        self.gateway = Gateway(lab, standing.broker, self._run_dir, ports=self._ports)
        self.gateway.start()

    def _leave_seat(self) -> None:
        """Stop the kits and say goodbye for them."""
        if self.gateway:
            self.gateway.stop()
            self.gateway = None

    def _show(self, standing: Standing) -> None:
        if self._kiosk is None:
            return
        wanted = (standing.state, standing.seat, str(standing.full_screen))
        page = standing.page if standing.full_screen else ""
        self._kiosk.show(page, at_once=wanted != self._shown)
        self._shown = wanted

    def _say_once(self, what: str, title: str, text: str) -> None:
        """Our own page, but never over a lesson page that is open: that one says itself that the server is away."""
        keeps = what == "away" and self._shown and self._shown[0] != "said"
        if self._kiosk and not keeps and self._shown != ("said", what):
            self._kiosk.say(title, text)
            self._shown = ("said", what)
