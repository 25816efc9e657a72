"""The web edge: errors become pages or JSON once, security headers, CSRF, request logs (网页边界)."""

from __future__ import annotations

import json
import logging
import time
import uuid
from typing import Any

from flask import Flask, Response, g, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from lms.core.errors import ZhikeError

csrf = CSRFProtect()
log = logging.getLogger("lms.web")

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
        return redirect(url_for("core.sign_in", next=request.full_path.rstrip("?")))
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
    return problem(400, "csrf", _("页面已过期，没有提交。"), _("您填写的内容还在；请刷新页面后再提交。"))


def _unexpected(error: Exception) -> BaseResponse:
    log.exception("unexpected", extra={"request": g.get("request_id", "")})
    return problem(
        500, "unexpected", _("系统出了问题，您的数据没有丢失。"), _("请再试一次；仍不行，把下面的编号告诉管理员。")
    )


def _before() -> None:
    g.request_id = uuid.uuid4().hex[:12]
    g.started = time.perf_counter()


def _after(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Embedder-Policy", "require-corp")
    if not request.path.startswith("/static/"):
        headers.setdefault("Cache-Control", "no-store")
    log.info(
        "request",
        extra={
            "request": g.get("request_id", ""),
            "method": request.method,
            "rule": request.url_rule.rule if request.url_rule else "-",  # the rule, not the address: no names, no ids
            "status": response.status_code,
            "ms": round(1000 * (time.perf_counter() - g.get("started", time.perf_counter())), 1),
        },
    )
    return response


def init_web(app: Flask) -> None:
    """Install error pages, CSRF, headers and request logs."""
    csrf.init_app(app)
    app.config.setdefault("WTF_CSRF_TIME_LIMIT", None)  # a lesson outlasts an hour
    app.config.setdefault("WTF_CSRF_SSL_STRICT", False)  # Referer is cut by some school proxies; the token stands
    app.config.setdefault("SESSION_COOKIE_SAMESITE", "Lax")
    app.config.setdefault("SESSION_COOKIE_HTTPONLY", True)
    app.before_request(_before)
    app.after_request(_after)
    app.register_error_handler(ZhikeError, _refusal)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    if not app.testing:
        app.register_error_handler(Exception, _unexpected)


def ok(**facts: Any) -> Response:
    """A plain JSON answer."""
    return jsonify(facts)
