"""Pages of the school year: the term on one sheet, exchange with other calendars, the national table, the county's desk (校历页面)."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from flask import Blueprint, Response, current_app, flash, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from itsdangerous import BadData, URLSafeSerializer, URLSafeTimedSerializer

from lms.core import clock
from lms.core.auth import current_account, current_school_id, require
from lms.core.downloads import TYPES, download
from lms.core.errors import Invalid, NotFound
from lms.core.menu import Entry, offer
from lms.core.models import Account
from lms.core.stages import school_year
from lms.roster import service as roster
from lms.roster.access import school_of, today_of
from lms.roster.blueprint import Page, answered, back, day_of, grades_of_form, tabs
from lms.roster.calendar import bundled_table, default_term, monday_of
from lms.roster.models import CalendarDay, FlaggedWeek, School, Term
from lms.roster.rules import grade_name
from lms.roster.school_views import term_choice
from lms.roster.timetable import WEEKDAYS
from lms.usage.schoolyear import rules, service
from lms.usage.schoolyear.ical import calendar_file, read_calendar
from lms.usage.schoolyear.planned import KINDS, Planned, planned_of

bp = Blueprint("schoolyear", __name__, template_folder="templates", url_prefix="/school/calendar")
bp.context_processor(tabs)
STAFF = ("teacher", "school_admin")
ADMIN = ("school_admin",)
OFFICER = ("officer",)
PREVIEW_S = 3600


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(state.app, Entry("usage.schoolyear.area", _l("校历会签"), "calendar-check", OFFICER, 60))


def _term(school: School, chosen: str = "") -> Term:
    found = term_choice(school.id, chosen or request.args.get("term", ""), today_of(school))
    if found is None:
        raise NotFound("no-term", _l("学校还没有设置学期。"), remedy=_l("请在“校历”中填写学期的起止日期。"))
    return found


def _sheet(school: School, term: Term, grades: list[int] | None = None) -> rules.TermSheet:
    facts = service.facts_of(school, term)
    return rules.term_sheet(facts, grades or service.grades_of(school), service.parameters(school.id, term.ends_on))


@bp.get("")
@require(*STAFF)
def term() -> Page:
    """The term on one sheet: a line a week, what each day is, what counts, which effective week it is."""
    school = school_of(current_school_id())
    today = today_of(school)
    chosen = term_choice(school.id, request.args.get("term", ""), today)
    year = school_year(today)
    terms = roster.terms_of(school.id)
    known = {(each.school_year, each.ordinal) for each in terms}
    offers = [(no, ordinal, *default_term(no, ordinal)) for no in (year, year + 1) for ordinal in (1, 2)]
    every = service.grades_of(school)
    grade = request.args.get("grade", "")
    asked = [int(grade)] if grade.isdigit() and int(grade) in every else every
    return render_template(
        "schoolyear/term.html",
        school=school,
        terms=terms,
        term=chosen,
        today=today,
        this_week=monday_of(today),
        offers=[offer for offer in offers if offer[:2] not in known],
        sheet=_sheet(school, chosen, asked) if chosen else None,
        weekdays=WEEKDAYS,
        grades=[(one, grade_name(one)) for one in every],
        grade=asked[0] if len(asked) == 1 else None,
        log=_log(school, chosen) if chosen else [],
        pending=service.pending_of(school, chosen) if chosen else [],
        years=_years(school, chosen) if chosen else [],
        feed=url_for("usage.schoolyear.feed", token=_feed_token(school.id), _external=True),
        picked=request.args.get("day", ""),
        estimated=_estimated(school, chosen) if chosen else False,
    )


def _estimated(school: School, term: Term) -> bool:
    return any(row.state == "estimated" for row in roster.entries_between(school.id, term.starts_on, term.ends_on))


def _years(school: School, term: Term) -> list[Any]:
    return [roster.table_of(school.id, year) for year in range(term.starts_on.year, term.ends_on.year + 1)]


def _log(school: School, term: Term) -> list[dict[str, Any]]:
    """The school's entries with who and when, newest first; withdrawn ones too, since their time is evidence."""
    rows: list[CalendarDay | FlaggedWeek] = [
        row
        for row in roster.entries_between(school.id, term.starts_on, term.ends_on, withdrawn=True)
        if row.source == "school"
    ]
    rows += roster.flags_between(school.id, term.starts_on, term.ends_on, withdrawn=True)
    every = service.grades_of(school)
    names = _names({row.entered_by for row in rows} | {row.withdrawn_by for row in rows})
    waiting = {one.row.id: one.why for one in service.pending_of(school, term)}
    return [
        {
            "row": row,
            "first": row.day if isinstance(row, CalendarDay) else row.monday,
            "kind": ("school" if row.is_school else "closed") if isinstance(row, CalendarDay) else "flag",
            "grades": rules.grades_text(row.grades, every) if row.grades is not None else "",
            "follows": WEEKDAYS[row.follows] if isinstance(row, CalendarDay) and row.follows is not None else "",
            "by": names.get(row.entered_by, _("系统")),
            "undone_by": names.get(row.withdrawn_by, "") if row.withdrawn_at else "",
            "why": waiting.get(row.id),
        }
        for row in sorted(rows, key=lambda row: row.entered_at, reverse=True)
    ]


def _names(ids: set[uuid.UUID | None]) -> dict[uuid.UUID | None, str]:
    from lms.core.db import db

    found = [db.session.get(Account, one) for one in ids if one is not None]
    return {account.id: account.display_name for account in found if account is not None}


@bp.post("/terms")
@require(*ADMIN)
@answered
def set_term() -> Page:
    """Open a term, or move its ends."""
    year, _dash, ordinal = request.form.get("term", "").partition("-")
    if not (year.isdigit() and ordinal.isdigit()):
        year, ordinal = "0", "0"
    actor, starts, ends = current_account(), day_of("starts_on"), day_of("ends_on")
    made = roster.add_term(actor, current_school_id(), int(year), int(ordinal), starts, ends)
    flash(_("学期已保存，国家节假日和调休日已放入校历。"))
    return redirect(url_for("usage.schoolyear.term", term=made.id))


@bp.post("/days")
@require(*ADMIN)
@answered
def set_day() -> Page:
    """Enter closures or 调休 days, one day or several in a row."""
    form = request.form
    first = day_of("day")
    last = day_of("until") if form.get("until", "").strip() else first
    follows = form.get("follows", "")
    roster.set_days(
        current_account(),
        current_school_id(),
        first,
        last,
        is_school=form.get("kind", "closed") == "swap",
        reason=form.get("reason", ""),
        follows=int(follows) if follows.isdigit() else None,
        grades=grades_of_form(),
    )
    flash(_("校历已更新。"))
    return back()


@bp.post("/weeks")
@require(*ADMIN)
@answered
def set_week() -> Page:
    """Flag a week as not effective."""
    monday = monday_of(day_of("monday"))
    roster.flag_week(current_account(), current_school_id(), monday, request.form.get("reason", ""), grades_of_form())
    flash(_("教学周已更新。"))
    return back()


@bp.post("/entries/<uuid:entry_id>/withdraw")
@require(*ADMIN)
@answered
def withdraw(entry_id: uuid.UUID) -> Page:
    """Take an entry back; it stays in the list with who and when."""
    service.withdraw(current_account(), current_school_id(), entry_id)
    flash(_("已撤销；原来的登记和时间仍保留在记录里。"))
    return back()


def _feed_token(school_id: uuid.UUID) -> str:
    return str(URLSafeSerializer(current_app.secret_key or "", salt="calendar-feed").dumps(school_id.hex))


@bp.get("/term.ics")
@require(*STAFF)
def ics() -> Response:
    """The term as an iCalendar file."""
    school = school_of(current_school_id())
    term = _term(school)
    data = calendar_file(school, term, _sheet(school, term), clock.now())
    return download(data, f"校历-{term.school_year}-{term.ordinal}.ics")


@bp.get("/feed/<token>.ics")
def feed(token: str) -> Response:
    """The running term for calendar programs that subscribe; who has the address may read it, it names no person."""
    try:
        school_id = uuid.UUID(URLSafeSerializer(current_app.secret_key or "", salt="calendar-feed").loads(token))
    except (BadData, ValueError, TypeError, AttributeError) as error:
        raise NotFound("calendar-feed", _l("订阅地址不对。"), remedy=_l("请在校历页重新复制。")) from error
    school = school_of(school_id)
    term = _term(school)
    return Response(calendar_file(school, term, _sheet(school, term), clock.now()), content_type=TYPES["ics"])


@bp.get("/template.xlsx")
@require(*ADMIN)
def template() -> Response:
    """The empty Excel list."""
    from lms.usage.schoolyear.book import template as book

    return download(book(), "校历.xlsx")


def _preview_key() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=f"calendar-rows-{current_school_id().hex}")


@bp.post("/preview")
@require(*ADMIN)
@answered
def preview() -> Page:
    """Show what a file would enter, row by row; nothing is written."""
    school = school_of(current_school_id())
    term = _term(school, request.form.get("term", ""))
    file = request.files.get("file")
    if file is None or not file.filename:
        raise Invalid("no-file", _l("请先选择文件。"), where="file")
    data = file.read()
    rows = service.judged(school, term, _read(school, term, data, file.filename))
    kept = [row.to_json() for row in rows if row.state in ("new", "known")]
    return render_template(
        "schoolyear/preview.html",
        school=school,
        term=term,
        rows=rows,
        kinds=KINDS,
        weekdays=WEEKDAYS,
        grade_name=grade_name,
        file_name=file.filename,
        counts={state: sum(row.state == state for row in rows) for state in ("new", "known", "skipped", "bad")},
        kept=_preview_key().dumps(kept),
    )


def _read(school: School, term: Term, data: bytes, name: str) -> list[Planned]:
    if data.lstrip(b"\xef\xbb\xbf \r\n")[:15].upper() == b"BEGIN:VCALENDAR" or name.lower().endswith(".ics"):
        return read_calendar(data, name)
    from lms.usage.schoolyear.book import read_book

    return read_book(data, name, term.starts_on, term.ends_on, service.grades_of(school))


@bp.post("/apply")
@require(*ADMIN)
@answered
def apply() -> Page:
    """Enter the rows that were shown."""
    school = school_of(current_school_id())
    term = _term(school, request.form.get("term", ""))
    try:
        kept = _preview_key().loads(request.form.get("kept", ""), max_age=PREVIEW_S)
    except BadData as error:
        raise Invalid("preview-old", _l("预览已过期。"), remedy=_l("请重新上传文件。")) from error
    count = service.enter_rows(current_account(), school, term, [planned_of(row) for row in kept])
    flash(_("已导入 %(n)s 条；重复的没有再写。", n=count))
    return redirect(url_for("usage.schoolyear.term", term=term.id))


@bp.get("/national/<int:year>")
@require(*STAFF)
def table(year: int) -> Page:
    """The national table of a year, with where it comes from; the admin may enter what the notice says."""
    school = school_of(current_school_id())
    _need_year(year)
    return render_template(
        "schoolyear/national.html", school=school, year=year, table=roster.table_of(school.id, year),
        bundled=bundled_table(year), weekdays=WEEKDAYS, periods=_periods(roster.table_of(school.id, year)),
    )  # fmt: skip


def _need_year(year: int) -> None:
    if not 2000 <= year <= 2100:
        raise NotFound("national-year", _l("没有这一年的节假日表。"))


def _periods(table: Any) -> dict[str, list[dict[str, Any]]]:
    """Holidays as spans and workdays as lines, as the form shows them."""
    holidays: list[dict[str, Any]] = []
    for one in table.days:
        if one.is_school:
            continue
        last = holidays[-1] if holidays else None
        if last is not None and last["name"] == one.reason and (one.day - last["to"]).days == 1:
            last["to"] = one.day
        else:
            holidays.append({"name": one.reason, "from": one.day, "to": one.day})
    workdays = [{"name": one.reason, "day": one.day, "follows": one.follows} for one in table.days if one.is_school]
    return {"holidays": holidays, "workdays": workdays}


@bp.post("/national/<int:year>")
@require(*ADMIN)
@answered
def set_table(year: int) -> Page:
    """Enter the year's table from the notice of the State Council."""
    _need_year(year)
    form = request.form
    holidays = [
        {"name": name.strip()[:20], "from": _of_year(first, year), "to": _of_year(last or first, year)}
        for name, first, last in zip(form.getlist("name"), form.getlist("from"), form.getlist("to"), strict=False)
        if name.strip() and first.strip()
    ]
    workdays = [
        {"name": name.strip()[:20], "day": _of_year(day, year), "follows": int(follows) if follows.isdigit() else None}
        for name, day, follows in zip(
            form.getlist("work_name"), form.getlist("work_day"), form.getlist("work_follows"), strict=False
        )
        if name.strip() and day.strip()
    ]
    if not holidays or any(one["to"] < one["from"] for one in holidays):
        raise Invalid("national-span", _l("请检查放假的起止日期：结束不能早于开始。"), where="from")
    content = {"holidays": holidays, "workdays": workdays}
    roster.set_table(
        current_account(), current_school_id(), year, form.get("state", ""), form.get("notice", ""), content
    )
    flash(_("国家节假日表已保存，并放入各学期的校历。"))
    return redirect(url_for("usage.schoolyear.table", year=year))


def _of_year(text: str, year: int) -> str:
    try:
        found = date.fromisoformat(text.strip())
    except ValueError as error:
        raise Invalid("date", _l("请填写日期，例如 2026-09-01。"), where=text) from error
    if found.year != year:
        raise Invalid("national-year", _l("%(day)s 不在 %(year)s 年。", day=text, year=year), where=text)
    return found.isoformat()


@bp.get("/area")
@require(*OFFICER)
def area() -> Page:
    """The county's desk: entries of its schools that count only with its countersignature."""
    officer = current_account()
    waiting = []
    schools = service.schools_under(officer)
    for school in schools:
        term = roster.term_on(school.id, today_of(school))
        found = service.pending_of(school, term) if term is not None else []
        if term is not None and found:
            every = service.grades_of(school)
            waiting.append({"school": school, "term": term, "entries": [_asked(one, every) for one in found]})
    return render_template("schoolyear/area.html", waiting=waiting, schools=schools)


def _asked(one: service.Pending, every: list[int]) -> dict[str, Any]:
    row = one.row
    return {
        "row": row,
        "kind": ("school" if row.is_school else "closed") if isinstance(row, CalendarDay) else "flag",
        "first": row.day if isinstance(row, CalendarDay) else row.monday,
        "grades": rules.grades_text(row.grades, every) if row.grades is not None else "",
        "why": one.why,
    }


@bp.post("/area")
@require(*OFFICER)
@answered
def decide() -> Page:
    """Countersign the ticked entries, or decline them."""
    try:
        ids = [uuid.UUID(text) for text in request.form.getlist("entry")]
    except ValueError as error:
        raise Invalid("id", _l("页面已过期，请刷新后再试。")) from error
    if not ids:
        raise Invalid("nothing-ticked", _l("请先勾选要处理的登记。"))
    agreed = request.form.get("decision") == "agree"
    count = service.decide(current_account(), ids, agreed=agreed)
    flash(_("已会签 %(n)s 条。", n=count) if agreed else _("已退回 %(n)s 条，不计入。", n=count))
    return redirect(url_for("usage.schoolyear.area"))
