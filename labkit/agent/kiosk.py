"""The lesson page, full screen, kept open (全屏): a browser that is closed is started again, one that cannot live is not started in a frenzy."""

from __future__ import annotations

import contextlib
import html
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.agent.browser import Browser

log = logging.getLogger("labkit.agent")
SHORT_LIFE_S = 5.0
PAUSES_S = (0.3, 1.0, 2.0, 5.0, 15.0, 30.0)
END_S = 5.0
WAITING = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>智课</title>
<style>body{{font-family:sans-serif;display:grid;place-items:center;height:100vh;margin:0;background:#f1f5f9;text-align:center}}
h1{{font-size:44px;margin:0 0 16px}}p{{font-size:24px;color:#475569;max-width:30em}}</style>
<main><h1>{title}</h1><p>{text}</p></main></html>"""


class Kiosk:
    """Keeps one page open from `show` until `close`; its thread owns the browser."""

    def __init__(self, browser: Browser, folder: Path, flags: Sequence[str] = ()) -> None:
        self._browser, self._folder, self._flags = browser, folder, tuple(flags)
        self._news = threading.Condition()
        self._page = ""
        self._turn = 0  # grows when another page is wanted
        self._ending = False
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="kiosk", daemon=True)

    def start(self) -> None:
        """Begin; nothing opens before `show`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def show(self, page: str, *, at_once: bool = True) -> None:
        """Show this page ("" = none) now, or only when the browser is started the next time."""
        with self._news:
            self._turn += at_once and page != self._page
            self._page = page
            self._news.notify_all()

    def say(self, title: str, text: str) -> None:
        """Show two sentences of our own, for the time in which there is no server."""
        file = self._folder / "waiting.html"
        file.write_text(WAITING.format(title=html.escape(title), text=html.escape(text)), "utf-8")
        self.show(file.absolute().as_uri())

    def close(self) -> None:
        """End the browser and the thread."""
        with self._news:
            self._ending = True
            self._news.notify_all()
        self._thread.join(END_S * 2)

    def _keep(self) -> None:
        short = 0
        while True:
            with self._news:
                self._news.wait_for(lambda: self._ending or self._page)
                if self._ending:
                    return
                page, turn = self._page, self._turn
            began = time.monotonic()
            ended = self._run(page, turn)
            if not ended:
                short = 0
                continue
            short = short + 1 if time.monotonic() - began < SHORT_LIFE_S else 0
            if short == len(PAUSES_S):
                log.error("the browser ends at once, again and again: %s", self._browser.program)
            pause = PAUSES_S[min(short, len(PAUSES_S) - 1)]
            with self._news:
                self._news.wait_for(lambda: self._ending or self._turn != turn, pause)  # noqa: B023 (called here)

    def _run(self, page: str, turn: int) -> bool:
        """Open the page; True when the browser ended by itself, False when another page (or none) is wanted."""
        command = self._browser.command(page, self._folder / "browser", self._flags)
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=sys.platform != "win32",
            )  # fmt: skip
        except OSError as error:
            log.error("cannot start %s: %s", self._browser.program, error)
            return True
        self.process, self.starts = process, self.starts + 1
        gone = threading.Event()

        def watch() -> None:
            process.wait()
            with self._news:
                gone.set()
                self._news.notify_all()

        threading.Thread(target=watch, name="browser", daemon=True).start()
        with self._news:
            self._news.wait_for(lambda: gone.is_set() or self._ending or self._turn != turn)
        if not gone.is_set():
            _end(process, gone)
            return False
        return True


def _end(process: subprocess.Popen[bytes], gone: threading.Event) -> None:
    """Ask, then insist; the browser's helpers go with it."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with contextlib.suppress(ProcessLookupError):  # it has ended in this moment
            if sys.platform == "win32":
                process.terminate()
            else:
                os.killpg(process.pid, number)
        if gone.wait(END_S):
            return
