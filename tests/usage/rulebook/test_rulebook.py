"""An office changes the numbers of its rules; verdicts keep the version that they were made with."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import clock
from lms.core.auth import hash_password
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, AuditEntry, Organisation, RoleGrant
from lms.roster import service as roster
from lms.roster.models import Person, School, Term
from lms.roster.school import apply_national_days
from lms.usage import policies, service
from lms.usage.ahead.service import repairs_for
from lms.usage.judging.facts import to_json
from lms.usage.judging.packs import Policy
from lms.usage.judging.reading import from_json
from lms.usage.judging.standings import standings
from lms.usage.rulebook import service as rulebook
from lms.usage.rulebook.models import RuleVersion
from tests.factories import PASSWORD, make_admin, make_class, make_pupils, make_school, make_teacher, sign_in, token
from tests.usage.makers import at, closed_lesson

TODAY = date(2026, 11, 24)
MONTHS = "twice-a-month"


def officer(office: Organisation, name: str = "区教研员") -> Person:
    """An officer of an office, with a person so that the sign-in of the factories works."""
    with write():
        account = Account(
            id=new_id(),
            organisation_id=office.id,
            kind="staff",
            username=f"o{office.level}",
            display_name=name,
            password_hash=hash_password(PASSWORD),
        )
        db.session.add(account)
        db.session.flush()
        db.session.add(RoleGrant(account_id=account.id, role="officer", organisation_id=office.id))
        person = Person(id=new_id(), school_id=office.id, kind="staff", name=name, account_id=account.id)
        db.session.add(person)
    return person


def account(person: Person) -> Account:
    return db.session.get_one(Account, person.account_id)


class Area:
    """A county with one school of two grades by two classes; the classes of grade 5 had a lesson every week since 8 September."""

    def __init__(self, fixed: clock.FixedClock) -> None:
        self.school: School = make_school()
        apply_national_days(self.school.id, date(2026, 9, 1), date(2027, 1, 22))
        self.county = db.session.get_one(Organisation, self.school.organisation.parent_id)
        self.nation = db.session.get_one(Organisation, self.county.parent_id)
        with write():
            self.county.code = "430102"
            db.session.add(self.county)
        self.classes = [make_class(self.school, "primary", grade, number) for grade in (5, 6) for number in (1, 2)]
        teacher = make_teacher(self.school, self.classes[0])
        pupils = make_pupils(self.school, self.classes[0], 2)
        for week in range(10):
            day = date(2026, 9, 8) + timedelta(weeks=week)
            for number, cohort in enumerate(self.classes):
                fixed.at = at(day, 3 + number)
                if day != date(2026, 10, 6) and (number < 2 or week % 2):
                    service.record_lesson(
                        closed_lesson(cohort, teacher, pupils, day), db.session.get(Account, teacher.account_id)
                    )
        fixed.at = at(TODAY, 3)
        self.officer = officer(self.county)


@pytest.fixture
def area(app: Flask, fixed_clock: clock.FixedClock) -> Area:
    return Area(fixed_clock)


def changed(rule: Policy, **numbers: int) -> dict[str, dict[str, object]]:
    """The values of the rule with some months' numbers changed."""
    values = rule.values()
    values["months"] |= numbers
    return values


def test_new_numbers_hold_from_their_day_and_old_verdicts_keep_theirs(
    area: Area, fixed_clock: clock.FixedClock
) -> None:
    rule = policies.policy(MONTHS)
    before = rulebook.judge(area.school.id, MONTHS, TODAY)
    row = rulebook.set_values(
        account(area.officer), rule, changed(rule, full_month_lessons=3), date(2026, 12, 1), "区教育局〔2026〕8号"
    )
    assert (row.version, row.number) == ("1.0.0+430102.1", 1)
    assert rulebook.judge(area.school.id, MONTHS, TODAY).to_json() == before.to_json()
    later = rulebook.judge(area.school.id, MONTHS, date(2026, 12, 1))
    assert (later.version, later.classes[0].required) == ("1.0.0+430102.1", 9)
    assert rulebook.policy_at(MONTHS, later.version).values()["months"]["full_month_lessons"] == 3
    assert rulebook.policy_at(MONTHS, before.version).values() == rule.values()
    with pytest.raises(NotFound):
        rulebook.policy_at(MONTHS, "1.0.0+430102.9")
    fixed_clock.at = at(date(2026, 12, 2), 3)
    second = rulebook.set_values(
        account(area.officer), rule, changed(rule, full_month_lessons=1), date(2026, 12, 2), "试行一个月"
    )
    assert second.number == 2
    assert rulebook.policy_for(area.school.id, MONTHS, date(2026, 12, 1)).version.endswith(".1")
    assert rulebook.policy_for(area.school.id, MONTHS, date(2026, 12, 2)).version.endswith(".2")
    assert [one.number for one in rulebook.history(area.county, MONTHS)] == [2, 1]
    assert db.session.query(AuditEntry).filter_by(action="set-rule-values").count() == 2
    assert service.judge(area.school.id, MONTHS, date(2026, 12, 2)).version.endswith(".2")


def test_the_past_term_is_judged_by_the_numbers_of_its_last_day(area: Area, fixed_clock: clock.FixedClock) -> None:
    rule = policies.policy(MONTHS)
    fixed_clock.at = at(date(2027, 2, 1), 3)
    rulebook.set_values(account(area.officer), rule, changed(rule, full_month_lessons=3), date(2027, 2, 1), "新学期起")
    assert rulebook.judge(area.school.id, MONTHS, date(2027, 2, 10)).version == "1.0.0"


def test_only_the_office_that_owns_the_pack_changes_it(area: Area) -> None:
    county, nation = account(area.officer), account(officer(area.nation, "中央电化教育馆"))
    fortnightly, months = policies.policy("fortnightly"), policies.policy(MONTHS)
    more = fortnightly.values()
    more["blocks"]["approximate_percent"] = 90
    with pytest.raises(NotAllowed):
        rulebook.set_values(county, fortnightly, more, TODAY, "想放宽")
    with pytest.raises(NotAllowed):
        rulebook.set_values(nation, months, changed(months, full_month_lessons=1), TODAY, "本校目标不归中央")
    with pytest.raises(NotAllowed):
        rulebook.set_values(
            account(make_admin(area.school)), months, changed(months, full_month_lessons=1), TODAY, "学校自己改"
        )
    rulebook.set_values(nation, fortnightly, more, TODAY, "教电馆通知")
    assert rulebook.policy_for(area.school.id, "fortnightly", TODAY).version.startswith("1.0.0+nation")
    other = make_school("别的国家的学校")
    assert rulebook.policy_for(other.id, "fortnightly", TODAY).version == "1.0.0"


def test_the_nearest_office_decides(area: Area) -> None:
    share = policies.policy("evidence-share")
    for person, percent in ((officer(area.nation, "中央"), 60), (area.officer, 80)):
        values = share.values()
        values["share"]["share_percent"] = percent
        rulebook.set_values(account(person), share, values, TODAY, "要求")
    held = rulebook.policy_for(area.school.id, "evidence-share", TODAY)
    assert (held.values()["share"]["share_percent"], held.version) == (80, "1.0.0+430102.1")
    assert {one.name for one in rulebook.rules_for(area.school.id, TODAY)} == {one.name for one in policies.rules()}


@pytest.mark.parametrize(
    ("numbers", "reason", "on", "where"),
    [
        ({"full_month_lessons": 0}, "x", TODAY, "months.full_month_lessons"),
        ({"full_month_lessons": "many"}, "x", TODAY, "months.full_month_lessons"),
        ({"full_month_lessons": 3}, " ", TODAY, "reason"),
        ({"full_month_lessons": 3}, "x", TODAY - timedelta(days=1), "valid_from"),
    ],
)
def test_what_cannot_be_is_refused(area: Area, numbers: dict[str, int], reason: str, on: date, where: str) -> None:
    rule = policies.policy(MONTHS)
    with pytest.raises(Invalid) as refusal:
        rulebook.set_values(account(area.officer), rule, changed(rule, **numbers), on, reason)
    assert refusal.value.where == where
    with pytest.raises(Refused):
        rulebook.set_values(account(area.officer), rule, rule.values(), TODAY, "没有改动")
    assert db.session.query(RuleVersion).count() == 0


def test_a_version_outlives_a_new_pack(area: Area) -> None:
    """A number that the pack has since got keeps the pack's value; one that it has lost is left out."""
    rule = policies.policy(MONTHS)
    values = changed(rule, full_month_lessons=3)
    del values["months"]["forgiven_months"]
    values["months"]["gone"] = 7
    with write():
        db.session.add(
            RuleVersion(
                organisation_id=area.county.id,
                rule=MONTHS,
                number=1,
                version="0.9.0+430102.1",
                values=values,
                valid_from=TODAY,
                reason="旧版",
            )
        )
    held = rulebook.policy_for(area.school.id, MONTHS, TODAY).values()["months"]
    assert held == rule.values()["months"] | {"full_month_lessons": 3}


def test_a_trial_tells_which_classes_change_and_stores_nothing(area: Area) -> None:
    """Grade 6 had two lessons in October (13th and 27th) and two in September: with three a month asked it falls; grade 5 has three or more."""
    rule = policies.policy(MONTHS)
    trials = rulebook.try_values(account(area.officer), rule, changed(rule, full_month_lessons=3), TODAY)
    assert (trials.schools, trials.skipped) == (1, 0)
    (one,) = trials.changed
    assert (one.before, one.after) == ("met", "not-met")
    assert [(line.name, line.before, line.after) for line in one.lines if line.before != line.after] == [
        ("六年级1班", "met", "not-met"),
        ("六年级2班", "met", "not-met"),
    ]
    assert trials.classes == 2
    assert db.session.query(RuleVersion).count() == 0
    assert rulebook.try_values(account(area.officer), rule, rule.values(), TODAY).changed == ()


def test_every_rule_is_judged_from_the_database(area: Area) -> None:
    with write():
        db.session.add(
            Term(
                school_id=area.school.id,
                school_year=2026,
                ordinal=2,
                starts_on=date(2027, 2, 22),
                ends_on=date(2027, 7, 9),
            )
        )
    admin = account(make_admin(area.school))
    year = rulebook.judge(area.school.id, "class-hours-year", TODAY)
    assert [(unit.required, unit.counted, unit.verdict) for unit in year.units] == [(8, 9, "met")] * 2 + [
        (8, 5, "not-assessable")
    ] * 2
    assert year.facts.terms == ((date(2026, 9, 1), date(2027, 1, 22)), (date(2027, 2, 22), date(2027, 7, 9)))
    assert rulebook.judge(area.school.id, "class-hours-term", TODAY).units == ()
    rulebook.choose_subjects(admin, area.school.id, ["人工智能", " ", "人工智能"])
    (unit,) = rulebook.judge(area.school.id, "class-hours-term", TODAY).units
    assert (unit.key, unit.counted) == ("人工智能", 28)
    share = rulebook.judge(area.school.id, "evidence-share", TODAY)
    assert share.units[0].raw == 28
    with pytest.raises(NotAllowed):
        rulebook.choose_subjects(account(area.officer), area.school.id, ["语文"])
    for rule in policies.rules():  # the same facts from a file give the same verdict
        facts = rulebook.facts_for(area.school.id, rule, TODAY)
        again = from_json(json.loads(json.dumps(to_json(facts))), None, rule.facts)
        assert policies.evaluate(again, rule).to_json() == policies.evaluate(facts, rule).to_json()


# --- pages


def test_the_office_tries_then_saves(area: Area, client: FlaskClient) -> None:
    sign_in(client, area.officer)
    page = client.get("/rules").text
    assert "每月至少两次" in page
    url = f"/rules/{MONTHS}"
    form = {
        f"{part}.{name}": str(value)
        for part, held in policies.policy(MONTHS).values().items()
        for name, value in held.items()
    }
    form |= {
        "csrf_token": token(client, url),
        "months.full_month_lessons": "3",
        "valid_from": TODAY.isoformat(),
        "reason": "",
    }
    tried = client.post(url, data=form | {"do": "try"})
    assert (tried.status_code, "1 所学校的 2 项判定会变" in tried.text) == (200, True), tried.text
    assert "六年级2班" in tried.text
    wrong = client.post(url, data=form | {"do": "save"})
    assert (wrong.status_code, "请写明修改的理由" in wrong.text) == (422, True)
    assert 'name="months.full_month_lessons" type="number" inputmode="numeric" min="1" max="20" value="3"' in wrong.text
    bad = client.post(url, data=form | {"do": "try", "months.full_month_days": "八天<"})
    assert (bad.status_code, "应为 1 到 31 的整数" in bad.text) == (422, True)
    saved = client.post(url, data=form | {"do": "save", "reason": "区教育局通知"}, follow_redirects=True)
    assert "已保存为版本 1.0.0+430102.1" in saved.text
    assert "整月要求几次：2 → <b>3</b>" in saved.text
    assert "区教研员" in saved.text


def test_an_office_below_sees_the_numbers_that_hold(area: Area, client: FlaskClient) -> None:
    rule = policies.policy("fortnightly")
    values = rule.values()
    values["blocks"]["approximate_percent"] = 90
    rulebook.set_values(account(officer(area.nation, "中央")), rule, values, TODAY, "通知")
    sign_in(client, area.officer)
    text = client.get("/rules/fortnightly").text
    assert 'max="100" value="90"' in text
    assert "规则版本 1.0.0+nation" in text


def test_others_look_or_stay_outside(area: Area, client: FlaskClient) -> None:
    sign_in(client, area.officer)
    page = client.get("/rules/fortnightly").text
    assert "您可以查看" in page
    assert 'name="do"' not in page
    answer = client.post("/rules/fortnightly", data={"do": "save", "csrf_token": token(client, "/rules/fortnightly")})
    assert answer.status_code == 403
    assert client.get("/rules/weekly").status_code == 404
    sign_in(client, make_admin(area.school))
    assert client.get("/rules").status_code == 403
    assert client.get(f"/rules/{MONTHS}").status_code == 403
    assert client.post(f"/rules/{MONTHS}", data={"csrf_token": token(client, "/compliance")}).status_code == 403


def test_in_the_holidays_the_pages_keep_the_numbers_of_the_terms_last_day(
    area: Area, client: FlaskClient, fixed_clock: clock.FixedClock
) -> None:
    """What an office decides after the term is no rule of that term: page, class page, hours and what-if say what the engine says."""
    months, share = policies.policy(MONTHS), policies.policy("evidence-share")
    fixed_clock.at = at(date(2027, 1, 25), 3)
    rulebook.set_values(account(area.officer), months, changed(months, full_month_lessons=3), date(2027, 1, 26), "下学期起")
    more = share.values()
    more["share"]["share_percent"] = 90
    rulebook.set_values(account(area.officer), share, more, date(2027, 1, 26), "下学期起")
    today = date(2027, 1, 27)
    fixed_clock.at = at(today, 3)
    right = service.judge(area.school.id, MONTHS, today)
    assert right.version == "1.0.0"
    assert standings(area.school.id, today)[MONTHS] == right
    sign_in(client, make_admin(area.school))
    for path in ("/compliance", f"/compliance/classes/{area.classes[2].id}", "/compliance/hours", "/compliance/what-if"):
        text = client.get(f"{path}?rule={MONTHS}").text
        assert "规则版本 1.0.0" in text or path.endswith("what-if")
        assert "1.0.0+" not in text


def test_the_class_page_repairs_by_the_offices_numbers(area: Area, client: FlaskClient) -> None:
    """Three lessons a month are asked from today: grade 5 still needs some this month, by the pack's own two it would not."""
    rule = policies.policy(MONTHS)
    rulebook.set_values(account(area.officer), rule, changed(rule, full_month_lessons=5), TODAY, "区教育局通知")
    term = roster.terms_of(area.school.id)[0]
    teacher = db.session.scalars(select(Person).where(Person.school_id == area.school.id, Person.kind == "staff")).first()
    assert teacher is not None
    roster.set_slot(None, term, area.classes[0], teacher, weekday=1, ordinal=3, subject="人工智能")
    facts = service.facts_of(area.school.id, TODAY)
    by_office = repairs_for(facts, rulebook.policy_for(area.school.id, MONTHS, TODAY), area.classes[0].id)
    by_pack = repairs_for(facts, rule, area.classes[0].id)
    assert by_office[0].slot.day < date(2026, 12, 1) <= by_pack[0].slot.day
    sign_in(client, make_admin(area.school))
    text = client.get(f"/compliance/classes/{area.classes[0].id}?rule={MONTHS}").text
    assert f'name="day" value="{by_office[0].slot.day.isoformat()}"' in text


def test_open_lessons_of_artificial_intelligence_count_for_the_year(area: Area, fixed_clock: clock.FixedClock) -> None:
    """Beijing's eight and Hangzhou's ten class hours ask for AI lessons, not for units of a catalogue."""
    teacher = db.session.scalars(select(Person).where(Person.school_id == area.school.id, Person.kind == "staff")).first()
    assert teacher is not None
    before = rulebook.judge(area.school.id, "class-hours-year", TODAY).units[3].counted
    for number, subject in enumerate(("人工智能", "语文")):
        day = date(2026, 11, 17) + timedelta(days=number)
        fixed_clock.at = at(day, 8)
        service.record_lesson(closed_lesson(area.classes[3], teacher, [], day, units=(), subject=subject, present=30, roster=30), None)
    unit = rulebook.judge(area.school.id, "class-hours-year", TODAY).units[3]
    assert unit.counted == before + 1, {str(one.reason) for one in unit.lessons}
