"""A past lesson as a row of a file says it, and what is wrong with it (补录的一行); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from typing import Any

from lms.usage.reasons import N_, Reason, reason

COLUMNS = (
    "日期",
    "班级",
    "节次",
    "开始时间",
    "分钟",
    "课时",
    "学科",
    "课题",
    "教材的课",
    "任课教师",
    "应到",
    "请假",
    "实到",
    "课型",
    "补哪天的课",
    "分次",
    "第一部分日期",
)
NEEDED = ("日期", "班级", "任课教师", "实到")
NAMES = {
    "上课日期": "日期",
    "节": "节次",
    "第几节": "节次",
    "上课时间": "开始时间",
    "时长": "分钟",
    "时长（分钟）": "分钟",
    "课时数": "课时",
    "教学内容": "课题",
    "课目": "教材的课",
    "教师": "任课教师",
    "授课教师": "任课教师",
    "人数": "应到",
    "应到人数": "应到",
    "名册人数": "应到",
    "请假人数": "请假",
    "实到人数": "实到",
    "出勤人数": "实到",
}
DIVISIONS = {"半班2": ("halves", 2), "半班3": ("halves", 3), "短课2": ("shorts", 2), "短课3": ("shorts", 3)}
MOST = {"分钟": 300, "课时": 2, "应到": 500, "请假": 500, "实到": 500}


@dataclass(frozen=True)
class Row:
    """A row by column, with where it stands in the file."""

    where: str
    texts: Mapping[str, str]

    def get(self, column: str) -> str:
        """Text of a column, empty where it has none."""
        return self.texts.get(column, "").strip()


@dataclass(frozen=True)
class ClassInfo:
    """A class as rows name it: its stage, grade today, roster by day and periods (ordinal: start, end)."""

    id: str
    name: str
    class_hour: int
    periods: Mapping[int, tuple[time, time]]


@dataclass(frozen=True)
class Lesson:
    """A past lesson as understood; ``key`` names it, so that the same row twice is one lesson."""

    key: str
    class_id: str
    day: date
    starts: time
    minutes: int
    class_hours: int
    subject: str
    title: str
    units: tuple[str, ...]
    teacher_id: str
    roster: int
    leave: int
    present: int
    kind: str
    makeup_of: str | None = None
    part_of: Mapping[str, Any] | None = None

    @property
    def ends(self) -> time:
        """Local time of its end; the last minute of the day at most."""
        whole = self.starts.hour * 60 + self.starts.minute + self.minutes
        return time(min(whole, 1439) // 60, min(whole, 1439) % 60)


@dataclass(frozen=True)
class Judged:
    """A row with its verdict. ``state``: new | known | skipped | bad; ``column``: where the fault is."""

    row: Row
    state: str
    lesson: Lesson | None = None
    column: str = ""
    why: Reason | None = None
    class_name: str = ""
    teacher: str = ""


class Fault(ValueError):
    """What is wrong with a row: the column and the reason."""

    def __init__(self, column: str, why: Reason) -> None:
        super().__init__(why.code)
        self.column = column
        self.why = why


@dataclass(frozen=True)
class Known:
    """What the school is, as far as rows need it.

    ``classes``: by every way to write them, squeezed; ``teachers``: name or staff number → ids; ``units``: code or title → "<course>:<code>";
    ``terms``: first and last days; ``kinds``: name → kind; ``taught``: per class and day the (start, end, key, by hand) of standing records.
    """

    today: date
    terms: Sequence[tuple[date, date]]
    teachers: Mapping[str, tuple[str, ...]]
    units: Mapping[str, str]
    kinds: Mapping[str, str]
    subject: str
    taught: Mapping[tuple[str, date], Sequence[tuple[time, time, str]]] = field(default_factory=dict)


def number(row: Row, column: str, default: int | None) -> int:
    """A whole number of a column; Fault where it is none or out of range, or missing without a default."""
    text = row.get(column).removesuffix("分钟").removesuffix("人").removesuffix("课时").strip()
    if not text:
        if default is None:
            raise Fault(column, reason("empty", N_("没有填")))
        return default
    if not (text.isascii() and text.isdigit()) or int(text) > MOST[column]:
        raise Fault(column, reason("number", N_("应填 0 到 %(most)s 的整数：%(text)s"), most=MOST[column], text=text))
    return int(text)


def start_of(row: Row, cohort: ClassInfo) -> tuple[time, int]:
    """When the lesson began and how long its period is, by 开始时间 or 节次; Fault where neither can be read."""
    text = row.get("开始时间").replace("：", ":").split("-")[0].split("—")[0].strip()
    hour = cohort.class_hour
    if text:
        try:
            hours, _colon, minutes = text.partition(":")
            return time(int(hours), int(minutes)), hour
        except ValueError as error:
            raise Fault("开始时间", reason("time", N_("应写成 10:05 这样：%(text)s"), text=text)) from error
    period = "".join(char for char in row.get("节次") if char.isdigit())
    if not period:
        raise Fault("节次", reason("no-time", N_("要填节次或开始时间")))
    if int(period[0]) not in cohort.periods:
        raise Fault("节次", reason("period", N_("作息时间里没有第 %(n)s 节"), n=period[0]))
    starts, ends = cohort.periods[int(period[0])]
    length = (ends.hour - starts.hour) * 60 + ends.minute - starts.minute
    return starts, length * (2 if len(period) == 2 else 1)


def teacher_of(row: Row, known: Known) -> str:
    """The teacher's id; Fault for nobody of the staff, or for a name that two bear."""
    text = row.get("任课教师").replace(" ", "")
    if not text:
        raise Fault("任课教师", reason("empty", N_("没有填")))
    found = known.teachers.get(text, ())
    if not found:
        raise Fault("任课教师", reason("no-teacher", N_("教职工里没有“%(text)s”"), text=text))
    if len(found) > 1:
        raise Fault("任课教师", reason("two-teachers", N_("有两位“%(text)s”，请改填工号"), text=text))
    return found[0]


def part_of(row: Row, class_id: str, day: date, first: date | None) -> dict[str, Any] | None:
    """Parts of one lesson share the class and the day of the first part; Fault for an unknown division."""
    text = row.get("分次").replace(" ", "")
    if not text:
        return None
    if text not in DIVISIONS:
        raise Fault("分次", reason("division", N_("应填 %(names)s 之一"), names="、".join(DIVISIONS)))
    kind, parts = DIVISIONS[text]
    began = first or day
    if not timedelta(0) <= day - began <= timedelta(days=7):
        raise Fault("第一部分日期", reason("parts-apart", N_("各部分要在 7 天之内，第一部分在前")))
    return {"lesson": f"past/{class_id}/{began.isoformat()}", "kind": kind, "parts": parts}


def sums(roster: int, leave: int, present: int) -> None:
    """Fault where the register does not add up."""
    if roster < 1:
        raise Fault("应到", reason("nobody", N_("那天班里没有学生名单，请填应到人数（名册人数）")))
    if present + leave > roster:
        text = N_("实到 %(present)s 人加请假 %(leave)s 人，超过名册 %(roster)s 人")
        raise Fault("实到", reason("register", text, present=present, leave=leave, roster=roster))


def against_records(judged: Judged, known: Known) -> Judged:
    """The row against what is recorded: the same lesson is known, another one at the same time stops it."""
    lesson = judged.lesson
    if lesson is None or judged.state != "new":
        return judged
    for starts, ends, key in known.taught.get((lesson.class_id, lesson.day), ()):
        if key == lesson.key:
            return replace(judged, state="known")
        if starts < lesson.ends and lesson.starts < ends:
            text = N_("这个班 %(start)s 已有一条使用记录，没有重复写入")
            return replace(judged, state="skipped", why=reason("taught", text, start=starts.strftime("%H:%M")))
    return judged
