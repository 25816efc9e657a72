"""The camera of the pupil's computer: Chromium's fake camera shows a photograph, the page counts, and only numbers leave it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright

from labkit import homie
from labkit.broker import find_mosquitto
from labkit.gateway import face
from labkit.lab import load_lab
from labkit.simulate.clips import face_picture
from lms.core.db import db
from tests.activities.lessons import Taught, teach
from tests.activities.test_page_browser import CHROMIUM, VENDOR, Served, open_page, ready
from tests.activities.test_terminal_browser import Lab

EYE = "homie/5/t-lab1-01-webcam"
WAIT_MS = 60_000  # the models load in 2 s on a free core
pytestmark = pytest.mark.skipif(find_mosquitto() is None, reason="no Mosquitto on this machine")


def write_film(path: Path, faces: tuple[int, ...], fps: int = 10) -> Path:
    """A YUV4MPEG2 film of a second for each number of faces; Chromium plays it over and over as its camera."""
    with path.open("wb") as film:
        film.write(b"YUV4MPEG2 W640 H480 F%d:1 Ip A1:1 C420jpeg\n" % fps)
        for count in faces:
            frame = cv2.cvtColor(face_picture(count), cv2.COLOR_BGR2YUV_I420).tobytes()
            film.write((b"FRAME\n" + frame) * fps)
    return path


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Browser]]:
    """Browsers with a camera (``film``) or without one."""
    assert (VENDOR / "mediapipe" / "hand.task").exists(), "run `make assets` first"
    film = write_film(tmp_path_factory.mktemp("film") / "faces.y4m", (1, 1, 1, 1, 0, 0))
    with sync_playwright() as playwright:
        browsers: list[Browser] = []

        def start(camera: bool = True) -> Browser:
            device = (
                ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"] if camera else []
            )
            names = "--host-resolver-rules=MAP school.test 127.0.0.1"
            browsers.append(playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", names, *device]))
            return browsers[-1]

        yield start
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="module")
def chromium(launch: Callable[..., Browser]) -> Browser:
    return launch()


@pytest.fixture
def taught(app: Flask, tmp_path: Path) -> Taught:
    return teach(tmp_path)


@pytest.fixture
def served(app: Flask, taught: Taught) -> Iterator[Served]:
    taught.push("faces")
    db.session.rollback()
    found = Served(app)
    yield found
    found.stop()


@pytest.fixture
def lab(app: Flask, tmp_path: Path) -> Iterator[Lab]:
    found = Lab(tmp_path)
    found.client.subscribe(f"{EYE}/#", 1)
    app.config["ZHIKE"] = dataclasses.replace(app.config["ZHIKE"], mqtt_ws_port=found.web)
    yield found
    found.close()


def camera_page(
    chromium: Browser, served: Served, taught: Taught, *, host: str = "localhost", allowed: bool = True
) -> Page:
    page = open_page(chromium, served, taught, host=host)
    if allowed:
        page.context.grant_permissions(["camera"])
    ready(page)
    return page


@pytest.fixture
def page(chromium: Browser, served: Served, taught: Taught, lab: Lab) -> Iterator[Page]:
    found = camera_page(chromium, served, taught)
    expect(found.locator("#lamp")).to_have_attribute("data-lamp", "online")
    yield found
    found.context.close()


def values(lab: Lab, heard: dict[str, str]) -> dict[str, str]:
    """What the broker's client has heard of the camera, newest last."""
    while not lab.heard.empty():
        topic, text = lab.heard.get()
        heard[topic] = text
    return heard


def wait(page: Page, lab: Lab, heard: dict[str, str], fits: Callable[[dict[str, str]], bool]) -> None:
    for _ in range(600):
        if fits(values(lab, heard)):
            return
        page.wait_for_timeout(50)
    pytest.fail(str({topic: text[:80] for topic, text in heard.items()}))


def switch_on(page: Page) -> None:
    page.get_by_role("button", name="用这台电脑的摄像头").click()
    expect(page.locator(".own-camera")).to_have_attribute("data-on", "true", timeout=WAIT_MS)


def generic_camera(folder: Path) -> dict[str, Any]:
    """The description that the gateway would give a camera that looks for faces."""
    file = folder / "lab.yaml"
    file.write_text(
        'name: gw-x\nroom: r\ndevices:\n  - {id: cam-1, profile: generic-camera, url: "file:///x.avi", look: [faces]}\n'
    )
    found: dict[str, Any] = json.loads(homie.describe(face.kit_device(load_lab(file).devices[0], "gw-x", 1)))
    return found


def test_only_numbers_leave_the_page_in_the_shape_of_any_camera(page: Page, lab: Lab, tmp_path: Path) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    switch_on(page)
    heard: dict[str, str] = {}
    wait(
        page,
        lab,
        heard,
        lambda h: (
            h.get(f"{EYE}/main/faces") == "1" and "[0." in h.get(f"{EYE}/main/landmarks", "") and f"{EYE}/main/fps" in h
        ),
    )
    assert heard[f"{EYE}/$state"] == "ready"
    assert heard[f"{EYE}/main/stale"] == "false"
    (box,) = json.loads(heard[f"{EYE}/main/landmarks"])["faces"]
    assert all(0 < part < 1 for part in box)

    described, usual = json.loads(heard[f"{EYE}/$description"]), generic_camera(tmp_path)
    assert (described["parent"], described["root"], described["type"]) == ("t-lab1-01", "t-lab1-01", "generic-camera")
    wanted = {
        name: item
        for name, item in usual["nodes"]["main"]["properties"].items()
        if name not in ("watched", "recording")
    }
    assert described["nodes"]["main"]["properties"] == wanted
    homie.parse_description("t-lab1-01-webcam", heard[f"{EYE}/$description"].encode())
    assert json.loads(heard["homie/5/t-lab1-01/$description"])["children"] == ["t-lab1-01-webcam"]

    wait(page, lab, heard, lambda h: h[f"{EYE}/main/faces"] == "0")
    assert max(len(text) for topic, text in heard.items() if topic.startswith(EYE)) < 1000, "no picture is as small"
    assert [
        one
        for one in sent
        if "/static/vendor/mediapipe/" not in one and "/static/js/" not in one and "/api/lesson/" not in one
    ] == []
    assert not [one for one in sent if one.startswith(("POST", "PUT")) and "heartbeat" not in one]


def test_the_experiment_takes_its_count_and_shows_squares(page: Page) -> None:
    switch_on(page)
    expect(page.locator(".camera-status")).to_contain_text("正在用这台电脑的摄像头", timeout=WAIT_MS)
    columns = page.evaluate(
        """() => { const canvas = document.querySelector(".eye-view"), { width, height } = canvas;
          const row = canvas.getContext("2d").getImageData(0, height - 20, width, 1).data;
          let changes = 0; for (let x = 1; x < width; x++) if ([0, 1, 2].some((c) => row[4 * x + c] !== row[4 * x - 4 + c])) changes++;
          return changes + 1; }"""
    )
    assert 2 <= columns <= 12
    page.get_by_label("第 1 次预测").fill("2")
    page.wait_for_function(
        "window.zhike.page.terminal.readings.get('t-lab1-01-webcam')?.faces === '1'", timeout=WAIT_MS
    )
    page.get_by_role("button", name="取结果").first.click()
    expect(page.locator(".observed")).to_have_text("1")


def test_switched_off_it_is_dark_and_leaves_nothing_on_the_broker(page: Page, lab: Lab) -> None:
    switch_on(page)
    heard: dict[str, str] = {}
    wait(page, lab, heard, lambda h: h.get(f"{EYE}/main/landmarks", "") != "")
    track = "window.zhike.page.activity && document.querySelector('.eye-view').hidden"
    page.get_by_role("button", name="关掉摄像头").click()
    wait(page, lab, heard, lambda h: h[f"{EYE}/$state"] == "disconnected")
    assert {text for topic, text in heard.items() if topic.startswith(f"{EYE}/main/")} == {""}
    assert page.evaluate(track)
    expect(page.locator(".camera-status")).to_contain_text("课前记录")


def test_the_next_step_switches_it_off(page: Page, lab: Lab, taught: Taught) -> None:
    switch_on(page)
    heard: dict[str, str] = {}
    wait(page, lab, heard, lambda h: h.get(f"{EYE}/$state") == "ready")
    taught.push("quiz")
    db.session.rollback()
    page.evaluate("window.zhike.page.change()")
    expect(page.locator(".activity")).to_contain_text("摄像头给机器的是什么")
    wait(page, lab, heard, lambda h: h[f"{EYE}/$state"] == "disconnected")


@pytest.mark.parametrize(
    ("host", "allowed", "camera", "words"),
    [
        ("school.test", True, True, "换成 https"),
        ("localhost", False, True, "改成“允许”"),
        ("localhost", True, False, "没有找到摄像头"),
    ],
)
def test_what_is_in_the_way_is_said_with_what_to_do(
    launch: Callable[..., Browser],
    chromium: Browser,
    served: Served,
    taught: Taught,
    host: str,
    allowed: bool,
    camera: bool,
    words: str,
) -> None:
    page = camera_page(chromium if camera else launch(camera=False), served, taught, host=host, allowed=allowed)
    button = page.get_by_role("button", name="用这台电脑的摄像头")
    if host == "localhost":
        button.click()
    expect(page.locator(".eye-said")).to_contain_text(words, timeout=WAIT_MS)
    expect(page.locator(".own-camera")).to_have_attribute("data-on", "false")
    if host != "localhost":
        expect(button).to_be_disabled()
    page.context.close()


def test_without_the_broker_the_experiment_goes_on_alone(chromium: Browser, served: Served, taught: Taught) -> None:
    page = camera_page(chromium, served, taught)
    switch_on(page)
    page.get_by_label("第 1 次预测").fill("0")
    expect(page.get_by_role("button", name="取结果").first).to_be_enabled(timeout=WAIT_MS)
    page.context.close()


def test_a_camera_that_is_left_while_it_begins_stays_off(page: Page) -> None:
    """The models take seconds: a pupil who has gone on meanwhile is not looked at."""
    found = page.evaluate(
        """async () => { const { Eye } = await import("/static/js/lesson/eye.js");
          const eye = new Eye(window.zhike.page.terminal, { look: ["motion"], canvas: document.createElement("canvas"), title: "x" });
          const begun = eye.start(); eye.stop(); await begun;
          return [eye.on, eye.stream?.active ?? false]; }"""
    )
    assert found == [False, False]
