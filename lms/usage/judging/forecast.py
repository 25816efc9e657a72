"""What still has to happen, what would happen if, and which slot repairs it (预测), definitions B2d: the same engine on changed facts; pure.

Serves the rules that count 1次 (``Policy.counts`` = ``lessons``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta

from lms.usage.judging.calendar import monday_of
from lms.usage.judging.facts import ClassFact, DayFact, Facts, FlagFact, TaughtLesson
from lms.usage.judging.packs import Policy
from lms.usage.judging.verdicts import ClassResult, SchoolResult, Verdict

ONE_DAY = timedelta(days=1)


# --- what still has to happen


@dataclass(frozen=True)
class Due:
    """A class that is not sure yet (B2d).

    ``latest``: the day by which each missing lesson must have been taught, ascending. ``spare``: lessons that the blocks left can count
    beyond those needed; 0 = none may be missed any more, below 0 = out of reach.
    """

    cohort: ClassFact
    verdict: Verdict
    needed: int
    latest: tuple[date, ...]
    spare: int

    @property
    def out_of_reach(self) -> bool:
        """Whether the blocks left cannot hold what is missing."""
        return self.spare < 0


def due(result: SchoolResult) -> tuple[Due, ...]:
    """Classes that still need lessons, first what is out of reach, then by how little may still go wrong and by day."""
    found = [
        Due(one.cohort, one.verdict, one.outlook.needed, one.outlook.latest, one.outlook.places - one.outlook.needed)
        for one in result.classes
        if one.outlook.needed
    ]
    return tuple(sorted(found, key=lambda one: (one.spare, one.latest[0] if one.latest else date.min, -one.needed)))


# --- what would happen if


def close_week(facts: Facts, monday: date, why: str = "停课", grades: frozenset[int] | None = None) -> Facts:
    """No school in the week of ``monday`` for ``grades`` (None = all), entered on the day of judgement."""
    first = monday_of(monday)
    closed = [
        DayFact(first + number * ONE_DAY, False, "school", None, facts.as_of, False, grades, why) for number in range(7)
    ]
    return replace(facts, days=(*facts.days, *closed))


def flag_week(facts: Facts, monday: date, why: str = "考试", grades: frozenset[int] | None = None) -> Facts:
    """The week of ``monday`` declared not effective, entered on the day of judgement: too late for a week that has begun."""
    return replace(facts, flags=(*facts.flags, FlagFact(monday_of(monday), why, facts.as_of, False, grades)))


def move_flag(facts: Facts, monday: date, to: date) -> Facts:
    """The flags of one week (an exam week) moved to another, entered anew on the day of judgement.

    What the county had countersigned has to be countersigned again.
    """
    first, second = monday_of(monday), monday_of(to)
    moved = [
        replace(flag, monday=second, entered=facts.as_of, countersigned=False)
        for flag in facts.flags
        if flag.monday == first
    ]
    return replace(facts, flags=(*(flag for flag in facts.flags if flag.monday != first), *moved))


def add_class(facts: Facts, cohort: ClassFact) -> Facts:
    """One more class; ``cohort.created`` is its 分班 date."""
    return replace(facts, classes=(*facts.classes, cohort))


def with_plan(facts: Facts, planned: Iterable[TaughtLesson]) -> Facts:
    """What was taught up to the day of judgement and, after it, the planned slots (计划): judged at the end of the period."""
    taught = [row for row in facts.lessons if row.date <= facts.as_of]
    ahead = [row for row in planned if row.date > facts.as_of]
    return replace(facts, lessons=(*taught, *ahead), as_of=facts.period_end, basis="plan")


@dataclass(frozen=True)
class Change:
    """A class before and after; ``before`` None for a class that is new."""

    before: ClassResult | None
    after: ClassResult

    @property
    def worse(self) -> bool:
        """Whether it now needs more, or can no longer be reached."""
        old = self.before.outlook if self.before else None
        new = self.after.outlook
        return old is None or (new.out_of_reach, new.needed) > (old.out_of_reach, old.needed)


@dataclass(frozen=True)
class WhatIf:
    """The school as it is and as it would be, with the classes that change."""

    before: SchoolResult
    after: SchoolResult
    changes: tuple[Change, ...]


def what_if(before: SchoolResult, after: SchoolResult) -> WhatIf:
    """Two results of one rule compared: on changed facts, or with other numbers."""
    known = {one.cohort.id: one for one in before.classes}
    changes = [Change(known.get(one.cohort.id), one) for one in after.classes]
    return WhatIf(
        before,
        after,
        tuple(one for one in changes if one.before is None or _numbers(one.before) != _numbers(one.after)),
    )


def _numbers(one: ClassResult) -> tuple[object, ...]:
    outlook = one.outlook
    return (
        one.verdict,
        one.required,
        one.counted,
        outlook.required,
        outlook.needed,
        outlook.latest,
        outlook.out_of_reach,
    )


# --- the slot that repairs it


@dataclass(frozen=True)
class FreeSlot:
    """A period in which class, teacher and room are all free; local times; ids as the caller knows them."""

    day: date
    ordinal: int
    starts_at: time
    ends_at: time
    teacher_id: str = ""
    room_id: str = ""


@dataclass(frozen=True)
class Repair:
    """A free slot in which a lesson would count, what the class needs after it, and its verdict at the end if nothing else is taught."""

    slot: FreeSlot
    needed: int
    verdict: Verdict


def repairing(
    facts: Facts, rule: Policy, class_id: str, free: Iterable[FreeSlot], promised: Iterable[date] = ()
) -> tuple[Repair, ...]:
    """The free slots in which one more lesson of the class lowers what is needed, earliest first; none where nothing is needed.

    ``promised``: days on which lessons are arranged already. A slot is of no use on a day with its lesson, in a block or month that is
    full, before the window, or on the day of judgement and earlier.
    """
    days = tuple(promised)
    now, _ = _at_the_end(facts, rule, class_id, days)
    found: list[Repair] = []
    answers: dict[date, tuple[int, Verdict]] = {}
    for slot in sorted(free, key=lambda one: (one.day, one.ordinal)):
        if slot.day > facts.as_of and slot.day not in answers:
            answers[slot.day] = _at_the_end(facts, rule, class_id, (*days, slot.day))
        needed, verdict = answers.get(slot.day, (now, "not-met"))
        if needed < now:
            found.append(Repair(slot, needed, verdict))
    return tuple(found)


def repair_plan(facts: Facts, rule: Policy, class_id: str, free: Sequence[FreeSlot]) -> tuple[Repair, ...]:
    """Slots that together make up what is missing, each the earliest that still helps; fewer where the free ones do not suffice."""
    chosen: list[Repair] = []
    while not chosen or chosen[-1].needed:
        more = repairing(facts, rule, class_id, free, [one.slot.day for one in chosen])
        if not more:
            break
        chosen.append(more[0])
    return tuple(chosen)


def _at_the_end(facts: Facts, rule: Policy, class_id: str, days: Sequence[date]) -> tuple[int, Verdict]:
    """What the class would need at the end of the period, and its verdict, if it were taught on ``days`` and not otherwise."""
    cohort = next(one for one in facts.classes if one.id == class_id)
    alone = replace(facts, classes=(cohort,), lessons=facts.lessons_of(class_id))
    one = rule.judge(with_plan(alone, [good_lesson(facts, cohort, day) for day in days]), rule).classes[0]
    return one.outlook.needed, one.verdict


def good_lesson(facts: Facts, cohort: ClassFact, day: date) -> TaughtLesson:
    """A lesson as it is planned: everybody comes, the whole class hour, a unit of the course."""
    return TaughtLesson(
        id=f"plan-{cohort.id}-{day.isoformat()}",
        class_id=cohort.id,
        date=day,
        minutes=facts.school.class_hour(cohort.stage),
        present=max(1, cohort.roster),
        roster=max(1, cohort.roster),
        course=facts.course,
        units=("计划",),
        teacher_registered=True,
    )
