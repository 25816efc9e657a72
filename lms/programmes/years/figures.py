"""Figures of a school or area over some days, each with where it comes from (数据带出): what reports and inspections are filled with."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select

from lms.core import clock
from lms.core.db import db
from lms.core.models import Organisation
from lms.programmes.models import Application
from lms.programmes.selfcheck import usage_of
from lms.programmes.teaching import today
from lms.programmes.years import norms
from lms.programmes.years.models import InspectionVisit, LessonCase, Rectification, SeedTeacher
from lms.programmes.years.rules import CASE_STATES, risk_level
from lms.register import service as register
from lms.usage.evidence.anchors import Standing
from lms.usage.judging.verdicts import VERDICT_NAMES, WORST_LAST
from lms.usage.models import VOID, UsageRecord
from lms.usage.rulebook import service as rulebook

VERDICTS = {name: VERDICT_NAMES[name] for name in WORST_LAST}


@dataclass(frozen=True)
class Figure:
    """A figure with its source; ``key`` names it for good."""

    key: str
    label: str
    value: str
    source: str


def figures_of(found: Application, first: date, last: date) -> list[Figure]:
    """What is known of the applicant from ``first`` to ``last``, an area's as the sum of its schools on this server."""
    last = min(last, today())
    own = db.session.get_one(Organisation, found.school_id)
    schools = [own.id] if own.level == "school" else schools_below(own)
    lessons = lessons_of(schools, first, last)
    made = [] if own.level == "school" else [Figure("schools", "学校", f"{len(schools)} 所", "本系统登记的学校")]
    made += _verdicts(own.id) if own.level == "school" else []
    made += _lessons(lessons, first, last)
    made.append(training_of(list(dict.fromkeys([own.id, *schools])), first, last))
    made += _results(found)
    made += _duties(schools, last.year) if own.level == "school" else []
    return made


def schools_below(office: Organisation) -> list[uuid.UUID]:
    """Schools of an area that this server knows."""
    query = select(Organisation.id).where(Organisation.path.startswith(office.path), Organisation.level == "school")
    return list(db.session.scalars(query))


def lessons_of(schools: Sequence[uuid.UUID], first: date, last: date) -> list[UsageRecord]:
    """Records in force (corrected and void ones left out) of the schools' lessons from ``first`` to ``last``."""
    replaced = select(UsageRecord.corrects_id).where(
        UsageRecord.school_id.in_(schools), UsageRecord.corrects_id.is_not(None)
    )
    query = select(UsageRecord).where(
        UsageRecord.school_id.in_(schools),
        UsageRecord.lesson_on.between(first, last),
        UsageRecord.kind != VOID,
        UsageRecord.id.not_in(replaced),
    )
    return list(db.session.scalars(query))


def _verdicts(school_id: uuid.UUID) -> list[Figure]:
    made = []
    for rule in rulebook.rules_for(school_id, today()):
        found = usage_of(school_id, rule.name)
        if found is not None:
            verdict = next((text for name, text in VERDICTS.items() if name == found.verdict), found.verdict)
            made.append(
                Figure(f"rule-{rule.name}", rule.title, f"{verdict}：{found.why}", f"{found.source}，{today()}")
            )
    return made


def _lessons(rows: Sequence[UsageRecord], first: date, last: date) -> list[Figure]:
    source = f"开课记录 {first} 至 {last}"
    if not rows:
        return [Figure("lessons", "开课", "没有记录", source)]
    subjects = Counter[str]()
    for row in rows:
        subjects[row.subject or "人工智能"] += row.class_hours
    pupils: dict[uuid.UUID, int] = {}
    for row in rows:
        pupils[row.class_id] = max(pupils.get(row.class_id, 0), row.roster)
    standing = {school_id: Standing(school_id, clock.now()) for school_id in {row.school_id for row in rows}}
    grades = Counter(standing[row.school_id].of(row)[0] for row in rows)
    good = (grades["A"] + grades["B"]) * 100 // len(rows)
    return [
        Figure("lessons", "开课", f"{len(rows)} 节，{sum(subjects.values())} 课时", source),
        Figure(
            "subjects", "分学科课时", "、".join(f"{name} {count}" for name, count in subjects.most_common()), source
        ),
        Figure("classes", "班级与学生", f"{len(pupils)} 个班，{sum(pupils.values())} 名学生", source),
        Figure("teachers", "授课教师", f"{len({row.teacher_id for row in rows})} 人", source),
        Figure(
            "evidence",
            "证据等级",
            f"A 级 {grades['A']}、B 级 {grades['B']}、C 级 {grades['C']}，A+B 占 {good}%",
            f"{source}，证据链",
        ),
    ]


def _results(found: Application) -> list[Figure]:
    cases = dict(
        db.session.execute(
            select(LessonCase.status, func.count())
            .where(LessonCase.application_id == found.id)
            .group_by(LessonCase.status)
        ).all()
    )
    seeds = db.session.scalar(
        select(func.count()).where(SeedTeacher.application_id == found.id, SeedTeacher.status == "confirmed")
    )
    visits = db.session.scalar(
        select(func.count()).where(InspectionVisit.application_id == found.id, InspectionVisit.result != "")
    )
    orders = db.session.scalars(select(Rectification.outcome).where(Rectification.application_id == found.id)).all()
    told = "、".join(f"{name} {cases[state]}" for state, name in CASE_STATES.items() if cases.get(state)) or "没有"
    made = [
        Figure("cases", "课例", told, "课例库"),
        Figure("seeds", "种子教师", f"{seeds or 0} 人", "种子教师名单（主管部门已确认）"),
    ]
    if visits or orders:
        open_ones = sum(one == "" for one in orders)
        made.append(
            Figure(
                "inspections",
                "抽查与整改",
                f"抽查 {visits or 0} 次，整改 {len(orders)} 次（未办结 {open_ones} 次）",
                "抽查记录",
            )
        )
    return made


def _duties(schools: Sequence[uuid.UUID], year: int) -> list[Figure]:
    made = []
    for school_id in schools:
        norm = norms.norm_of(school_id)
        if norm is None:
            made.append(Figure("norm", "人工智能伦理规范", "还没有发布", "伦理规范"))
        else:
            staff, pupils = norms.staff_coverage(school_id), norms.pupil_coverage(school_id)
            value = f"第 {norm.number} 版；教职工知悉 {staff.yes}/{staff.of}，监护人知悉 {pupils.yes}/{pupils.of}"
            made.append(Figure("norm", "人工智能伦理规范", value, "伦理规范知悉登记"))
        risks = norms.risks_of(school_id, year)
        high = sum(risk_level(one.likelihood, one.severity) == 3 for one in risks)
        reviewed = sum(one.reviewed_on is not None for one in risks)
        made.append(
            Figure("risks", "风险清单", f"{year}年 {len(risks)} 项，高风险 {high} 项，已复核 {reviewed} 项", "风险清单")
        )
    return made


def training_of(organisations: Sequence[uuid.UUID], first: date, last: date) -> Figure:
    """Training and 教研 from the register: how often, 学时, how many took part (人次)."""
    held = [one for each in organisations for one in register.record_of(each).held if first <= one.day <= last]
    training = [one for one in held if one.kind == "training"]
    hours = sum(one.hours * one.people for one in training)
    value = f"培训 {len(training)} 次、{sum(one.people for one in training)} 人次、{hours:g} 人学时；教研 {len(held) - len(training)} 次"
    return Figure("training", "培训与教研", value if held else "没有登记", f"研修与成果登记 {first} 至 {last}")
