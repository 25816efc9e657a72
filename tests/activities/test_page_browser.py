"""The pupil's page in a real browser against a real server: steps, answers, drafts, the robot and its Python."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from werkzeug.serving import make_server

from lms.activities import service as activities
from lms.core.db import db
from lms.core.sessions import PLAIN
from lms.teaching import service as teaching
from tests.activities.lessons import Taught, teach
from tests.effort import PATIENCE_S

VENDOR = Path(__file__).parents[2] / "lms" / "static" / "vendor"
# Another one than the newest: see docs/how-to/lab-pc.md, "oldest browser".
CHROMIUM = os.environ.get("ZHIKE_CHROMIUM", "/usr/bin/chromium")
SLOW_MS = 60_000  # Python starts in 4 s on a free core; other work may share it


class Served:
    """The app behind a port of this machine; can go away and come back on the same port."""

    def __init__(self, app: Flask) -> None:
        self.app, self.port = app, 0
        self.start()

    def start(self) -> None:
        self.server = make_server("127.0.0.1", self.port, self.app, threaded=True)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join(PATIENCE_S)
        self.server.server_close()

    def address(self, host: str = "localhost") -> str:
        return f"http://{host}:{self.port}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    assert (VENDOR / "pyodide" / "pyodide.mjs").exists(), "run `make assets` first"
    with sync_playwright() as playwright:  # like every browser test here: two ways of starting it cannot share a process
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def taught(app: Flask, tmp_path: Path) -> Taught:
    return teach(tmp_path)


@pytest.fixture
def served(app: Flask, taught: Taught) -> Iterator[Served]:
    db.session.rollback()
    found = Served(app)
    yield found
    found.stop()


def open_page(chromium: Browser, served: Served, taught: Taught, *, host: str = "localhost", scripts: bool = True) -> Page:
    """A pupil's terminal, 1366×768, signed in."""
    context = chromium.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN", java_script_enabled=scripts)
    serializer = served.app.session_interface.get_signing_serializer(served.app)  # type: ignore[attr-defined]  # Flask's own cookie sessions
    cookie = serializer.dumps({"_user_id": taught.account().get_id(), "_fresh": True})
    context.add_cookies([{"name": PLAIN, "value": cookie, "url": served.address(host)}])
    page = context.new_page()
    page.goto(served.address(host) + "/lesson")
    return page


@pytest.fixture
def page(chromium: Browser, served: Served, taught: Taught) -> Iterator[Page]:
    errors: list[str] = []
    found = open_page(chromium, served, taught)
    found.on("pageerror", lambda error: errors.append(str(error)))
    yield found
    found.context.close()
    assert errors == []


def ready(page: Page) -> None:
    """The activity's script is in place."""
    page.wait_for_selector("#answer-form[data-ready]", timeout=SLOW_MS)


def test_the_page_follows_the_teacher_and_pauses(page: Page, taught: Taught) -> None:
    expect(page.locator(".show-text")).to_contain_text("第 0 步")
    taught.push("quiz")
    expect(page.locator(".activity")).to_contain_text("摄像头给机器的是什么")
    expect(page.locator("#dots .dot-now")).to_have_attribute("title", "实践：quiz")
    teaching.pause(taught.teacher, taught.lesson)
    expect(page.get_by_role("dialog")).to_contain_text("请看老师")
    teaching.resume(taught.teacher, taught.lesson)
    expect(page.locator("#pause")).to_be_hidden()
    expect(page.locator("#lamp")).to_contain_text("离线轮询")


def test_a_quiz_is_sent_and_explained(page: Page, taught: Taught) -> None:
    taught.push("quiz")
    page.reload()
    ready(page)
    page.get_by_label("数字").check()
    page.get_by_label("第 2 题的回答").fill("６3")
    page.get_by_role("button", name="交上去").click()
    expect(page.locator("#reply")).to_contain_text("答对 1 题")
    expect(page.locator("#reply")).to_contain_text("八八六十四")
    expect(page.locator('[data-question="see"]')).to_have_attribute("data-verdict", "right")
    expect(page.locator('[data-question="many"]')).to_have_attribute("data-verdict", "wrong")
    assert [row.score for row in activities.attempts(taught.lesson.id)] == [5]


def test_a_draft_survives_reload_and_a_dead_server(page: Page, served: Served, taught: Taught) -> None:
    taught.push("why")
    page.reload()
    ready(page)
    page.locator("textarea").fill("因为光线")
    expect(page.locator("#draft-note")).to_contain_text("草稿已保存")
    page.reload()
    ready(page)
    expect(page.locator("textarea")).to_have_value("因为光线")
    served.stop()
    page.locator("textarea").fill("因为光线太暗，看不清")
    page.get_by_role("button", name="交上去").click()
    expect(page.locator("#queue")).to_contain_text("1 份等着交")
    served.start()
    expect(page.locator("#reply")).to_contain_text("等老师看")
    db.session.rollback()
    assert [row.answer for row in activities.attempts(taught.lesson.id)] == [{"text": "因为光线太暗，看不清"}]


def test_an_answer_that_waits_survives_a_reload(page: Page, served: Served, taught: Taught) -> None:
    taught.push("why")
    page.reload()
    ready(page)
    page.route("**/api/attempts", lambda route: route.abort())
    page.locator("textarea").fill("因为光线太暗")
    page.get_by_role("button", name="交上去").click()
    expect(page.locator("#queue")).to_contain_text("等着交")
    kept = page.evaluate("Object.keys(localStorage).filter(key => key.includes(':attempt:')).map(key => JSON.parse(localStorage[key]).id)")
    page.unroute("**/api/attempts")
    with page.expect_response("**/api/attempts", timeout=60_000):
        page.reload()
    expect(page.locator("#queue")).to_be_hidden()
    assert page.evaluate("Object.keys(localStorage).filter(key => key.includes(':attempt:'))") == []
    db.session.rollback()
    assert [str(row.id) for row in activities.attempts(taught.lesson.id)] == kept


def test_the_hand_goes_up_and_the_lesson_ends(page: Page, served: Served, taught: Taught) -> None:
    page.get_by_role("button", name="我需要帮助").click()
    expect(page.get_by_role("button", name="老师看到了")).to_have_attribute("aria-pressed", "true")
    taught.push("why")
    ready(page)
    page.locator("textarea").fill("还没写完")
    teaching.end_lesson(taught.teacher, taught.lesson)
    expect(page.get_by_role("heading", name="谢谢你")).to_be_visible()
    assert page.evaluate("Object.keys(localStorage).filter(key => key.startsWith('zhike:'))") == []
    page.goto(served.address() + "/lesson")
    expect(page).to_have_url(re.compile("/sign-in"))


def test_a_camera_experiment_with_recorded_observations(page: Page, taught: Taught) -> None:
    taught.push("faces")
    page.reload()
    ready(page)
    expect(page.locator(".camera-status")).to_contain_text("课前记录")
    assert page.get_by_role("button", name="取结果").first.is_disabled()
    page.get_by_label("第 1 次预测").fill("1")
    page.get_by_role("button", name="取结果").first.click()
    expect(page.locator(".observed")).to_have_text("1")
    page.get_by_label("第 1 次发生了什么").fill("预测中了")
    page.get_by_label("第 2 次预测").fill("1")
    page.get_by_role("button", name="取结果").click()
    expect(page.locator(".miss")).to_be_visible()
    page.locator("#conclusion").fill("它数的是像脸的规律")
    page.get_by_role("button", name="交上去").click()
    expect(page.locator("#reply")).to_contain_text("2 次里预测中了 1 次")


def set_program(page: Page, program: str) -> None:
    """Type a program as a pupil would, in one go."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(program)


def run(page: Page) -> None:
    expect(page.locator(".run")).to_be_enabled(timeout=SLOW_MS)
    page.locator(".run").click()


def test_python_drives_the_virtual_robot_to_its_goal(page: Page, taught: Taught) -> None:
    taught.push("stop")
    page.reload()
    ready(page)
    page.get_by_role("button", name="快进").click()
    run(page)
    expect(page.locator(".checks li")).to_have_attribute("data-passed", "false", timeout=SLOW_MS)
    set_program(page, page.locator(".cm-content").inner_text().replace("near = 3", "near = 18"))
    run(page)
    expect(page.locator(".checks li")).to_have_attribute("data-passed", "true", timeout=SLOW_MS)
    expect(page.locator(".goal")).to_have_attribute("data-reached", "true")
    expect(page.locator(".console")).to_contain_text("停在离墙")
    expect(page.locator(".bubble")).to_have_text("我停了")
    page.locator("#report").fill("near 是 18")
    page.get_by_role("button", name="交上去").click()
    expect(page.locator("#reply")).to_contain_text("任务完成")
    saved = activities.attempts(taught.lesson.id)[0]
    assert (saved.score, saved.done, saved.grading["detail"]["client_run"]) == (20, True, True)
    assert 10 <= saved.answer["telemetry"]["last_range_cm"] <= 20
    assert "near = 18" in saved.answer["program"]


@pytest.mark.parametrize("program", ["while True:\n    pass", "while True:\n    robot.range()", "while True:\n    try:\n        wait(1)\n    except BaseException:\n        pass"])
def test_an_endless_loop_is_stopped_and_the_page_lives(page: Page, taught: Taught, program: str) -> None:
    taught.push("stop")
    page.reload()
    ready(page)
    expect(page.locator(".run")).to_be_enabled(timeout=SLOW_MS)
    page.evaluate("program => { window.zhike.page.activity.program = program; }", program)
    page.locator(".run").click()
    expect(page.locator(".run-stop")).to_be_enabled()
    page.locator(".run-stop").click()
    expect(page.locator(".console")).to_contain_text("程序已停止")
    page.evaluate("window.zhike.page.activity.program = 'last = 15\\nprint(6 * 7)'")
    run(page)
    expect(page.locator(".console")).to_contain_text("42", timeout=SLOW_MS)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("prinf(1)", "第 1 行：没有定义过 prinf。是不是想写 print？"),
        ("x = 1\nif x == 1\n    print(x)", "第 2 行：这一行末尾少了冒号"),
        ("for i in range(3):\nprint(i)", "第 2 行：冒号的下一行要缩进"),
        ("print（1）", "第 1 行：这里有中文符号“（”"),
        ("robot.forwrd(1)", "robot 没有 forwrd 这个动作"),
        ("robot.forward('快')", "要填数字"),
        ("x = 3\nprint(x / 0)", "第 2 行：除数是 0"),
        ("while True:\n    print(' ' * 200)", "输出太多"),
    ],
)
def test_mistakes_are_explained_in_chinese(page: Page, taught: Taught, program: str, words: str) -> None:
    taught.push("stop")
    page.reload()
    ready(page)
    expect(page.locator(".run")).to_be_enabled(timeout=SLOW_MS)
    page.evaluate("program => { window.zhike.page.activity.program = program; }", program)
    page.locator(".run").click()
    expect(page.locator(".error-line")).to_contain_text(words, timeout=SLOW_MS)
    expect(page.locator(".editor.has-error")).to_be_visible()


def test_a_table_of_the_lesson_is_read(page: Page, taught: Taught) -> None:
    taught.push("table")
    page.reload()
    ready(page)
    run(page)
    expect(page.locator(".checks li")).to_have_attribute("data-passed", "true", timeout=SLOW_MS)


def test_buttons_drive_while_held(page: Page, taught: Taught) -> None:
    taught.push("stop")
    page.reload()
    ready(page)
    page.get_by_role("tab", name="用按钮").click()
    button = page.get_by_role("button", name="前进")
    button.scroll_into_view_if_needed()
    button.hover()
    page.mouse.down()
    expect(page.locator(".sensors")).not_to_contain_text("82")
    page.mouse.up()
    assert page.evaluate("window.zhike.page.activity.virtual.robot.moving") is False
    page.keyboard.down("ArrowLeft")
    expect(page.locator(".held")).to_have_attribute("data-move", "left")
    page.keyboard.up("ArrowLeft")
    assert page.evaluate("window.zhike.page.activity.virtual.robot.moving") is False


def test_plain_http_by_address_says_what_is_off_and_still_runs(chromium: Browser, served: Served, taught: Taught) -> None:
    taught.push("stop")
    # A name that is not localhost is no secure context: no SharedArrayBuffer, so Python awaits.
    browser = chromium.browser_type.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--host-resolver-rules=MAP lab.school 127.0.0.1"])
    page = open_page(browser, served, taught, host="lab.school")
    assert page.evaluate("window.isSecureContext") is False
    expect(page.locator("#off")).to_contain_text("普通 http")
    ready(page)
    expect(page.locator(".run")).to_be_enabled(timeout=SLOW_MS)
    page.evaluate("""window.zhike.page.activity.program = `def step():
    if robot.range() < 18:
        return True
    robot.forward(0.3, 0.1)
    return False
while not step():
    pass
last = robot.range()
print("停在", last)`""")
    page.locator(".run").click()
    expect(page.locator(".checks li")).to_have_attribute("data-passed", "true", timeout=SLOW_MS)
    page.evaluate("window.zhike.page.activity.program = 'while True:\\n    pass'")
    run(page)
    page.locator(".run-stop").click()
    expect(page.locator(".console")).to_contain_text("程序已停止")
    browser.close()


def test_a_quiz_works_without_javascript(chromium: Browser, served: Served, taught: Taught) -> None:
    taught.push("quiz")
    page = open_page(chromium, served, taught, scripts=False)
    page.get_by_label("数字").check()
    page.get_by_label("第 2 题的回答").fill("64")
    page.get_by_role("button", name="交上去").click()
    expect(page.locator("#reply")).to_contain_text("全对了")
    page.context.close()


@pytest.mark.parametrize("module", ["kinds/robot.js", "kinds/drivers.js"])
def test_a_part_of_the_page_that_did_not_arrive_is_fetched_again(page: Page, taught: Taught, module: str) -> None:
    lost: list[str] = []

    def lose_once(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.request.url)
            route.abort()

    page.route(f"**/{module}", lose_once)
    taught.push("stop")
    ready(page)
    assert lost
