"""Rules of the selection: conflicts of interest, a fair draw, wide divergence, ranking with ties, points as typed; a form read back."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lms.programmes.selection import readback, rules
from lms.programmes.selection.readback import Piece
from lms.programmes.selection.rules import Referee, Subject, conflicts

COUNTY, SCHOOL = "n/p/c/k/", "n/p/c/k/s/"
APPLICANT = Subject(1, "丙县一小", SCHOOL, frozenset({"丙县教育局"}), frozenset({"丙县一小分校"}), frozenset({"王小明"}), frozenset({"13800000000"}))


@pytest.mark.parametrize(
    ("referee", "why"),
    [
        (Referee(1, "张三", "某大学"), []),
        (Referee(1, "张三", "丙县一小"), ["same"]),
        (Referee(1, "张三", "别名", SCHOOL), ["same"]),
        (Referee(1, "张三", "丙县教育局"), ["above"]),
        (Referee(1, "张三", "丙县", COUNTY), ["above"]),
        (Referee(1, "张三", "乙市教科院", "n/p/c/"), ["above"]),
        (Referee(1, "张三", "丁县二小", "n/p/c/d/s/"), []),
        (Referee(1, "张三", "丙县一小分校"), ["below"]),
        (Referee(1, "张三", "分校", SCHOOL + "x/"), ["below"]),
        (Referee(1, "王 小明", "某大学"), ["named"]),
        (Referee(1, "张三", "某大学", phone="138-0000-0000"), ["named"]),
        (Referee(1, "张三", "某大学", avoid=frozenset({"丙县一小"})), ["declared"]),
        (Referee(1, "王小明", "丙县一小", SCHOOL, avoid=frozenset({"丙县一小"})), ["same", "named", "declared"]),
    ],
)
def test_conflicts_of_interest(referee: Referee, why: list[str]) -> None:
    assert conflicts(referee, APPLICANT, "n/p/") == why


def test_people_of_the_deciding_office_and_above_may_judge() -> None:
    assert conflicts(Referee(1, "张三", "甲省电教馆", "n/p/"), APPLICANT, "n/p/") == []
    assert conflicts(Referee(1, "张三", "中央电教馆", "n/"), APPLICANT, "n/p/") == []


def test_people_and_telephones_of_teams_and_contacts() -> None:
    team = {"columns": [{"id": "name", "label": "姓名"}, {"id": "unit", "label": "单位"}, {"id": "mobile", "label": "手机号", "type": "phone"}]}
    cover = {"fields": [{"id": "contact", "label": "联系人"}, {"id": "phone", "label": "联系电话", "type": "phone"}]}
    names, phones = rules.people_of(
        [(team, [{"name": "李 四", "unit": "一小", "mobile": "139 1111 2222"}, {"name": "赵六、钱七"}]), (cover, {"contact": "孙八", "phone": "0731-1234567"}), (cover, None)]
    )
    assert {"李四", "赵六", "钱七", "孙八"} <= names and "一小" not in names
    assert phones == {"13911112222", "07311234567"}


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_the_draw_is_full_even_and_repeatable(data: st.DataObject) -> None:
    experts = list(range(data.draw(st.integers(2, 7))))
    subjects = [f"a{number}" for number in range(data.draw(st.integers(1, 12)))]
    eligible = {one: data.draw(st.sets(st.sampled_from(experts), min_size=0)) for one in subjects}
    held = {one: data.draw(st.sets(st.sampled_from(sorted(eligible[one])), max_size=1)) if eligible[one] else set() for one in subjects}
    made = rules.draw(eligible, held, 2, "种子", experts)
    assert made == rules.draw(eligible, held, 2, "种子", experts)
    for one in subjects:
        given_ = {expert for subject, expert in made.pairs if subject == one}
        assert given_ <= eligible[one] and not given_ & held[one]
        assert len(given_) == min(2 - len(held[one]), len(eligible[one] - held[one]))
        assert made.short.get(one, 0) == max(0, 2 - len(eligible[one]))
    assert len(set(made.pairs)) == len(made.pairs)


def test_the_load_is_even_where_nothing_forbids_it() -> None:
    experts = list("甲乙丙丁戊")
    made = rules.draw(dict.fromkeys(range(13), experts), {}, 2, "x", experts)
    assert set(Counter(expert for _one, expert in made.pairs).values()) == {5, 6}
    narrow = {0: ["甲", "乙"], 1: ["甲", "乙"], 2: ["甲", "丙"], 3: ["甲", "丙", "丁"]}
    load = Counter(expert for _one, expert in rules.draw(narrow, {}, 1, "y", list("甲乙丙丁")).pairs)
    assert max(load.values()) == 1
    assert rules.draw({0: ["甲"]}, {}, 2, "z", ["甲"]).short == {0: 1}
    seeds = {tuple(rules.draw({0: experts}, {}, 2, str(number), experts).pairs) for number in range(20)}
    assert len(seeds) > 3


def test_wide_divergence_is_above_the_threshold_and_settled_by_a_third() -> None:
    assert not rules.diverges([70.0, 85.0], 100, 15)
    assert rules.diverges([70.0, 85.1], 100, 15)
    assert not rules.diverges([70.0, 90.0, 80.0], 100, 15)
    assert not rules.diverges([70.0], 100, 15)
    assert rules.diverges([10.0, 17.0], 40, 15)


def test_ranking_by_mean_or_median_with_ties() -> None:
    totals = {"a": [80.0, 90.0], "b": [85.0], "c": [70.5, 70.0], "d": [], "e": [60.0, 61.0, 100.0]}
    mean = {place.id: (place.number, place.score, place.tied) for place in rules.rank(totals)}
    assert mean == {
        "a": (1, Decimal("85.00"), True), "b": (1, Decimal("85.00"), True), "e": (3, Decimal("73.67"), False),
        "c": (4, Decimal("70.25"), False), "d": (None, None, False),
    }  # fmt: skip
    assert [place.id for place in rules.rank(totals, "median")] == ["a", "b", "c", "e", "d"]
    assert rules.combined([0.1, 0.2], "mean") == Decimal("0.15")


@pytest.mark.parametrize(
    ("text", "points", "wrong"),
    [("20", 20.0, False), (" 19.5 ", 19.5, False), ("", None, False), ("20.5", None, True), ("1.25", None, True), ("-1", None, True), ("好", None, True), ("19．5", 19.5, False), ("1e1", None, True)],
)
def test_points_as_typed(text: str, points: float | None, wrong: bool) -> None:
    found, why = rules.read_points({"name": "队伍", "most": 20}, text)
    assert (found, bool(why)) == (points, wrong)


def test_a_total_needs_every_item() -> None:
    items = [{"id": "a", "name": "甲", "most": 10}, {"id": "b", "name": "乙", "most": 10}]
    assert rules.total_of(items, {"a": 0.1, "b": 0.2}) == 0.3
    assert rules.total_of(items, {"a": 5, "b": None}) is None
    assert rules.sheet_problem(items) == ""
    assert "同名" in rules.sheet_problem([*items, {"id": "c", "name": "甲", "most": 1}])
    assert "满分" in rules.sheet_problem([{"id": "c", "name": "丙", "most": 0}])
    assert rules.sheet_problem([]) and rules.most_of(items) == 20


def test_a_form_is_read_back_from_its_pieces() -> None:
    form = {
        "form": "f", "title": "申报表", "cover": [{"id": "contact", "label": "联系人"}, {"id": "day", "label": "日期", "type": "date"}, {"id": "filler", "label": "单位", "from": "applicant"}, {"id": "seal", "label": "签字", "by_hand": True}],
        "parts": [
            {"id": "basics", "heading": "一、基本情况", "type": "text"},
            {"id": "check", "heading": "二、自查", "type": "answers", "criteria": ["C1", "C2"]},
            {"id": "team", "heading": "三、团队", "type": "table", "note": "不要漏", "columns": [{"id": "name", "label": "姓名"}, {"id": "post", "label": "职务"}]},
            {"id": "theme", "heading": "四、主题", "type": "choices", "choices": "t"},
            {"id": "hidden", "heading": "内部", "type": "text", "inner": True},
        ],
    }  # fmt: skip
    pieces = [
        Piece("申报表"), Piece("联系人：孙八"), Piece("日期：2026年11月3日"), Piece("单位：丙县一小"), Piece("签字："), Piece("一、基本情况"), Piece("第一段"), Piece("第二段"),
        Piece("二、自查"), Piece("条件一"), Piece("具备。"), Piece("系统数据：12 课次"), Piece("条件二"), Piece(""),
        Piece("三、团队"), Piece(rows=(("姓名", "职务"), ("李四", "主任"), ("", ""))), Piece("注：不要漏"), Piece("四、主题"), Piece("☑教学  □教学研究"),
    ]  # fmt: skip
    assert readback.is_ours(form, pieces) and not readback.is_ours(form, pieces[1:])
    found = readback.read_form(form, pieces, {"t": ["教学", "教学研究"]}, {"C1": "条件一", "C2": "条件二"}, {"applicant": "丙县一小"})
    assert found == {
        "cover": {"contact": "孙八", "day": "2026-11-03"}, "basics": "第一段\n第二段", "check": {"C1": "具备。", "C2": ""},
        "team": [{"name": "李四", "post": "主任"}], "theme": ["教学"],
    }  # fmt: skip
    assert readback.ticked_of("□教学 ☑ 教学研究", ["教学", "教学研究"]) == ["教学研究"]


def test_a_table_ends_at_its_note_or_foot() -> None:
    part = {"id": "team", "heading": "团队", "type": "table", "columns": [{"id": "name", "label": "姓名"}, {"id": "post", "label": "职务"}]}
    rows = (("团队", ""), ("姓名", "职务"), ("李四", ""), ("", ""), ("王五", "主任"), ("注：3名左右", ""), ("填表人：赵六", ""))
    found = readback.read_form({"title": "表", "parts": [part]}, [Piece("团队", rows)], {}, {}, {})
    assert [one["name"] for one in found["team"]] == ["李四", "王五"]
