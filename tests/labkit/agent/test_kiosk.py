"""Full screen: which browser, kept open, restarted calmly, left by the technician; what is said where there is none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from labkit.agent import kiosk
from labkit.agent.browser import Browser, check_browser, find_browser
from labkit.agent.enrolment import read_enrolment
from labkit.agent.hardware import marks
from labkit.agent.kiosk import Kiosk
from labkit.cli import main
from labkit.errors import LabkitError
from tests.effort import PATIENCE_S
from tests.labkit.agent.desk import SECRET, Office

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


class Lesson:
    """A page, and how often a browser has asked for it."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.news = threading.Condition()
        lesson = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<title>lesson</title>")
                if "icon" not in self.path:
                    with lesson.news:
                        lesson.opened.append(self.path)
                        lesson.news.notify_all()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, path: str, times: int = 1) -> None:
        with self.news:
            assert self.news.wait_for(lambda: self.opened.count(path) >= times, 40), self.opened


@pytest.fixture
def lesson() -> Iterator[Lesson]:
    found = Lesson()
    yield found
    found.server.shutdown()
    found.server.server_close()


def fake(folder: Path, body: str) -> Browser:
    """A browser that writes down the pages it is asked for."""
    program = folder / "browser.sh"
    program.write_text(f'#!/bin/sh\nfor page; do :; done\necho "$page" >> {folder}/pages\n{body}\n')
    program.chmod(0o755)
    return Browser(str(program))


def pages(folder: Path) -> list[str]:
    file = folder / "pages"
    return file.read_text().split() if file.exists() else []


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium on this machine")
def test_a_closed_browser_comes_back_with_the_lesson_page(lesson: Lesson, tmp_path: Path) -> None:
    kiosk = Kiosk(find_browser(str(CHROMIUM)), tmp_path, FLAGS)
    kiosk.start()
    kiosk.show(f"{lesson.url}/one")
    lesson.wait("/one")
    assert kiosk.process
    first = kiosk.process.pid
    os.killpg(first, signal.SIGKILL)
    lesson.wait("/one", 2)
    kiosk.show(f"{lesson.url}/later", at_once=False)  # a fresh ticket disturbs no lesson
    kiosk.show(f"{lesson.url}/two")
    lesson.wait("/two")
    assert "/later" not in lesson.opened
    last = kiosk.process.pid
    kiosk.close()
    assert not psutil.pid_exists(last) or psutil.Process(last).status() == psutil.STATUS_ZOMBIE


def test_a_browser_that_cannot_live_is_not_started_in_a_frenzy(tmp_path: Path) -> None:
    kiosk = Kiosk(fake(tmp_path, "exit 1"), tmp_path)
    began = time.monotonic()
    kiosk.start()
    kiosk.show("http://x/")
    until(lambda: len(pages(tmp_path)) == 3)
    assert time.monotonic() - began > 2.9  # after 1 s, then 2 s, then 5 s …
    kiosk.close()


def test_no_page_no_browser_and_a_new_page_ends_the_old_browser(tmp_path: Path) -> None:
    kiosk = Kiosk(fake(tmp_path, "exec tail -f /dev/null"), tmp_path)
    kiosk.start()
    kiosk.say("正在连接学校服务器…", "连不上 <b>")
    until(lambda: len(pages(tmp_path)) == 1)
    assert pages(tmp_path)[0].startswith("file:///")
    assert "连不上 &lt;b&gt;" in (tmp_path / "waiting.html").read_text("utf-8")
    kiosk.show("http://x/two")
    until(lambda: pages(tmp_path)[1:] == ["http://x/two"])
    old = kiosk.process
    assert old
    kiosk.show("")  # the teacher lets the technician out of the full screen
    old.wait(PATIENCE_S)
    pause = threading.Event()
    pause.wait(1.0)
    assert len(pages(tmp_path)) == 2
    kiosk.close()


def until(true: object, timeout_s: float = PATIENCE_S) -> None:
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.05)):
        if true():  # type: ignore[operator]
            return
        pause.wait(0.05)
    raise AssertionError("it did not come")


def test_the_technician_ends_the_agent_on_the_pc(tmp_path: Path) -> None:
    office = Office()
    config, run_dir = tmp_path / "agent.json", tmp_path / "run"
    config.write_text(json.dumps({"server": office.url, "secret": SECRET}), "utf-8")
    browser = fake(tmp_path, "exec tail -f /dev/null").program
    argv = [sys.executable, "-m", "labkit.cli", "agent", "--config", str(config), "--run-dir", str(run_dir)]
    as_root = ["--browser-flag=--no-sandbox"] if os.geteuid() == 0 else []
    agent = subprocess.Popen([*argv, "--kiosk", "--browser", browser, *as_root], stderr=subprocess.DEVNULL)
    until(lambda: pages(tmp_path) == ["about:blank"])
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "agent", "quit", "--run-dir", str(run_dir)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "已通知" in done.stdout
    assert agent.wait(PATIENCE_S) == 0
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(run_dir) in " ".join(process.info["cmdline"] or [])
    ]
    office.close()


def test_the_browser_is_found_by_name_in_the_schools_order(tmp_path: Path) -> None:
    linux = {"chromium": "/usr/bin/chromium", "microsoft-edge": "/usr/bin/microsoft-edge"}
    assert find_browser(which=linux.get).program == "/usr/bin/chromium"
    assert "--edge-kiosk-type=fullscreen" in find_browser("microsoft-edge", which=linux.get).command(
        "https://x", tmp_path
    )
    for end in ("Microsoft/Edge/Application/msedge.exe", "360Chrome/Chrome/Application/360chrome.exe"):
        (tmp_path / end).parent.mkdir(parents=True)
        (tmp_path / end).touch()
    with pytest.raises(LabkitError, match="没有找到浏览器"):
        find_browser(which=lambda name: None, environ={}, platform="win32")


def test_a_pc_without_browser_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = check_browser()
    assert [(one.code, one.subject) for one in found] == [("no-browser", "浏览器")]
    assert "Chrome" in found[0].fix_zh
    config = tmp_path / "agent.json"
    config.write_text(json.dumps({"server": "http://127.0.0.1:9", "secret": SECRET}), "utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "agent", "--kiosk", "--browser-flag=--no-sandbox", "--config", str(config), "--run-dir", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "请安装 Chrome" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--server", "http://school.example:8080", "--secret", SECRET], "不能用 http 明文"),
        (["--server", "school", "--secret", SECRET], "应像 https://"),
        (["--server", "https://school:8443", "--secret", "ABC"], "教室口令不完整"),
        (["--server", "https://school:8443", "--secret", SECRET, "--ca", "/nowhere.pem"], "没有证书文件"),
    ],
)
def test_a_wrong_enrolment_is_refused_in_words(tmp_path: Path, arguments: list[str], told: str) -> None:
    config = tmp_path / "agent.json"
    run = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "agent", "enrol", *arguments, "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert told in run.stderr
    assert not config.exists()


def test_enrolling_says_whether_the_secret_is_valid(tmp_path: Path) -> None:
    office, config = Office(), tmp_path / "agent.json"
    argv = [
        sys.executable,
        "-m",
        "labkit.cli",
        "agent",
        "enrol",
        "--server",
        office.url,
        "--secret",
        SECRET,
        "--config",
        str(config),
    ]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "口令有效" in run.stdout
    assert "K7P3" in run.stdout
    assert config.stat().st_mode & 0o777 == 0o600
    office.answer = (
        403,
        {"status": 403, "code": "room-secret", "title": "教室口令不对或已作废。", "remedy": "请生成新口令。"},
    )
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "教室口令不对或已作废。请生成新口令。" in run.stderr
    office.close()


def test_marks_are_cards_of_hardware_only(tmp_path: Path) -> None:
    for name, address, real in (
        ("eth0", "52:54:00:AA:BB:01", True),
        ("docker0", "02:42:00:00:00:01", False),
        ("lo", "00:00:00:00:00:00", False),
        ("odd", "ff:ff:ff:ff:ff:ff", True),
    ):
        folder = tmp_path / "class/net" / name
        folder.mkdir(parents=True)
        (folder / "address").write_text(f"{address}\n")
        if real:
            (folder / "device").mkdir()
    board = tmp_path / "class/dmi/id"
    board.mkdir(parents=True)
    (board / "product_uuid").write_text("4C4C4544-0044-4810-8057-B5C04F4B4C31\n")
    assert marks(tmp_path) == ("mac:52:54:00:aa:bb:01", "uuid:4c4c4544-0044-4810-8057-b5c04f4b4c31")


def test_a_browser_that_has_just_ended_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    process.wait()
    gone = threading.Event()
    gone.set()
    kiosk._end(process, gone)


def labkit(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_no_kiosk_as_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "agent.json"
    config.write_text(json.dumps({"server": "http://127.0.0.1:9", "secret": SECRET}), "utf-8")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    run = labkit("agent", "--kiosk", "--config", str(config), "--run-dir", str(tmp_path), "--browser", sys.executable)
    assert run.exit_code == 1
    assert "不能用 root" in run.output and "--owner" in run.output
    assert "--no-sandbox" not in run.output


def test_the_desktops_user_owns_the_enrolment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    office, config = Office(), tmp_path / "agent.json"
    given: list[tuple[str, str]] = []
    monkeypatch.setattr(shutil, "chown", lambda path, user: given.append((Path(path).parent.name, user)))
    enrol = ["agent", "enrol", "--server", office.url, "--secret", SECRET, "--config", str(config), "--json"]
    told = json.loads(labkit(*enrol, "--owner", "pupil").output)
    assert (told["checked"], told["code"], given) == (True, "K7P3", [(tmp_path.name, "pupil")])
    monkeypatch.undo()
    config.unlink()
    run = labkit(*enrol, "--owner", "no-such-user-here")
    assert run.exit_code == 1 and json.loads(run.output.splitlines()[0])["error"] == "no_such_user"
    assert not list(tmp_path.iterdir())
    office.close()


def test_an_enrolment_of_another_user_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def locked(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", locked)
    with pytest.raises(LabkitError, match="--owner") as caught:
        read_enrolment(tmp_path / "agent.json")
    assert caught.value.code == "enrolment_not_readable"


def test_quit_speaks_json(tmp_path: Path) -> None:
    assert json.loads(labkit("agent", "quit", "--run-dir", str(tmp_path), "--json").output) == {"told": True}
    none = labkit("agent", "quit", "--run-dir", str(tmp_path / "none"), "--json")
    assert (none.exit_code, json.loads(none.output.splitlines()[0])["error"]) == (1, "no_agent")
