"""One thread that reads, works and writes for one MQTT client, over paho's interface for external event loops.

paho's own thread wakes up for every message that another thread publishes; where a thread of its own handles what was heard, that is
most of a command's cost. Here what is heard is worked on in the thread that reads it, and written at the end of each turn.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho

log = logging.getLogger("labkit.mqtt")
TICK_S = 0.1
READ_AT_ONCE = 128
MISC_EVERY_S = 0.5
JOIN_S = 5.0


class Loop:
    """Keeps a client connected until :meth:`stop`; ``turn`` works between reading and writing and tells whether more work waits.

    ``turn`` is called at least every 0.1 s, also while there is no connection, and must not block. ``retry_s``: first and longest pause
    before another attempt to connect.
    """

    def __init__(
        self, client: paho.Client, retry_s: tuple[float, float], turn: Callable[[], bool] | None = None
    ) -> None:
        self._client = client
        self._retry_s = retry_s
        self._turn = turn or (lambda: False)
        self._ending = threading.Event()
        self._asleep = False
        self._bell: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._heard = 0
        client.on_socket_register_write = self._wake

    def start(self) -> None:
        """Begin; the client knows its host (``connect_async``)."""
        self._bell, ear = socket.socketpair()
        for end in (self._bell, ear):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._run, args=(ear,), name="mqtt", daemon=True)
        self._thread.start()

    def heard(self) -> None:
        """A message has come: there may be more."""
        self._heard += 1

    def stop(self) -> None:
        """Say goodbye to the broker and end."""
        self._ending.set()
        self._client.disconnect()
        self._ring()
        if self._thread and threading.current_thread() is not self._thread:
            self._thread.join(JOIN_S)
        if self._bell:
            self._bell.close()

    def _wake(self, *_: Any) -> None:
        """Something is to be written; while the thread works it looks by itself."""
        if self._asleep:
            self._ring()

    def _ring(self) -> None:
        if self._bell:
            with contextlib.suppress(OSError):  # it rings already, or has ended
                self._bell.send(b"\0")

    def _run(self, ear: socket.socket) -> None:
        first, longest = self._retry_s
        pause_s = first
        with ear:
            while not self._ending.is_set():
                if self._connect():
                    pause_s = first
                    self._talk(ear)
                if not self._ending.is_set():
                    self._pass(pause_s)
                    pause_s = min(longest, pause_s * 2)

    def _pass(self, seconds: float) -> None:
        """Let time go by without a connection."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._ending.wait(min(TICK_S, left)):
            self._turn()

    def _connect(self) -> bool:
        """Open the socket beside this thread, for that may take seconds."""
        opened = threading.Event()

        def attempt() -> None:
            try:
                self._client.reconnect()
                opened.set()
            except (OSError, ValueError, paho.WebsocketConnectionError) as error:
                log.debug("no connection: %s", error)

        thread = threading.Thread(target=attempt, name="mqtt connect", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(TICK_S)
            self._turn()
        return opened.is_set()

    def _talk(self, ear: socket.socket) -> None:
        """Serve an open socket until it is closed."""
        opened: Any = self._client.socket()
        if opened is None:
            return
        misc_at = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(opened, selectors.EVENT_READ)
            selector.register(ear, selectors.EVENT_READ)
            more = False
            while self._client.socket() is opened and not (self._ending.is_set() and not self._client.want_write()):
                if self._wait(selector, opened, more):
                    self._read()
                more = self._turn()
                if self._client.want_write():
                    self._client.loop_write()
                if time.monotonic() >= misc_at:
                    misc_at = time.monotonic() + MISC_EVERY_S
                    self._client.loop_misc()

    def _wait(self, selector: selectors.BaseSelector, opened: Any, more: bool) -> bool:
        """Until there is something to do; whether that is to read."""
        self._asleep = True  # from here on who publishes rings; what was published before is seen by want_write
        full = self._client.want_write()
        if full:
            selector.modify(opened, selectors.EVENT_READ | selectors.EVENT_WRITE)
        pending = hasattr(opened, "pending") and opened.pending() > 0
        found = selector.select(0.0 if more or pending else TICK_S)
        self._asleep = False
        if full and opened.fileno() >= 0:
            selector.modify(opened, selectors.EVENT_READ)
        readable = pending
        for key, mask in found:
            if key.fileobj is opened:
                readable = readable or bool(mask & selectors.EVENT_READ)
            elif isinstance(key.fileobj, socket.socket):
                key.fileobj.recv(4096)
        return readable

    def _read(self) -> None:
        """All that has come, up to a measure, before it is worked on: what is urgent shall overtake."""
        for _ in range(READ_AT_ONCE):
            before = self._heard
            if self._client.loop_read() != paho.MQTT_ERR_SUCCESS or self._heard == before:
                return
