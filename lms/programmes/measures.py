"""How a criterion is measured (条件怎么核): live facts and what was written in, a state with its figure and source; pure.

Each measure takes (:class:`Facts`, parameters of the criterion) and says met | not-met | warn | declare | not-assessable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lms.register.rules import Record, figures, levels_told

State = Literal["met", "not-met", "warn", "declare", "not-assessable"]
STATE_NAMES: Mapping[str, str] = {
    "met": "符合",
    "not-met": "不符合",
    "warn": "提醒",
    "declare": "待申报",
    "not-assessable": "暂不能判定",
}
# B5; 小学高级教师 is 中级 and 特级教师 an honour: neither is here.
SENIOR_TITLES = frozenset(
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
        "正高级工程师",
        "正高级实验师",
        "正高级讲师",
    ]
)
# Titles as they are still written, and levels that people give for a title (B5); a grade in brackets or a 中小学 before it says no more.
_OLD_TITLES = {
    "中教高级": "中学高级教师", "中高": "中学高级教师", "中学高级": "中学高级教师", "小教高级": "小学高级教师", "小学高级": "小学高级教师", "小高": "小学高级教师",
    "正高级": "正高级教师", "正高": "正高级教师", "副高级": "高级教师", "副高": "高级教师",
}  # fmt: skip
_STAGE_NAMES = {"kindergarten": "幼儿园", "primary": "小学", "junior": "初中", "senior": "高中"}


@dataclass(frozen=True)
class Usage:
    """What a usage rule says: ``verdict`` as the engine's, ``why`` and ``source`` in words; ``planned`` the same over the timetable.

    ``admitted``: the stages that take part are in the pilot already: from then on lessons decide, before that the plan does (B2).
    """

    verdict: str
    why: str
    source: str
    planned: tuple[str, str] | None = None
    admitted: bool = False


@dataclass(frozen=True)
class Lab:
    """A laboratory: of what may be asked (HN-19) what is ``missing``, code → words; ``assets``: pieces of equipment in its register."""

    name: str
    missing: Mapping[str, str]
    figures: str = ""
    assets: int = 0

    def lacks(self, needs: Sequence[str]) -> list[str]:
        """In words what it lacks of ``needs``; where none are named, equipment that is registered at all."""
        if not needs:
            return [] if self.assets else ["已登记的设备"]
        return [words for code, words in self.missing.items() if code in needs]


@dataclass(frozen=True)
class Teacher:
    """A teacher of the 开课计划 by name, school, stage and title (职称)."""

    name: str
    stage: str
    school: str = ""
    title: str = ""


@dataclass(frozen=True)
class Member:
    """A school that takes part in an area: ``counts``: it has a code and legal person of its own (B3)."""

    name: str
    stages: tuple[str, ...]
    counts: bool = True


@dataclass(frozen=True)
class Facts:
    """What is known of an applicant when it checks itself."""

    level: str = "school"
    stages: tuple[str, ...] = ()
    configuration: Mapping[str, int] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    labs: tuple[Lab, ...] = ()
    teachers: tuple[Teacher, ...] = ()
    members: tuple[Member, ...] = ()
    waiting: int = 0  # schools that handed in and are not listed by the area's office
    content: Mapping[str, Any] = field(default_factory=dict)
    files: frozenset[str] = frozenset()
    code: str = ""
    record: Record = field(default_factory=Record)


@dataclass(frozen=True)
class Outcome:
    """State of a criterion, the figure behind it and where it comes from."""

    state: State
    figure: str = ""
    source: str = ""


LAB_NEEDS: Mapping[str, str] = {
    "all_in_one": "教学一体机1台",
    "teacher_terminal": "教师教学终端(含配套软件)1台",
    "student_terminal": "学生学习终端(含配套软件)每人1台",
    "seats": "座位",
    "group_furniture": "分组讨论的桌椅",
}
Measure = Callable[[Facts, Mapping[str, Any]], Outcome]
FROM_FORM = "申报表"
FROM_REGISTER = "研修与成果登记"
FROM_MEMBERS = "列入本区的试点校申报"


def declared(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """What the system cannot know: declared by a text and backed by attachments."""
    parts, slots = given.get("parts", ()), given.get("files", ())
    empty = [one for one in parts if not _filled(facts.content.get(one))]
    missing = [one for one in slots if one not in facts.files]
    if (not parts and not slots) or empty or missing:
        return Outcome("declare", "还没有说明" if empty or not (parts or slots) else "还没有佐证附件", "学校自述")
    return Outcome("met", "已说明" + (f"，附件 {len(slots)} 份" if slots else ""), "学校自述")


def usage(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """A usage rule (GS-18). With ``plan``: before admission over the planned slots, labelled 计划, past lessons beside it (B2); else over lessons."""
    found = facts.usage.get(str(given["rule"]))
    if found is None:
        return Outcome("not-assessable", "没有可判定的学期或学段", "开课记录")
    states: Mapping[str, State] = {
        "met": "met",
        "met-approximately": "met",
        "not-met": "not-met",
        "structurally-impossible": "not-met",
    }
    figure = found.why
    if found.planned is not None:
        verdict, why = found.planned
        figure = f"计划：{why}；已上：{found.why}"
        if given.get("plan") and not found.admitted:
            return Outcome(states.get(verdict, "not-assessable"), figure, f"{found.source}（计划）")
    return Outcome(states.get(found.verdict, "not-assessable"), figure, found.source)


def configuration(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """A solution configuration 一/二/三 for every stage that takes part (GS-16)."""
    missing = [_STAGE_NAMES[one] for one in facts.stages if facts.configuration.get(one, 0) not in (1, 2, 3)]
    if not facts.stages or missing:
        return Outcome("not-met", "没有登记配置：" + ("、".join(missing) or "没有学段"), "学校资料")
    return Outcome(
        "met",
        "、".join(f"{_STAGE_NAMES[one]}配置{'一二三'[facts.configuration[one] - 1]}" for one in facts.stages),
        "学校资料",
    )


def inventory(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """At least ``rooms`` laboratories that have the ``needs`` of the notice (HN-19); without, with registered equipment (HA-09)."""
    wanted, needs = int(given.get("rooms", 1)), list(given.get("needs", ()))
    complete = [one for one in facts.labs if not one.lacks(needs)]
    if len(complete) >= wanted:
        told = complete[0].figures if needs else f"已登记设备 {complete[0].assets} 台（套）"
        return Outcome("met", f"{complete[0].name}：{told}", "教室与设备台账")
    if not facts.labs:
        return Outcome("not-met", "没有登记实验教室", "教室与设备台账")
    best = min(facts.labs, key=lambda one: len(one.lacks(needs)))
    return Outcome("not-met", f"{best.name}还缺：{'、'.join(best.lacks(needs))}", "教室与设备台账")


def teachers(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """At least ``least`` teachers of the subject (HA-16)."""
    names = {one.name for one in facts.teachers}
    least = int(given["least"])
    return Outcome("met" if len(names) >= least else "not-met", f"{len(names)} 人，要求 {least} 人", "任课安排")


def school_count(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """At least ``least`` schools, each counted once; a campus only with a code of its own (GS-11, B3)."""
    count, least = sum(one.counts for one in facts.members), int(given["least"])
    without = len(facts.members) - count
    figure = f"{count} 所，要求不少于 {least} 所" + (
        f"；另有 {without} 所没有自己的学校标识码，不计" if without else ""
    )
    return Outcome("met" if count >= least else "not-met", figure + _not_listed(facts), FROM_MEMBERS)


def schools_per_stage(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """Every stage that takes part has at least ``least`` schools (GS-12, B3: “some stage” would be empty)."""
    least = int(given["least"])
    counts = {stage: sum(stage in one.stages and one.counts for one in facts.members) for stage in _STAGE_NAMES}
    counts = {stage: number for stage, number in counts.items() if number}
    told = "、".join(f"{_STAGE_NAMES[stage]} {number} 所" for stage, number in counts.items())
    if not counts:
        return Outcome("not-met", f"还没有列入试点区的学校{_not_listed(facts)}", FROM_MEMBERS)
    enough = min(counts.values()) >= least
    return Outcome("met" if enough else "not-met", f"{told}，每个学段要求 {least} 所{_not_listed(facts)}", FROM_MEMBERS)


def _not_listed(facts: Facts) -> str:
    return f"；另有 {facts.waiting} 所已报来、本区还没有列入，不计" if facts.waiting else ""


def stage_teams(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """A team for each stage of the member schools, and 教研 held in the last year by the register; none is a reminder (GS-13)."""
    wanted = {stage for one in facts.members for stage in one.stages} or set(facts.stages)
    have = {_stage_code(row) for row in _rows(facts, given) if row.get("role")}
    missing = [_STAGE_NAMES[one] for one in _STAGE_NAMES if one in wanted - have]
    if not wanted or missing:
        return Outcome("not-met", "还没有教研团队：" + ("、".join(missing) or "没有学段"), FROM_FORM)
    told, held = f"{len(wanted)} 个学段各有教研团队", facts.record.lately("research")
    if not held:
        return Outcome("warn", f"{told}；近一年没有登记教研活动", f"{FROM_FORM}与{FROM_REGISTER}")
    return Outcome("met", f"{told}；近一年教研 {figures(held)}", f"{FROM_FORM}与{FROM_REGISTER}")


def team_lead(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """Every stage's team has a lead (牵头人) of 副高级 or above (GS-14, B5); one whose unit is no body of research is to be looked at: 教研员或权威专家."""
    rows = _rows(facts, given)
    leads = [row for row in rows if row.get("role") == "牵头人"]
    stages = {row.get("stage") for row in rows if row.get("stage")}
    without = sorted(str(one) for one in stages - {row.get("stage") for row in leads})
    low = [
        f"{row.get('name')}（{row.get('title') or '没有填职称'}）"
        for row in leads
        if not is_senior(str(row.get("title", "")))
    ]
    if not leads or without or low:
        figure = (
            "；".join(
                filter(
                    None,
                    (
                        "没有牵头人：" + "、".join(without) if without else "",
                        "不是副高级及以上：" + "、".join(low) if low else "",
                    ),
                )
            )
            or "还没有牵头人"
        )
        return Outcome("not-met", figure, FROM_FORM)
    told = "、".join(f"{row['name']}（{row['title']}）" for row in leads)
    others = [
        f"{row.get('name')}（{row.get('unit') or '没有填单位'}）"
        for row in leads
        if not _RESEARCH.search(str(row.get("unit", "")))
    ]
    if others:
        return Outcome("warn", f"{told}；请核对是否教研员或权威专家：{'、'.join(others)}", FROM_FORM)
    return Outcome("met", told, FROM_FORM)


def team_members(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """Every school of a stage is in its team, and so is every teacher of the 开课计划 (GS-15, B7: the first an error, the second a warning)."""
    rows = _rows(facts, given)
    units = {(_stage_code(row), str(row.get("unit", "")).strip()) for row in rows}
    names = {(_stage_code(row), str(row.get("name", "")).strip()) for row in rows}
    absent = [
        f"{_STAGE_NAMES[stage]}：{one.name}"
        for one in facts.members
        for stage in one.stages
        if (stage, one.name) not in units
    ]
    if absent:
        return Outcome("not-met", "团队里没有这些学校的人：" + "、".join(absent), FROM_FORM)
    if not facts.members:
        return Outcome("not-assessable", f"还没有列入试点区的学校{_not_listed(facts)}", FROM_FORM)
    left_out = sorted({f"{one.school}{one.name}" for one in facts.teachers if (one.stage, one.name) not in names})
    if left_out:
        return Outcome("warn", "开课计划里的授课教师不在团队中：" + "、".join(left_out), "开课计划与申报表")
    return Outcome("met", f"{len(facts.members)} 所学校、{len(names)} 人", "开课计划与申报表")


def about(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """``number``名左右 rows of a table: that number is fine, one off warns, else it is not met (B7)."""
    count, wanted = len(_rows(facts, given)), int(given["number"])
    state: State = "met" if count == wanted else "warn" if abs(count - wanted) == 1 else "not-met"
    return Outcome(state, f"{count} 名，要求 {wanted} 名左右", FROM_FORM)


def rows(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """At least ``least`` rows of a table that have a name."""
    count, least = len(_rows(facts, given)), int(given["least"])
    figure = f"{count} 名（项），要求不少于 {least}"
    if not given.get("trained"):
        return Outcome("met" if count >= least else "not-met", figure, FROM_FORM)
    known = {name for one in facts.record.lately(days=3 * 365) for name in one.names}
    trained = sum(str(row["name"]).replace(" ", "") in known for row in _rows(facts, given))
    return Outcome(
        "met" if count >= least else "not-met",
        f"{figure}；其中 {trained} 名近三年有登记的培训或教研",
        f"{FROM_FORM}与{FROM_REGISTER}",
    )


def attendance(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """Every teacher of the 开课计划 joined training or 教研 in the last year (GS-19); counts only, no names go upward.

    While the register holds nothing of the year, what was declared counts, as with :func:`declared`.
    """
    held = facts.record.lately()
    names = {one.name.replace(" ", "") for one in facts.teachers}
    if not held:
        said = declared(facts, given)
        return Outcome(said.state, f"近一年没有登记培训、教研；{said.figure}", said.source)
    told = f"近一年登记 {figures(held)}"
    if not names:
        return Outcome("not-assessable", f"课表里还没有授课教师；{told}", FROM_REGISTER)
    joined = names & {name.replace(" ", "") for one in held for name in one.names}
    return Outcome(
        "met" if joined == names else "not-met",
        f"{len(names)} 名授课教师中 {len(joined)} 名近一年参加过培训或教研；{told}",
        f"开课计划与{FROM_REGISTER}",
    )


def training(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """Training of the notice's kinds in the last year: hours, credits' base and people (HA-06); ``least`` activities, with ``each`` of every kind."""
    categories = tuple(given.get("categories", ()))
    held = facts.record.lately("training", categories)
    absent = [one for one in categories if all(row.category != one for row in held)] if given.get("each") else []
    if held and absent:
        return Outcome("not-met", f"近一年 {figures(held)}；没有登记：{'、'.join(absent)}", FROM_REGISTER)
    if held:
        enough = len(held) >= int(given.get("least", 1))
        return Outcome("met" if enough else "not-met", f"近一年 {figures(held)}", FROM_REGISTER)
    if given.get("part") and (count := len(_rows(facts, given))):
        return Outcome("met", f"申报表写了 {count} 次，登记里近一年没有", FROM_FORM)
    return Outcome("not-met", "近一年没有登记这类培训", FROM_REGISTER)


def achievements(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """Achievements of this year and the two before (近3年) of teachers or of pupils as totals, and how many stand in the form (HN-20, HN-21)."""
    found = facts.record.awards_of(str(given["who"]), int(given.get("years", 3)))
    written, least = len(_rows(facts, given)), int(given["least"])
    if not found:
        state: State = "met" if written >= least else "not-met"
        return Outcome(state, f"申报表 {written} 项；近3年没有登记成果", FROM_FORM if written else FROM_REGISTER)
    people = f"、{sum(one.number for one in found)} 人次" if given["who"] == "pupils" else ""
    told = f"近3年 {len(found)} 项{people}（{levels_told(found)}）"
    beside = f"申报表已写 {written} 项" if written else "还没有带入申报表"
    return Outcome("met" if len(found) >= least else "not-met", f"{told}；{beside}", FROM_REGISTER)


def themes(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """The required theme, at least ``least`` in all, a warning above ``warn_above`` (HN-07, B6)."""
    chosen = list(facts.content.get(str(given["part"])) or ())
    state, figure = judge_themes(chosen, str(given["needs"]), int(given["least"]), int(given.get("warn_above", 99)))
    return Outcome(state, figure, FROM_FORM)


def judge_themes(chosen: list[str], needs: str, least: int, warn_above: int) -> tuple[State, str]:
    """B6."""
    if needs not in chosen:
        return "not-met", f"必选“{needs}”"
    if len(chosen) < least:
        return "not-met", f"已选 {len(chosen)} 个主题，至少 {least} 个"
    if len(chosen) > warn_above:
        return "warn", f"已选 {len(chosen)} 个主题；通知写自选 1–2 个，建议不超过 {warn_above} 个"
    return "met", f"已选 {len(chosen)} 个主题"


def legal_person(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """A unified social credit code of 18 characters whose check character is right (HN-13, GB 32100)."""
    code = str((facts.content.get(str(given["part"])) or {}).get(str(given["field"]), "")).strip().upper()
    if not code:
        return Outcome("declare", "请填写统一社会信用代码", FROM_FORM)
    return (
        Outcome("met", code, FROM_FORM)
        if is_credit_code(code)
        else Outcome("not-met", f"{code} 的校验码不对", FROM_FORM)
    )


def applicant_level(facts: Facts, given: Mapping[str, Any]) -> Outcome:
    """In principle of one of ``levels`` (原则上): another is warned, not refused (GS-08)."""
    names = {"school": "学校", "county": "县（区）", "city": "市（州）", "province": "省"}
    return Outcome(
        "met" if facts.level in given["levels"] else "warn",
        f"申报主体为{names.get(facts.level, facts.level)}",
        "组织机构",
    )


def is_senior(title: str) -> bool:
    """Whether a title is 副高级 or above (B5): as the form names it, or as it used to be called. An honour is no title."""
    return any(title_of(one) in SENIOR_TITLES for one in re.split(r"[\s/、，,；;()（）]+", title))


_RESEARCH = re.compile(r"教研|教科|教育科学|电教|电化教育|教育技术|教师发展|教师进修|研究|大学|学院|高校|协会|学会")


def title_of(text: str) -> str:
    """A title as the forms name it today: 中教高级 is 中学高级教师, 中小学高级教师 is 高级教师."""
    return _OLD_TITLES.get(text, text.removeprefix("中小学"))


_CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def is_credit_code(code: str) -> bool:
    """GB 32100-2015: 18 characters, the last from the others with weights 3^i mod 31."""
    if len(code) != 18 or any(one not in _CREDIT for one in code):
        return False
    total = sum(_CREDIT.index(one) * pow(3, place, 31) for place, one in enumerate(code[:17]))
    return _CREDIT.index(code[17]) == (31 - total % 31) % 31


def _filled(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_filled(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_filled(one) for one in value)
    return bool(str(value).strip()) if value is not None else False


def _rows(facts: Facts, given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in facts.content.get(str(given["part"])) or () if str(row.get("name", "")).strip()]


def _stage_code(row: Mapping[str, Any]) -> str:
    return next((code for code, name in _STAGE_NAMES.items() if name == row.get("stage")), "")


# What each measure takes from ``with``: a parameter's type, marked "!" where it must be there.
MEASURES: Mapping[str, tuple[Measure, Mapping[str, str]]] = {
    "declared": (declared, {"parts": "names", "files": "names"}),
    "usage": (usage, {"rule": "name!", "plan": "flag"}),
    "configuration": (configuration, {}),
    "inventory": (inventory, {"rooms": "count", "needs": "needs"}),
    "teachers": (teachers, {"least": "count!"}),
    "school-count": (school_count, {"least": "count!"}),
    "schools-per-stage": (schools_per_stage, {"least": "count!"}),
    "stage-teams": (stage_teams, {"part": "name!"}),
    "team-lead": (team_lead, {"part": "name!"}),
    "team-members": (team_members, {"part": "name!"}),
    "about": (about, {"part": "name!", "number": "count!"}),
    "rows": (rows, {"part": "name!", "least": "count!", "trained": "flag"}),
    "attendance": (attendance, {"parts": "names", "files": "names"}),
    "training": (training, {"part": "name", "categories": "names", "least": "count", "each": "flag"}),
    "achievements": (achievements, {"who": "teacher|pupils!", "part": "name!", "least": "count!", "years": "count"}),
    "themes": (themes, {"part": "name!", "needs": "name!", "least": "count!", "warn_above": "count"}),
    "legal-person": (legal_person, {"part": "name!", "field": "name!"}),
    "applicant-level": (applicant_level, {"levels": "levels!"}),
}
# Which type of part a measure reads, and which of its fields or columns; "=field": the one that the parameter names.
READS: Mapping[str, tuple[str, frozenset[str]]] = {
    "stage-teams": ("table", frozenset({"stage", "role", "name"})),
    "team-lead": ("table", frozenset({"stage", "role", "name", "title"})),
    "team-members": ("table", frozenset({"stage", "unit", "name"})),
    "about": ("table", frozenset({"name"})),
    "rows": ("table", frozenset({"name"})),
    "training": ("table", frozenset({"name"})),
    "achievements": ("table", frozenset({"name"})),
    "themes": ("choices", frozenset()),
    "legal-person": ("fields", frozenset({"=field"})),
}
_SHAPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "count": ("不小于 1 的整数", lambda one: isinstance(one, int) and not isinstance(one, bool) and one >= 1),
    "flag": ("true 或 false", lambda one: isinstance(one, bool)),
    "name": ("文字", lambda one: isinstance(one, str) and bool(one)),
    "names": ("列表（方括号）", lambda one: isinstance(one, list) and all(isinstance(name, str) for name in one)),
    "needs": (
        f"{'、'.join(LAB_NEEDS)} 里的一个或几个，写在方括号里",
        lambda one: isinstance(one, list) and bool(one) and set(map(str, one)) <= set(LAB_NEEDS),
    ),
    "levels": (
        "school、county、city、province 里的一个或几个，写在方括号里",
        lambda one: (
            isinstance(one, list) and bool(one) and set(map(str, one)) <= {"school", "county", "city", "province"}
        ),
    ),
    "teacher|pupils": ("teacher 或 pupils", lambda one: one in ("teacher", "pupils")),
}


def wrong(name: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a criterion's measure: (parameter, or "" for all of it; cause)."""
    if name not in MEASURES:
        yield "", f"不认识的核验方式 {name}，可用：{'、'.join(MEASURES)}"
        return
    known = MEASURES[name][1]
    missing = [one for one, shape in known.items() if shape.endswith("!") and one not in given]
    if missing:
        yield "", f"{name} 还要在 with 里写 {'、'.join(missing)}"
    for one, value in given.items():
        if one not in known:
            yield one, f"{name} 不认识 {one}" + (f"，可用：{'、'.join(known)}" if known else "，with 里不用写什么")
            continue
        wanted, fits = _SHAPES[known[one].rstrip("!")]
        if not fits(value):
            yield one, f"{one} 应为{wanted}，现在是 {value!r}"[:300]


def measure(criterion: Mapping[str, Any], facts: Facts) -> Outcome:
    """Measure one criterion; where it is only a wish (warn, prefer) what is missing is a reminder."""
    found = MEASURES[criterion["measure"]][0](facts, criterion.get("with", {}))
    if found.state == "not-met" and criterion.get("weight", "must") != "must":
        return Outcome("warn", found.figure, found.source)
    return found
