"""The web edge: errors become pages or JSON once, security headers, CSRF, request logs (网页边界)."""

from __future__ import annotations

import json
import logging
import random
import time
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from lms.core import lost_forms
from lms.core.errors import ZhikeError
from lms.core.metrics import REQUESTS, SECONDS
from lms.core.proxies import TrustedProxies, networks
from lms.core.sessions import TwoDoorSessions

csrf = CSRFProtect()
log = logging.getLogger("lms.web")

FREE_ENDPOINTS = ("core.password", "core.sign_out", "core.locale", "core.healthz", "core.readyz", "core.metrics")
STATIC_SECONDS = 7 * 86400
SLOW_S = 1.0

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self' ws: wss:; worker-src 'self' blob:; frame-ancestors 'self'; base-uri 'self'; form-action 'self'; object-src 'none'"
)


def wants_json() -> bool:
    """Whether the caller is a script that expects JSON."""
    return request.path.startswith("/api/") or request.is_json or request.accept_mimetypes.best == "application/json"


def problem(status: int, code: str, title: str, remedy: str = "", clause: str = "", **facts: Any) -> BaseResponse:
    """An error as a page or as JSON (problem details): what is wrong, what to do."""
    body = {
        "status": status,
        "code": code,
        "title": title,
        "remedy": remedy,
        "clause": clause,
        "request": g.get("request_id", ""),
        **facts,
    }
    if wants_json():
        return Response(json.dumps(body, ensure_ascii=False, default=str), status, mimetype="application/problem+json")
    return Response(render_template("problem.html", **body), status)


def _refusal(error: ZhikeError) -> BaseResponse:
    if error.status == 401 and not wants_json():
        return lost_forms.rescued() or redirect(url_for("core.sign_in", next=request.full_path.rstrip("?")))
    facts = {"where": error.where, **error.facts} if error.where else error.facts
    return problem(error.status, error.code, str(error.message), str(error.remedy), error.clause, **facts)


def _http(error: HTTPException) -> BaseResponse:
    status = error.code or 500
    titles = {
        404: (_("没有这个页面。"), _("请检查地址，或回到首页。")),
        405: (_("不支持这种操作。"), _("请回到上一页再试。")),
        413: (_("文件太大。"), _("请选择小一些的文件。")),
        500: (_("系统出了问题，您的数据没有丢失。"), _("请再试一次；仍不行，把下面的编号告诉管理员。")),
    }
    title, remedy = titles.get(status, (error.name, _("请回到上一页再试。")))
    return problem(status, f"http-{status}", title, remedy)


def _csrf(error: CSRFError) -> BaseResponse:
    found = None if wants_json() else lost_forms.rescued()
    return found or problem(400, "csrf", _("页面已过期，没有提交。"), _("请重新打开这一页，再填写、提交。"))


def _unexpected(error: Exception) -> BaseResponse:
    log.exception("unexpected", extra={"request": g.get("request_id", "")})
    return problem(
        500, "unexpected", _("系统出了问题，您的数据没有丢失。"), _("请再试一次；仍不行，把下面的编号告诉管理员。")
    )


def _before() -> None:
    g.request_id = format(random.getrandbits(48), "012x")  # to find a log line by, no secret
    g.started = time.perf_counter()


def _must_change() -> BaseResponse | None:
    """Who has a password that others know changes it before anything else."""
    endpoint = request.endpoint or ""
    if endpoint in FREE_ENDPOINTS or endpoint.endswith("static") or not current_user.is_authenticated:
        return None
    if not current_user.must_change:
        return None
    if wants_json():
        return problem(403, "must-change", _("请先修改初始密码。"), _("打开“我的账号”，设置自己的密码。"))
    return redirect(url_for("core.password"))


def _after(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.mimetype != "application/json":  # of no meaning for data
        headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Embedder-Policy", "require-corp")
    rule = request.url_rule.rule if request.url_rule else "-"  # the rule, not the address: no names, no ids
    if request.endpoint and request.endpoint.endswith("static"):
        headers["Cache-Control"] = _keeping()
    elif headers.get("Cache-Control", "no-cache") == "no-cache":  # which Flask's send_file says by itself
        headers["Cache-Control"] = "no-store"
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    REQUESTS.labels(rule, request.method, response.status_code).inc()
    SECONDS.labels(rule).observe(seconds)
    usual = response.status_code < 400 and seconds < SLOW_S  # forty terminals would fill the disk with what the metrics count anyway
    log.log(
        logging.DEBUG if usual else logging.INFO,
        "request",
        extra={
            "request": g.get("request_id", ""),
            "method": request.method,
            "rule": rule,
            "status": response.status_code,
            "ms": round(1000 * seconds, 1),
        },
    )
    return response


def _keeping() -> str:
    """How long browsers keep a static file: for ever with a stamp; our own modules import each other without one, so they are asked for."""
    if "v" in request.args:
        return f"public, max-age={STATIC_SECONDS}, immutable"
    return f"public, max-age={STATIC_SECONDS}" if request.path.startswith("/static/vendor/") else "no-cache"


def _stamp(endpoint: str, values: dict[str, Any]) -> None:
    """Give each static file's address the time of its newest change, so that browsers may keep it for ever."""
    if endpoint == "static" and "v" not in values and "filename" in values:
        values["v"] = _changed(current_app.static_folder or "", values["filename"])


@lru_cache(maxsize=2000)
def _changed(folder: str, filename: str) -> str | None:
    try:
        return format(int((Path(folder) / filename).stat().st_mtime), "x")
    except OSError:
        return None


def init_web(app: Flask) -> None:
    """Install error pages, CSRF, headers and request logs."""
    csrf.init_app(app)
    app.config.update(
        WTF_CSRF_TIME_LIMIT=None,  # a lesson outlasts an hour
        WTF_CSRF_SSL_STRICT=False,  # some school proxies cut the Referer; the token stands
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=12),  # of staff, from sign-in; lessons end pupils' sessions
        # A cookie goes out only when the session changed: an answer that was on its way would else bring the old one back.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.session_interface = TwoDoorSessions()
    if app.config["ZHIKE"].trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, networks(app.config["ZHIKE"].trusted_proxies))  # type: ignore[method-assign]  # how Flask documents it
    app.before_request(_before)
    app.before_request(_must_change)
    app.url_defaults(_stamp)
    app.after_request(_after)
    app.register_error_handler(ZhikeError, _refusal)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    if not app.testing:
        app.register_error_handler(Exception, _unexpected)


def ok(**facts: Any) -> Response:
    """A plain JSON answer."""
    return jsonify(facts)
