"""What the compliance pages show, computed from verdicts (看板): tiles, to-do list, heat map; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from lms.core.stages import STAGE_NAMES
from lms.usage.judging.calendar import Week, monday_of
from lms.usage.judging.facts import DayFact, Facts
from lms.usage.judging.lessons import JudgedLesson
from lms.usage.judging.verdicts import ClassResult, SchoolResult, StageResult, Verdict
from lms.usage.reasons import N_, Reason, reason

WEEKDAY_NAMES = (N_("周一"), N_("周二"), N_("周三"), N_("周四"), N_("周五"), N_("周六"), N_("周日"))
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class WeekCell:
    """One week in a strip: ``state`` counted | missed | rest (not effective) | ahead (not finished)."""

    number: int
    monday: date
    state: str
    counted: int


@dataclass(frozen=True)
class Tile:
    """One class in the list."""

    result: ClassResult
    name: str
    strip: tuple[WeekCell, ...]
    taught_weeks: int
    next_day: date | None

    @property
    def verdict(self) -> Verdict:
        """Verdict of the class."""
        return self.result.verdict

    @property
    def uncounted(self) -> tuple[JudgedLesson, ...]:
        """Lessons that were taught and do not count, the oldest first."""
        return tuple(sorted((one for one in self.result.lessons if not one.counts), key=lambda one: one.lesson.date))

    @property
    def filled_percent(self) -> int:
        """How much of what the whole window asks for is done, 0–100."""
        outlook = self.result.outlook
        return 100 if outlook.required == 0 else min(100, 100 * outlook.counted // outlook.required)


@dataclass(frozen=True)
class GradeRow:
    """A grade with its classes."""

    grade: int
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class StageBoard:
    """A stage: its verdict and its grades, lowest first."""

    result: StageResult
    name: str
    grades: tuple[GradeRow, ...]


@dataclass(frozen=True)
class DayCell:
    """One day of the heat map: ``state`` school | rest | closed | outside | ahead; lessons of the day."""

    day: date
    state: str
    lessons: tuple[JudgedLesson, ...]
    reason: str

    @property
    def mark(self) -> str:
        """``counted``, ``uncounted`` or empty: decides sign and colour."""
        if any(one.counts for one in self.lessons):
            return "counted"
        return "uncounted" if self.lessons else ""


@dataclass(frozen=True)
class WeekHead:
    """A column of the heat map; ``state``: effective | flagged | short | ahead; ``why`` of a flag."""

    number: int
    monday: date
    state: str
    days: int
    why: Reason | None


@dataclass(frozen=True)
class BlockHead:
    """A block over ``columns`` weeks; ``name`` empty for weeks that are not judged yet."""

    name: str
    columns: int
    raw: int
    counted: int


@dataclass(frozen=True)
class Heat:
    """Calendar heat map of one class: weeks as columns, days as rows."""

    heads: tuple[WeekHead, ...]
    rows: tuple[tuple[str, tuple[DayCell, ...]], ...]
    blocks: tuple[BlockHead, ...]


def stage_boards(result: SchoolResult, only: frozenset[str] | None = None) -> tuple[StageBoard, ...]:
    """The stages with their classes; ``only``: ids of the classes to show."""
    boards = []
    for stage in result.stages:
        tiles = [tile_of(one) for one in result.classes if one.cohort.stage == stage.stage and (only is None or one.cohort.id in only)]
        grades = sorted({tile.result.cohort.grade for tile in tiles})
        rows = tuple(GradeRow(grade, tuple(tile for tile in tiles if tile.result.cohort.grade == grade)) for grade in grades)
        boards.append(StageBoard(stage, STAGE_NAMES[stage.stage], rows))
    return tuple(boards)


def tile_of(result: ClassResult) -> Tile:
    """The line of one class."""
    strip = tuple(_strip(result))
    name = result.cohort.name or result.cohort.id
    return Tile(result, name, strip, sum(cell.state == "counted" for cell in strip), result.outlook.latest[0] if result.outlook.latest else None)


def _strip(result: ClassResult) -> Iterable[WeekCell]:
    taught = [monday_of(one.lesson.date) for one in result.lessons if one.counts]
    for number, week in enumerate(result.weeks, 1):
        count = taught.count(week.monday)
        if week.monday in result.effective:
            state = "counted" if count else "missed"
        elif count:
            state = "counted"
        else:
            state = "ahead" if _may_count(week) else "rest"
        yield WeekCell(number, week.monday, state, count)


def _may_count(week: Week) -> bool:
    return len(week.days) >= 3 and not week.flagged


def todo(boards: Sequence[StageBoard]) -> tuple[Tile, ...]:
    """Classes that fall behind and still need lessons: first what can no longer be reached, then by the day that presses most."""
    tiles = [tile for tile in _needing(boards) if tile.verdict != "met" or tile.result.outlook.out_of_reach]
    return tuple(sorted(tiles, key=lambda tile: (not tile.result.outlook.out_of_reach, tile.next_day or date.min, -tile.result.outlook.needed)))


def on_track(boards: Sequence[StageBoard]) -> int:
    """Classes that have what is asked by now and only have to go on."""
    return sum(tile.verdict == "met" and not tile.result.outlook.out_of_reach for tile in _needing(boards))


def _needing(boards: Sequence[StageBoard]) -> list[Tile]:
    return [tile for board in boards for row in board.grades for tile in row.tiles if tile.result.outlook.needed]


def heat_of(result: ClassResult, facts: Facts) -> Heat:
    """The heat map of one class over its window, whole weeks."""
    heads = tuple(_heads(result))
    lessons: dict[date, list[JudgedLesson]] = {}
    for one in result.lessons:
        lessons.setdefault(one.lesson.date, []).append(one)
    named = {fact.day: fact for fact in facts.days if fact.grades is None or result.cohort.grade in fact.grades}
    rows = []
    for weekday, name in enumerate(WEEKDAY_NAMES):
        cells = tuple(_cell(result, facts, week, week.monday + weekday * ONE_DAY, lessons, named) for week in result.weeks)
        if weekday < 5 or any(cell.lessons or cell.state == "school" for cell in cells):
            rows.append((name, cells))
    return Heat(heads, tuple(rows), tuple(_blocks(result)))


def _heads(result: ClassResult) -> Iterable[WeekHead]:
    for number, week in enumerate(result.weeks, 1):
        why = week.flag.reason if week.flag else None
        if week.monday in result.effective:
            state = "effective"
        elif week.flagged:
            state = "flagged"
        else:
            state = "ahead" if len(week.days) >= 3 else "short"
        yield WeekHead(number, week.monday, state, len(week.days), why)


def _cell(
    result: ClassResult, facts: Facts, week: Week, day: date, lessons: dict[date, list[JudgedLesson]], named: dict[date, DayFact]
) -> DayCell:
    fact = named.get(day)
    if not result.start <= day <= result.end:
        state = "outside"
    elif day not in week.days:
        state = "closed" if fact is not None and not fact.is_school else "rest"
    else:
        state = "ahead" if day > facts.as_of else "school"
    return DayCell(day, state, tuple(lessons.get(day, ())), fact.reason if fact else "")


def _blocks(result: ClassResult) -> Iterable[BlockHead]:
    """Blocks over the weeks: weeks that are not effective join the block before them, or the first one (B2 step 3)."""
    spans = [span for span in result.spans if span.weeks]
    if not spans:
        return
    last = spans[-1].weeks[-1]
    firsts = {span.weeks[0]: span for span in spans}
    current, columns = spans[0], 0
    ahead = 0
    for week in result.weeks:
        started = firsts.get(week.monday)
        if (week.monday > last and _may_count(week)) or ahead:
            ahead += 1
        elif started is not None and started is not current:
            yield BlockHead(current.name, columns, current.raw, current.counted)
            current, columns = started, 1
        else:
            columns += 1
    yield BlockHead(current.name, columns, current.raw, current.counted)
    if ahead:
        yield BlockHead("", ahead, 0, 0)


def advice(result: ClassResult) -> Reason:
    """What the class has to do next, in one sentence (B2d)."""
    outlook = result.outlook
    if not outlook.needed:
        if result.verdict == "not-assessable":
            return reason("keep-on", N_("照常上课即可"))
        return reason("sure", N_("已经够数，继续保持"))
    if outlook.out_of_reach and not outlook.latest:
        return reason("over", N_("还差 %(needed)s 次，剩下的时间里已经补不上"), needed=outlook.needed)
    if outlook.out_of_reach:
        text = N_("还差 %(needed)s 次，剩下的时间里最多再计 %(places)s 次，够不着达标")
        return reason("out-of-reach", text, needed=outlook.needed, places=len(outlook.latest))
    if result.verdict == "met":
        text = N_("目前够数；到期末再上 %(needed)s 次，第一次最迟 %(first)s")
        return reason("on-track", text, needed=outlook.needed, first=outlook.latest[0].isoformat())
    text = N_("还差 %(needed)s 次，第一次最迟 %(first)s")
    return reason("needed", text, needed=outlook.needed, first=outlook.latest[0].isoformat())
