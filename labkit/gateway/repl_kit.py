"""A robot on a MicroPython board: enters the raw REPL, installs the profile's program, sends commands one by one.

A command goes out when the board has carried out the one before it, in pieces that fit the board's serial buffer; the stop does not
wait: the guard sends it at once, it interrupts whatever runs, and everything that waited here is dropped.
"""

from __future__ import annotations

import math
import time
from collections import deque

from labkit import codecs
from labkit.binding import PortBook
from labkit.codecs import Ack, Entered, Raised, Restarted
from labkit.codecs.raw_repl import RawReplCodec
from labkit.gateway import drive
from labkit.gateway.behind_guard import SILENCE_S
from labkit.gateway.board import Board
from labkit.gateway.mailbox import DriveOrder
from labkit.gateway.serial_kit import SerialKit
from labkit.gateway.serial_port import Phase
from labkit.gateway.worker import log
from labkit.lab import LabDevice
from labkit.model import State, Title

PIECE = 48
PIECE_GAP_S = 0.008
ANSWER_S = 1.0
RETRY_S = 2.0
STOP_S = 0.3
MAX_QUEUED = 40
MAX_AGAIN = 4


class ReplKit(SerialKit):
    """One board; READY when the program is installed."""

    _codec: RawReplCodec

    def __init__(self, device: LabDevice, board: Board, book: PortBook) -> None:
        super().__init__(device, board, book)
        self._commands: deque[bytes] = deque()
        self._pieces: deque[bytes] = deque()
        self._piece_at = 0.0
        self._sent_at: float | None = None
        self._quiet_until = 0.0
        self._last = b""
        self._again = 0
        self._installing: str | None = None
        self._installed = False

    def send_drive(self, order: DriveOrder) -> bool:
        """Both wheels in one command; `Robot` waits with it until the board is free."""
        if self._port is None:
            return False
        values = drive.wheels(self.drive_model, order.linear_x, order.angular_z)
        named = {self.device.profile.properties[p]: v for p, v in values.items()}
        data = self._codec.write_all(named)
        self._armed = False
        self._drove_at = self._sent_at = time.monotonic()
        return self._port.drive(min(order.ms, self.safety.lease_ms), data)

    def send_stop(self, number: int) -> bool:
        """Whatever waits is dropped."""
        self._forget()
        return super().send_stop(number)

    def guard_stopped(self, note: dict[str, object], now: float) -> None:
        """The stop has interrupted the board, what was half sent is void; the board takes nothing until it has carried it out."""
        self._forget()
        self._quiet_until = now + STOP_S
        super().guard_stopped(note, now)

    def heard(self, event: codecs.Event) -> None:
        """Go on when the board is free; install again what a restart has taken."""
        if isinstance(event, Ack):
            self._sent_at = None
            if self._quiet_until < math.inf:
                self._quiet_until = 0.0
            self._go_on(time.monotonic())
        elif isinstance(event, Entered):
            self._forget()
            self._probe_at = time.monotonic()
        elif isinstance(event, Raised):
            self._complain(event.text)
        super().heard(event)
        if isinstance(event, Restarted):
            self._start_over()

    def tick(self, now: float) -> None:
        """Send what is due; give up a command that is not answered."""
        self._go_on(now)
        if self._sent_at is not None and now - self._sent_at > ANSWER_S:
            self.noise("the board does not answer a command")
            self._greet()
        super().tick(now)

    def _open(self, now: float) -> None:
        self._installing, self._installed = None, False
        self._quiet_until = math.inf  # the guard stops the board first, and says when
        self._forget()
        super()._open(now)

    def _drive_on(self, now: float) -> None:
        if self._free() and not self._pieces:
            super()._drive_on(now)

    def _greet(self) -> None:
        """Interrupt and enter; not a command."""
        self._forget()
        if self._port and time.monotonic() >= self._quiet_until:
            self._port.write(self._codec.opening())

    def _probe(self, now: float) -> None:
        if self._phase is Phase.PROBING and self._installing is not None:
            if now < self._probing_since + RETRY_S:
                return
            self._start_over()
        if not self._codec.entered:
            self._greet()
        if self._free() and not self._commands and not self._pieces:
            super()._probe(now)

    def _firmware(self, version: str) -> None:
        """The right board gets the program before it is called ready."""
        if self._installed or not self.fits(version):
            super()._firmware(version)
            return
        self._installing, self._again, self._probing_since = version, MAX_AGAIN, time.monotonic()
        self._commands.extend(self._codec.program())

    def _poll(self, now: float) -> None:
        """Only while the board is free: a drive does not queue behind readings."""
        if now - self._heard_at > SILENCE_S:
            self._installed = False
            super()._poll(now)
        elif self._free() and not self._commands and not self._pieces:
            super()._poll(now)

    def _free(self) -> bool:
        return self._codec.entered and self._sent_at is None and time.monotonic() >= self._quiet_until

    def _write(self, data: bytes) -> None:
        if data and len(self._commands) < MAX_QUEUED:
            self._commands.append(data)
            self._go_on(time.monotonic())

    def _go_on(self, now: float) -> None:
        """The next piece, or the next command when the board is free, or the end of the installation."""
        if self._port is None or now < self._piece_at + PIECE_GAP_S:
            return
        if not self._pieces and self._free() and self._commands:
            command = self._last = self._commands.popleft()
            self._pieces.extend(command[at : at + PIECE] for at in range(0, len(command), PIECE))
        if self._pieces:
            self._piece_at = self._sent_at = now
            self._port.write(self._pieces.popleft())
        elif self._free() and self._installing is not None and not self._commands:
            version, self._installing, self._installed = self._installing, None, True
            self.calm("program")
            self._firmware(version)

    def _complain(self, text: str) -> None:
        """The board's program raised something: a piece of it is sent again, at last the whole; so it is when its names are gone."""
        if text.startswith("KeyboardInterrupt"):
            return
        self.noise(f"the board says: {text}")
        if self._installing is not None and self._again > 0:
            self._again -= 1
            self._commands.appendleft(self._last)
        elif self._installing is not None:
            self.alert("program", Title(f"板上程序装不上：{text}", f"the board's program cannot be installed: {text}"))
            self._commands.clear()
            self._installing, self._probe_at = None, time.monotonic() + RETRY_S
        elif self._installed and text.startswith(("NameError", "ImportError", "AttributeError")):
            self._start_over()

    def _start_over(self) -> None:
        """Probe and install again."""
        self._installing, self._installed = None, False
        if self._phase in (Phase.READY, Phase.PROBING):
            log.warning("%s: its program is to be installed again", self.device.id)
            now = time.monotonic()
            self._phase, self._probing_since, self._probe_at = Phase.PROBING, now, now
            self.become(State.INIT)

    def _forget(self) -> None:
        """What was sent has been interrupted, what waits is void; an installation begins anew."""
        self._commands.clear()
        self._pieces.clear()
        self._sent_at = None
        if self._installing is not None:
            self._installing = None
            self._probe_at = time.monotonic()
