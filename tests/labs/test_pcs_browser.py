"""The waiting PC in a real browser: its code, the server away for a while, then its seat, without anybody touching it."""

from __future__ import annotations

import threading

from flask import Flask
from playwright.sync_api import expect, sync_playwright

from lms.core.db import db
from lms.labs import pcs
from lms.labs.models import RoomPc
from lms.roster.models import Seat
from tests.activities.test_page_browser import CHROMIUM, Served
from tests.factories import PASSWORD, make_admin
from tests.teaching.scene import account_of, make_scene


def test_the_code_is_read_out_bound_and_the_page_goes_on(app: Flask) -> None:
    scene = make_scene()
    admin = account_of(make_admin(scene.school))
    secret = pcs.new_image(admin, scene.room)
    pc = pcs.hello(secret, pcs.Facts(("mac:52:54:00:00:00:07",), "a", "lab1-07")).pc
    ticket, code, key, username = pcs.ticket(pc), pc.code, pc.id, admin.username
    db.session.rollback()
    served = Served(app)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        screen = browser.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN").new_page()
        screen.goto(f"{served.address()}/labs/pc/{ticket}")
        expect(screen.locator(".l-pc-code")).to_have_text(code)
        served.stop()
        threading.Event().wait(4)  # more than one of its questions fails
        served.start()
        expect(screen.locator(".l-pc-code")).to_have_text(code)
        desk = browser.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN").new_page()
        desk.goto(f"{served.address()}/sign-in?next=/labs/pcs/lab1")
        desk.fill("[name=username]", username)
        desk.fill("[name=password]", PASSWORD)
        desk.click("form.card button[type=submit]")
        row = desk.locator("tr", has_text=code)
        row.get_by_label("座位").select_option("04")
        row.get_by_role("button", name="绑定").click()
        expect(desk.get_by_text("已绑定到座位 04")).to_be_visible()
        expect(screen).to_have_url(f"{served.address()}/seat")
        expect(screen.locator(".d-seat")).to_have_text("04")
        browser.close()
    served.stop()
    db.session.expire_all()
    found = db.session.get_one(RoomPc, key)
    assert found.seat_id == db.session.get_one(Seat, scene.seats[3].id).id
