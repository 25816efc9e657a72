"""Preview and recording in a real browser with a real gateway, broker and bridge behind them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from flask import Flask
from playwright.sync_api import Browser, expect

from labkit.simulate.clips import make_face_clip
from lms.core import clock
from lms.core.db import db, write
from lms.labs import service
from lms.labs.cameras import service as cameras
from lms.labs.models import Device
from tests.factories import make_admin, make_staff
from tests.labs.site import Site, opened
from tests.labs.test_bridge import until
from tests.labs.test_pages_browser import chrome, live, settings
from tests.teaching.scene import account_of, make_scene

__all__ = ["chrome", "settings"]


@pytest.fixture
def site(app: Flask, chrome: Browser, tmp_path: Path) -> Iterator[Site]:
    """The school with robots, and a second gateway with a camera that may record."""
    folder, cam = tmp_path / "run", tmp_path / "cam"
    folder.mkdir()
    cam.mkdir()
    clip = make_face_clip(cam / "clip.avi", seconds=2, fps=10, pattern=(1,)).as_uri()
    device = {"id": "cam-1", "profile": "generic-camera", "sticker": "C1", "url": clip, "look": ["faces"], "record": True}
    lab = cam / "lab.yaml"
    with opened(app, make_scene(pupils=2, seats=2), chrome, folder) as made:
        lab.write_text(yaml.safe_dump({"name": "gw-cam", "room": made.scene.room.code, "devices": [device]}))
        school = made.scene.school.id
        login = service.gateway_credential(school, "gw-cam")
        until(lambda: service.gateway_credential(school, "gw-cam").ready)
        where = ["--lab", str(lab), "--run-dir", str(cam), "--broker", f"mqtt://127.0.0.1:{made.broker.config.tcp_port}"]
        names = {"LABKIT_USERNAME": login.username, "LABKIT_PASSWORD": login.password}
        made.processes["camera"] = subprocess.Popen([sys.executable, "-m", "labkit.cli", "serve", *where], env={**os.environ, **names})
        until(lambda: db.session.query(Device).filter_by(homie_id="cam-1", state="ready").first())
        yield made


def test_the_teacher_looks_for_a_minute_and_records_under_a_policy(site: Site, tmp_path: Path) -> None:
    page = site.teacher()
    page.goto(f"{site.url}/labs/device/lab1/C1")
    live(page)
    picture = page.locator("#preview")
    expect(picture).to_be_hidden()
    page.click("#preview-on")
    expect(picture).to_be_visible()
    page.wait_for_function("document.querySelector('#preview').naturalWidth === 320")
    expect(page.locator("#preview-said")).to_contain_text("秒自动关闭")
    until(lambda: db.session.query(Device).filter_by(homie_id="cam-1").one().values.get("main/watched") == "true")
    expect(page.locator("text=不能录像")).to_be_visible()

    now = clock.now()
    wanted = cameras.Wanted("机器人课例研究", now - timedelta(minutes=1), now + timedelta(days=1), now.date() - timedelta(days=3), 7, "whole")
    policy = cameras.enter_policy(account_of(make_admin(site.scene.school)), site.scene.room, wanted)
    cameras.countersign(account_of(make_staff(site.scene.school, "audit_admin", username="audit")), policy)
    page.reload()
    page.get_by_role("button", name="开始录像").click()
    folder = tmp_path / "cam" / "recordings"
    until(lambda: db.session.query(cameras.Recording).filter_by(state="recording").first())
    until(lambda: list(folder.glob("*.avi")))
    page.reload()
    page.get_by_role("button", name="停止录像").click()
    made = until(lambda: db.session.query(cameras.Recording).filter_by(state="ended").first())
    assert (folder / f"{made.id}.avi").stat().st_size > 1000
    with write():
        cameras.withdraw(site.scene.actor, db.session.get_one(cameras.RecordingPolicy, policy.id), "试完了")
    until(lambda: db.session.query(cameras.Recording).filter_by(state="deleted").first())
    assert not list(folder.glob("*.avi"))
