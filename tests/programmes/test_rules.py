"""B3–B9 as pure rules: counting words, titles, members, themes, dates, quotas."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from lms.programmes import measures, words
from lms.programmes.dates import due_at, end_of
from lms.programmes.measures import Facts, Lab, Member, Teacher, Usage
from lms.programmes.rules import Office, count_words, may_appeal, quotas_for, way


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("人工智能", 4),
        ("人工智能，课程。", 8),  # full-width punctuation counts
        ("AI 课程", 3),  # a run of Latin letters is one
        ("AI课程2022年", 5),  # AI 课 程 2022 年
        ("3.5%", 1),  # half-width signs stay in the run
        ("e-mail a@b.cn", 2),
        ("“百校千课”", 6),  # Chinese quotation marks
        ("一、二\n三\t四　五", 6),  # no white space of any width
        ("ＡＢ１２", 4),  # full-width letters and digits one each
        ("——……", 4),
        ("Wi-Fi6，5G", 3),
        ("𠮷野家", 3),  # beyond the BMP
    ],
)
def test_words_as_word_counts_them(text: str, count: int) -> None:
    assert words.words(text) == count


@pytest.mark.parametrize("unit", ["字", "，", "AI ", "2022 ", "（"])
def test_limits_just_below_at_and_above(unit: str) -> None:
    limit = {"parts": ["a", "b"], "most": 1000}
    for number, standing in ((999, "near"), (1000, "near"), (1001, "over"), (949, "fine"), (950, "near")):
        content = {
            "f.a": unit * (number - 2),
            "f.b": [{"x": "表", "y": "格"}],
        }  # cells of a table inside the section count
        found = count_words(limit, "f", "f.a", content)
        assert (found.count, found.standing) == (number, standing)


def test_characters_beside_words() -> None:
    assert words.characters("AI 课程，好") == 6


@pytest.mark.parametrize(
    "title",
    [
        "高级教师",
        "中学高级教师",
        "正高级教师",
        "副教授",
        "教授",
        "副研究员",
        "研究员",
        "高级工程师",
        "高级实验师",
        "高级讲师",
        "特级教师、高级教师",
        "中教高级",
        "中小学高级教师",
        "高级教师（副高级）",
    ],
)
def test_senior_titles(title: str) -> None:
    assert measures.is_senior(title)


@pytest.mark.parametrize("title", ["小学高级教师", "小教高级", "一级教师", "特级教师", "讲师", ""])
def test_titles_that_are_not_senior(title: str) -> None:
    assert not measures.is_senior(title)


def row(stage: str, role: str, name: str, unit: str = "丙县教研室", title: str = "高级教师") -> dict[str, str]:
    return {"stage": stage, "role": role, "name": name, "unit": unit, "title": title}


def test_a_lead_for_each_stage() -> None:
    given = {"part": "t"}
    good = [row("小学", "牵头人", "甲"), row("初中", "牵头人", "乙")]
    assert measures.team_lead(Facts(content={"t": good}), given).state == "met"
    at_school = measures.team_lead(Facts(content={"t": [row("小学", "牵头人", "甲", "一小")]}), given)  # 教研员（或权威专家）
    assert at_school.state == "warn" and at_school.figure.endswith("请核对是否教研员或权威专家：甲（一小）")
    low = [row("小学", "牵头人", "甲", title="小学高级教师")]
    found = measures.team_lead(Facts(content={"t": low}), given)
    assert found.state == "not-met" and "小学高级教师" in found.figure
    assert measures.team_lead(Facts(content={"t": [*good, row("高中", "成员1", "丙")]}), given).state == "not-met"


def test_members_of_the_team() -> None:
    members = (Member("一小", ("primary",)), Member("九年校", ("primary", "junior")))
    rows = [
        row("小学", "成员1", "王", "一小"),
        row("小学", "成员2", "李", "九年校"),
        row("初中", "成员1", "赵", "九年校"),
    ]
    facts = Facts(members=members, content={"t": rows}, teachers=(Teacher("王", "primary", "一小"),))
    assert measures.team_members(facts, {"part": "t"}).state == "met"
    absent = measures.team_members(Facts(members=members, content={"t": rows[:2]}), {"part": "t"})
    assert absent.state == "not-met" and "初中：九年校" in absent.figure
    new = Facts(members=members, content={"t": rows}, teachers=(Teacher("孙", "primary", "一小"),))
    assert measures.team_members(new, {"part": "t"}).state == "warn"


@pytest.mark.parametrize(("number", "state"), [(1, "not-met"), (2, "warn"), (3, "met"), (4, "warn"), (5, "not-met")])
def test_about_three(number: int, state: str) -> None:
    content = {"t": [{"name": f"专家{one}"} for one in range(number)]}
    assert measures.about(Facts(content=content), {"part": "t", "number": 3}).state == state


def test_every_stage_needs_two_schools_and_a_nine_year_school_counts_once() -> None:
    members = (
        Member("一小", ("primary",)),
        Member("二小", ("primary",)),
        Member("三小", ("primary",)),
        Member("四小", ("primary",)),
        Member("九年校", ("primary", "junior")),
    )
    assert measures.school_count(Facts(members=members), {"least": 5}).state == "met"
    assert measures.schools_per_stage(Facts(members=members), {"least": 2}).state == "not-met"  # one junior school only
    more = (*members, Member("完全中学", ("junior", "senior")), Member("高中", ("senior",)))
    assert measures.schools_per_stage(Facts(members=more), {"least": 2}).state == "met"


def test_a_campus_without_its_own_code_does_not_count() -> None:
    members = (
        *(Member(f"{one}小", ("primary",)) for one in "一二三四"),
        Member("一小东校区", ("primary",), counts=False),
    )
    found = measures.school_count(Facts(members=members), {"least": 5})
    assert found.state == "not-met" and "4 所" in found.figure and "学校标识码" in found.figure


@pytest.mark.parametrize(
    ("chosen", "state"),
    [
        ([], "not-met"),
        (["教学"], "not-met"),
        (["学习", "教研"], "not-met"),
        (["教学", "学习"], "met"),
        (["教学", "学习", "教研"], "met"),
        (["教学", "学习", "教研", "培训"], "warn"),
    ],
)
def test_themes(chosen: list[str], state: str) -> None:
    assert measures.judge_themes(chosen, "教学", 2, 3)[0] == state


def test_credit_codes() -> None:
    assert measures.is_credit_code("91350100M000100Y43")  # the example of GB 32100-2015
    assert not measures.is_credit_code("91350100M000100Y44")
    assert not measures.is_credit_code("91350100")


def test_usage_before_and_after_the_first_lessons() -> None:
    given = {"rule": "fortnightly", "plan": True}
    before = Facts(
        usage={"fortnightly": Usage("not-assessable", "已计 0 次", "记录", ("met", "要求 9 次，计划 18 次"))}
    )
    found = measures.usage(before, given)
    assert found.state == "met" and "计划" in found.source and "已计 0 次" in found.figure
    late = Usage("not-met", "已计 3 次", "记录", ("met", "计划 18 次"))
    applying = measures.usage(Facts(usage={"fortnightly": late}), given)  # B2: before admission the plan decides
    assert applying.state == "met" and applying.source.endswith("（计划）") and "已计 3 次" in applying.figure
    assert measures.usage(Facts(usage={"fortnightly": replace(late, admitted=True)}), given).state == "not-met"
    assert measures.usage(Facts(usage={"fortnightly": late}), {"rule": "fortnightly"}).state == "not-met"
    assert measures.usage(Facts(), given).state == "not-assessable"


def test_the_lab_that_lacks_least_is_named() -> None:
    labs = (Lab("一室", {"all_in_one": "一体机", "student_terminal": "终端"}), Lab("二室", {"student_terminal": "终端"}, "", 3))
    needs = ["all_in_one", "student_terminal"]
    found = measures.inventory(Facts(labs=labs), {"rooms": 1, "needs": needs})
    assert found.state == "not-met" and found.figure == "二室还缺：终端"
    assert measures.inventory(Facts(labs=labs), {"rooms": 1, "needs": needs[:1]}).state == "met"
    bare = measures.inventory(Facts(labs=labs), {"rooms": 1})  # HA-09 names no equipment: a laboratory with what is registered
    assert (bare.state, bare.figure) == ("met", "二室：已登记设备 3 台（套）")
    assert measures.inventory(Facts(labs=labs[:1]), {}).figure == "一室还缺：已登记的设备"


def test_a_day_ends_at_midnight_in_shanghai() -> None:
    assert end_of(date(2022, 6, 10)) == datetime(2022, 6, 10, 16, 0, tzinfo=UTC)


def test_a_level_may_be_earlier_never_later() -> None:
    batch = {"due": {"province": "2024-06-30"}, "local": [{"office": "岳阳市", "level": "city", "due": "2024-06-20"}]}
    chain = ["city", "province"]
    assert due_at(batch, chain, "city", None, ["岳阳市"]) == date(2024, 6, 20)
    assert due_at(batch, chain, "city", None, ["长沙市"]) == date(2024, 6, 30)
    assert due_at(batch, chain, "city", {"city": date(2024, 6, 1)}, ["岳阳市"]) == date(2024, 6, 1)
    assert due_at(batch, chain, "city", {"city": date(2024, 7, 9)}, []) == date(2024, 6, 30)
    assert due_at({"due": {}}, chain, "city") is None


def test_the_way_skips_what_is_not_above() -> None:
    kind = {"chain": [{"level": one, "status": f"at-{one}", "verb": "推荐"} for one in ("county", "city", "province")]}
    above = [Office(1, "city", "乙市"), Office(2, "province", "甲省"), Office(3, "nation", "全国")]
    found = way(kind, above)
    assert [one.office.level for one in found] == ["city", "province"] and [one.last for one in found] == [False, True]


def test_quotas_by_stage_and_batch() -> None:
    pack = {
        "quotas": [
            {"id": "p", "level": "province", "kinds": ["school"], "stages": ["primary"], "batches": ["1"], "most": 300}
        ]
    }
    assert quotas_for(pack, "province", "school", "1", ["primary", "junior"])
    assert not quotas_for(pack, "province", "school", "1", ["junior"])
    assert not quotas_for(pack, "province", "school", "2", ["primary"])
    assert not quotas_for(pack, "city", "school", "1", ["primary"])


def test_appeals_end() -> None:
    refused = datetime(2026, 11, 1, tzinfo=UTC)
    assert may_appeal({"appeal_days": 7}, refused, datetime(2026, 11, 8, tzinfo=UTC))
    assert not may_appeal({"appeal_days": 7}, refused, datetime(2026, 11, 8, 0, 0, 1, tzinfo=UTC))
    assert not may_appeal({}, refused, refused)
