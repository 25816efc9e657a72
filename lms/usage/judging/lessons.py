"""Which lessons are "1次" and why (计次), definitions B2a; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import ClassVar

from lms.usage.judging.facts import ClassFact, Facts, TaughtLesson
from lms.usage.judging.packs import whole
from lms.usage.reasons import N_, Reason, reason

COUNTING_KINDS = ("regular", "makeup", "combined", "substitute", "online")
KIND_NAMES = {
    "regular": N_("常规课"),
    "makeup": N_("补课"),
    "combined": N_("合班课"),
    "substitute": N_("代课"),
    "online": N_("线上课"),
    "club": N_("社团或课后服务"),
    "exam": N_("考试"),
}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class LessonParameters:
    """B2a as data."""

    label: ClassVar[str] = N_("一次课")
    minutes_percent: int = whole(N_("一次课至少占本校课时的百分之几"), 1, 100)
    presence_percent: int = whole(N_("实到至少占应到的百分之几"), 0, 100)
    parts_within_days: int = whole(N_("分次上课的各部分最多相隔几天"), 0, 60)
    teaching_class_pupils: int = whole(N_("走班教学班至少几人"), 1, 100)


@dataclass(frozen=True)
class JudgedLesson:
    """A row with its verdict; ``remarks`` are flags that change nothing (代课, 合班 …); ``hours``: class hours (课时) where it counts."""

    lesson: TaughtLesson
    counts: bool
    reason: Reason
    remarks: tuple[Reason, ...] = ()
    hours: int = 0


@dataclass(frozen=True)
class _Candidate:
    """One lesson to judge: a single row, or the parts of one lesson put together."""

    rows: tuple[TaughtLesson, ...]
    date: date
    minutes: Fraction
    present: int
    leave: int
    roster: int
    broken: Reason | None = None

    @property
    def last(self) -> TaughtLesson:
        """The row that carries the count: the last part."""
        return self.rows[-1]

    def hours(self, minutes_of_one: Fraction) -> int:
        """Class hours: what the rows declare, at most as many as the minutes hold."""
        return max(1, min(max(row.class_hours for row in self.rows), int(self.minutes // minutes_of_one)))


@dataclass(frozen=True)
class Asks:
    """What a rule asks of a lesson beside the measures of B2a: ``refuses`` says why a row's content does not count; whether at most one
    lesson a class and calendar day counts (B2 step 2)."""

    refuses: Callable[[Facts, TaughtLesson], Reason | None]
    once_a_day: bool = True


def is_class(cohort: ClassFact, parameters: LessonParameters) -> bool:
    """Whether the rules know it as a class: 行政班, or a fixed teaching class of enough pupils with a regular slot."""
    return cohort.type == "administrative" or (cohort.regular_slot and cohort.roster >= parameters.teaching_class_pupils)


def course_missing(facts: Facts, row: TaughtLesson) -> Reason | None:
    """B2a: the lesson names at least one unit of the catalogue asked for."""
    if row.course == facts.course and any(unit.strip() for unit in row.units):
        return None
    return reason("course", N_("没有登记所要求课程（%(course)s）的课目"), course=facts.course)


ONE_LESSON = Asks(course_missing)


def judge_lessons(
    facts: Facts, cohort: ClassFact, start: date, end: date, parameters: LessonParameters, asks: Asks = ONE_LESSON
) -> tuple[JudgedLesson, ...]:
    """Every row of the class with its verdict, in order of date.

    ``start``–``end`` is the window W; rows after ``facts.as_of`` do not count yet. Of several parts that make one
    lesson the last carries the count.
    """
    verdicts: dict[str, JudgedLesson] = {}
    taken: set[date] = set()
    minutes_of_one = Fraction(parameters.minutes_percent * facts.school.class_hour(cohort.stage), 100)
    for candidate in sorted(_candidates(facts.lessons_of(cohort.id), cohort, parameters), key=lambda one: one.date):
        why_not = _refusal(facts, cohort, candidate, (start, end), parameters, asks)
        if why_not is None and asks.once_a_day and candidate.date in taken:
            why_not = reason("same-day", N_("同一天已计1次，同班每天最多计1次"))
        if why_not is None:
            taken.add(candidate.date)
        for row in candidate.rows:
            verdicts[row.id] = _verdict(row, candidate, why_not, candidate.hours(minutes_of_one))
    return tuple(sorted(verdicts.values(), key=lambda one: one.lesson.date))


def _verdict(row: TaughtLesson, candidate: _Candidate, why_not: Reason | None, hours: int) -> JudgedLesson:
    if why_not is not None:
        return JudgedLesson(row, False, why_not)
    if row is not candidate.last:
        return JudgedLesson(row, False, reason("counted-with", N_("与 %(day)s 的另一部分合并计1次"), day=candidate.date.isoformat()))
    due = candidate.roster - candidate.leave
    text = N_("计1次：%(minutes)s 分钟，应到 %(due)s 人、实到 %(present)s 人")
    why = reason("counts", text, minutes=_number(candidate.minutes), due=due, present=candidate.present)
    return JudgedLesson(row, True, why, tuple(_remarks(candidate)), hours)


def _remarks(candidate: _Candidate) -> Iterable[Reason]:
    row = candidate.last
    if row.kind != "regular":
        yield reason(f"kind-{row.kind}", KIND_NAMES[row.kind])
    if row.class_hours > 1:
        yield reason("double", N_("连堂：1次，%(hours)s 课时"), hours=row.class_hours)
    if len(candidate.rows) > 1:
        yield reason("parts", N_("由 %(parts)s 部分合并"), parts=len(candidate.rows))


def _number(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"


def _candidates(rows: Sequence[TaughtLesson], cohort: ClassFact, parameters: LessonParameters) -> list[_Candidate]:
    groups: dict[str, list[TaughtLesson]] = {}
    for row in rows:
        if row.part_of is not None:
            groups.setdefault(row.part_of.lesson, []).append(row)
    singles = []
    for row in rows:
        if row.part_of is not None:
            continue
        group = groups.get(row.id)
        if group is not None:  # the others name this row as the lesson they belong to
            group.append(row)
        else:
            singles.append(_single(row, cohort))
    return singles + [_joined(group, cohort, parameters) for group in groups.values()]


def _single(row: TaughtLesson, cohort: ClassFact) -> _Candidate:
    return _Candidate((row,), row.date, Fraction(row.minutes), row.present, row.leave, cohort.roster if row.roster is None else row.roster)


def _joined(group: list[TaughtLesson], cohort: ClassFact, parameters: LessonParameters) -> _Candidate:
    rows = tuple(sorted(group, key=lambda row: row.date))
    minutes, present, leave = ([getattr(row, name) for row in rows] for name in ("minutes", "present", "leave"))
    shorts = any(row.part_of is not None and row.part_of.kind == "shorts" for row in rows)
    return _Candidate(
        rows=rows,
        date=rows[-1].date,
        minutes=sum((Fraction(part) for part in minutes), Fraction()) if shorts else Fraction(min(minutes)),
        present=min(present) if shorts else sum(present),
        leave=max(leave) if shorts else sum(leave),
        roster=max(cohort.roster if row.roster is None else row.roster for row in rows),
        broken=_broken(rows, parameters),
    )


def _broken(rows: tuple[TaughtLesson, ...], parameters: LessonParameters) -> Reason | None:
    told = {(row.part_of.kind, row.part_of.parts) for row in rows if row.part_of is not None}
    if len(told) != 1:
        return reason("parts-differ", N_("各部分登记的分法或份数不一致"))
    wanted = next(iter(told))[1]
    if len(rows) < wanted:
        return reason("part-missing", N_("本课分 %(wanted)s 部分，只有 %(have)s 部分"), wanted=wanted, have=len(rows))
    if len(rows) > wanted:
        return reason("parts-too-many", N_("本课分 %(wanted)s 部分，却登记了 %(have)s 部分"), wanted=wanted, have=len(rows))
    if len({(row.course, frozenset(row.units) or row.subject) for row in rows}) != 1:
        return reason("parts-units", N_("各部分的课目不同，不能合并"))
    if (rows[-1].date - rows[0].date).days > parameters.parts_within_days:
        return reason("parts-apart", N_("各部分相隔超过 %(limit)s 天"), limit=parameters.parts_within_days)
    return None


def _refusal(
    facts: Facts, cohort: ClassFact, one: _Candidate, window: tuple[date, date], parameters: LessonParameters, asks: Asks
) -> Reason | None:
    start, end = window
    if not is_class(cohort, parameters):
        return reason("not-a-class", N_("走班教学班不足 %(pupils)s 人或没有固定课位，不作为班级计算"), pupils=parameters.teaching_class_pupils)
    if one.date > facts.as_of:
        return reason("after-as-of", N_("在判定日期之后"))
    if not start <= one.date <= end or facts.term_of(one.date) is None:
        return reason("outside-window", N_("不在计算区间 %(start)s 至 %(end)s 之内"), start=start.isoformat(), end=end.isoformat())
    if one.broken is not None:
        return one.broken
    for row in one.rows:
        why_not = _row_refusal(facts, row, asks)
        if why_not is not None:
            return why_not
    return _measured(facts, cohort, one, parameters)


def _row_refusal(facts: Facts, row: TaughtLesson, asks: Asks) -> Reason | None:
    if row.kind not in COUNTING_KINDS:
        return reason("kind", N_("%(kind)s不计入"), kind=KIND_NAMES[row.kind])
    why_not = asks.refuses(facts, row)
    if why_not is not None:
        return why_not
    if not row.teacher_registered:
        return reason("teacher", N_("任课教师未在本校登记"))
    if row.kind == "makeup":
        return _makeup_refusal(facts, row)
    return None


def _makeup_refusal(facts: Facts, row: TaughtLesson) -> Reason | None:
    if not row.makeup_of or row.makeup_of == row.id:
        return reason("makeup-unlinked", N_("补课没有关联被取消的课位"))
    cancelled = _cancelled_on(facts, row.makeup_of)
    if cancelled is not None and facts.term_of(cancelled) != facts.term_of(row.date):
        return reason("makeup-term", N_("被取消的课位（%(day)s）不在本学期"), day=cancelled.isoformat())
    return None


def _cancelled_on(facts: Facts, link: str) -> date | None:
    """Day of the cancelled slot: the link is a lesson of these facts, or begins with a date; else it is a slot's id."""
    known = facts.day_of(link)
    found = _DATE.match(link)
    if known is not None or found is None:
        return known
    try:
        return date.fromisoformat(found[0])
    except ValueError:
        return None


def _measured(facts: Facts, cohort: ClassFact, one: _Candidate, parameters: LessonParameters) -> Reason | None:
    hour = facts.school.class_hour(cohort.stage)
    if one.minutes * 100 < parameters.minutes_percent * hour:
        text = N_("课位内 %(minutes)s 分钟，不足 %(hour)s 分钟课时的 %(percent)s%%")
        return reason("too-short", text, minutes=_number(one.minutes), hour=hour, percent=parameters.minutes_percent)
    due = one.roster - one.leave
    if due <= 0:
        return reason("nobody-due", N_("没有应到学生"))
    if one.present * 100 < parameters.presence_percent * due:
        text = N_("应到 %(due)s 人、实到 %(present)s 人，不足 %(percent)s%%")
        return reason("too-few", text, due=due, present=one.present, percent=parameters.presence_percent)
    return None
