"""Plausibility flags (疑点), B10.6: what an inspector should ask about; they are shown and never change a verdict. Pure.

At the close of a lesson its own traces are looked at (:func:`lesson_flags`); what needs several lessons is looked at whenever it is shown
(:func:`school_flags`). Each flag has an innocent reading too: a proxy gives all seats one address, a good class answers alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lms.usage.evidence.lesson_facts import LessonFacts
from lms.usage.reasons import N_, Reason, reason

SEATS = 5
"""From how many seats or works alike a pattern is worth a question."""
LONG_WORK = 200
TOGETHER = timedelta(seconds=2)
SAME_MOMENT = timedelta(milliseconds=100)
AROUND = timedelta(minutes=30)
BEFORE_DEADLINE = timedelta(days=3)
BURST = 10
BURST_SHARE = 0.5


@dataclass(frozen=True)
class Flag:
    """A question to ask: a reason and the records (ids) it is about."""

    why: Reason
    records: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """Stable code."""
        return self.why.code


@dataclass(frozen=True)
class Entry:
    """A record as the patterns over several lessons need it; times aware, ``late``: by hand or corrected."""

    id: str
    teacher: str
    cohort: str
    room: str
    started_at: datetime
    ended_at: datetime
    entered_at: datetime
    kind: str = "regular"
    late: bool = False


def lesson_flags(facts: LessonFacts, recorded_at: datetime, *, teacher_left: bool = False) -> list[Reason]:
    """Flags of one lesson from its own traces."""
    found = [_one_address(facts), _alike(facts), _uniform(facts), _away(facts, teacher_left), *_clock(facts, recorded_at)]
    return [one for one in found if one is not None]


def _one_address(facts: LessonFacts) -> Reason | None:
    seats = Counter(seat.address for seat in facts.seats if seat.address)
    count = max(seats.values(), default=0)
    if count < SEATS or count * 2 <= len(facts.seats):
        return None
    return reason("one-address", N_("%(count)s 个座位来自同一个网络地址（经代理上网也会这样）"), count=count)


def _alike(facts: LessonFacts) -> Reason | None:
    """Many pupils sent the same: long works, or anything within two seconds."""
    groups: dict[str, dict[str, datetime]] = defaultdict(dict)
    for work in sorted(facts.artefacts, key=lambda one: one.at):
        if work.size >= LONG_WORK:
            groups[work.sha256].setdefault(str(work.person_id), work.at)
        groups[f"{work.sha256}/at"].setdefault(str(work.person_id), work.at)
    best = 0
    for key, sent in groups.items():
        times = sorted(sent.values())
        best = max(best, _crowd(times) if key.endswith("/at") else len(times))
    if best < SEATS:
        return None
    return reason("alike", N_("%(count)s 名学生交了一模一样的作品，或在两秒内交了同样的答案"), count=best)


def _crowd(times: Sequence[datetime]) -> int:
    """The most moments within two seconds."""
    best = start = 0
    for end, at in enumerate(times):
        while at - times[start] > TOGETHER:
            start += 1
        best = max(best, end - start + 1)
    return best


def _uniform(facts: LessonFacts) -> Reason | None:
    """Real terminals start, beat and stop each a little differently."""
    seen = [seat for seat in facts.seats if seat.beats and seat.first_at and seat.last_at]
    if len(seen) < SEATS:
        return None
    firsts, lasts = [seat.first_at for seat in seen if seat.first_at], [seat.last_at for seat in seen if seat.last_at]
    same = max(firsts) - min(firsts) < SAME_MOMENT and max(lasts) - min(lasts) < SAME_MOMENT and len({seat.beats for seat in seen}) == 1
    return reason("uniform-beats", N_("%(count)s 台终端的心跳分毫不差"), count=len(seen)) if same else None


def _away(facts: LessonFacts, teacher_left: bool) -> Reason | None:
    return reason("teacher-away", N_("任课教师当日不在岗")) if teacher_left else None


def _clock(facts: LessonFacts, recorded_at: datetime) -> list[Reason]:
    found = []
    if recorded_at < facts.ended_at:
        found.append(reason("clock-jump", N_("登记早于下课：时钟可能被调过")))
    times = [at for one in facts.witnesses for at in (one.first_at, one.last_at) if at is not None] + [work.at for work in facts.artefacts]
    outside = sum(1 for at in times if not facts.started_at - AROUND <= at <= facts.ended_at + AROUND)
    if outside:
        found.append(reason("outside-lesson", N_("%(count)s 项旁证的时间在课堂之外"), count=outside))
    return found


def school_flags(entries: Iterable[Entry], deadlines: Sequence[date] = ()) -> list[Flag]:
    """Flags over several lessons: two rooms at once, entries that pile up before a deadline."""
    rows = sorted(entries, key=lambda one: (one.started_at, one.id))
    return [*_at_once(rows), *_bursts(rows, deadlines)]


def _at_once(rows: Sequence[Entry]) -> list[Flag]:
    found = []
    for at, one in enumerate(rows):
        for other in rows[at + 1 :]:
            if other.started_at >= one.ended_at:
                break
            both = (one.id, other.id)
            if one.teacher == other.teacher and one.room != other.room:
                found.append(Flag(reason("two-rooms-teacher", N_("同一位教师同时在两间教室上课")), both))
            elif one.cohort == other.cohort:
                found.append(Flag(reason("two-rooms-class", N_("同一个班同时有两节课")), both))
            elif one.room and one.room == other.room and "combined" not in (one.kind, other.kind):
                found.append(Flag(reason("one-room-twice", N_("同一间教室同时有两个班，又不是合班课")), both))
    return found


def _bursts(rows: Sequence[Entry], deadlines: Sequence[date]) -> list[Flag]:
    late = [row for row in rows if row.late]
    found = []
    for deadline in deadlines:
        near = [row for row in late if deadline - BEFORE_DEADLINE <= row.entered_at.date() <= deadline]
        if len(near) >= BURST and len(near) > BURST_SHARE * len(late):
            text = N_("%(day)s 前三天集中补录 %(count)s 条")
            found.append(Flag(reason("burst", text, day=deadline.isoformat(), count=len(near)), tuple(row.id for row in near)))
    return found
