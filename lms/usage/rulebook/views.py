"""Pages of the rule book for offices: the rules, their numbers, a trial before they hold, and every version (规则参数页面)."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.auth import current_account, current_school_id, require
from lms.core.db import db
from lms.core.errors import Invalid, Refused
from lms.core.menu import Entry, offer
from lms.core.models import Account
from lms.usage import policies
from lms.usage.judging.packs import Policy, Values, sections
from lms.usage.judging.verdicts import VERDICT_NAMES
from lms.usage.rulebook import service

bp = Blueprint("rulebook", __name__, template_folder="templates", url_prefix="/rules")
OFFICER = ("officer",)
LEVEL_NAMES = {"nation": _l("中央"), "province": _l("省级"), "city": _l("市级"), "county": _l("区县")}
COUNTS_NAMES = {"lessons": _l("按课次"), "class-hours": _l("按课时"), "evidence": _l("按证据")}
Page = BaseResponse | str


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(state.app, Entry("usage.rulebook.index", _l("规则参数"), "list-details", OFFICER, 61, folded=True))


@bp.get("")
@require(*OFFICER)
def index() -> str:
    """Every rule with the numbers that the office has, and who may change them."""
    lines = [{"rule": _held(one), "own": service.office_of(current_account(), one)} for one in policies.rules()]
    return render_template("rulebook/index.html", lines=lines, levels=LEVEL_NAMES, counts=COUNTS_NAMES)


@bp.get("/<name>")
@require(*OFFICER)
def rule(name: str) -> str:
    """One rule: its numbers in a form, and its versions."""
    base = policies.policy(name)
    return _page(base, _held(base).values())


def _held(base: Policy) -> Policy:
    """The rule with the numbers that hold for the office today: its own, else those of the nearest office above it."""
    office = service.office_of(current_account(), base)
    return service.policy_for(office.id if office else current_school_id(), base.name, service.today())


@bp.post("/<name>")
@require(*OFFICER)
def change(name: str) -> Page:
    """Try the form's numbers on the schools below, or let them hold; what was typed stays on the page."""
    base = policies.policy(name)
    values = service.values_of(request.form, base)
    try:
        if request.form.get("do") == "save":
            row = service.set_values(current_account(), base, values, _valid_from(), request.form.get("reason", ""))
            flash(
                _("已保存为版本 %(version)s，自 %(day)s 起生效。", version=row.version, day=row.valid_from.isoformat())
            )
            return redirect(url_for("usage.rulebook.rule", name=base.name))
        return _page(base, values, trials=service.try_values(current_account(), base, values, service.today()))
    except (Invalid, Refused) as refusal:
        return make_response(_page(base, values, refusal=refusal), refusal.status)


def _valid_from() -> date:
    text = request.form.get("valid_from", "").strip()
    try:
        return date.fromisoformat(text) if text else service.today()
    except ValueError as error:
        raise Invalid("date", _l("请填写日期，例如 2026-09-01。"), where="valid_from") from error


def _page(base: Policy, values: Values, **more: Any) -> str:
    office = service.office_of(current_account(), base)
    today = service.today()
    versions = service.history(office, base.name) if office else []
    return render_template(
        "rulebook/rule.html",
        base=base,
        office=office,
        held=_held(base),
        parts=_parts(base, values),
        versions=_versions(base, versions),
        today=today.isoformat(),
        valid_from=request.form.get("valid_from") or today.isoformat(),
        reason=request.form.get("reason", ""),
        levels=LEVEL_NAMES,
        counts=COUNTS_NAMES,
        verdict_names=VERDICT_NAMES,
        **({"trials": None, "refusal": None} | more),
    )


def _parts(base: Policy, values: Values) -> list[dict[str, Any]]:
    """The form: sections with their fields, the pack's own value beside each."""
    own = base.values()
    found = []
    for part, kind in sections(type(base.parameters)).items():
        fields = [
            {"name": f"{part}.{one.name}", "value": values[part][one.name], "own": own[part][one.name], **one.metadata}
            for one in dataclasses.fields(kind)
        ]
        found.append({"label": kind.label, "fields": fields})
    return found


def _versions(base: Policy, rows: list[Any]) -> list[dict[str, Any]]:
    """Newest first, each with what it changed against the one before it (the first against the pack)."""
    before = [*(row.values for row in rows), base.values()][1:]
    return [
        {
            "row": row,
            "who": _name(row.entered_by),
            "when": clock.local(row.created_at, service.ZONE),
            "changes": _changes(base, old, row.values),
        }
        for row, old in zip(rows, before, strict=True)
    ]


def _changes(base: Policy, old: Values, new: Values) -> list[tuple[str, Any, Any]]:
    found = []
    for part, kind in sections(type(base.parameters)).items():
        for one in dataclasses.fields(kind):
            was, now = old.get(part, {}).get(one.name), new.get(part, {}).get(one.name)
            if was != now:
                found.append((one.metadata["label"], was, now))
    return found


def _name(account_id: Any) -> str:
    found = db.session.get(Account, account_id) if account_id is not None else None
    return found.display_name if found is not None else ""
