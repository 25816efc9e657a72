"""Sign-in of staff, home, language, health (登录、首页、健康检查)."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user
from sqlalchemy import select, text
from werkzeug.wrappers import Response as BaseResponse

from lms.core.audit import audit
from lms.core.auth import check_lock, current_account, matches, may, note_failure
from lms.core.db import db, write
from lms.core.i18n import COOKIE, LOCALES
from lms.core.models import Account, Lockout

bp = Blueprint("core", __name__)

HOMES = (
    (("student",), "teaching.lesson"),
    (("teacher",), "teaching.today"),
    (("school_admin",), "usage.compliance"),
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
            return redirect(url_for(endpoint))
    return redirect(url_for("core.me"))


@bp.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> BaseResponse | str | tuple[str, int]:
    """Staff sign in with name and password."""
    if request.method == "GET":
        return render_template("core/sign_in.html", next=request.args.get("next", ""))
    username = request.form.get("username", "").strip()
    account = db.session.scalar(select(Account).where(Account.username == username, Account.kind == "staff"))
    if account is not None:
        check_lock(f"account:{account.id}")
    if account is None or not account.active or not matches(account.password_hash, request.form.get("password", "")):
        if account is not None:
            note_failure(account.organisation_id, f"account:{account.id}")
        return render_template(
            "core/sign_in.html", error=_("用户名或密码不对。"), username=username, next=request.form.get("next", "")
        ), 401
    login_user(account)
    with write():
        lock = db.session.get(Lockout, f"account:{account.id}")
        if lock is not None:
            db.session.delete(lock)
        audit(account, "sign-in", "account", account.id)
    return redirect(local_target(request.form.get("next", "")) or url_for("core.home"))


def local_target(target: str) -> str:
    """``target`` if it is a path of this site, else empty (no open redirect)."""
    parts = urlsplit(target)
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc else ""


@bp.post("/sign-out")
def sign_out() -> BaseResponse:
    """End this browser's session."""
    logout_user()
    return redirect(url_for("core.home"))


@bp.get("/me")
def me() -> str:
    """The signed-in person's own page."""
    return render_template("core/me.html", account=current_account())


@bp.post("/locale")
def locale() -> BaseResponse:
    """Choose the language."""
    chosen = request.form.get("locale", "")
    response = redirect(local_target(request.form.get("next", "")) or url_for("core.home"))
    if chosen in LOCALES:
        response.set_cookie(COOKIE, chosen, max_age=365 * 86400, samesite="Lax")
    return response


@bp.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/readyz")
def readyz() -> Response:
    """The process can serve: the database answers."""
    db.session.execute(text("SELECT 1"))
    return Response(f"ready {current_app.config['ZHIKE'].origin}\n", mimetype="text/plain")
