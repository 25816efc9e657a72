"""A device on a serial port: its guard, its codec, the probe of its firmware, polling, silence; robots and sensors alike."""

from __future__ import annotations

import re
import time
from enum import Enum
from pathlib import Path

from labkit import codecs
from labkit.binding import PortBook
from labkit.codecs import Noise, Reported, Restarted
from labkit.gateway.behind_guard import PROBE_EVERY_S, PROBE_PATIENCE_S, REOPEN_S, SILENCE_S, BehindGuard
from labkit.gateway.board import Board
from labkit.gateway.mailbox import Came, ConfirmOrder, Item, Told
from labkit.gateway.worker import PUBLISH_GAP_S, log, utc_now
from labkit.guard import EXIT_NOT_OPENED
from labkit.lab import LabDevice
from labkit.links import GuardedPort
from labkit.model import State, Title
from labkit.ports import SerialPort

LOOK_EVERY_S = 1.0


class Phase(Enum):
    """Where the connection stands; only READY drives."""

    CLOSED = "closed"
    OPENING = "opening"
    PROBING = "probing"
    WRONG = "wrong firmware"
    UNCONFIRMED = "perhaps another board"
    READY = "ready"


class SerialWorker(BehindGuard):
    """One device on a serial port."""

    def __init__(self, device: LabDevice, board: Board, book: PortBook) -> None:
        super().__init__(device, board)
        self._book = book
        self._at: SerialPort | None = None
        self._look_at = 0.0
        self._phase = Phase.CLOSED
        self._reopen_at = 0.0
        self._probe_at = 0.0
        self._probing_since = 0.0
        self._heard_at = 0.0
        self._closed_because = "unplugged"
        self._was_silent = False
        self.lacking: tuple[str, ...] = ()
        self._polls = {p: 0.0 for p, rate in device.profile.rates.items() if rate.poll_hz}

    # What a kind of device does by itself.

    def stop_chunks(self) -> tuple[tuple[bytes, ...], int]:
        """The chunks of the guard's stop, and how often they are sent; nothing for a device that moves nothing."""
        return (), 1

    def guard_stopped(self, note: dict[str, object], now: float) -> None:
        """The guard has sent the stop."""

    def beware(self, reason: str) -> None:
        """Whatever moves has to stop."""

    def heard(self, event: codecs.Event) -> None:
        """Take what the kit said beside its readings."""
        if isinstance(event, Restarted):
            self._restarted()

    # What all do.

    def fits(self, version: str) -> bool:
        """Whether the profile knows this firmware."""
        return re.search(self.device.pattern, version) is not None

    def handle(self, item: Item) -> None:
        """Bytes and guard notes here, orders in Robot."""
        if isinstance(item, Came):
            self._receive(item.data)
        elif isinstance(item, Told):
            if item.source is self._port:
                self._note(item.note)
        elif isinstance(item, ConfirmOrder):
            if self._book.confirm(self.device.id, utc_now(), item.by):
                self._probe_at = time.monotonic()
            else:
                self.noise("confirmed although nothing is plugged in")
        else:
            super().handle(item)

    def tick(self, now: float) -> None:
        """Open, probe, poll, watch for silence."""
        super().tick(now)
        if self._phase is Phase.CLOSED and now >= self._reopen_at:
            self._open(now)
        elif now >= self._look_at and self._moved(now):
            return
        elif self._phase in (Phase.PROBING, Phase.WRONG, Phase.UNCONFIRMED) and now >= self._probe_at:
            self._probe(now)
        elif self._phase is Phase.READY:
            self._poll(now)

    def _greet(self) -> None:
        """Set the kit up."""
        self._write(self._codec.opening())

    def _restarted(self) -> None:
        """Set the kit up again."""
        if self._phase in (Phase.READY, Phase.PROBING):
            log.warning("%s: started anew, setting it up again", self.device.id)
            self._greet()

    def _open(self, now: float) -> None:
        self._at = self._book.choice(self.device.id).port
        if self._at is None:
            self._reopen_at = now + REOPEN_S
            self._lost("unplugged")
            return
        self._codec = self._new_codec()
        stop, repeat = self.stop_chunks()
        port = GuardedPort(lambda data: self._keep(Came(data)), lambda note: self._keep(Told(note, port)), self.tap)
        self._port = port
        self._phase = Phase.OPENING
        baud = self.device.profile.transport.baud
        port.open(Path(self._at.path), baud, self.device.settle_ms, stop, repeat)

    def _moved(self, now: float) -> bool:
        """Look once a second whether the board is still this device's; leave the port when another one is."""
        self._look_at = now + LOOK_EVERY_S
        choice = self._book.choice(self.device.id)
        if self._port and self._at and choice.port and choice.port != self._at:
            log.warning("%s: now at %s", self.device.id, choice.port.location or choice.port.path)
            self._port.close()
            return True
        if self._phase is Phase.READY and choice.doubt:
            self.beware("perhaps another board")
            self._doubted(choice.doubt)
        return False

    def _doubted(self, doubt: Title) -> None:
        self._phase = Phase.UNCONFIRMED
        blinks = "identify" in self.device.profile.actions
        look_zh = "按“认一认”看清是哪台" if blinks else "顺着线看清插着的是哪台"
        look_en = "identify it" if blinks else "follow its cable"
        zh = f"未确认，先不用：{doubt.zh}。{look_zh}，再确认（labkit confirm {self.device.id}）"
        en = f"not used until confirmed: {doubt.en}; {look_en}, then labkit confirm {self.device.id}"
        self.alert("unconfirmed", Title(zh, en))
        self.become(State.INIT)

    def _note(self, note: dict[str, object]) -> None:
        event = note.get("event")
        now = time.monotonic()
        if event == "open":
            self._phase = Phase.PROBING
            self._probing_since, self._probe_at = now, now
            self.become(State.INIT)
            self.calm("unplugged")
            self.calm("not-opened")
            self._greet()
        elif event == "stop":
            self.guard_stopped(note, now)
        elif event == "error":
            self.noise(f"port: {note.get('code')}: {note.get('detail')}")
        elif event == "exit":
            code = note.get("code")
            log.warning("%s: its guard ended (%s)", self.device.id, code)
            self._phase, self._port = Phase.CLOSED, None
            killed = isinstance(code, int) and code < 0
            self._reopen_at = now if killed else now + REOPEN_S
            if not killed:
                self._lost("not_opened" if code == EXIT_NOT_OPENED else "unplugged")

    def _receive(self, data: bytes) -> None:
        for event in self._codec.feed(data):
            if isinstance(event, Noise):
                self.noise(f"serial data: {event.reason}")
                continue
            self._heard_at = time.monotonic()
            if isinstance(event, Reported):
                self._read(event)
            else:
                self.heard(event)

    def _read(self, event: Reported) -> None:
        self.health.answered(event.property, time.monotonic())
        if event.property == self.device.profile.match.probe:
            self._firmware(str(event.value))
        self.publish(event.property, event.value, PUBLISH_GAP_S)
        self._charged(event)

    def _firmware(self, version: str) -> None:
        if not self.fits(version):
            self._phase = Phase.WRONG
            zh = f"固件不对：读到 {version!r}，应符合 {self.device.pattern}；请重新烧录"
            self.alert("firmware", Title(zh, f"wrong firmware: read {version!r}, expected {self.device.pattern}"))
            self.become(State.INIT)
            return
        self.calm("firmware")
        self.calm("no-answer")
        self._compare(version)
        doubt = self._book.settle(self.device.id, self._at, version, utc_now()) if self._at else None
        if doubt:
            self._doubted(doubt)
            return
        self.calm("unconfirmed")
        if self._phase is not Phase.READY:
            self._phase = Phase.READY
            self.health.connected()
            if self._was_silent:
                self._was_silent = False
                self._greet()
                self.beware("heard again")  # its stops may all have been lost while it was not heard
            self.become(State.READY)

    def _compare(self, version: str) -> None:
        """What this firmware lacks is not asked for, and refused."""
        profile = self.device.profile
        self.lacking = profile.match.lacking(version)
        if self.lacking:
            titles = [profile.title_of(thing) for thing in self.lacking]
            zh, en = ("、".join(title.text(lang) for title in titles) for lang in ("zh", "en"))
            self.alert("abilities", Title(f"固件 {version} 没有：{zh}", f"firmware {version} lacks: {en}"))
        else:
            self.calm("abilities")

    def lacks(self, thing: str) -> Title | None:
        """Why a property or action is refused, if this firmware does not have it."""
        if thing not in self.lacking:
            return None
        title = self.device.profile.title_of(thing)
        return Title(f"它的固件没有“{title.zh}”，要用就重新烧录", f"its firmware lacks {title.en}")

    def _probe(self, now: float) -> None:
        self._probe_at = now + PROBE_EVERY_S
        probe = self.device.profile.match.probe
        if not probe:
            self._firmware("")
            return
        self._ask(probe, now)
        if self._phase is Phase.PROBING and now - self._probing_since > PROBE_PATIENCE_S:
            self._lost("no_answer")

    def _poll(self, now: float) -> None:
        if now - self._heard_at > SILENCE_S:
            # It may have started anew meanwhile, its greeting lost: whatever it answers next, it is set up again.
            self._was_silent = True
            self._phase, self._probing_since, self._probe_at = Phase.PROBING, now, now
            self._lost("no_answer")
            return
        for property_id, due in self._polls.items():
            if now >= due and property_id not in self.lacking:
                self._polls[property_id] = now + 1 / self.device.profile.rates[property_id].poll_hz
                self._ask(property_id, now)

    def _lost(self, reason: str) -> None:
        if self._phase is Phase.CLOSED:
            self._closed_because = reason
        super()._lost(reason)
