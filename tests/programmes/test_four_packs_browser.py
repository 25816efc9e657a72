"""The four notices through the browser, each office with its own sign-in: begin, write, hand in, return, recommend, grant, exit; a missed day, a full quota."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account, Organisation
from lms.programmes import service, workflow
from lms.programmes.dates import ZONE
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.years import inspections
from tests.browsing import notebook
from tests.factories import PASSWORD
from tests.programmes import places as make

Tree = dict[str, Organisation]
BATCH = "演练批次"
WAIT_MS = 60_000


@dataclass(frozen=True)
class Notice:
    """What a notice says a school goes through: verbs of its offices, names of its statuses, who ends it and how; whose form sums up."""

    slug: str
    school: str
    written: str
    way: tuple[tuple[str, str, str], ...]
    """Level, verb on its button, status while it lies there."""
    granted: str
    goes_on: tuple[tuple[str, str, str], ...]
    """Level, verb, status after it: steps by hand on the application's page."""
    warns: tuple[tuple[str, str], ...]
    """Level that inspects and orders to put right, status after it."""
    ends: tuple[str, str, str]
    """Level, verb, status after it, by the procedure in the years' room."""
    sums_up: tuple[str, str, str]
    """Level, kind, file whose rows are the recommended schools."""
    missed: datetime
    missed_day: str


NOTICES = {
    one.slug: one
    for one in (
        Notice(
            "ncet-pilot", "试点校", "一、学校基本情况",
            (("county", "列入试点区", "区县汇总中"), ("city", "推荐", "市州审核中"), ("province", "推荐", "省级遴选中"), ("nation", "确定", "中央馆遴选中")),
            "试点", (), (("province", "整改中"),), ("nation", "退出", "已退出"),
            ("province", "省级申报信息表", "附件1-“央馆人工智能课程”规模化应用试点区申报信息表（甲省）.xlsx"),
            datetime(2026, 12, 11, 16, 0, tzinfo=UTC), "2026-12-11",
        ),
        Notice(
            "hunan-baixiao", "实验校", "现有条件和优势",
            (("county", "推荐", "区县推荐中"), ("city", "推荐", "市州推荐中"), ("province", "评估通过，挂牌", "省专家评估中")),
            "已挂牌", (("province", "进入实施推进", "实施推进中"),), (("city", "限期整改"),), ("province", "摘牌退出", "已摘牌"),
            ("city", "推荐汇总表", "附件3-湖南省“百校千课”人工智能教育实验项目推荐汇总表（乙市）.xlsx"),
            datetime(2026, 12, 30, 16, 0, tzinfo=UTC), "2026-12-30",
        ),
        Notice(
            "henan-experiment", "实验校", "二、课程开设",
            (("county", "推荐", "区县推荐中"), ("city", "推荐", "市推荐中"), ("province", "评定", "省级评定中")),
            "实验", (), (("province", "限期整改"),), ("province", "退出", "已退出"),
            ("city", "实验校推荐汇总表", "河南省中小学人工智能教育实验校推荐汇总表（乙市）.xlsx"),
            datetime(2026, 12, 25, 16, 0, tzinfo=UTC), "2026-12-25",
        ),
        Notice(
            "smart-training", "试验校", "一、意愿与保障",
            (("province", "推荐", "省级组织单位推荐中"), ("nation", "遴选公布", "中央馆遴选中")),
            "试验", (), (), ("nation", "退出", "已退出"),
            ("province", "省级推荐材料", "推荐汇总表.xlsx"),
            datetime(2026, 12, 20, 16, 0, tzinfo=UTC), "2026-12-20",
        ),
    )
}  # fmt: skip


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


class Desks:
    """A signed-in window for each person; each signs in once, through the sign-in page."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser, self.address = browser, address
        self.pages: dict[str, Page] = {}

    def of(self, account: Account) -> Page:
        if account.username not in self.pages:
            self.pages[account.username] = notebook(self.browser)
        page = self.pages[account.username]
        page.goto(f"{self.address}/programmes/")
        if "sign-in" in page.url:  # the first time, and where days have gone by
            page.fill("[name=username]", account.username)
            page.fill("[name=password]", PASSWORD)
            page.press("[name=password]", "Enter")
            page.wait_for_url(lambda url: "sign-in" not in url)
            page.goto(f"{self.address}/programmes/")
        return page

    def close(self) -> None:
        for page in self.pages.values():
            page.context.close()


@pytest.fixture
def desks(chromium: Browser, address: str) -> Iterator[Desks]:
    desks = Desks(chromium, address)
    yield desks
    desks.close()


def begin(page: Page, notice: Notice, kind: str) -> uuid.UUID:
    """Begin by the button on the notice's card; the application's id."""
    card = page.locator(f"[data-notice={notice.slug}]")
    card.get_by_role("button", name=f"申报{kind} · {BATCH}").click()
    page.wait_for_url(lambda url: url.rstrip("/").split("/")[-1] not in ("programmes", "begin"))
    return uuid.UUID(page.url.split("/")[-1])


def begun(page: Page, notice: Notice, kind: str, actor: Account) -> Application:
    """Begin by the button, fill in what is not typed here by the service; the page shows it filled in."""
    found_id = begin(page, notice, kind)
    db.session.rollback()
    found = db.session.get_one(Application, found_id)
    make.fill_in(actor, found)
    page.reload()
    return found


def write_part(page: Page, heading: str, text: str) -> None:
    """Open the part, type, wait until it saved itself, go back."""
    page.get_by_role("link", name=heading).click()
    page.fill("#value", text)
    expect(page.locator("#saved")).to_have_text("已自动保存", timeout=WAIT_MS)
    page.locator("nav[aria-label=位置] a").first.click()


def seal(page: Page) -> None:
    """Print, sign, seal, scan: the scan of every sealed document goes in by the form beside it."""
    for slot in [one.get_attribute("value") for one in page.locator("#files [name=slot][value^='scan:']").all()]:
        form = page.locator("#files form", has=page.locator(f"[name=slot][value='{slot}']"))
        form.locator("[name=file]").set_input_files({"name": "盖章页.pdf", "mimeType": "application/pdf", "buffer": make.PDF})
        form.get_by_role("button", name="上传").click()
        expect(page.get_by_text("已上传。").first).to_be_visible()


def go_on_all_the_same(page: Page) -> None:
    """Must-criteria that are not met are ticked, with a reason."""
    if page.locator(".unmet").count():
        page.locator(".unmet [name=accept]").check()
        page.locator(".unmet [name=reason]").fill("条件正在建设")


def hand_in(page: Page) -> None:
    go_on_all_the_same(page)
    page.get_by_role("button", name="提交到").click()
    expect(page.get_by_text("已提交，回执号").first).to_be_visible()


def open_in_inbox(page: Page, name: str) -> None:
    """The application of a body from the list of what came in, where it waits for this office."""
    row = page.locator("tr.is-here", has_text=name)
    expect(row).to_contain_text("待本单位办理")
    row.get_by_role("link", name=name, exact=True).click()


def decide(page: Page, verb: str, remark: str = "") -> None:
    """Press the office's button, with its remark in the field beside it."""
    form = page.locator("#main form", has=page.get_by_role("button", name=verb, exact=True))
    if form.locator(".unmet").count():
        go_on_all_the_same(page)
    if remark:
        form.locator("[name=remark]").fill(remark)
    form.get_by_role("button", name=verb, exact=True).click()
    expect(page.get_by_text("已办理。").first).to_be_visible()


def shows(page: Page, desks: Desks, found: uuid.UUID, status: str) -> None:
    page.goto(f"{desks.address}/programmes/{found}")
    expect(page.locator("h1 .badge")).to_have_text(status)


@pytest.mark.parametrize("slug", NOTICES)
def test_from_the_school_to_its_status_and_to_its_end(
    tree: Tree, desks: Desks, fixed_clock: clock.FixedClock, slug: str
) -> None:
    notice, name = NOTICES[slug], tree["school"].name
    admin = make.person(tree["school"])
    officers = {level: make.person(tree[level]) for level in ("county", "city", "province", "nation")}
    school = desks.of(admin)
    found = begun(school, notice, notice.school, admin).id
    write_part(school, notice.written, "学校位于县城，本学期开设人工智能课。")
    expect(school.locator("#files")).to_contain_text("已过期，要重新打印")
    expect(school.get_by_role("button", name="提交到")).to_be_disabled()
    seal(school)
    hand_in(school)
    first, _verb, status = notice.way[0]
    shows(school, desks, found, status)
    office = desks.of(officers[first])
    open_in_inbox(office, name)
    expect(office.get_by_text("学校位于县城，本学期开设人工智能课。")).to_be_visible()
    decide(office, "退回修改", "请补充班级数")
    shows(school, desks, found, "已退回修改")
    expect(school.get_by_text("请补充班级数").first).to_be_visible()
    expect(school.get_by_text("结束前补正后再提交").first).to_be_visible()
    write_part(school, notice.written, "学校位于县城，本学期6个班开设人工智能课。")
    seal(school)
    hand_in(school)
    for level, verb, status in notice.way:
        shows(school, desks, found, status)
        office = desks.of(officers[level])
        open_in_inbox(office, name)
        decide(office, verb)
        if level == notice.sums_up[0]:
            _sum_up(desks, tree, notice, officers, name)
    shows(school, desks, found, notice.granted)
    for level, verb, status in notice.goes_on:
        office = desks.of(officers[level])
        office.get_by_role("link", name=name, exact=True).click()
        decide(office, verb, "依据项目管理办法")
        shows(school, desks, found, status)
    for level, status in notice.warns:
        _inspect(desks, notice, officers[level], fixed_clock)
        shows(desks.of(admin), desks, found, status)
        school.goto(f"{desks.address}/programmes/years/{found}")
        expect(school.get_by_text("近四周没有开课").first).to_be_visible()
        school.get_by_label("整改情况").fill("课表已经排好，从下周起每班每两周上一节，并补上缺课。")
        school.get_by_role("button", name="提交整改报告").click()
        expect(school.get_by_text("整改报告已提交。").first).to_be_visible()
    level, verb, status = notice.ends
    office = desks.of(officers[level])
    office.get_by_role("link", name=name, exact=True).click()
    expect(office.locator("#main").get_by_role("button", name=verb, exact=True)).to_have_count(0)  # not by hand
    office.get_by_role("link", name="在“实施”页办理").click()
    form = office.locator("#orders form", has=office.get_by_role("button", name=verb, exact=True))
    form.locator("[name=remark]").fill("依据项目管理办法")
    form.get_by_role("button", name=verb, exact=True).click()
    shows(desks.of(admin), desks, found, status)
    expect(school.get_by_text("依据项目管理办法").first).to_be_visible()


def _inspect(desks: Desks, notice: Notice, officer: Account, fixed_clock: clock.FixedClock) -> None:
    """The office announces an inspection, draws a day later, visits, and orders to put right within a month."""
    day = clock.now().astimezone(ZONE).date()
    row = inspections.announce(officer, notice.slug, "school", 1, "", "当日双色球开奖号码", day + timedelta(days=1))
    fixed_clock.at += timedelta(days=1)
    inspections.draw(officer, row.id, "01 05 12 19 23 30 07")
    [(visit, _name)] = inspections.visits_of(row)
    page = desks.of(officer)
    page.goto(f"{desks.address}/programmes/years/inspections/visits/{visit.id}")
    page.fill("[name=visited_on]", str(day + timedelta(days=1)))
    page.fill("[name=findings]", "近四周没有开课，请补课并说明。")
    page.fill("[name=due_on]", str(day + timedelta(days=30)))
    page.locator("button[name=conclude][value=warned]").click()
    expect(page.get_by_text("已作结论。").first).to_be_visible()


def _sum_up(desks: Desks, tree: Tree, notice: Notice, officers: dict[str, Account], school: str) -> None:
    """The office's own form with the schools it recommended: its Excel has the school, the next office acknowledges it."""
    level, kind, file = notice.sums_up
    above = {"city": "province", "province": "nation"}[level]
    page = desks.of(officers[level])
    found = begun(page, notice, kind, officers[level]).id
    with page.expect_download() as download:
        page.get_by_role("link", name="Excel", exact=True).first.click()
    assert download.value.suggested_filename == file
    hand_in(page)
    office = desks.of(officers[above])
    open_in_inbox(office, tree[level].name)
    decide(office, "收讫")
    shows(page, desks, found, "已收讫")


@pytest.mark.parametrize("slug", NOTICES)
@pytest.mark.parametrize("where", ["city-school", "province-school"])
def test_a_school_directly_below_skips_the_offices_it_does_not_have(
    tree: Tree, desks: Desks, slug: str, where: str
) -> None:
    notice = NOTICES[slug]
    admin = make.person(tree[where])
    school = desks.of(admin)
    found = begun(school, notice, notice.school, admin).id
    hand_in(school)
    passed = {"city-school": ("county",), "province-school": ("county", "city")}[where]
    for level, verb, status in notice.way:
        if level in passed:
            continue
        shows(school, desks, found, status)
        office = desks.of(make.person(tree[level]))
        open_in_inbox(office, tree[where].name)
        decide(office, verb)
    shows(school, desks, found, notice.granted)
    for level in passed:
        assert workflow.inbox(tree[level].id) == []


@pytest.mark.parametrize("slug", NOTICES)
def test_a_missed_day_is_shown_and_nothing_goes_out(
    tree: Tree, desks: Desks, fixed_clock: clock.FixedClock, slug: str
) -> None:
    notice = NOTICES[slug]
    admin = make.person(tree["school"])
    school = desks.of(admin)
    found = begun(school, notice, notice.school, admin)
    button = school.get_by_role("button", name="提交到")
    expect(button).to_be_enabled()
    fixed_clock.at = notice.missed
    go_on_all_the_same(school)
    button.click()  # the page was still open
    expect(school.get_by_text("已经过了").first).to_be_visible()
    school.goto(f"{desks.address}/programmes/{found.id}")
    expect(school.get_by_text(notice.missed_day).first).to_be_visible()
    expect(school.get_by_text("已过截止日").first).to_be_visible()
    expect(button).to_be_disabled()
    db.session.expire_all()
    assert found.status == "draft" and service.content_of(found) and pack_of(found).slug == slug


FULL = [("ncet-pilot", "试点区", 5, "推荐", "每省限报5个试点区", "省级遴选中"), ("henan-experiment", "实验区", 10, "评定", "实验区10个", "省级评定中")]  # fmt: skip


@pytest.mark.parametrize(("slug", "kind", "most", "verb", "quota", "status"), FULL)
def test_a_full_quota_is_shown_and_a_place_taken_back_is_given_again(
    tree: Tree, desks: Desks, slug: str, kind: str, most: int, verb: str, quota: str, status: str
) -> None:
    officer = make.person(tree["province"])
    rows = []
    for number in range(most):
        admin = make.person(make.organisation("county", f"{number + 1}号县", tree["province"]))
        found = service.begin(admin, slug, "area", "2026")
        make.fill_in(admin, found)
        rows.append(workflow.submit(admin, found.id))
    for row in rows[:-1]:
        workflow.act(officer, row.id, "recommend")
    last = make.person(make.organisation("county", "末县", tree["province"]))
    county = desks.of(last)
    found_id = begun(county, NOTICES[slug], kind, last).id
    hand_in(county)
    province = desks.of(officer)
    open_in_inbox(province, f"{most}号县")
    expect(province.get_by_text(quota).first).to_contain_text(f"已用 {most - 1} / {most}")
    other = desks.of(make.person(tree["province"], name="另一位经办人"))
    open_in_inbox(other, "末县")  # while there is a place
    decide(province, verb)
    go_on_all_the_same(other)
    other.get_by_role("button", name=verb, exact=True).click()
    expect(other.get_by_text("名额已满").first).to_be_visible()
    province = desks.of(officer)
    open_in_inbox(province, "末县")
    expect(province.get_by_text(quota).first).to_contain_text(f"已用 {most} / {most}")
    expect(province.get_by_role("button", name=verb, exact=True)).to_be_disabled()
    shows(county, desks, found_id, status)
    if slug == "ncet-pilot":  # the province is not its last station: what it recommended it may take back
        province.goto(f"{desks.address}/programmes/{rows[0].id}")
        form = province.locator("#main form", has=province.get_by_role("button", name="收回推荐"))
        form.locator("[name=remark]").fill("换推荐末县")
        form.get_by_role("button", name="收回推荐").click()
        expect(province.get_by_text("名额已空出").first).to_be_visible()
        province = desks.of(officer)
        open_in_inbox(province, "末县")
        decide(province, verb)
        shows(county, desks, found_id, "中央馆遴选中")
