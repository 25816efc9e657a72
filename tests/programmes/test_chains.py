"""Each notice along its own chain to its own final status; returns, a missed deadline, a quota, an appeal, an exit; what each may see."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, AuditEntry, Organisation
from lms.notices.models import Notice
from lms.programmes import notices, reminders, service, workflow
from lms.programmes.calendar.service import deadlines_of
from lms.programmes.dates import working_day
from lms.programmes.models import Application
from lms.programmes.pack import SHIPPED
from lms.programmes.years import inspections
from lms.roster.models import School, SchoolStage
from tests.programmes import places as make
from tests.programmes.test_pages import door

COUNTY = Path(__file__).resolve().parents[2] / "lms" / "programmes" / "example"
CHAINS = [
    ("ncet-pilot", "school", "school", ["county", "city", "province", "nation"], "pilot"),
    ("ncet-pilot", "school", "city-school", ["city", "province", "nation"], "pilot"),
    ("ncet-pilot", "school", "province-school", ["province", "nation"], "pilot"),
    ("ncet-pilot", "area", "county", ["city", "province", "nation"], "pilot"),
    ("ncet-pilot", "province", "province", ["nation"], "received"),
    ("hunan-baixiao", "school", "school", ["county", "city", "province"], "plaque"),
    ("hunan-baixiao", "school", "city-school", ["city", "province"], "plaque"),
    ("hunan-baixiao", "school", "province-school", ["province"], "plaque"),
    ("hunan-baixiao", "city", "city", ["province"], "received"),
    ("henan-experiment", "area", "county", ["city", "province"], "experiment"),
    ("henan-experiment", "area", "city", ["province"], "experiment"),
    ("henan-experiment", "school", "school", ["county", "city", "province"], "experiment"),
    ("smart-training", "area", "county", ["province", "nation"], "trial"),
    ("smart-training", "school", "school", ["province", "nation"], "trial"),
    ("smart-training", "province", "province", ["nation"], "received"),
]
Tree = dict[str, Organisation]


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def handed_in(actor: Account, slug: str = "hunan-baixiao", kind: str = "school", batch: str = "2026") -> Application:
    found = service.begin(actor, slug, kind, batch)
    make.fill_in(actor, found)
    return workflow.submit(actor, found.id)


@pytest.mark.parametrize(("slug", "kind", "applicant", "levels", "granted"), CHAINS)
def test_a_notice_goes_its_own_way(
    tree: Tree, slug: str, kind: str, applicant: str, levels: list[str], granted: str
) -> None:
    actor = make.person(tree[applicant])
    found = handed_in(actor, slug, kind)
    assert len(found.receipt) == 12 and found.submitted_at == clock.now()
    for level in levels:
        assert found.office_id == tree[level].id
        workflow.act(make.person(tree[level]), found.id, "recommend")
        db.session.expire_all()
    assert found.status == granted and found.office_id is None
    journal = db.session.scalar(
        select(func.count())
        .select_from(AuditEntry)
        .where(AuditEntry.object_id == str(found.id), AuditEntry.action.like("application-%"))
    )
    assert journal is not None and journal >= len(levels) + 1


def test_a_county_adds_its_notice_by_data_alone(tree: Tree) -> None:
    officer, admin = make.person(tree["county"]), make.person(tree["school"])
    texts = {str(path.relative_to(COUNTY)): path.read_text("utf-8") for path in sorted(COUNTY.rglob("*.yaml"))}
    notices.publish(officer, texts)
    assert "county-ai-class" in {pack.slug for pack in notices.packs_for(admin.organisation_id)}
    assert "county-ai-class" not in {pack.slug for pack in notices.packs_for(tree["city-school"].id)}
    found = handed_in(admin, "county-ai-class")
    workflow.act(officer, found.id, "recommend")
    assert found.status == "model"
    inspections.exit_(officer, found.id, "复核时没有开课")
    assert notices.pack_of(found).status_name(found.status) == "资格终止"
    with pytest.raises(NotAllowed):
        notices.publish(admin, texts)
    with pytest.raises(Invalid, match="notice-pack"):
        notices.publish(officer, {**texts, "pack.yaml": texts["pack.yaml"].replace("granted: model", "granted: no")})
    with pytest.raises(Invalid, match="notice-pack"):
        notices.publish(
            officer,
            {
                path.relative_to(SHIPPED / "smart-training").as_posix(): path.read_text("utf-8")
                for path in (SHIPPED / "smart-training").rglob("*.yaml")
            },
        )


def test_an_application_keeps_the_version_it_began_with(tree: Tree) -> None:
    officer, admin = make.person(tree["county"]), make.person(tree["school"])
    texts = {path.relative_to(COUNTY).as_posix(): path.read_text("utf-8") for path in COUNTY.rglob("*.yaml")}
    notices.publish(officer, texts)
    found = service.begin(admin, "county-ai-class", "school", "2026")
    notices.publish(
        officer, {**texts, "pack.yaml": texts["pack.yaml"].replace("2026.1", "2026.2").replace("most: 3", "most: 1")}
    )
    assert notices.pack_of(found).version == "2026.1"
    assert notices.pack_named(tree["school"].id, "county-ai-class").version == "2026.2"


def test_returned_with_a_remark_and_handed_in_again_to_the_same_office(tree: Tree) -> None:
    admin = make.person(tree["school"])
    county, city = make.person(tree["county"]), make.person(tree["city"])
    found = handed_in(admin)
    workflow.act(county, found.id, "recommend")
    with pytest.raises(Invalid, match="remark"):
        workflow.act(city, found.id, "return", " ")
    workflow.act(city, found.id, "return", "实施方案缺经费")
    assert found.status == "returned" and service.steps_of(found)[-1].remark == "实施方案缺经费"
    assert any(not row.ended_at for row in db.session.scalars(select(Notice).where(Notice.account_id == admin.id)))
    with pytest.raises(Refused, match="not-here"):
        workflow.act(city, found.id, "recommend")
    workflow.submit(admin, found.id)
    assert found.office_id == tree["city"].id
    assert all(row.ended_at for row in db.session.scalars(select(Notice).where(Notice.account_id == admin.id)))


def test_the_deadline_is_the_end_of_the_day_in_shanghai(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin = make.person(tree["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    fixed_clock.at = datetime(2026, 12, 30, 16, 0, 0, tzinfo=UTC)
    with pytest.raises(Refused, match="deadline"):
        workflow.submit(admin, found.id)
    assert service.content_of(found)["application.plan"]  # what was written is kept
    fixed_clock.at = datetime(2026, 12, 30, 15, 59, 59, tzinfo=UTC)
    assert workflow.submit(admin, found.id).submitted_at == fixed_clock.at


def test_an_office_sets_an_earlier_day_never_a_later(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, officer = make.person(tree["school"]), make.person(tree["city"])
    with pytest.raises(Invalid, match="office-date"):
        notices.set_date(officer, "hunan-baixiao", "2026", date(2026, 12, 31))
    notices.set_date(officer, "hunan-baixiao", "2026", date(2026, 11, 23))
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    with pytest.raises(Refused, match="deadline"):
        workflow.submit(admin, found.id)


def test_nothing_incomplete_goes_out(tree: Tree) -> None:
    admin = make.person(tree["school"])
    found = service.begin(admin, "ncet-pilot", "school", "2026")
    with pytest.raises(Refused, match="incomplete") as refusal:
        workflow.submit(admin, found.id)
    assert any("教育教学计划" in one for one in refusal.value.facts["lacks"])
    make.fill_in(admin, found)
    row = service.parts_of(found)["school-statement.basics"]
    service.save_part(admin, found.id, "school-statement.basics", "字" * 501, row.edition)
    with pytest.raises(Refused, match="incomplete") as refusal:
        workflow.submit(admin, found.id)
    assert any("请删去 1 字" in one for one in refusal.value.facts["lacks"])
    service.save_part(admin, found.id, "school-statement.basics", "字" * 500, row.edition)
    make.seal(admin, found)
    assert workflow.submit(admin, found.id).status == "at-county"


def test_a_province_recommends_five_areas_and_no_sixth(tree: Tree) -> None:
    province = make.person(tree["province"])
    rows = []
    for number in range(6):
        county = make.organisation("county", f"县{number}", tree["province"])
        rows.append(handed_in(make.person(county), "ncet-pilot", "area"))
    for row in rows[:5]:
        workflow.act(province, row.id, "recommend")
    with pytest.raises(Refused, match="quota"):
        workflow.act(province, rows[5].id, "recommend")
    assert rows[5].office_id == tree["province"].id
    nation = make.person(tree["nation"])
    workflow.act(nation, rows[0].id, "return", "补盖章页")  # a place is not freed by what the centre returns
    with pytest.raises(Refused, match="quota"):
        workflow.act(province, rows[5].id, "recommend")
    workflow.withdraw(db.session.get_one(Account, rows[1].created_by), rows[1].id, "今年不参加")
    workflow.act(province, rows[5].id, "recommend")
    assert workflow.quotas_of(rows[5], tree["province"].id)[0].used == 5


def test_refused_appealed_once_and_granted(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    found = handed_in(admin)
    workflow.act(county, found.id, "refuse", "材料不实")
    workflow.appeal(admin, found.id, "附上原件")
    assert found.office_id == tree["county"].id and found.status == "at-county"
    workflow.act(county, found.id, "refuse", "仍不符合")
    with pytest.raises(Refused, match="appeal"):
        workflow.appeal(admin, found.id, "再看看")


def test_an_appeal_too_late(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    found = handed_in(admin)
    workflow.act(county, found.id, "refuse", "材料不实")
    fixed_clock.at = datetime(2026, 12, 2, tzinfo=UTC)
    with pytest.raises(Refused, match="appeal"):
        workflow.appeal(admin, found.id, "附上原件")


def test_withdrawn_before_the_first_office_and_after(tree: Tree) -> None:
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    found = handed_in(admin)
    workflow.withdraw(admin, found.id)
    assert found.status == "draft"
    workflow.submit(admin, found.id)
    workflow.act(county, found.id, "recommend")
    workflow.withdraw(admin, found.id, "今年不参加")
    assert found.status == "withdrawn" and found.office_id is None
    with pytest.raises(Refused):
        workflow.submit(admin, found.id)


def test_a_plaque_is_kept_warned_and_lost(app: Flask, tree: Tree) -> None:
    admin, province = make.person(tree["school"]), make.person(tree["province"])
    found = handed_in(admin)
    for level in ("county", "city", "province"):
        workflow.act(make.person(tree[level]), found.id, "recommend")
    pack = notices.pack_of(found)
    assert pack.status_name(found.status) == "已挂牌"
    with pytest.raises(Refused, match="ladder"):
        workflow.move(make.person(tree["county"]), found.id, "removed", "不归本级")
    workflow.climb(province, found.id, "running", "依据项目管理办法")
    for to in ("warned", "removed", "accepted"):  # the years' room has a procedure for these
        with pytest.raises(Refused, match="procedure"):
            workflow.climb(province, found.id, to, "依据项目管理办法")
    page = door(app, province).get(f"/programmes/{found.id}").text
    assert "在“实施”页办理" in page and "状态变更" not in page.split("流转记录")[0]
    inspections.order(province, found.id, "没有开课", date(2026, 12, 24))
    with pytest.raises(Refused, match="procedure"):  # put right, on paper only
        workflow.climb(province, found.id, "running", "整改合格")
    inspections.exit_(province, found.id, "依据项目管理办法")
    assert pack.status_is(found.status) == "ended"
    with pytest.raises(Refused, match="ladder"):
        workflow.move(province, found.id, "running", "-")


def test_nobody_sees_drafts_of_others_or_acts_for_them(tree: Tree) -> None:
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    other = make.organisation("county", "丁县", tree["city"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    for stranger in (
        county,
        make.person(tree["city"]),
        make.person(other),
        make.person(tree["city-school"]),
        make.person(tree["nation"]),
    ):
        with pytest.raises(NotFound):
            service.application(stranger, found.id)
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    assert service.application(county, found.id) is found
    for stranger in (make.person(tree["city"]), make.person(other), make.person(tree["city-school"])):
        with pytest.raises(NotFound):
            service.application(stranger, found.id)
    with pytest.raises((NotAllowed, NotFound)):
        service.save_part(county, found.id, "application.plan", "改", 1)


def test_two_write_the_same_part_and_nothing_is_lost(tree: Tree) -> None:
    first, second = make.person(tree["school"], name="甲老师"), make.person(tree["school"], name="乙老师")
    found = service.begin(first, "hunan-baixiao", "school", "2026")
    assert service.save_part(first, found.id, "application.plan", "甲写的", 0).edition == 1
    with pytest.raises(Refused, match="conflict") as clash:
        service.save_part(second, found.id, "application.plan", "乙写的", 0)
    assert (clash.value.facts["theirs"], clash.value.facts["edition"], clash.value.facts["by"]) == (
        "甲写的",
        1,
        "甲老师",
    )
    assert service.save_part(second, found.id, "application.plan", "甲写的，乙写的", 1).edition == 2
    assert [edit.value["value"] for edit, _name in service.history_of(first, found.id, "application.plan")] == [
        "甲写的，乙写的",
        "甲写的",
    ]


def test_a_teacher_writes_what_is_given_to_him(tree: Tree) -> None:
    admin, teacher = make.person(tree["school"]), make.person(tree["school"], "teacher")
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    with pytest.raises(NotAllowed):
        service.save_part(teacher, found.id, "application.focus", "信息科技", 0)
    service.set_owner(admin, found.id, "application.focus", teacher.id)
    assert service.save_part(teacher, found.id, "application.focus", "信息科技", 0).edition == 1
    with pytest.raises(NotAllowed):
        workflow.submit(teacher, found.id)


def test_the_stages_of_the_day_count_and_none_is_told(tree: Tree) -> None:
    admin = make.person(tree["school"])
    found = service.begin(admin, "henan-experiment", "school", "2026")
    make.fill_in(admin, found)
    row = db.session.scalars(select(SchoolStage).where(SchoolStage.school_id == tree["school"].id)).one()
    with write():
        row.participates = False
    with pytest.raises(Refused, match="incomplete") as refusal:
        workflow.submit(admin, found.id)
    assert "学段" in refusal.value.facts["lacks"][0]
    with write():
        row.participates, row.stage = True, "junior"
    workflow.submit(admin, found.id)
    assert found.stages == ["junior"]
    for level in ("county", "city"):
        workflow.act(make.person(tree[level]), found.id, "recommend")
    assert [one.name for one in workflow.quotas_of(found, tree["province"].id)] == ["中学实验校200所（初中、高中）"]


def test_town_and_country_stand_beside_the_quota(tree: Tree) -> None:
    """HA-01: 兼顾城市与农村."""
    admins = []
    for name, locality in (("城区小学", "城区"), ("镇区小学", "镇区"), ("又一城区小学", "城区")):
        school = make.school(name, tree["county"])
        with write() as session:
            session.get_one(School, school.id).locality = locality
        admins.append(make.person(school))
    rows = [handed_in(admin, "henan-experiment", "school") for admin in admins]
    county = make.person(tree["county"])
    for row in rows:
        workflow.act(county, row.id, "recommend")
        workflow.act(make.person(tree["city"]), row.id, "recommend")
    province = make.person(tree["province"])
    workflow.act(province, rows[0].id, "recommend")
    workflow.act(province, rows[1].id, "recommend")
    quota = workflow.quotas_of(rows[2], tree["province"].id)[0]
    assert (quota.used, quota.spread) == (2, {"城区": 1, "镇区": 1, "乡村": 0})


def test_a_recommendation_is_taken_back_until_the_next_acts(tree: Tree) -> None:
    admin, county, city = make.person(tree["school"]), make.person(tree["county"]), make.person(tree["city"])
    found = handed_in(admin)
    workflow.act(county, found.id, "recommend")
    with pytest.raises(Refused, match="recall"):
        workflow.recall(city, found.id, "不是本级推荐的")
    workflow.recall(county, found.id, "名额另用")
    assert (found.office_id, found.status) == (tree["county"].id, "at-county")
    with pytest.raises(Refused, match="not-here"):
        workflow.act(city, found.id, "recommend")
    workflow.act(county, found.id, "recommend")
    workflow.act(city, found.id, "recommend")
    with pytest.raises(Refused, match="recall"):
        workflow.recall(county, found.id, "太晚")


LAST = {
    "ncet-pilot": ("county", "city", "province", "nation"),
    "hunan-baixiao": ("county", "city", "province"),
    "henan-experiment": ("county", "city", "province"),
    "smart-training": ("province", "nation"),
}


@pytest.mark.parametrize("slug", LAST)
def test_what_is_returned_after_the_day_is_put_right_by_a_day_of_its_own(
    tree: Tree, fixed_clock: clock.FixedClock, slug: str
) -> None:
    """An office reviews after the day by which things had to come in: what it returns then can be handed in again (补正期限)."""
    admin, offices = make.person(tree["school"]), [make.person(tree[level]) for level in LAST[slug]]
    found = handed_in(admin, slug)
    for officer in offices[:-1]:
        workflow.act(officer, found.id, "recommend")
    fixed_clock.at = datetime(2027, 1, 4, 2, tzinfo=UTC)  # a Monday; every day of the notices is past
    workflow.act(offices[-1], found.id, "return", "请补一页")
    due = notices.own_due(found, clock.now())
    assert due is not None and (due.day, due.over) == (date(2027, 1, 7), False)
    mended = [one for one in deadlines_of(admin, date(2027, 1, 1), date(2027, 1, 31)) if one.mine]
    assert [(one.day, "补正" in one.title) for one in mended] == [(date(2027, 1, 7), True)]
    assert reminders.remind(clock.now()) == 1
    fixed_clock.at = datetime(2027, 1, 7, 16, 0, tzinfo=UTC)
    with pytest.raises(Refused, match="2027-01-07"):
        workflow.submit(admin, found.id)
    fixed_clock.at = datetime(2027, 1, 7, 15, 59, tzinfo=UTC)
    workflow.submit(admin, found.id)
    assert found.office_id == tree[LAST[slug][-1]].id
    assert all(row.ended_at for row in db.session.scalars(select(Notice).where(Notice.account_id == admin.id)))
    workflow.act(offices[-1], found.id, "recommend")
    assert notices.pack_of(found).status_is(found.status) == "active"


def test_a_day_to_put_right_ends_before_the_office_must_pass_it_on(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, province = make.person(tree["school"]), make.person(tree["province"])
    found = handed_in(admin, "ncet-pilot")
    for level in ("county", "city"):
        workflow.act(make.person(tree[level]), found.id, "recommend")
    fixed_clock.at = datetime(2026, 12, 14, 2, tzinfo=UTC)  # the province had it by 12-11, must pass it on by 12-31
    for day in (date(2026, 12, 13), date(2027, 1, 1)):
        with pytest.raises(Invalid, match="2026-12-31"):
            workflow.act(province, found.id, "return", "请补一页", day)
    workflow.act(province, found.id, "return", "请补一页", date(2026, 12, 31))
    fixed_clock.at = datetime(2026, 12, 31, 15, 59, tzinfo=UTC)
    workflow.submit(admin, found.id)
    fixed_clock.at = datetime(2026, 12, 31, 16, tzinfo=UTC)
    with pytest.raises(Refused, match="报不上去"):  # and no dead end is made
        workflow.act(province, found.id, "return", "再补一页")
    assert found.status == "at-province"


@pytest.mark.parametrize(
    ("day", "count", "expected"),
    [("2026-11-20", 3, "2026-11-25"), ("2026-09-30", 1, "2026-10-08"), ("2026-09-18", 1, "2026-09-20")],
)
def test_working_days_follow_the_national_table(day: str, count: int, expected: str) -> None:
    assert working_day(date.fromisoformat(day), count) == date.fromisoformat(expected)


def test_a_notice_may_take_the_sealed_pages_later(tree: Tree) -> None:
    officer, admin = make.person(tree["county"]), make.person(tree["school"])
    texts = {path.relative_to(COUNTY).as_posix(): path.read_text("utf-8") for path in COUNTY.rglob("*.yaml")}
    later = texts["pack.yaml"].replace("sealed: [cover]", "sealed: [cover], seal_later: true")
    notices.publish(officer, {**texts, "pack.yaml": later})
    found = service.begin(admin, "county-ai-class", "school", "2026")
    make.write_up(admin, found)
    assert [(one.where, one.hard) for one in workflow.lacks_of(found)] == [("scan:application", False)]
    assert workflow.submit(admin, found.id).receipt


def test_an_office_takes_a_return_or_a_refusal_back_while_nobody_has_acted_on_it(
    tree: Tree, fixed_clock: clock.FixedClock
) -> None:
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    found = handed_in(admin)
    for action in ("refuse", "return"):
        fixed_clock.at += timedelta(minutes=1)
        workflow.act(county, found.id, action, "点错了")
        with pytest.raises(NotFound):
            workflow.recall(make.person(tree["city"]), found.id, "不归本级")
        workflow.recall(county, found.id, "点错了")
        assert (found.status, found.office_id) == ("at-county", tree["county"].id)
        assert found.refused_by is None and found.refused_at is None
    steps = service.steps_of(found)
    assert [str(workflow.verb_of(found, one)) for one in steps if one.action == "recall"] == ["收回不予推荐", "收回退回"]
    assert all(row.ended_at for row in db.session.scalars(select(Notice).where(Notice.account_id == admin.id)))
    fixed_clock.at += timedelta(minutes=1)
    workflow.act(county, found.id, "refuse", "不符合条件")
    workflow.appeal(admin, found.id, "有证书")
    with pytest.raises(Refused, match="recall"):
        workflow.recall(county, found.id, "太晚")
    workflow.act(county, found.id, "return", "请补充")
    fixed_clock.at += timedelta(minutes=1)
    part = service.parts_of(found)["application.plan"]
    service.save_part(admin, found.id, "application.plan", "已经开始改", part.edition)
    with pytest.raises(Refused, match="recall"):
        workflow.recall(county, found.id, "学校已经在改")


def test_taking_it_back_late_ends_the_batch_and_needs_a_reason(app: Flask, tree: Tree) -> None:
    admin = make.person(tree["school"])
    found = handed_in(admin)
    workflow.act(make.person(tree["county"]), found.id, "recommend")
    page = door(app, admin).get(f"/programmes/{found.id}").text
    assert "撤回（退出本批）" in page and "确认撤回" in page
    with pytest.raises(Invalid, match="remark"):
        workflow.withdraw(admin, found.id)
    assert found.status == "at-city"
    workflow.withdraw(admin, found.id, "学校合并")
    assert found.status == "withdrawn" and service.steps_of(found)[-1].remark == "学校合并"
