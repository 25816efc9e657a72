"""Pages of the evidence: anchors, the weekly sheet, the inspector's pack, the questions to ask, the spot check (证据页面)."""

from __future__ import annotations

import json
import tempfile
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import (
    check_lock,
    clear_failures,
    current_account,
    current_school_id,
    matches,
    name_subject,
    note_failure,
    require,
    waste_time,
)
from lms.core.db import db, write
from lms.core.downloads import download
from lms.core.errors import Invalid, Refused
from lms.core.models import Account
from lms.core.qr import drawn
from lms.roster import service as roster
from lms.roster.models import SchoolClass, Term
from lms.usage.evidence import anchors
from lms.usage.evidence.anchors import Standing
from lms.usage.evidence.ledger import roots_of
from lms.usage.evidence.packing import write_pack
from lms.usage.evidence.spotcheck import draw_sample
from lms.usage.evidence.suspicion import found_in
from lms.usage.judging.gathering import term_for
from lms.usage.judging.lessons import KIND_NAMES
from lms.usage.models import VOID, UsageRecord

bp = Blueprint("evidence", __name__, template_folder="templates", url_prefix="/usage/evidence")
ADMIN = ("school_admin",)
STATUS_NAMES = {
    "absent": _l("未到"), "terminal": _l("在终端"), "shared": _l("合用终端"), "hand": _l("手工点名"), "late": _l("迟到"), "leave": _l("请假"), "left_early": _l("早退"),
}  # fmt: skip


def _term() -> Term:
    school = roster.school_of(current_school_id())
    return term_for(school.id, roster.today_of(school))


@bp.get("/")
@require(*ADMIN)
def index() -> str:
    """What fixes the chain outside the school, what to hand to an inspector, what an inspector would ask."""
    school = roster.school_of(current_school_id())
    today = roster.today_of(school)
    try:
        term = _term()
    except Refused as refusal:
        return render_template("usage/empty.html", refusal=refusal, admin=True)
    roots = roots_of(school.id)
    return render_template(
        "usage/evidence.html",
        anchors=anchors.anchors_of(school.id)[:12],
        kind_names=anchors.KIND_NAMES,
        mondays=sorted({root.day - timedelta(days=root.day.weekday()) for root in roots}, reverse=True)[:6],
        roots=len(roots),
        shares=_shares(school.id, term),
        flags=found_in(school.id, term),
        lessons=_names(school.id, term),
        today=today,
        zone=school.zone,
        local=clock.local,
    )


def _shares(school_id: uuid.UUID, term: Term) -> dict[str, int]:
    standing, found = Standing(school_id, clock.now()), {"A": 0, "B": 0, "C": 0}
    rows = db.session.scalars(
        select(UsageRecord).where(UsageRecord.school_id == school_id, UsageRecord.lesson_on.between(term.starts_on, term.ends_on))
    ).all()
    replaced = {row.corrects_id for row in rows}
    for row in rows:
        if row.id not in replaced and row.kind != VOID:
            found[standing.of(row)[0]] += 1
    return found


def _names(school_id: uuid.UUID, term: Term) -> dict[str, str]:
    """Record id → class and date."""
    school = roster.school_of(school_id)
    classes = {row.id: row for row in db.session.scalars(select(SchoolClass).where(SchoolClass.school_id == school_id))}
    query = select(UsageRecord).where(UsageRecord.school_id == school_id, UsageRecord.lesson_on.between(term.starts_on, term.ends_on))
    return {str(row.id): f"{roster.class_name(classes[row.class_id], school, row.lesson_on)} {row.lesson_on.isoformat()}" for row in db.session.scalars(query)}


@bp.get("/sheet")
@require(*ADMIN)
def sheet() -> str:
    """The weekly sheet (周签字表) for print: roots, short code, QR code, lines for two signatures."""
    school = roster.school_of(current_school_id())
    text = request.args.get("monday", "")
    try:
        monday = date.fromisoformat(text) if text else roster.today_of(school)
    except ValueError as error:
        raise Invalid("date", _l("日期应写成 2026-11-24 这样。"), where="monday") from error
    monday -= timedelta(days=monday.weekday())
    made = anchors.sheet_of(school.id, monday)
    week = UsageRecord.lesson_on.between(monday, monday + timedelta(days=6))
    rows = db.session.scalars(select(UsageRecord).where(UsageRecord.school_id == school.id, week).order_by(UsageRecord.started_at)).all()
    classes = {row.id: roster.class_name(row, school, monday) for row in db.session.scalars(select(SchoolClass).where(SchoolClass.school_id == school.id))}
    return render_template(
        "usage/sheet.html", school=school, sheet=made, monday=monday, rows=rows, classes=classes, kind_names=KIND_NAMES, code=drawn([made.text])[0],
        zone=school.zone, local=clock.local,
    )  # fmt: skip


@bp.post("/sheet")
@require(*ADMIN)
def file_sheet() -> BaseResponse:
    """File a signed sheet by its short code or its scanned QR code; the second person signs with own name and password."""
    school_id = current_school_id()
    second = _second_person(request.form.get("second", ""), request.form.get("second_password", ""), school_id)
    row = anchors.file_sheet(current_account(), second, school_id, request.form.get("code", ""))
    flash(_("已归档：%(day)s 的每日根。", day=row.day.isoformat()))
    return redirect(url_for("usage.evidence.index"))


def _second_person(username: str, password: str, school_id: uuid.UUID) -> Account:
    """The colleague who signs beside the acting one; failures count and lock as at sign-in."""
    query = select(Account).where(Account.username == username.strip(), Account.kind == "staff", Account.organisation_id == school_id)
    account: Account | None = db.session.scalar(query)
    subject = f"account:{account.id}" if account is not None else name_subject(username.strip())
    check_lock(subject)
    if account is not None and account.active and matches(account.password_hash, password):
        clear_failures(subject)
        return account
    if account is None:
        waste_time(password)
    note_failure(school_id, subject)
    raise Invalid("second-person", _l("另一位签字人的用户名或密码不对。"), remedy=_l("请签字人本人输入。"), where="second", clause="B10")


@bp.get("/request.json")
@require(*ADMIN)
def ask() -> Response:
    """The small file that the region or a peer school countersigns."""
    school = roster.school_of(current_school_id())
    answer = jsonify(anchors.request_of(school.id, school.organisation.name))
    return download(answer.data, f"anchor-{school.organisation.code or school.id.hex[:8]}.json")


@bp.post("/answers")
@require(*ADMIN)
def answers() -> BaseResponse:
    """Enter a countersignature that came back."""
    given = request.files.get("file")
    try:
        document: Any = json.loads(given.read(65536)) if given is not None else None
    except ValueError as error:
        raise Invalid("anchor-document", _l("这不是智课的会签文件。"), remedy=_l("请选择对方交回的 .json 文件。"), where="file") from error
    if not isinstance(document, dict):
        raise Invalid("anchor-document", _l("请选择对方交回的会签文件。"), where="file")
    row = anchors.accept(current_account(), current_school_id(), document, new_key=request.form.get("new_key") == "1")
    flash(_("已登记 %(issuer)s 的会签。", issuer=row.issuer))
    return redirect(url_for("usage.evidence.index"))


@bp.post("/pack.zip")
@require(*ADMIN)
def pack() -> Response:
    """The inspector's pack of this term; the export is journalled."""
    school = roster.school_of(current_school_id())
    with tempfile.TemporaryDirectory(prefix="zhike-pack-") as folder:
        target = Path(folder) / "pack.zip"
        made = write_pack(school.id, _term(), target, clock.now())
        data = target.read_bytes()
    with write():
        audit(current_account(), "evidence-pack", "school", school.id, school_id=school.id, links=made["head"]["seq"])
    name = f"zhike-evidence-{school.organisation.code or school.id.hex[:8]}-{clock.local_date(clock.now(), school.zone).isoformat()}.zip"
    return download(data, name)


@bp.get("/spot-check")
@require(*ADMIN)
def spot_check() -> str:
    """Ask for the seed."""
    return render_template("usage/spotcheck.html", found=None, seed="", source="", count=5)


@bp.post("/spot-check")
@require(*ADMIN)
def spot_check_draw() -> str:
    """Draw the sample and open it."""
    term, text = _term(), request.form.get("count", "5")
    seed, source = request.form.get("seed", ""), request.form.get("source", "")
    zone = roster.school_of(current_school_id()).zone
    found = draw_sample(current_account(), current_school_id(), term, seed, source, int(text) if text.isdecimal() and len(text) < 4 else 0)
    return render_template(
        "usage/spotcheck.html", found=found, seed=seed, source=source, count=text, names=_names(current_school_id(), term), status_names=STATUS_NAMES, zone=zone,
        local=clock.local,
    )  # fmt: skip
