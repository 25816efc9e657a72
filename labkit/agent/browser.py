"""Which browser is installed, and the command that opens a page full screen in it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.doctor import Trouble
from labkit.errors import LabkitError

# The oldest that the pages are tested with: the last Chromium for Windows 7, in Chrome, Edge and the newer 360 browsers.
OLDEST = 109
ON_PATH = (
    "google-chrome-stable", "google-chrome", "chromium", "chromium-browser", "microsoft-edge-stable", "microsoft-edge",
    "360browser", "browser360-cn", "qaxbrowser-safe",
)  # fmt: skip
ON_WINDOWS = (
    r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe", r"Chromium\Application\chrome.exe",
    r"360\360ent\360ent.exe", r"360ChromeX\Chrome\Application\360ChromeX.exe", r"360Chrome\Chrome\Application\360chrome.exe",
    r"360\360se6\Application\360se.exe", r"360se6\Application\360se.exe",
)  # fmt: skip
WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA", "APPDATA")
FLAGS = (
    "--kiosk", "--no-first-run", "--no-default-browser-check", "--disable-session-crashed-bubble", "--noerrdialogs",
    "--disable-features=Translate", "--disable-background-mode", "--overscroll-history-navigation=0", "--disable-pinch",
)  # fmt: skip


@dataclass(frozen=True)
class Browser:
    """An installed browser."""

    program: str

    def command(self, page: str, profile: Path, more: Sequence[str] = ()) -> list[str]:
        """Open ``page`` full screen, with a profile of its own: so this process is the browser, and ends with its window."""
        edge = ("--edge-kiosk-type=fullscreen",) if "edge" in Path(self.program).name.lower() else ()
        return [self.program, *FLAGS, *edge, *more, f"--user-data-dir={profile}", page]


def find_browser(
    named: str = "",
    which: Callable[[str], str | None] = shutil.which,
    environ: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
) -> Browser:
    """The browser of that name or path, else the first that is installed; raises LabkitError with what to install."""
    if named:
        found = which(named) or (named if Path(named).is_file() else None)
        if found is None:
            raise LabkitError("no_browser", f"没有浏览器 {named}：请核对 --browser", f"there is no browser {named}")
        return Browser(found)
    on_path = (path for name in ON_PATH if (path := which(name)))
    folders = [environ[name] for name in WINDOWS_FOLDERS if environ.get(name)] if platform == "win32" else []
    places = (Path(folder) / end for end in ON_WINDOWS for folder in folders)
    program = next(on_path, None) or next((str(place) for place in places if place.is_file()), None)
    if program:
        return Browser(program)
    raise LabkitError(
        "no_browser",
        f"没有找到浏览器：请安装 Chrome、Edge、Chromium 或 360（内核 {OLDEST} 以上），或用 --browser 写出它的位置",
        f"no browser found: install Chrome, Edge, Chromium or 360 (Chromium {OLDEST} or newer), or name it with --browser",
    )


def check_browser(named: str = "") -> list[Trouble]:
    """What `labkit doctor --kiosk` says of the browser."""
    try:
        find_browser(named)
    except LabkitError as error:
        zh, fix_zh = error.zh.split("：", 1)
        en, _, fix_en = error.en.partition(": ")
        return [Trouble("no-browser", "浏览器", zh, fix_zh, en, fix_en or "see --browser")]
    return []
