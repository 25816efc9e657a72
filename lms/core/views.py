"""Sign-in of staff, home, own account, language (登录、首页、我的账号)."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, logout_user
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.core import accounts, admin_views, ops_views
from lms.core.audit import audit
from lms.core.auth import (
    begin,
    check_lock,
    clear_failures,
    current_account,
    forget_old_failures,
    matches,
    may,
    name_subject,
    note_failure,
    waste_time,
)
from lms.core.blueprint import bp
from lms.core.db import db
from lms.core.errors import ZhikeError
from lms.core.i18n import COOKIE, LOCALES
from lms.core.jobs import every
from lms.core.lost_forms import mark
from lms.core.menu import Entry, offer
from lms.core.models import Account, InstanceState, Organisation
from lms.core.outbox import forget_delivered

__all__ = ["admin_views", "bp", "ops_views"]

HOMES = (
    (("student",), "teaching.lesson"),
    (("teacher",), "teaching.today"),
    (("school_admin",), "usage.compliance"),
    (("officer",), "region.schools"),
    (("expert",), "programmes.selection.mine"),
    (("sec_admin",), "core.accounts_page"),
    (("audit_admin",), "core.journal"),
    (("sys_admin",), "core.system"),
)

every(30, "forget-lockouts", forget_old_failures)
every(59, "forget-delivered", forget_delivered)


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    if isinstance(state.app, Blueprint):
        return
    offer(
        state.app,
        Entry("core.accounts_page", _l("账号"), "users-group", ("school_admin", "sec_admin"), 90, folded=True),
        Entry("core.journal", _l("日志"), "clipboard-text", ("school_admin", "audit_admin"), 91, folded=True),
        Entry("core.system", _l("系统"), "server-cog", ("school_admin", "sys_admin"), 92, folded=True),
    )


@bp.get("/")
def home() -> BaseResponse:
    """Send each person to where the day begins; a seat to its sign-in."""
    if not current_user.is_authenticated:
        if request.cookies.get("zhike_seat"):
            return redirect(url_for("teaching.seat"))
        return redirect(url_for("core.sign_in"))
    account = current_account()
    for roles, endpoint in HOMES:
        if may(account, roles):
            return redirect(url_for(endpoint if endpoint != "region.schools" or _is_this_office(account) else "programmes.index"))
    return redirect(url_for("core.me"))


def _is_this_office(account: Account) -> bool:
    """Whether the installation is that of the officer's own office, which alone has a view over its schools."""
    held = db.session.get(InstanceState, "office")
    return held is not None and held.value == str(account.organisation_id)


@bp.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> BaseResponse | str | tuple[str, int]:
    """Staff sign in with name and password; ``name@school code`` where several schools share a server."""
    if request.method == "GET":
        return render_template("core/sign_in.html", next=request.args.get("next", ""))
    username, password = request.form.get("username", "").strip(), request.form.get("password", "")
    account = _authenticate(username, password)
    if account is None:
        error = _("用户名或密码不对。")
        page = render_template("core/sign_in.html", error=error, username=username, next=request.form.get("next", ""))
        return page, 401
    begin_session(account)
    audit(account, "sign-in", "account", account.id)
    if account.must_change:
        return redirect(url_for("core.password"))
    return redirect(local_target(request.form.get("next", "")) or url_for("core.home"))


def _authenticate(username: str, password: str) -> Account | None:
    """The account behind name and password; counts failures the same way whether the name exists or not."""
    candidates = _staff_named(username)
    subjects = [f"account:{account.id}" for account in candidates] or [name_subject(username)]
    check_lock(*subjects)
    for account in candidates:
        if matches(account.password_hash, password) and account.active:
            clear_failures(f"account:{account.id}")
            return account
    if not candidates:
        waste_time(password)
    note_failure(candidates[0].organisation_id if candidates else None, *subjects)
    return None


def _staff_named(username: str) -> list[Account]:
    name, _at, code = username.rpartition("@") if "@" in username else (username, "", "")
    query = select(Account).where(Account.username == name, Account.kind == "staff")
    if code:
        query = query.join(Organisation, Organisation.id == Account.organisation_id).where(Organisation.code == code)
    found = list(db.session.scalars(query.limit(2)))
    return found if len(found) < 2 else []  # two schools' people of one name must say which


def begin_session(account: Account) -> None:
    """Sign an account in with a fresh session (no fixation); it lives twelve hours."""
    session.clear()
    begin(account)
    mark(account)
    session.permanent = True


def local_target(target: str) -> str:
    """``target`` if it is a path of this site, else empty (no open redirect)."""
    if any(ord(sign) < 33 or sign == "\\" for sign in target):
        return ""
    parts = urlsplit(target)
    return (
        target
        if target.startswith("/") and not target.startswith("//") and not parts.netloc and not parts.scheme
        else ""
    )


@bp.post("/sign-out")
def sign_out() -> BaseResponse:
    """End this browser's session."""
    logout_user()
    session.clear()
    return redirect(url_for("core.home"))


@bp.get("/me")
def me() -> str:
    """The signed-in person's own page."""
    account = current_account()
    roles = [accounts.ROLE_NAMES.get(entry.role, entry.role) for entry in account.grants if entry.revoked_at is None]
    return render_template("core/me.html", account=account, roles=roles)


@bp.route("/me/password", methods=["GET", "POST"])
def password() -> BaseResponse | str | tuple[str, int]:
    """Change the own password; the only page there is while it must be changed."""
    account = current_account()
    if request.method == "GET":
        return render_template("core/password.html", account=account)
    try:
        if request.form.get("password", "") != request.form.get("again", ""):
            return render_template(
                "core/password.html", account=account, error=_("两次输入的新密码不一样。"), where="again"
            ), 422
        account = accounts.change_password(account, request.form.get("old", ""), request.form.get("password", ""))
    except ZhikeError as refusal:
        return render_template(
            "core/password.html", account=account, error=refusal.message, where=refusal.where
        ), refusal.status
    begin_session(account)
    flash(_("密码已修改，其他地方的登录已全部退出。"))
    return redirect(url_for("core.home"))


@bp.post("/me/end-sessions")
def end_own_sessions() -> BaseResponse:
    """Sign out everywhere."""
    account = current_account()
    accounts.end_sessions(account, account)
    logout_user()
    return redirect(url_for("core.sign_in"))


@bp.post("/locale")
def locale() -> BaseResponse:
    """Choose the language."""
    chosen = request.form.get("locale", "")
    response = redirect(local_target(request.form.get("next", "")) or url_for("core.home"))
    if chosen in LOCALES:
        response.set_cookie(
            COOKIE, chosen, max_age=365 * 86400, samesite="Lax", secure=request.is_secure, httponly=True
        )
    return response
