"""平均每两周左右1次: blocks of two effective weeks, each counting at most two lessons; definitions B2 and B2d."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from lms.usage.judging.calendar import CalendarParameters, Week, monday_of
from lms.usage.judging.facts import Facts
from lms.usage.judging.lessons import JudgedLesson, LessonParameters
from lms.usage.judging.packs import Policy, whole
from lms.usage.judging.schoolwide import judge_school
from lms.usage.judging.verdicts import ClassResult, Outlook, SchoolResult, Span, SpreadParameters, Verdict
from lms.usage.judging.windows import Window, free_days, latest_days
from lms.usage.reasons import N_, Reason, reason

TITLE = N_("平均每两周左右1次")


@dataclass(frozen=True)
class BlockParameters:
    """B2 steps 3 and 4 as data."""

    label: ClassVar[str] = N_("每两周一次")
    weeks_per_block: int = whole(N_("几个有效教学周为一段，每段要求 1 次"), 1, 10)
    block_cap: int = whole(N_("每段最多计几次"), 1, 20)
    least_weeks: int = whole(N_("少于几个有效教学周暂不判定"), 1, 20)
    approximate_percent: int = whole(N_("达到要求的百分之几为基本达标（“左右”）"), 1, 100)
    bunched_percent: int = whole(N_("集中开课时，按段计的次数至少占要求的百分之几"), 1, 100)


@dataclass(frozen=True)
class Parameters:
    """The pack's parameters, see rule.yaml."""

    calendar: CalendarParameters
    lessons: LessonParameters
    spread: SpreadParameters
    blocks: BlockParameters


def judge(facts: Facts, policy: Policy) -> SchoolResult:
    """The school of ``facts``."""
    return judge_school(facts, policy, judge_class)


@dataclass(frozen=True)
class Block:
    """Consecutive effective weeks and the counted lessons that belong to them."""

    weeks: tuple[Week, ...]
    lessons: tuple[JudgedLesson, ...]

    def counted(self, cap: int) -> int:
        """Lessons of the block that count."""
        return min(cap, len(self.lessons))


def judge_class(window: Window, parameters: Parameters) -> ClassResult:
    """Verdict of one class at ``window.as_of``."""
    own = parameters.blocks
    effective = window.effective(finished_at=window.as_of)
    blocks = blocks_of(effective, window.counted, own.weeks_per_block)
    raw = len(window.counted)
    counted = sum(block.counted(own.block_cap) for block in blocks)
    required = required_for(len(effective), own)
    verdict, why = verdict_of(len(effective), required, counted, raw, own)
    return ClassResult(
        cohort=window.cohort,
        verdict=verdict,
        reason=why,
        start=window.start,
        end=window.end,
        effective=tuple(week.monday for week in effective),
        required=required,
        counted=counted,
        raw=raw,
        longest_gap=window.longest_gap(),
        lessons=window.lessons,
        spans=tuple(_span(index, block, own) for index, block in enumerate(blocks, 1)),
        weeks=window.weeks,
        outlook=outlook_of(window, own),
        capped=frozenset(one.lesson.id for block in blocks for one in block.lessons[own.block_cap :]),
    )


def required_for(effective_weeks: int, own: BlockParameters) -> int:
    """R = floor(E / 2)."""
    return effective_weeks // own.weeks_per_block


def blocks_of(effective: Sequence[Week], counted: Sequence[JudgedLesson], size: int) -> tuple[Block, ...]:
    """Blocks (e1,e2), (e3,e4), …, an odd last week alone. A lesson belongs to the block of its week; one in a week that is
    not effective to the block of the last effective week before it, or to the first block."""
    mondays = [week.monday for week in effective]
    held: list[list[JudgedLesson]] = [[] for _ in range(0, len(effective), size)]
    for one in counted:
        if held:
            position = bisect_right(mondays, monday_of(one.lesson.date)) - 1
            held[max(0, position) // size].append(one)
    return tuple(
        Block(tuple(effective[index * size : (index + 1) * size]), tuple(rows)) for index, rows in enumerate(held)
    )


def verdict_of(
    effective_weeks: int, required: int, counted: int, raw: int, own: BlockParameters
) -> tuple[Verdict, Reason]:
    """B2 step 4."""
    facts = {"weeks": effective_weeks, "required": required, "counted": counted, "raw": raw}
    if effective_weeks < own.least_weeks:
        text = N_("只有 %(weeks)s 个已结束的有效教学周，满 %(least)s 周才判定")
        return "not-assessable", reason("too-few-weeks", text, least=own.least_weeks, **facts)
    if counted >= required:
        return "met", reason("met", N_("%(weeks)s 个有效教学周需 %(required)s 次，已计 %(counted)s 次"), **facts)
    if counted >= -(-own.approximate_percent * required // 100):
        text = N_("%(weeks)s 个有效教学周需 %(required)s 次，已计 %(counted)s 次，在“左右”的范围内")
        return "met-approximately", reason("nearly", text, **facts)
    if raw >= required and counted * 100 >= own.bunched_percent * required:
        text = N_("集中开课：共上 %(raw)s 次，够 %(required)s 次，但按每两周最多 2 次只计 %(counted)s 次")
        return "met-approximately", reason("bunched", text, **facts)
    return "not-met", reason("not-met", N_("%(weeks)s 个有效教学周需 %(required)s 次，只计 %(counted)s 次"), **facts)


def outlook_of(window: Window, own: BlockParameters) -> Outlook:
    """B2d over the blocks that the whole window will have: what is missing for ``met``, and by when."""
    effective = window.effective(finished_at=window.end)
    blocks = blocks_of(effective, window.counted, own.weeks_per_block)
    counted = sum(block.counted(own.block_cap) for block in blocks)
    required = required_for(len(effective), own)
    needed = max(0, required - counted) if len(effective) >= own.least_weeks else 0
    room = [
        (_days_left(window, blocks, index), own.block_cap - block.counted(own.block_cap))
        for index, block in enumerate(blocks)
    ]
    latest = latest_days(room, needed)
    places = sum(min(places, len(days)) for days, places in room)
    return Outlook(required, counted, len(effective), needed, latest, len(latest) < needed, places)


def _days_left(window: Window, blocks: Sequence[Block], index: int) -> list[date]:
    """Free school days of a block, latest first: of its effective weeks and of the weeks that are not effective and belong to it."""
    block = blocks[index]
    first = window.start if index == 0 else block.weeks[0].monday
    until = blocks[index + 1].weeks[0].monday if index + 1 < len(blocks) else date.max
    belonging = (week for week in window.weeks if week.days and first <= week.days[-1] and week.monday < until)
    return free_days(belonging, window)


def _span(index: int, block: Block, own: BlockParameters) -> Span:
    full = len(block.weeks) == own.weeks_per_block
    return Span(
        str(index),
        tuple(week.monday for week in block.weeks),
        int(full),
        len(block.lessons),
        block.counted(own.block_cap),
        True,
    )
