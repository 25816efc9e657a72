"""Import of real-life Excel lists: what is read, what is refused and how, and that nothing is half-imported."""

from __future__ import annotations

import functools
import io
import os
import time
import zipfile
from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from lms.core.clock import FixedClock
from lms.core.db import db
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.jobs import PERIODIC
from lms.core.models import Account, AuditEntry
from lms.roster import samples, service
from lms.roster.intake import service as intake
from lms.roster.intake.books import annotated, roster_book
from lms.roster.intake.pupils import Options
from lms.roster.intake.sheets import MAX_ROWS, read_sheets
from lms.roster.intake.words import PROBLEMS, line_of
from lms.roster.models import (
    Enrollment,
    GuardianLink,
    Person,
    PersonAlias,
    School,
    SchoolClass,
    TeachingAssignment,
    Term,
    TimetableSlot,
)
from tests.factories import make_admin, make_class, make_room, make_school, make_staff
from tests.roster.books import HEAD, rows_of, xls, xlsx

TUESDAY = date(2026, 11, 24)
EVERYTHING = Options(create_classes=False, keep_guardians=True, keep_registry=True)
GOOD = {"学号": "2022010199", "姓名": "张好好", "性别": "男", "年级": "", "班级": "五年级1班", "座号": "", "学籍号": "", "监护人姓名": "", "监护人手机": ""}


def with_check_digit(first_17: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return first_17 + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(first_17, weights, strict=True)) % 11]


@pytest.fixture
def school(app: Flask, fixed_clock: FixedClock) -> School:
    """A nine-year school with classes 五年级1班, 五年级2班, 五年级10班 and 七年级1班."""
    made = make_school(stages=("primary", "junior"))
    for stage, grade, number in (("primary", 5, 1), ("primary", 5, 2), ("primary", 5, 10), ("junior", 7, 1)):
        make_class(made, stage, grade, number)
    return made


def people() -> int:
    return db.session.scalar(select(func.count()).select_from(Person).where(Person.kind == "student")) or 0


def wrong_rows() -> list[tuple[dict[str, Any], str, str]]:
    """Rows that must be refused: changes to the good row, the code, the column that is named."""
    cases: list[tuple[dict[str, Any], str, str]] = []

    def add(code: str, column: str, field: str, *values: Any, **also: Any) -> None:
        cases.extend(({field: value, **also}, code, column) for value in values)

    add("name-missing", "姓名", "姓名", "", None, " ", "　", "\t")
    add("name-digits", "姓名", "姓名", "张三1", "李四02", "王五（2）3", 20220101, 3.5, "赵６六", True, "2班赵六")
    add("name-date", "姓名", "姓名", date(2026, 3, 2))
    add("name-signs", "姓名", "姓名", "张三(转)", "李四*", "王五?", "赵六/钱七", "孙□八", "周\ue123九", "吴十、郑一", "“王二”", "冯@三", "陈#四", "褚+五", "卫|六", "蒋=七", "<b>沈</b>")
    add("name-short", "姓名", "姓名", "张", "A", "李 ")
    add("name-long", "姓名", "姓名", "阿" * 51, "长" * 120)
    add("cell-error", "姓名", "姓名", "#N/A", "#REF!", "#VALUE!")
    add("formula", "姓名", "姓名", "=A1&B1", "=VLOOKUP(A2,Sheet2!A:B,2,0)", "=HYPERLINK(\"http://a.b\",\"x\")")
    add("number-scientific", "学号", "学号", "2.02E+18", "2E+17", "2.0220101e+10", "１.23E+17")
    add("number-precision", "学号", "学号", 2022010100000000, 20220101000000000000, 1234567890123456)
    add("number-fraction", "学号", "学号", 2022.5, 0.1, -3, 1e-7)
    add("number-date", "学号", "学号", date(2022, 9, 1))
    add("number-signs", "学号", "学号", "五年级01", "2022/01/01", "学号1", "-5", "2022,01", "2022'01", "=1+1 "[1:] + "#", "（1）", "2022*01")
    add("number-long", "学号", "学号", "1" * 33, "A" * 60)
    add("number-id-card", "学号", "学号", *(with_check_digit(f"11010120150101{n:03d}") for n in range(1, 9)))
    add("number-registry", "学号", "学号", *(f"{letter}11010120150101{n:04d}" for letter in "GJL" for n in (1, 2)))
    add("cell-error", "学号", "学号", "#DIV/0!", "#NAME?")
    add("formula", "学号", "学号", "=ROW()", "=TEXT(1,\"0000\")")
    add("class-missing", "班级", "班级", "", None, "  ", "　")
    add("class-unreadable", "班级", "班级", "火箭班", "实验班", "A班", "五年级甲班", "五年级1班2班", "小学八年级1班", "高四1班", "十三年级1班", "？", "初四1班", "未分班")
    add("class-no-grade", "班级", "班级", "1班", "(1)班", "十班", 1, 12, "第3班")
    add("class-no-number", "班级", "班级", "五年级", "初一", "2022级", "七年级")
    add("class-number-range", "班级", "班级", "五年级0班", "五年级61班", "五年级99班", "七年级（88）班")
    add("class-graduation-year", "班级", "班级", "2028届1班", "初2027届3班", "28届1班")
    add("class-ambiguous-stage", "班级", "班级", "2024级1班", "2025级1班", "2026级2班", "24级1班")
    add("class-not-offered", "班级", "班级", "高一1班", "高中2025级1班", "十年级1班", "高二（3）班")
    add("class-not-in-school", "班级", "班级", "2010级1班", "2031级1班", "小学2019级1班", "初中2030级1班")
    add("class-unknown", "班级", "班级", "五年级3班", "四年级1班", "八年级1班", "初三(2)班", "2021级7班", "6.5", "202班")
    add("class-date", "班级", "班级", date(2026, 5, 1), date(2026, 3, 2))
    add("class-as-number", "班级", "班级", 5.1)
    add("cell-error", "班级", "班级", "#N/A")
    add("formula", "班级", "班级", "=B2")
    add("class-conflict", "班级", "年级", "六年级", "七年级", 6, "初一")
    add("grade-unreadable", "年级", "年级", "高一", "大班", "六十年级")
    add("sex", "性别", "性别", "中", "X", "男女", 3, "不详", "先生", "Male?")
    add("name-signs", "姓名", "姓名", *(f"某{sign}人" for sign in "!$%&()+:;=?[]{}~^×√"))
    add("phone", "监护人手机", "监护人手机", "1380000000O", "+1 555 0100", "400-123", "妈妈", "0731-12", "一三八")
    add("sex", "性别", "性别", "公", "雌", "0", "9", "是")
    add("cell-error", "性别", "性别", "#N/A")
    add("roll-no", "座号", "座号", "一号", 0, 201, -1, 1.5, "A1", "1/2")
    add("registry", "学籍号", "学籍号", "G123", "X110101201501010012", "110101", "G1101012015010100123")
    add("number-precision", "学籍号", "学籍号", 1101012015010100123)
    add("number-scientific", "学籍号", "学籍号", "1.10E+17")
    add("name-digits", "监护人姓名", "监护人姓名", "张父1", 13800000000)
    add("name-signs", "监护人姓名", "监护人姓名", "李母(妈妈)")
    add("phone", "监护人手机", "监护人手机", "12345", "1380000000", "138000000001", "23800000000", "无", "13800000000/13900000000", "abc", 1)
    add("phone-scientific", "监护人手机", "监护人手机", "1.38E+10", "1.39e10")
    return cases


def test_two_hundred_wrong_rows_are_each_refused_in_words_and_nothing_is_half_imported(school: School) -> None:
    admin = db.session.get(Account, make_admin(school).account_id)
    assert admin is not None
    cases = wrong_rows()
    rows: list[list[Any]] = [["某某学校学生名单"], list(HEAD)]
    expected: dict[int, tuple[str, str]] = {}
    for at, (changes, code, column) in enumerate(cases):
        row = {**GOOD, "学号": f"20221{at:04d}", "姓名": "张好好", **changes}
        rows.append([row[name] for name in HEAD])
        expected[len(rows)] = (code, column)
    doubles = [("20229991", "重号甲", "五年级1班"), ("20229991", "重号乙", "五年级1班"), ("", "同名同", "五年级2班"), ("", "同名同", "五年级2班")]
    for number, name, where in doubles:
        rows.append([number, name, "男", "", where])
        expected[len(rows)] = ("number-double", "学号") if number else ("name-double", "姓名")
    rows.append(["20229992", "重行丙", "女", "", "五年级1班"])
    first_good = len(rows)
    rows.append(["20229992", "重行丙", "女", "", "五年级1班"])
    expected[len(rows)] = ("row-double", "学号")
    rows.append(["20229993", "好同学", "女", "", "五年级2班"])
    assert len(expected) >= 200
    assert len({code for code, _column in expected.values()}) >= 30

    shown = intake.preview(admin, school.id, "pupils", xlsx(rows), "坏名单.xlsx", EVERYTHING)
    by_row = {verdict.row: verdict for verdict in shown.verdicts}
    blank = {number for number, (code, _column) in expected.items() if number not in by_row}
    assert not blank
    for number, (code, column) in expected.items():
        verdict = by_row[number]
        wanted = {"name-date": "name-digits"}.get(code, code)
        assert verdict.status == "error", (number, rows[number - 1], code)
        assert wanted in {problem.code for problem in verdict.problems}, (number, rows[number - 1], code, verdict.problems)
        problem = next(problem for problem in verdict.problems if problem.code == wanted)
        sentence = line_of(problem, number)
        assert sentence.startswith(f"第 {number} 行{column}列："), sentence
        assert "%(" not in sentence
        assert len(sentence) > 15
    assert [verdict.row for verdict in shown.verdicts if verdict.status == "new"] == [first_good, len(rows)]

    with pytest.raises(Refused) as refused:
        intake.apply(admin, school.id, shown.token)
    assert refused.value.code == "import-errors"
    assert people() == 0
    copy = rows_of(annotated(*intake.pending_of(admin, school.id, shown.token)))["名单"]
    assert copy[1][0] == "问题"
    assert all(copy[number - 1][0] for number in expected)
    assert not copy[len(rows) - 1][0]
    done = intake.apply(admin, school.id, shown.token, good_only=True)
    assert (done.new, done.skipped) == (2, len(expected))
    assert people() == 2


def test_every_problem_can_be_said(app: Flask) -> None:
    facts = dict.fromkeys(("value", "limit", "sheet", "row", "name", "grade", "count"), "x")
    for text, remedy in PROBLEMS.values():
        assert str(text) % facts
        assert str(remedy) % facts is not None


def test_the_annotated_copy_can_be_put_right_and_imported(school: School) -> None:
    admin = db.session.get(Account, make_admin(school).account_id)
    assert admin is not None
    rows = [["标题"], ["学号", "姓名", "班级"], ["001", "张三", "五年级1班"], ["002", "李四2", "五年级1班"], [with_check_digit("11010120150101001"), "王五", "五年级1班"]]
    shown = intake.preview(admin, school.id, "pupils", xlsx(rows), "名单.xlsx")
    copy = annotated(*intake.pending_of(admin, school.id, shown.token))
    assert "11010120150101001" not in str(rows_of(copy))  # an ID card number goes nowhere
    fixed = rows_of(copy)["名单"]
    fixed[3][3], fixed[4][2] = "李四", "003"
    again = intake.preview(admin, school.id, "pupils", xlsx(fixed), "名单.xlsx")
    assert again.counts == {"new": 3}
    assert again.notes == ()


def test_the_shipped_sample_imports_whole_twice_and_quickly(app: Flask, fixed_clock: FixedClock) -> None:
    school = service.create_school(None, "示范实验学校", "十二年一贯制")
    for stage in ("primary", "junior", "senior"):
        service.add_stage(None, school.id, stage)
    service.add_term(None, school.id, 2026, 1, date(2026, 9, 1), date(2027, 1, 22))
    service.create_room(None, school.id, samples.ROOM, "人工智能实验室")
    data = samples.sample_workbook(7)
    assert rows_of(data) == rows_of(samples.sample_workbook(7))
    wanted = {pupil.student_no: pupil for pupil in samples.sample_pupils(7)}
    started = time.perf_counter()
    for kind, new in (("pupils", 480), ("staff", 5), ("slots", 12)):
        assert service.import_file(None, school.id, kind, data, "花名册.xlsx", Options(create_classes=True)).new == new
    assert time.perf_counter() - started < 90
    for kind in ("pupils", "staff", "slots"):
        assert set(service.preview_import(None, school.id, kind, data, "花名册.xlsx").counts) == {"unchanged"}
    stored = db.session.execute(
        select(PersonAlias.value, Person.name, Person.sex, SchoolClass.number)
        .join(Person, Person.id == PersonAlias.person_id)
        .join(Enrollment, Enrollment.person_id == Person.id)
        .join(SchoolClass, SchoolClass.id == Enrollment.class_id)
        .where(PersonAlias.scheme == "student_no")
    ).all()
    assert {number: (name, sex, place) for number, name, sex, place in stored} == {pupil.student_no: (pupil.name, pupil.sex, pupil.number) for pupil in wanted.values()}
    cohort = service.classes_of(school.id)[0]
    assert [pupil.roll_no for pupil in service.roster_of(cohort.id, date(2026, 9, 1))] == list(range(1, 41))
    assert len(service.slots_on(school.id, TUESDAY)) == 3


def test_xls_is_read_like_xlsx(school: School) -> None:
    rows = [["五年级花名册"], ["学 号", "姓 名", "班 别"], [2022010101, "张 三", "五（1）班"], ["２０２２０１０１０２", "李四", "五.2"], [2022010103.0, "王五", 5.2]]
    shown = intake.preview(None, school.id, "pupils", xls(rows), "名单.xls")
    assert [verdict.status for verdict in shown.verdicts] == ["new", "error", "new"]
    assert intake.apply(None, school.id, shown.token, good_only=True).new == 2
    assert set(db.session.scalars(select(PersonAlias.value))) == {"2022010101", "2022010103"}


def test_reimport_changes_what_changed_and_nothing_else(school: School) -> None:
    first = [["学号", "姓名", "性别", "班级"], ["01", "张三", "", "五年级1班"], ["02", "李四", "女", "五年级1班"], ["", "王五", "男", "五年级1班"], ["04", "赵六", "男", "五年级2班"]]
    service.import_file(None, school.id, "pupils", xlsx(first), "a.xlsx")
    second = [["学号", "姓名", "性别", "班级"], ["01", "张三", "男", "五年级2班"], ["02", "李思", "女", "五年级1班"], ["03", "王五", "男", "五年级1班"], ["04", "赵六", "", "五年级2班"], ["05", "张三", "男", "五年级1班"]]
    shown = intake.preview(None, school.id, "pupils", xlsx(second), "b.xlsx")
    assert [(verdict.status, verdict.changes) for verdict in shown.verdicts] == [
        ("changed", ("class", "sex")),
        ("changed", ("name",)),
        ("changed", ("student_no",)),
        ("unchanged", ()),
        ("new", ()),
    ]
    done = intake.apply(None, school.id, shown.token)
    assert (done.new, done.changed, done.unchanged) == (1, 3, 1)
    assert people() == 5
    one, two = (db.session.scalars(select(SchoolClass).where(SchoolClass.entry_year == 2022, SchoolClass.number == number)).one() for number in (1, 2))
    assert {pupil.name for pupil in service.roster_of(one.id, TUESDAY)} == {"李思", "王五", "张三"}
    assert {pupil.name for pupil in service.roster_of(two.id, TUESDAY)} == {"张三", "赵六"}
    assert {pupil.name for pupil in service.roster_of(one.id, date(2026, 10, 1))} == {"张三", "李思", "王五"}
    assert set(intake.preview(None, school.id, "pupils", xlsx(second), "b.xlsx").counts) == {"unchanged"}


def test_a_number_of_another_pupil_is_not_taken_over(school: School) -> None:
    service.import_file(None, school.id, "pupils", xlsx([["学号", "姓名", "班级"], ["01", "张三", "五年级1班"]]), "a.xlsx")
    shown = intake.preview(None, school.id, "pupils", xlsx([["学号", "姓名", "班级"], ["01", "李四", "五年级2班"]]), "b.xlsx")
    assert [problem.code for problem in shown.verdicts[0].problems] == ["number-other"]


def test_who_left_returns_with_the_same_history(school: School) -> None:
    rows = [["学号", "姓名", "班级"], ["01", "张三", "五年级1班"]]
    service.import_file(None, school.id, "pupils", xlsx(rows), "a.xlsx")
    person = db.session.scalars(select(Person)).one()
    service.leave(None, person, date(2026, 11, 20))
    shown = intake.preview(None, school.id, "pupils", xlsx(rows), "a.xlsx")
    assert shown.verdicts[0].changes == ("class", "returns")
    intake.apply(None, school.id, shown.token)
    assert person.left_on is None
    assert service.class_of(person.id, TUESDAY) is not None
    account = db.session.get(Account, person.account_id)
    assert account is not None
    assert account.active


def test_a_preview_is_void_once_the_roster_has_changed(school: School) -> None:
    rows = [["学号", "姓名", "班级"], ["01", "张三", "五年级1班"], ["02", "李四", "五年级1班"]]
    shown = intake.preview(None, school.id, "pupils", xlsx(rows), "a.xlsx")
    service.import_file(None, school.id, "pupils", xlsx(rows[:2]), "b.xlsx")
    with pytest.raises(Refused) as refused:
        intake.apply(None, school.id, shown.token)
    assert refused.value.code == "import-stale"
    assert people() == 1


def test_a_preview_belongs_to_who_made_it_and_is_used_once(school: School) -> None:
    one, two = (db.session.get(Account, make_admin(school).account_id) for _each in range(2))
    assert one is not None
    assert two is not None
    shown = intake.preview(one, school.id, "pupils", xlsx([["学号", "姓名", "班级"], ["01", "张三", "五年级1班"]]), "a.xlsx")
    for stranger, token in ((two, shown.token), (one, "0" * 32), (one, "../../etc/passwd")):
        with pytest.raises(NotFound):
            intake.apply(stranger, school.id, token)
    intake.apply(one, school.id, shown.token)
    with pytest.raises(NotFound):
        intake.apply(one, school.id, shown.token)
    teacher = db.session.get(Account, make_staff(school).account_id)
    with pytest.raises(NotAllowed):
        intake.preview(teacher, school.id, "pupils", b"", "a.xlsx")


def test_unknown_classes_are_offered_and_made_only_when_asked(school: School) -> None:
    data = xlsx([["学号", "姓名", "年级", "班级"], ["01", "张三", "四年级", 1], ["02", "李四", "4", "1班"], ["03", "王五", "初一", "（2）班"]])
    shown = intake.preview(None, school.id, "pupils", data, "a.xlsx")
    assert shown.unknown_classes == ("四年级1班", "七年级2班")
    shown = intake.preview(None, school.id, "pupils", data, "a.xlsx", Options(create_classes=True))
    assert (shown.counts, shown.new_classes) == ({"new": 3}, ("四年级1班", "七年级2班"))
    intake.apply(None, school.id, shown.token)
    assert db.session.scalar(select(SchoolClass.id).where(SchoolClass.stage == "junior", SchoolClass.number == 2))
    assert db.session.scalar(select(SchoolClass.entry_year).where(SchoolClass.stage == "primary", SchoolClass.entry_year == 2023)) == 2023


def test_guardians_and_registry_numbers_are_kept_only_when_ticked_and_ids_never(school: School) -> None:
    registry = "G" + with_check_digit("11010120150101777")
    rows = [["学号", "姓名", "班级", "学籍号", "身份证号", "监护人姓名", "监护人手机"], ["01", "张三", "五年级1班", registry, registry[1:], "张大三", "138-0000-0000"]]
    shown = intake.preview(None, school.id, "pupils", xlsx(rows), "a.xlsx")
    assert ("id-cards", {"sheet": "名单"}) in shown.notes
    intake.apply(None, school.id, shown.token)
    assert db.session.scalar(select(func.count()).select_from(GuardianLink)) == 0
    assert set(db.session.scalars(select(PersonAlias.scheme))) == {"student_no"}
    shown = intake.preview(None, school.id, "pupils", xlsx(rows), "a.xlsx", EVERYTHING)
    assert shown.verdicts[0].changes == ("registry_no", "guardian")
    pending, _verdicts = intake.waiting.load(shown.token, school.id, None), shown.verdicts
    assert registry[1:] not in str(pending)
    intake.apply(None, school.id, shown.token)
    link = db.session.scalars(select(GuardianLink)).one()
    assert link.phone == "13800000000"
    stored = db.session.scalar(select(PersonAlias.value).where(PersonAlias.scheme == "registry_hmac"))
    assert stored == intake.keyed(registry)
    assert registry[1:] not in str(stored)
    assert set(intake.preview(None, school.id, "pupils", xlsx(rows), "a.xlsx", EVERYTHING).counts) == {"unchanged"}


def test_the_class_may_come_from_the_sheets_name_or_the_title(school: School) -> None:
    data = xlsx([["姓名", "学号"], ["张三", "01"]], sheet="五年级1班", more={"Sheet2": [["五（2）班学生名单"], ["姓名", "学号"], ["李四", "02"]], "藏": [["姓名", "学号", "班级"], ["王五", "03", "五年级1班"]]}, hidden=["藏"])
    shown = intake.preview(None, school.id, "pupils", data, "a.xlsx")
    assert shown.counts == {"new": 2}
    assert ("sheet-hidden", {"sheet": "藏"}) in shown.notes


def test_leading_zeros_that_excel_dropped_are_noticed(school: School) -> None:
    rows: list[list[Any]] = [["学号", "姓名", "班级"], *([f"0101{n:02d}", f"张{'一二三四五六七八'[n]}", "五年级1班"] for n in range(8)), [10109, "李四", "五年级1班"]]
    shown = intake.preview(None, school.id, "pupils", xlsx(rows), "a.xlsx")
    assert [problem.code for verdict in shown.verdicts for problem in verdict.problems] == ["number-zeros"]


def test_stored_results_of_formulas_are_used(school: School) -> None:
    plain = xlsx([["学号", "姓名", "班级"], ["01", "张三", "=B9"]])
    source, target = zipfile.ZipFile(io.BytesIO(plain)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as changed:
        for part in source.infolist():
            body = source.read(part)
            if part.filename == "xl/worksheets/sheet1.xml":
                body = body.replace(b'<c r="C2"><f>B9</f><v /></c>', '<c r="C2" t="str"><f>B9</f><v>五年级1班</v></c>'.encode()).replace(
                    b'<c r="C2"><f>B9</f><v></v></c>', '<c r="C2" t="str"><f>B9</f><v>五年级1班</v></c>'.encode()
                )
            changed.writestr(part, body)
    assert intake.preview(None, school.id, "pupils", target.getvalue(), "a.xlsx").counts == {"new": 1}


def repacked(parts: dict[str, bytes]) -> bytes:
    source, target = zipfile.ZipFile(io.BytesIO(xlsx([["姓名", "班级"], ["张三", "五年级1班"]]))), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as changed:
        for name in {*source.namelist(), *parts}:
            changed.writestr(name, parts.get(name) or source.read(name))
    return target.getvalue()


@functools.cache
def bad_files() -> list[tuple[str, bytes]]:
    good = xlsx([["姓名", "班级"], ["张三", "五年级1班"]])
    entities = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    old = xls([["姓名", "班级"], ["张三", "五年级1班"]])
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1000 + "EncryptedPackage".encode("utf-16-le")
    return [
        ("file-empty", b""),
        ("file-not-excel", b"name,class\n\xe5\xbc\xa0,5"),
        ("file-not-excel", b"%PDF-1.7 ..."),
        ("file-not-excel", b"\x89PNG\r\n\x1a\n"),
        ("file-web", b"<html><table><tr><td>x</td></tr></table></html>"),
        ("file-encrypted", locked),
        ("file-bomb", repacked({"xl/media/a.bin": b"\0" * 90_000_000})),
        ("file-bomb", repacked({f"xl/x{n}.xml": b"<x/>" for n in range(1100)})),
        ("file-broken", repacked({"xl/workbook.xml": entities})),
        ("file-broken", repacked({"xl/sharedStrings.xml": entities.decode().encode("utf-16")})),
        ("file-broken", repacked({"xl/workbook.xml": b"<not-closed"})),
        ("file-broken", repacked({"xl/worksheets/sheet1.xml": b"<worksheet><sheetData><row><c r='ZZZZZZ1'"})),
        ("file-xlsb", repacked({"xl/workbook.bin": b"x"})),
        ("file-broken", good[: len(good) // 2]),
        ("file-broken", good[:200]),
        ("file-broken", old[:600]),
        ("file-broken", old[:8] + b"\xff" * 4000),
        ("file-large", b"PK\x03\x04" + b"\0" * 11_000_000),
        ("no-header", xlsx([["姓", "级"], ["张三", "五年级1班"]])),
        ("no-header", xlsx([["工号", "姓名", "学科"], ["1", "张三", "语文"]])),
        ("no-rows", xlsx([["姓名", "班级"]])),
        ("header-double", xlsx([["姓名", "班级", "姓名", "班级"], ["张三", "五年级1班", "李四", "五年级2班"]])),
        ("file-rows", xlsx([["姓名", "班级"], *(["张三", "五年级1班"] for _row in range(MAX_ROWS + 30))])),
    ]


@pytest.mark.parametrize("case", range(len(bad_files())))
def test_files_that_are_no_list_are_refused_before_harm(school: School, case: int) -> None:
    code, data = bad_files()[case]
    with pytest.raises(Invalid) as refused:
        intake.preview(None, school.id, "pupils", data, "名单.xlsx")
    assert refused.value.code == code
    assert str(refused.value.message)
    assert str(refused.value.remedy)
    assert people() == 0


def test_broken_bytes_anywhere_never_crash_the_reader(app: Flask) -> None:
    for good in (xlsx([["姓名", "班级"], ["张三", "五年级1班"]]), xls([["姓名", "班级"], ["张三", "五年级1班"]])):
        for start in range(0, len(good), max(1, len(good) // 60)):
            broken = good[:start] + bytes(255 - byte for byte in good[start : start + 40]) + good[start + 40 :]
            try:
                read_sheets(broken, "x.xlsx")
            except Invalid as refused:
                assert refused.code.startswith("file-")  # noqa: PT017 (either outcome is right, a crash is not)


def test_staff_lists_make_accounts_and_duties_and_repeat_safely(school: School) -> None:
    rows = [
        ["任课表"],
        ["工 号", "教师姓名", "职称", "任教班级", "任教学科"],
        ["T1", "周明远", "一级教师", "五年级1、2班", "人工智能"],
        ["T1", "周明远", "", "七年级1班", "信息科技"],
        ["T2", "沈若兰", "", None, None],
        ["T2", "沈某某", "", None, None],
        ["T3", "韩致和", "", "五年级9班", "人工智能"],
        ["T4", "温书怀", "", "五年级1班", ""],
        ["", "陆景行", "", "", "语文"],
        ["T6", "", "", "", ""],
        [with_check_digit("11010119800101001"), "叶某某", "", "", ""],
    ]
    shown = intake.preview(None, school.id, "staff", xlsx(rows), "教师.xlsx")
    assert [(verdict.status, [problem.code for problem in verdict.problems]) for verdict in shown.verdicts] == [
        ("new", []),
        ("changed", []),
        ("new", []),
        ("error", ["staff-double"]),
        ("error", ["class-unknown"]),
        ("error", ["subject-missing"]),
        ("new", []),
        ("error", ["name-missing"]),
        ("error", ["number-id-card"]),
    ]
    intake.apply(None, school.id, shown.token, good_only=True)
    assert db.session.scalar(select(func.count()).select_from(TeachingAssignment)) == 3
    assert {account.username for account in db.session.scalars(select(Account).where(Account.kind == "staff"))} >= {"T1", "T2"}
    assert set(intake.preview(None, school.id, "staff", xlsx([rows[1], rows[2], rows[3], rows[4]]), "教师.xlsx").counts) == {"unchanged"}


def test_timetables_are_checked_for_clashes_in_file_and_in_school(school: School) -> None:
    make_staff(school, name="周明远")
    make_staff(school, name="沈若兰")
    make_staff(school, name="同名人")
    make_staff(school, name="同名人")
    make_room(school, "lab1", 2)
    head = ["班级", "星期", "节次", "单双周", "学科", "教师", "教室"]
    rows = [
        head,
        ["五年级1班", "周一", "第1节", None, "人工智能", "周明远", "LAB1"],
        ["五年级2班", "星期一", 1, None, "人工智能", "沈若兰", "人工智能实验室"],
        ["五年级2班", "礼拜一", "一", None, "人工智能", "周明远", None],
        ["五年级1班", "1", "1", None, "语文", "沈若兰", None],
        ["五年级1班", "周一", "第1节", None, "人工智能", "周明远", "lab1"],
        ["七年级1班", "周二", "第二节", "单", "人工智能", "周明远", "lab1"],
        ["五年级1班", "周二", "第2节", "双周", "人工智能", "周明远", "lab1"],
        ["五年级1班", "周八", "第2节", None, "人工智能", "周明远", None],
        ["五年级1班", "周三", "下午第1节", None, "人工智能", "周明远", None],
        ["五年级1班", "周三", "第12节", None, "人工智能", "周明远", None],
        ["五年级1班", "周三", "第3节", "隔周", "人工智能", "周明远", None],
        ["五年级1班", "周三", "第3节", None, None, "周明远", None],
        ["五年级1班", "周三", "第3节", None, "人工智能", None, None],
        ["五年级1班", "周三", "第3节", None, "人工智能", "查无此", None],
        ["五年级1班", "周三", "第3节", None, "人工智能", "同名人", None],
        ["五年级1班", "周三", "第3节", None, "人工智能", "周明远", "地下室"],
        ["五年级7班", "周三", "第3节", None, "人工智能", "周明远", None],
    ]
    shown = intake.preview(None, school.id, "slots", xlsx(rows), "课表.xlsx")
    assert [next(iter(problem.code for problem in verdict.problems), verdict.status) for verdict in shown.verdicts] == [
        "new", "slot-room", "slot-teacher", "slot-class", "slot-double", "new", "new", "weekday", "period", "period-none",
        "weeks", "subject-missing-slot", "teacher-missing", "teacher-unknown", "staff-same-name", "room-unknown", "class-unknown",
    ]  # fmt: skip
    assert intake.apply(None, school.id, shown.token, good_only=True).new == 3
    changed = [head, ["五年级1班", "周一", "第1节", None, "科学", "沈若兰", None], ["七年级1班", "周一", "第1节", None, "人工智能", "沈若兰", None]]
    shown = intake.preview(None, school.id, "slots", xlsx(changed), "课表.xlsx")
    assert [(verdict.status, verdict.changes) for verdict in shown.verdicts] == [("changed", ("subject", "teacher", "room")), ("error", ())]
    known = [head, ["五年级2班", "周二", "第2节", None, "人工智能", "周明远", None]]
    assert intake.preview(None, school.id, "slots", xlsx(known), "课表.xlsx").verdicts[0].problems[0].code == "slot-teacher-known"
    assert db.session.scalar(select(func.count()).select_from(TimetableSlot)) == 3


def test_no_term_no_timetable(app: Flask, fixed_clock: FixedClock) -> None:
    school = service.create_school(None, "新学校", "小学")
    with pytest.raises(Refused):
        intake.preview(None, school.id, "pupils", b"", "a.xlsx")
    service.add_stage(None, school.id, "primary")
    with pytest.raises(Refused):
        intake.preview(None, school.id, "slots", b"", "a.xlsx")
    assert db.session.scalar(select(func.count()).select_from(Term)) == 0


def test_the_export_imports_as_unchanged_and_is_journalled_without_names(school: School) -> None:
    admin = db.session.get(Account, make_admin(school).account_id)
    assert admin is not None
    rows = [["学号", "姓名", "性别", "班级"], ["007", "张三", "男", "五年级1班"], ["=1+1", "李四", "女", "五年级2班"], ["008", "李四", "女", "五年级2班"]]
    service.import_file(admin, school.id, "pupils", xlsx([rows[0], rows[1], rows[3]]), "a.xlsx")
    data = roster_book(admin, school.id)
    assert rows_of(data)["五年级1班"][1] == ["007", "张三", "男", "五年级1班", 1]
    assert set(intake.preview(admin, school.id, "pupils", data, "b.xlsx").counts) == {"unchanged"}
    lines = db.session.scalars(select(AuditEntry).where(AuditEntry.action.in_(["import-pupils", "export-roster"]))).all()
    assert len(lines) == 2
    assert "张三" not in str([line.detail for line in lines])


def test_a_cohort_is_found_by_any_of_its_names(school: School) -> None:
    names = ("五年级1班", "五（1）班", "5.1班", "501班", "小学2022级1班", "２０２２级１班", "五年级一班")
    data = xlsx([["学号", "姓名", "班级"], *([f"0{n}", f"张{'一二三四五六七'[n]}", name] for n, name in enumerate(names))])
    shown = intake.preview(None, school.id, "pupils", data, "a.xlsx")
    assert shown.counts == {"new": len(names)}
    intake.apply(None, school.id, shown.token)
    assert db.session.scalar(select(func.count(Enrollment.class_id.distinct()))) == 1


def test_an_uploaded_list_is_forgotten_after_an_hour(app: Flask) -> None:
    """Whoever comes back too late finds nothing, and what nobody came back for goes by the clock."""
    school = make_school()
    for day in range(2):
        shown = intake.preview(None, school.id, "pupils", xlsx([["学号", "姓名", "班别"], ["2022010101", "张三", "五年级1班"]]), "a.xlsx")
        path = app.config["ZHIKE"].run / "imports" / f"{shown.token}.json"
        os.utime(path, (time.time() - 3700,) * 2)
        if day:
            assert PERIODIC["forget-imports"][1]() is None
        else:
            with pytest.raises(NotFound):
                intake.waiting.load(shown.token, school.id, None)
        assert not path.exists()
