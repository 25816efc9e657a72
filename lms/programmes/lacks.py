"""What is still lacking, what to do about it, and whether it can be done by the deadline (还差什么，截止日前来得及吗), B2d."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from flask import url_for
from sqlalchemy import func, select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import NotFound, Refused
from lms.core.models import Organisation
from lms.core.stages import STAGE_NAMES
from lms.programmes.measures import Outcome
from lms.programmes.models import Application, ApplicationFile
from lms.programmes.notices import own_due, pack_of
from lms.programmes.pack import Document
from lms.programmes.selfcheck import ORDER, Line, check, members_of, waiting_of
from lms.programmes.service import content_of, files_of
from lms.programmes.teaching import admitted, today
from lms.roster import service as roster
from lms.roster.models import SchoolStage
from lms.usage import policies
from lms.usage.judging import forecast
from lms.usage.judging.verdicts import SchoolResult, judge_stage
from lms.usage.planned import plan_facts, planned_lessons
from lms.usage.rulebook import service as rulebook

REACH_NAMES: Mapping[str, str] = {
    "done": "已符合",
    "yes": "来得及",
    "depends": "看情况",
    "no": "来不及",
    "late": "已过截止日",
}
SHOWN = 6
GOOD = ("met", "met-approximately")


@dataclass(frozen=True)
class Answer:
    """What to do: ``todo`` in words, ``link`` to where, ``reach``: done | yes | depends | no | late, ``why`` of that."""

    todo: str
    link: str = ""
    reach: str = "yes"
    why: str = ""


@dataclass(frozen=True)
class Step:
    """A criterion with what was found and the answer."""

    line: Line
    answer: Answer

    @property
    def reach_name(self) -> str:
        """来得及 …"""
        return REACH_NAMES[self.answer.reach]


@dataclass(frozen=True)
class Case:
    """What an answer is worked out from. ``left``: days to the deadline, today not counted; None where there is none."""

    found: Application
    given: Mapping[str, Any]
    outcome: Outcome
    content: Mapping[str, Any]
    files: Sequence[ApplicationFile]
    due: date | None
    left: int | None

    def part(self, key: str) -> str:
        """Address of a part."""
        return url_for("programmes.part", application_id=self.found.id, key=key)


def steps_of(found: Application) -> list[Step]:
    """Every criterion with its answer, what presses first."""
    due = own_due(found, clock.now())
    day = due.day if due else None
    content, files = content_of(found), files_of(found)
    left = (day - today()).days if day else None
    steps = []
    for line in check(found):
        case = Case(found, line.criterion.get("with", {}), line.outcome, content, files, day, left)
        answer = _answer(line.criterion, case)
        if due is not None and due.over and answer.reach != "done":
            answer = replace(answer, reach="late", why=f"{day} 已经截止；可以看下一批")
        steps.append(Step(line, answer))
    return sorted(steps, key=lambda one: ORDER.index(one.line.outcome.state))


def _answer(criterion: Document, case: Case) -> Answer:
    measure = criterion["measure"]
    if case.outcome.state == "met":
        plan = case.outcome.source.endswith("（计划）")
        return Answer("照课表上；课表改动后这里会跟着变" if plan else "", "", "done")
    if measure == "usage":
        return _usage(case)
    return _ANSWERS[measure](case)


def _declared(case: Case) -> Answer:
    found = case.found
    slots = {one.slot for one in case.files}
    wanted = [one for one in pack_of(found).attachments_of(found.kind) if one["id"] in case.given.get("files", ())]
    missing = "、".join(one["name"] for one in wanted if one["id"] not in slots)
    empty = [key for key in case.given.get("parts", ()) if not _written(case.content.get(key))]
    if empty:
        heading = pack_of(found).part(empty[0])["heading"]
        then = f"还要上传附件：{missing}" if missing else "写好就符合"
        return Answer(f"填写“{heading}”", case.part(empty[0]), "yes", then)
    link = url_for("programmes.show", application_id=found.id) + "#files"
    return Answer(f"上传附件：{missing}", link, "yes", "材料现成就来得及")


def _written(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_written(one) for one in value.values())
    return bool(value)


def _configuration(case: Case) -> Answer:
    return Answer("登记参与学段和配置一、二、三", url_for("roster.profile"), "yes", "登记即可；配置要与实际相符")


def _inventory(case: Case) -> Answer:
    told = f"设备要在 {case.left} 天内到位并登记" if case.left is not None else "设备到位并登记后符合"
    return Answer("补齐实验教室的设备并登记台账", url_for("roster.rooms"), "depends", told)


def _teachers(case: Case) -> Answer:
    return Answer("再安排一名人工智能课教师，排进课表", url_for("roster.timetable"), "depends", "有教师就来得及")


def _schools(case: Case) -> Answer:
    """Schools that are writing, and those that there are below the area, against what is asked (GS-11, GS-12)."""
    found, own = case.found, db.session.get_one(Organisation, case.found.school_id)
    kinds = [one["id"] for one in pack_of(found).document["kinds"] if one.get("within") == found.kind]
    below = (Organisation.path.startswith(own.path), Organisation.id != own.id, Organisation.level == "school")
    there = db.session.scalar(select(func.count()).select_from(Organisation).where(*below)) or 0
    began = (
        db.session.scalar(
            select(func.count())
            .select_from(Application)
            .join(Organisation, Organisation.id == Application.school_id)
            .where(
                *below, Application.slug == found.slug, Application.batch == found.batch, Application.kind.in_(kinds)
            )
        )
        or 0
    )
    listed, handed = len(members_of(found)), waiting_of(found)
    writing, least = began - listed - handed, int(case.given["least"])
    told = f"已列入 {listed} 所，报来待列入 {handed} 所，正在填写或退回的 {writing} 所，本区系统里共 {there} 所"
    if there < least:
        return Answer("本区的学校不够，可与相邻区县联合或请上级协调", "", "no", told)
    todo = "请学校抓紧提交；还没有开始的学校请动员"
    if handed:
        todo = "打开已报来的学校申报，办理列入试点区；" + todo
    return Answer(todo, url_for("programmes.index"), "yes" if listed + handed + writing >= least else "depends", told)


def _stages(case: Case) -> Answer:
    """Stages with too few schools, against the schools below the area that teach the stage (GS-12, B3)."""
    own, least = db.session.get_one(Organisation, case.found.school_id), int(case.given["least"])
    members = [one for one, _id in members_of(case.found) if one.counts]
    counts = {stage: sum(stage in one.stages for one in members) for one in members for stage in one.stages}
    short = [stage for stage, number in counts.items() if number < least]
    if not short:
        return _schools(case)
    query = (
        select(SchoolStage.stage, func.count())
        .join(Organisation, Organisation.id == SchoolStage.school_id)
        .where(Organisation.path.startswith(own.path), SchoolStage.stage.in_(short))
        .group_by(SchoolStage.stage)
    )
    there = {row[0]: row[1] for row in db.session.execute(query)}
    told = "；".join(
        f"{STAGE_NAMES[one]}已报来 {counts[one]} 所，本区共 {there.get(one, 0)} 所有这个学段" for one in short
    )
    names = "、".join(STAGE_NAMES[one] for one in short)
    enough = all(there.get(one, 0) >= least for one in short)
    return Answer(f"再请有{names}的学校参加，或请学校这一批不以{names}参与", url_for("programmes.index"), "yes" if enough else "depends", told)  # fmt: skip


def _team(why: str, reach: str = "yes") -> Callable[[Case], Answer]:
    def answer(case: Case) -> Answer:
        return Answer("修改教研团队名单；授课教师可以一键带入", case.part(str(case.given["part"])), reach, why)

    return answer


def _stage_teams(case: Case) -> Answer:
    if case.outcome.state == "warn":
        return Answer("组织一次教研并登记", url_for("register.index"), "yes", "截止前开一次就有")
    return _team("把团队排好、名单填上即可")(case)


def _rows(case: Case) -> Answer:
    return Answer("填写这张表", case.part(str(case.given["part"])), "yes", "有人选就来得及")


def _code(case: Case) -> Answer:
    why = "对照法人证书填写即可" if case.outcome.state == "declare" else "18 位代码抄错了一位，对照法人证书改正"
    return Answer("填写统一社会信用代码", case.part(str(case.given["part"])), "yes", why)


def _themes(case: Case) -> Answer:
    return Answer("改选实验主题", case.part(str(case.given["part"])), "yes", "改好即可")


def _attendance(case: Case) -> Answer:
    told = f"截止前还有 {case.left} 天，可以组织一次校本教研，请授课教师都参加" if case.left else "登记后符合"
    return Answer("登记授课教师参加的培训、教研", url_for("register.index"), "yes", told)


def _training(case: Case) -> Answer:
    return Answer(
        "登记已经参加的培训；没有参加过的要先报名", url_for("register.index"), "depends", "参加过、登记上就来得及"
    )


def _achievements(case: Case) -> Answer:
    return Answer("登记近三年的成果，再带入申报表", url_for("register.achievements"), "depends", "近三年有成果就来得及；这一条只是优先，不是必须")  # fmt: skip


def _level(case: Case) -> Answer:
    return Answer("原则上由县（区）申报；由别级申报的请与上级说明", "", "depends", "提醒，不影响提交")


_ANSWERS: Mapping[str, Callable[[Case], Answer]] = {
    "declared": _declared,
    "configuration": _configuration,
    "inventory": _inventory,
    "teachers": _teachers,
    "school-count": _schools,
    "schools-per-stage": _stages,
    "stage-teams": _stage_teams,
    "team-lead": _team("要有副高级及以上的牵头人；有人选就来得及", "depends"),
    "team-members": _team("把缺的教师加进团队即可"),
    "about": _rows,
    "rows": _rows,
    "attendance": _attendance,
    "training": _training,
    "achievements": _achievements,
    "themes": _themes,
    "legal-person": _code,
    "applicant-level": _level,
}


# --- lessons: the plan before admission, the forecast afterwards


def _usage(case: Case) -> Answer:
    school_id, rule = case.found.school_id, str(case.given["rule"])
    try:
        result = rulebook.judge(school_id, rule, today())
    except (Refused, NotFound):
        return Answer("登记学期、学段和班级", url_for("roster.profile"), "yes", "登记后才能判定")
    if not result.stages:
        return _hours(case, result)
    if case.given.get("plan") and not admitted(school_id, [one.stage for one in result.stages]):
        return _planned(rule, school_id)
    return _forecast(case, rule, result)


def _planned(rule: str, school_id: uuid.UUID) -> Answer:
    plan = policies.evaluate(plan_facts(school_id, today()), rulebook.policy_for(school_id, rule, today()))
    stage = next((one for one in plan.stages if one.verdict == "structurally-impossible"), None)
    if stage is not None:
        name = STAGE_NAMES.get(stage.stage, stage.stage)
        return Answer(
            f"{name}要有两个年级各两个班；班级不够的学段可以不参与", url_for("roster.profile"), "no", str(stage.reason)
        )
    short = [f"{one.cohort.name or one.cohort.id}差 {one.needed} 次" for one in forecast.due(plan)]
    told = f"课表里：{_few(short)}" if short else str(plan.reason)
    return Answer(
        "在课表里给每学段两个年级、各两个班排课（至少隔周一节）",
        url_for("roster.timetable"),
        "yes",
        f"排好课表就符合（计划）；{told}",
    )


def _forecast(case: Case, rule: str, result: SchoolResult) -> Answer:
    """Where the school stands on the day of the deadline if every slot is kept, and whether it can be reached at all (B2d)."""
    if result.verdict == "structurally-impossible":
        return Answer("班级数不够，怎样开课都无法满足", url_for("usage.compliance"), "no", str(result.reason))
    facts = result.facts
    policy = rulebook.policy_for(case.found.school_id, rule, facts.judged_on)
    last = min(case.due or facts.term_end, facts.term_end)
    ahead = tuple(planned_lessons(case.found.school_id, facts, today() + timedelta(days=1), last))
    taught = tuple(row for row in facts.lessons if row.date <= facts.as_of)
    then = policies.evaluate(replace(facts, lessons=(*taught, *ahead), as_of=last, basis="plan"), policy)
    link = url_for("usage.compliance")
    if then.verdict in GOOD:
        return Answer(f"照课表上到 {last}", link, "yes", f"照课表上完，{last} 时：{then.reason}")
    due = forecast.due(result)
    lost = {one.cohort.id for one in due if one.out_of_reach}
    for stage in result.stages:
        own = [(one.cohort, "not-met" if one.cohort.id in lost else "met") for one in result.classes if one.cohort.stage == stage.stage]  # fmt: skip
        if judge_stage(stage.stage, own, policy.parameters.spread).verdict != "met":  # type: ignore[arg-type]  # literals above
            return Answer("本学期补不回来了；从下学期第一周起按时开课", link, "no", f"{_few([one.cohort.name for one in due if one.out_of_reach])}已补不回来")  # fmt: skip
    short = [f"{one.cohort.name or one.cohort.id}差 {one.needed} 次" for one in due]
    first = next((one.cohort.id for one in due if not one.out_of_reach), None)
    link = url_for("usage.class_page", class_id=uuid.UUID(first)) if first else link
    return Answer(
        "补课：从最紧的班开始，在班级页选空闲的节次", link, "depends", f"照现有课表到 {last} 还不够；{_few(short)}"
    )


def _hours(case: Case, result: SchoolResult) -> Answer:
    """Class hours of subjects: what is missing against the slots that the timetable still has by the deadline (HN-15)."""
    link = url_for("usage.compliance")
    short = [one for one in result.units if one.needed]
    if not short:
        return Answer("在“开课合规”选定优势学科，用智课上这些学科的课", link, "depends", str(result.reason))
    facts = result.facts
    last = min(case.due or facts.term_end, facts.term_end)
    term = roster.term_on(case.found.school_id, today())
    slots = roster.slots_between(case.found.school_id, term, today() + timedelta(days=1), last) if term else []
    planned = {one.key: sum(slot.subject == one.key.split("/")[0] for slot in slots) for one in short}
    told = "；".join(
        f"{one.name}还差 {one.needed} 课时，课表到 {last} 有 {planned[one.key]} 节" for one in short[:SHOWN]
    )
    enough = all(planned[one.key] >= one.needed for one in short)
    return Answer("按课表用智课上课，每节留下证据", link, "yes" if enough else "depends", told)


def _few(names: Sequence[str]) -> str:
    return "、".join(names[:SHOWN]) + (f"等 {len(names)} 个班" if len(names) > SHOWN else "")
