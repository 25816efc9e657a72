"""Rows of the register as people write them, and what the years add up to."""

from __future__ import annotations

from datetime import date

import pytest

from lms.register.rules import Award, Held, Record, figures, levels_told, names_in, read_achievement, read_activity

TODAY = date(2026, 11, 24)
ACTIVITY = {
    "日期": "2026-10-20",
    "类别": "骨干教师专业知识与技能",
    "主题": "课程培训",
    "学时": "16",
    "参加人员": "王老师",
}
AWARD = {"对象": "教师", "姓名": "王老师", "类别": "精品课征集", "成果名称": "精品课", "级别": "省级", "年份": "2025"}


@pytest.mark.parametrize(
    "text", ["2026-10-20", "2026/10/20", "2026.10.20", "2026年10月20日", "20261020", "２０２６－１０－２０"]
)
def test_a_day_in_many_ways(text: str) -> None:
    values, faults = read_activity({**ACTIVITY, "日期": text}, TODAY)
    assert (values.held_on, faults) == (date(2026, 10, 20), [])


@pytest.mark.parametrize(
    ("column", "text", "told"),
    [
        ("日期", "2026-13-01", "2026-11-03 这样"),
        ("日期", "", "没有填"),
        ("日期", "2026-11-25", "还没有到"),
        ("类别", "聚餐", "局长、校长领导力"),
        ("类型", "教研", "跨校教研"),  # the category is one of training
        ("主题", " ", "没有填"),
        ("学时", "许多", "0 到 400"),
        ("学时", "0", "大于 0"),
        ("学时", "", "没有填"),
        ("其他人数", "2.5", "整数"),
        ("证书编号", "A-1", ""),
    ],
)
def test_faults_of_an_activity_name_the_column(column: str, text: str, told: str) -> None:
    texts = {**ACTIVITY, column: text} | ({"参加人员": "王老师、李老师"} if column == "证书编号" else {})
    faults = read_activity(texts, TODAY)[1]
    found = [one.why for one in faults if one.column in (column, "类别")]
    assert found and any(told in why for why in found)


def test_numbers_with_their_unit_and_the_kind_from_the_category() -> None:
    values, faults = read_activity({**ACTIVITY, "学时": "１６ 学时", "学分": "2学分", "其他人数": "30人"}, TODAY)
    assert (values.kind, values.hours, values.credit, values.others, faults) == ("training", 16.0, 2.0, 30, [])
    assert read_activity({**ACTIVITY, "类别": "跨校教研"}, TODAY)[0].kind == "research"


def test_names_in_one_cell() -> None:
    assert names_in("张 三、李四,王五；张三") == ("张三", "李四", "王五")


def test_pupils_stand_in_totals_only() -> None:
    pupils = {**AWARD, "对象": "学生", "类别": "创新之星", "人次": "3"}
    assert [one.column for one in read_achievement(pupils, TODAY)[1]] == ["姓名"]
    values, faults = read_achievement({**pupils, "姓名": ""}, TODAY)
    assert (values.person, values.number, faults) == ("", 3, [])
    assert [one.column for one in read_achievement({**pupils, "姓名": "", "人次": ""}, TODAY)[1]] == ["人次"]


@pytest.mark.parametrize(
    ("column", "text"), [("年份", "2027"), ("年份", "去年"), ("级别", "区级"), ("姓名", ""), ("对象", "家长")]
)
def test_faults_of_an_achievement(column: str, text: str) -> None:
    assert column in [one.column for one in read_achievement({**AWARD, column: text}, TODAY)[1]]


def test_a_year_back_and_three_calendar_years() -> None:
    held = (
        Held("training", "其他培训", date(2025, 11, 24), 8, 2),  # a year and a day ago: out
        Held("training", "其他培训", date(2025, 11, 25), 4, 3),
        Held("research", "跨校教研", date(2026, 11, 24), 2, 10),
    )
    awards = tuple(
        Award("teacher", "其他", f"奖{year}", level, year)
        for year, level in ((2023, "国家级"), (2024, "省级"), (2026, "市级"), (2025, "国家级"))
    )
    record = Record(held, awards, TODAY)
    assert figures(record.lately()) == "2 次、6 学时、13 人次"
    assert [one.day for one in record.lately("training")] == [date(2025, 11, 25)]
    assert record.lately(categories=("跨校教研",)) == held[2:]
    assert [one.name for one in record.awards_of("teacher")] == [
        "奖2025",
        "奖2024",
        "奖2026",
    ]  # 2024–2026, highest level first
    assert levels_told(record.awards_of("teacher")) == "国家级 1、省级 1、市级 1"
