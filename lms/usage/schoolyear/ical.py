"""The school calendar as iCalendar (RFC 5545), out and in (日历文件)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import icalendar
from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.roster import service as roster
from lms.roster.models import CalendarDay, FlaggedWeek, School, Term
from lms.usage.reasons import N_
from lms.usage.schoolyear.planned import LONGEST, WEEKDAYS, Planned, follows_of, kind_of
from lms.usage.schoolyear.rules import TermSheet, grades_text
from lms.usage.schoolyear.service import grades_of

MAX_EVENTS = 2000
ONE_DAY = timedelta(days=1)


def calendar_file(school: School, term: Term, sheet: TermSheet, now: datetime) -> bytes:
    """The term as an iCalendar file: whole-day events for holidays, closures, 调休 days, flagged weeks and effective weeks.

    What the file needs to be read back stands in ``X-ZHIKE-*`` properties. No personal data.
    """
    calendar = new_calendar(f"{school.organisation.name} 校历", school.zone)
    every = grades_of(school)
    for rows in _runs(roster.entries_between(school.id, term.starts_on, term.ends_on)):
        calendar.add_component(_day_event(rows, every, now))
    for flag in roster.flags_between(school.id, term.starts_on, term.ends_on):
        calendar.add_component(_flag_event(flag, every, now))
    for line in sheet.lines:
        calendar.add_component(_week_event(line.monday, line.number, _effective(line.standings), str(term.id), now))
    return file_of(calendar)


def new_calendar(name: str, zone: str) -> icalendar.Calendar:
    """An empty calendar to publish."""
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//zhike//school calendar//ZH")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", name)
    calendar.add("x-wr-timezone", zone)
    return calendar


def file_of(calendar: icalendar.Calendar) -> bytes:
    """The calendar as a file."""
    data: bytes = calendar.to_ical()
    return data


def _effective(standings: Sequence[Any]) -> str:
    told = [f"{one.grades}有效教学周 {one.number}" if one.number else f"{one.grades}不计教学周" for one in standings]
    return "；".join(told)


def _runs(rows: Iterable[CalendarDay]) -> list[list[CalendarDay]]:
    """Neighbouring days that say the same."""
    runs: list[list[CalendarDay]] = []
    open_runs: dict[tuple[Any, ...], list[CalendarDay]] = {}
    for row in rows:
        key = (row.is_school, row.follows, row.source, row.state, row.reason, tuple(row.grades or ()))
        run = open_runs.get(key)
        if run is not None and run[-1].day + ONE_DAY == row.day and not row.is_school:
            run.append(row)
            continue
        runs.append([row])
        open_runs[key] = runs[-1]
    return runs


def whole_day(uid: str, first: date, last: date, summary: str, now: datetime) -> icalendar.Event:
    """An event of whole days, the last one included; ``uid`` names it for good."""
    event = icalendar.Event()
    event.add("uid", f"{uid}@zhike")
    event.add("dtstamp", now)
    event.add("dtstart", first)
    event.add("dtend", last + ONE_DAY)
    event.add("summary", summary)
    event.add("transp", "TRANSPARENT")
    return event


def _day_event(rows: Sequence[CalendarDay], every: Sequence[int], now: datetime) -> icalendar.Event:
    row = rows[0]
    where = grades_text(row.grades, every) if row.grades is not None else ""
    told = f"（{where}）" if where else ""
    if row.is_school:
        follows = f"，按周{WEEKDAYS[row.follows]}课表" if row.follows is not None else ""
        summary = f"调休上课{follows}：{row.reason}{told}"
    else:
        summary = f"{'放假' if row.source == 'national' else '停课'}：{row.reason}{told}"
    event = whole_day(str(row.id), row.day, rows[-1].day, summary, now)
    event.add("status", "TENTATIVE" if row.state == "estimated" else "CONFIRMED")
    if row.state == "estimated":
        event.add("description", "预估，以国务院办公厅通知为准")
    _mark(event, "school" if row.is_school else "closed", row.reason, row.follows, row.grades)
    return event


def _flag_event(flag: FlaggedWeek, every: Sequence[int], now: datetime) -> icalendar.Event:
    where = grades_text(flag.grades, every) if flag.grades is not None else ""
    summary = f"非教学周：{flag.reason}" + (f"（{where}）" if where else "")
    event = whole_day(str(flag.id), flag.monday, flag.monday + 4 * ONE_DAY, summary, now)
    _mark(event, "flag", flag.reason, None, flag.grades)
    return event


def _week_event(monday: date, number: int, told: str, term_id: str, now: datetime) -> icalendar.Event:
    event = whole_day(f"{term_id}-{number}", monday, monday + 6 * ONE_DAY, f"第 {number} 周：{told}", now)
    event.add("x-zhike-kind", "week")
    return event


def _mark(event: icalendar.Event, kind: str, reason: str, follows: int | None, grades: Sequence[int] | None) -> None:
    event.add("x-zhike-kind", kind)
    event.add("x-zhike-reason", reason)
    if follows is not None:
        event.add("x-zhike-follows", str(follows))
    if grades is not None:
        event.add("x-zhike-grades", " ".join(str(grade) for grade in grades))


def read_calendar(data: bytes, file_name: str) -> list[Planned]:
    """Events of an uploaded iCalendar file as rows; what is not understood is a bad row that says why.

    Raises Invalid (``calendar-file``) for what is no iCalendar file.
    """
    try:
        calendars = icalendar.Calendar.from_ical(data.decode("utf-8-sig"), multiple=True)
    except (ValueError, IndexError, KeyError) as error:
        raise _unreadable(file_name) from error
    events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    if not calendars or len(events) > MAX_EVENTS:
        raise _unreadable(file_name)
    return [row for number, event in enumerate(events, 1) for row in [_row(number, event)] if row is not None]


def _unreadable(file_name: str) -> Invalid:
    return Invalid(
        "calendar-file",
        _l("这不是可读的日历文件（.ics）。"),
        remedy=_l("请从日历软件导出 iCalendar（.ics）文件，或用 Excel 模板上传。"),
        where=file_name,
    )


def _row(number: int, event: icalendar.Component) -> Planned | None:
    kind = str(event.get("x-zhike-kind", ""))
    if kind == "week":
        return None  # reckoned, not entered
    summary = str(event.get("summary", "")).strip()
    where = f"第 {number} 条“{summary[:40]}”"
    row = Planned(where, kind or kind_of(summary), None, None, str(event.get("x-zhike-reason", summary)).strip()[:60])
    if event.errors:
        return row.bad(
            "ical-broken", N_("内容损坏：%(what)s"), what="、".join(str(name) for name, _text in event.errors)
        )
    if event.get("rrule") is not None:
        return row.bad("ical-repeats", N_("重复事件不能导入，请改成逐日的全天事件"))
    start, end = event.get("dtstart"), event.get("dtend")
    if start is None:
        return row.bad("ical-date", N_("没有开始日期"))
    if isinstance(start.dt, datetime) or not isinstance(start.dt, date):
        return row.skipped("ical-timed", N_("不是全天事件，与校历无关，未导入"))
    last = end.dt - ONE_DAY if end is not None and isinstance(end.dt, date) and end.dt > start.dt else start.dt
    follows = str(event.get("x-zhike-follows", ""))
    grades = str(event.get("x-zhike-grades", "")).split()
    if not all(grade.isascii() and grade.isdigit() and 1 <= int(grade) <= 12 for grade in grades):
        return row.bad("ical-grades", N_("年级写得不对"))
    if not row.kind and (last - start.dt).days <= LONGEST:
        return Planned(where, "", start.dt, last, row.reason).skipped("ical-other", N_("看不出与校历有关，未导入"))
    return Planned(
        where,
        row.kind,
        start.dt,
        last,
        row.reason,
        int(follows) if follows in "0123456" and follows else follows_of(summary, start.dt.weekday()),
        tuple(sorted(int(grade) for grade in grades)) or None,
    )
