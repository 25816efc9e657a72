"""Pages of the administrators: accounts and roles, locks, the journal (账号、解锁、日志)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import or_, select
from werkzeug.wrappers import Response as BaseResponse

from lms.core import accounts
from lms.core.audit import access
from lms.core.auth import STAFF_ROLES, current_account, locked, require, unlock
from lms.core.blueprint import bp
from lms.core.db import db
from lms.core.errors import Invalid, NotFound
from lms.core.models import Account, AuditEntry, Lockout, Organisation, RoleGrant

PAGE = 100


def _organisation() -> Organisation:
    found = db.session.get(Organisation, current_account().organisation_id)
    if found is None:
        raise NotFound("organisation", _("没有这个机构。"))
    return found


def _subtree() -> list[uuid.UUID]:
    return list(db.session.scalars(select(Organisation.id).where(Organisation.path.startswith(_organisation().path))))


@bp.get("/admin/accounts")
@require("school_admin", "sec_admin")
def accounts_page() -> str:
    """Staff accounts with their roles, and the locks in force."""
    people = accounts.staff_accounts(_organisation())
    grants = {account.id: [entry for entry in account.grants if entry.revoked_at is None] for account in people}
    locks = locked(_subtree())
    named = {f"account:{account.id}": account.display_name for account in people}
    return render_template(
        "core/accounts.html",
        people=people,
        grants=grants,
        locks=[(lock, named.get(lock.subject, lock.subject)) for lock in locks],
        role_names=accounts.ROLE_NAMES,
        roles=STAFF_ROLES,
        me=current_account(),
    )


@bp.post("/admin/accounts/<uuid:account_id>/grant")
@require("school_admin", "sec_admin")
def grant_role(account_id: uuid.UUID) -> BaseResponse:
    """Give a role over the own organisation."""
    actor = current_account()
    account = accounts.managed_account(actor, account_id)
    accounts.grant(actor, account, request.form.get("role", ""), account.organisation_id)
    flash(_("已授权。"))
    return redirect(url_for("core.accounts_page"))


@bp.post("/admin/grants/<uuid:grant_id>/revoke")
@require("school_admin", "sec_admin")
def revoke_role(grant_id: uuid.UUID) -> BaseResponse:
    """Take a role away."""
    entry = db.session.get(RoleGrant, grant_id)
    if entry is None:
        raise NotFound("grant", _("没有这项授权。"))
    accounts.managed_account(current_account(), entry.account_id)
    accounts.revoke(current_account(), entry)
    flash(_("已收回角色。"))
    return redirect(url_for("core.accounts_page"))


@bp.post("/admin/accounts/<uuid:account_id>/active")
@require("school_admin", "sec_admin")
def set_active(account_id: uuid.UUID) -> BaseResponse:
    """Close or reopen an account."""
    actor = current_account()
    account = accounts.managed_account(actor, account_id)
    accounts.set_active(actor, account, request.form.get("active") == "1", request.form.get("reason", ""))
    flash(_("已保存。"))
    return redirect(url_for("core.accounts_page"))


@bp.post("/admin/accounts/<uuid:account_id>/end-sessions")
@require("school_admin", "sec_admin")
def end_sessions(account_id: uuid.UUID) -> BaseResponse:
    """Sign an account out everywhere."""
    actor = current_account()
    accounts.end_sessions(actor, accounts.managed_account(actor, account_id))
    flash(_("该账号已在所有设备上退出。"))
    return redirect(url_for("core.accounts_page"))


@bp.post("/admin/unlock")
@require("teacher", "school_admin", "sec_admin")
def unlock_subject() -> BaseResponse:
    """Lift a lock of the own organisation."""
    subject = request.form.get("subject", "")
    lock = db.session.get(Lockout, subject)
    if lock is None or lock.school_id not in _subtree():
        raise NotFound("lockout", _("没有这个锁定。"))
    unlock(current_account(), subject)
    flash(_("已解锁。"))
    return redirect(url_for("core.accounts_page"))


@bp.get("/admin/journal")
@require("school_admin", "audit_admin")
def journal() -> str:
    """The journal: what was done here, by whomever, and what our own people did elsewhere; reading it is itself written down."""
    zone = ZoneInfo(current_app.config["ZHIKE"].timezone)
    ours = select(Account.id).where(Account.organisation_id.in_(_subtree()))
    visible = or_(AuditEntry.school_id.in_(_subtree()), AuditEntry.actor_id.in_(ours))
    query = select(AuditEntry).where(visible)
    action, day, person = (request.args.get(name, "").strip() for name in ("action", "day", "person"))
    if action:
        query = query.where(AuditEntry.action.startswith(action, autoescape=True))
    if day:
        begins = _begin_of(day, zone)
        query = query.where(AuditEntry.at >= begins, AuditEntry.at < begins + timedelta(days=1))
    if person:
        query = query.where(AuditEntry.actor_id.in_(select(Account.id).where(Account.display_name == person)))
    page = max(1, request.args.get("page", 1, type=int))
    rows = db.session.scalars(
        query.order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).offset((page - 1) * PAGE).limit(PAGE + 1)
    ).all()
    actors = {row.actor_id for row in rows if row.actor_id}
    people = db.session.execute(select(Account.id, Account.display_name).where(Account.id.in_(actors)))
    names = {found[0]: found[1] for found in people}
    actions = db.session.scalars(
        select(AuditEntry.action).where(visible).distinct().order_by(AuditEntry.action)
    ).all()
    access(current_account(), "journal", "audit_entry", "-", people=len(names), page=page)
    return render_template(
        "core/journal.html",
        rows=[(row, row.at.astimezone(zone)) for row in rows[:PAGE]],
        more=len(rows) > PAGE,
        names=names,
        actions=actions,
        action=action,
        day=day,
        person=person,
        page=page,
    )


def _begin_of(day: str, zone: ZoneInfo) -> datetime:
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=zone).astimezone(UTC)
    except ValueError as error:
        raise Invalid("day", _("日期写作 2026-11-24。"), where="day") from error
