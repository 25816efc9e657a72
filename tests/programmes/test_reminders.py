"""Reminders come a week and a day before, once, and stop when the thing is done."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

from flask import Flask
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.jobs import TASKS
from lms.core.models import Account, OutboxMessage
from lms.notices import service as channels
from lms.notices.models import Notice
from lms.programmes import reminders, service, workflow
from lms.programmes.calendar import reminding
from lms.programmes.calendar.service import deadlines_of
from lms.programmes.models import NoticeVersion
from lms.programmes.notices import pack_of, packs_for
from lms.programmes.pack import Pack
from lms.programmes.selection import missing
from lms.programmes.selection.models import Panel, Publication
from lms.programmes.years import inspections
from tests.notices.test_notices import Post, Robot, post, robot  # noqa: F401  (fixtures)
from tests.programmes import places as make
from tests.programmes.years.test_years import SEED, granted


def test_told_twice_and_ended_by_submitting(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, officer = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")  # due 2026-12-30
    make.fill_in(admin, found)
    assert reminders.remind(clock.now()) == 0
    fixed_clock.at = datetime(2026, 12, 24, 1, tzinfo=UTC)
    assert (reminders.remind(clock.now()), reminders.remind(clock.now())) == (1, 0)
    fixed_clock.at = datetime(2026, 12, 30, 1, tzinfo=UTC)
    assert reminders.remind(clock.now()) == 1
    mine = select(Notice).where(Notice.account_id == admin.id)
    assert [row.due_on and row.due_on.isoformat() for row in db.session.scalars(mine)] == ["2026-12-30"] * 2
    workflow.submit(admin, found.id)
    assert all(row.ended_at for row in db.session.scalars(mine))
    assert reminders.remind(clock.now()) == 1  # now the office has to act
    assert db.session.scalars(select(Notice).where(Notice.account_id == officer.id, Notice.due_on.is_not(None))).one()
    workflow.act(officer, found.id, "recommend")
    assert all(row.ended_at for row in db.session.scalars(select(Notice).where(Notice.account_id == officer.id)))


def open_keys(account: Account) -> list[str]:
    query = select(Notice.key).where(Notice.account_id == account.id, Notice.ended_at.is_(None))
    return sorted(db.session.scalars(query.execution_options(populate_existing=True)))


def test_who_has_handed_in_is_missing_no_more(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)

    def urge() -> int:
        made = missing.overview(county, "hunan-baixiao", "school", "2026")
        return missing.remind(county, made, {tree["school"].id})

    assert (urge(), len(open_keys(admin)), urge(), len(open_keys(admin))) == (1, 1, 1, 1)  # once a day
    workflow.submit(admin, found.id)
    assert open_keys(admin) == []
    rows = deadlines_of(admin, date(2026, 11, 1), date(2027, 1, 30))
    assert [one for one in rows if one.kind == "notice" and (one.mine or not one.done)] == []
    workflow.act(county, found.id, "return", "请改")
    urge()
    assert len([one for one in open_keys(admin) if one.startswith("missing/")]) == 1  # on the same day, but it came back


def test_what_comes_back_is_reminded_of_anew(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    fixed_clock.at = datetime(2026, 12, 24, 1, tzinfo=UTC)
    assert reminders.remind(clock.now()) == 1
    workflow.submit(admin, found.id)
    workflow.act(county, found.id, "return", "请改")
    assert (reminders.remind(clock.now()), reminders.remind(clock.now())) == (1, 0)
    assert any("/due/" in one for one in open_keys(admin))
    workflow.submit(admin, found.id)
    assert not any("/due/" in one for one in open_keys(admin))


def titles(account: Account) -> list[str]:
    query = select(Notice.title).where(Notice.account_id == account.id, Notice.key.startswith("calendar/"), Notice.ended_at.is_(None))
    return sorted(db.session.scalars(query))


def test_a_batch_that_opens_is_told_once_to_those_who_may_apply(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, begun, county = make.person(tree["school"]), make.person(tree["city-school"]), make.person(tree["county"])
    pack = next(one for one in packs_for(tree["school"].id) if one.slug == "hunan-baixiao")
    batches = [one | {"opens": "2026-11-24"} if one["id"] == "2026" else one for one in pack.document["batches"]]
    dated = Pack(pack.document | {"batches": batches})
    with write() as session:
        session.add(NoticeVersion(id=new_id(), school_id=tree["nation"].id, slug=pack.slug, version="2026.9", digest=dated.digest, document=dated.document))
    service.begin(begun, "hunan-baixiao", "school", "2026")
    name = f"{pack.batch('2026')['name']} 开始申报"
    reminding.remind()
    assert (titles(admin), titles(begun), titles(county)) == ([name], [], [])
    assert reminding.remind() == 0  # once
    service.begin(admin, "hunan-baixiao", "school", "2026")
    reminding.remind()
    assert titles(admin) == []  # it began: done
    fixed_clock.at = datetime(2026, 12, 3, 1, tzinfo=UTC)
    late = make.person(tree["province-school"])
    reminding.remind()
    assert titles(late) == []  # nobody is told of what opened long ago


def test_seed_days_publications_and_reports_to_review_go_out_by_every_channel(
    app: Flask, fixed_clock: clock.FixedClock, robot: Robot, post: int  # noqa: F811  (fixtures)
) -> None:
    tree = make.tree()
    admin, province = make.person(tree["school"]), make.person(tree["province"])
    found = granted(tree, admin, "henan-experiment")
    channels.add_channel(province, "wecom", {"name": "群", "url": robot.url})
    mail = {"name": "邮", "host": "127.0.0.1", "port": str(post), "security": "none", "sender": "a@b.example", "recipients": "c@d.example"}
    channels.add_channel(province, "smtp", mail)
    row = inspections.announce(province, found.slug, found.kind, 1, "", "当日双色球开奖号码", date(2026, 11, 27))
    with write() as session:
        panel = Panel(id=new_id(), school_id=tree["province"].id, slug=found.slug, kind="school", batch="2026")
        session.add(panel)
        session.flush()
        shown = {"title": "拟定名单", "text": "", "starts_on": date(2026, 11, 20), "ends_on": date(2026, 11, 27), "contact": "周", "phone": "1"}
        session.add(Publication(id=new_id(), school_id=tree["province"].id, panel_id=panel.id, rows=[{"application": str(found.id)}], **shown))
    reminding.remind()
    assert titles(province) == []
    fixed_clock.at = datetime(2026, 11, 26, 1, tzinfo=UTC)
    reminding.remind()
    assert titles(province) == ["公示最后一天：拟定名单", "随机抽查：公布种子并抽取"] and titles(admin) == ["公示最后一天：拟定名单"]
    fixed_clock.at = datetime(2026, 11, 27, 1, tzinfo=UTC)
    assert reminding.remind() == 2  # the seed's own day, to both officers
    inspections.draw(province, row.id, SEED)
    fixed_clock.at = datetime(2026, 11, 28, 1, tzinfo=UTC)
    reminding.remind()
    assert titles(province) == []
    told = inspections.order(province, found.id, "实验室没有开放，请整改。", date(2026, 12, 20))
    inspections.report(admin, told.id, "实验室每周二、四下午开放，课表已经重排，照片附后。")
    reminding.remind()
    assert titles(province) == ["整改报告待复核：丙县一小"]
    for one in db.session.scalars(select(OutboxMessage).where(OutboxMessage.topic == "send-notice")).all():
        TASKS["send-notice"](**json.loads(one.payload))
    wanted = ["公示最后一天：拟定名单", "随机抽查：公布种子并抽取", "整改报告待复核：丙县一小"]
    said = [body["markdown"]["content"] for _path, body in robot.heard]
    assert all(any(one in text for text in said) for one in wanted)
    assert len(Post.mails) == len(said) >= 4
    inspections.close(province, told.id, "accepted", "已复核")
    reminding.remind()
    assert titles(province) == []


def test_a_half_year_without_its_inspection_and_the_end_of_a_phase(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, province, other = make.person(tree["school"]), make.person(tree["province"]), make.person(tree["city-school"])
    found = granted(tree, admin, "henan-experiment")
    phases = pack_of(found).document["phases"]
    last = max(date(int(one["to"][:4]), int(one["to"][5:]), 1) for one in phases)
    fixed_clock.at = datetime(2026, 12, 18, 1, tzinfo=UTC)
    reminding.remind()
    assert any("每半年随机抽查（2026年下半年）还没有办" in one for one in titles(province))
    inspections.announce(province, found.slug, found.kind, 1, "", "当日双色球开奖号码", date(2026, 12, 25))
    reminding.remind()
    assert not any("还没有办" in one for one in titles(province))
    fixed_clock.at = datetime(last.year, last.month, 27, 1, tzinfo=UTC)
    reminding.remind()
    assert any(one.startswith("阶段结束：") for one in titles(admin)) and titles(other) == []
