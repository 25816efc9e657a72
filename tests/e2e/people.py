"""Teacher, pupils and admin as their browsers see them: what each does with mouse and keyboard."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Request, Response, ViewportSize, WebSocket, expect

from tests.e2e.lab import PASSWORD, Lab, Seated

SCREEN: ViewportSize = {"width": 1366, "height": 768}
STATUS_OK = 200
WATCH_MS = 15_000
WATCH = """([selector, text, limit]) => {
  window.noticed = new Promise((tell, fail) => {
    setTimeout(() => fail(new Error(`no ${selector} ${text}`)), limit);
    new MutationObserver((_, watcher) => {
      if (!document.querySelector(selector)?.textContent.includes(text)) return;
      watcher.disconnect();
      tell(Date.now());
    }).observe(document.body, {subtree: true, childList: true, attributes: true});
  });
}"""


class Person:
    """Somebody at a computer of their own; ``wrong`` collects what the page's scripts complain about."""

    def __init__(self, browser: Browser, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name
        self.context = browser.new_context(viewport=SCREEN, locale="zh-CN")
        self.context.set_default_timeout(60_000)
        self.wrong: list[str] = []
        self.sockets: list[str] = []
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("websocket", self._linked)

    def _linked(self, socket: WebSocket) -> None:
        self.sockets.append(socket.url)

    def watch(self, selector: str, text: str = "") -> None:
        """Have the page itself note when an element with this text appears: looking from outside is too coarse."""
        self.page.evaluate(WATCH, [selector, text, WATCH_MS])

    def noticed(self) -> float:
        """When it appeared, as :func:`time.monotonic`."""
        return monotonic(self.page.evaluate("() => window.noticed"))

    def open(self, path: str) -> None:
        """Go to a page of the school."""
        self.page.goto(f"{self.lab.url}{path}")


class Staff(Person):
    """A member of staff, signed in."""

    def __init__(self, browser: Browser, lab: Lab, username: str) -> None:
        super().__init__(browser, lab, username)
        self.open("/sign-in")
        self.page.get_by_label("用户名").fill(username)
        self.page.get_by_label("密码").fill(PASSWORD)
        self.page.get_by_role("button", name="登录").click()
        self.page.wait_for_url(lambda url: "/sign-in" not in url)


class Teacher(Staff):
    """The teacher at the console."""

    def __init__(self, browser: Browser, lab: Lab) -> None:
        super().__init__(browser, lab, "teacher")

    def start_lesson(self) -> None:
        """One click on today's page."""
        self.open("/today")
        self.page.locator(".t-card.is-first .t-go").click()
        self.page.wait_for_url("**/console/*")
        expect(self.page.locator("#link")).to_have_attribute("data-mode", "live")

    def next(self) -> None:
        """The next step, for everybody."""
        self.page.locator("#next").click()

    def press(self, button: str) -> float:
        """Press a button; the moment of the click, as :func:`time.monotonic`."""
        moment = f"window.pressed = new Promise((tell) => document.querySelector('{button}').addEventListener('click', () => tell(Date.now()), {{once: true, capture: true}}))"
        self.page.evaluate(f"() => {{ {moment} }}")
        self.page.locator(button).click()
        return monotonic(self.page.evaluate("() => window.pressed"))

    def projector(self) -> Page:
        """The window for the class."""
        with self.context.expect_page() as opened:
            self.page.locator("#open-projector").click()
        window = opened.value
        window.on("pageerror", lambda error: self.wrong.append(f"projector: {error}"))
        expect(window.locator(".p-body")).to_be_visible()
        return window

    def group_of_one_each(self) -> None:
        """Everybody is a group; the robots are dealt to the first ones."""
        self.page.get_by_role("tab", name="小组·小车").click()
        self.page.locator("#group-size").select_option("1")
        self.page.locator("#make-groups").click()
        expect(self.page.locator("#groups .c-group-card .is-driver").first).to_be_visible()
        self.page.locator("#deal").click()
        expect(self.page.locator("#groups select")).to_have_count(3)

    def end(self) -> None:
        """End the lesson, after the question."""
        self.page.locator("#end").click()
        self.page.locator("#end-yes").click()
        expect(self.page.locator("#banner-ended")).to_be_visible()


class Pupil(Person):
    """A pupil at a seat.

    ``sent`` and ``saved`` are the ids of the answers that left the page and that the server took; ``polls`` counts how often the page
    had to ask what the lesson does because MQTT did not tell it.
    """

    def __init__(self, browser: Browser, lab: Lab, seated: Seated) -> None:
        super().__init__(browser, lab, seated.name)
        self.seated = seated
        self.sent: set[str] = set()
        self.saved: set[str] = set()
        self.polls = 0
        self.page.on("request", self._sends)
        self.page.on("response", self._hears)

    def _sends(self, request: Request) -> None:
        if request.url.endswith("/api/attempts") and request.post_data:
            self.sent.add(json.loads(request.post_data)["id"])
        self.polls += request.url.endswith("/api/lesson/heartbeat")

    def _hears(self, response: Response) -> None:
        if response.url.endswith("/api/attempts") and response.status == STATUS_OK and response.request.post_data:
            self.saved.add(json.loads(response.request.post_data)["id"])

    def enrol(self) -> None:
        """The computer becomes the seat's terminal; the names of the class whose slot it is appear."""
        self.open("/seat")
        self.page.locator("#code").fill(self.seated.code)
        self.page.get_by_role("button", name="登记").click()
        expect(self.page.locator("#names a")).to_have_count(len(self.lab.pupils))

    def sign_in(self) -> None:
        """Tap the name, tap the PIN."""
        self.page.locator("#names a", has_text=self.name).click()
        for digit in self.seated.pin:
            self.page.locator(f'[data-key="{digit}"]').click()

    def is_in(self) -> None:
        """The lesson is on the screen, connected."""
        self.page.wait_for_url("**/lesson")
        expect(self.page.locator("#lamp")).to_have_attribute("data-lamp", "online")

    def sees(self, title: str) -> None:
        """The step's activity is on the screen and ready."""
        expect(self.page.locator("#activity-title")).to_contain_text(title)
        expect(self.page.locator("#answer-form")).to_have_attribute("data-ready", "1")

    def send(self) -> None:
        """Hand the answer in and wait until it is safe."""
        before = len(self.saved)
        self.page.locator(".btn-send").click()
        expect(self.page.locator("#reply")).to_be_visible()
        expect(self.page.locator(".btn-send")).to_be_enabled()
        assert len(self.saved) == before + 1, f"{self.name}: {self.saved} of {self.sent}"

    def answer_quiz(self, option: int, number: str) -> None:
        """Fill the quiz in without sending it."""
        self.page.locator(f'[name="q-slant"][value="{option}"]').check()
        self.page.locator('[name="q-half"]').fill(number)

    def write(self, text: str) -> None:
        """Fill the text field in without sending it."""
        self.page.locator("#text-answer").fill(text)

    def grip(self) -> None:
        """Hold the forward button down."""
        forward = self.page.locator('[data-move="forward"]')
        expect(forward).to_be_enabled()  # the wheel is this pupil's
        forward.hover()
        self.page.mouse.down()

    def let_go(self) -> None:
        """Release the button."""
        self.page.mouse.up()

    def run_program(self) -> None:
        """Run the program as it is and wait for its end."""
        button = self.page.locator(".run")
        expect(button).to_have_attribute("data-state", "idle")
        button.click()
        expect(self.page.locator(".console")).to_contain_text(re.compile("走了 2 步"))
        expect(button).to_have_attribute("data-state", "idle")


def monotonic(browser_ms: float) -> float:
    """A moment of ``Date.now()`` on this machine as :func:`time.monotonic` would have told it."""
    return browser_ms / 1000 - time.time() + time.monotonic()


@contextmanager
def pictures(folder: Path, *people: Person) -> Iterator[None]:
    """Screenshots of every window where the block fails, and what the scripts of each complained about."""
    try:
        yield
    except BaseException:
        for person in people:
            print(f"{person.name}: {person.page.url} {person.wrong}")
            for number, page in enumerate(person.context.pages):
                page.screenshot(path=folder / f"{person.name}-{number}.png")
        raise
