"""Health, metrics, the school's certificate, the system page (运行状态、校内证书)."""

from __future__ import annotations

import ipaddress
import shutil

from flask import Response, current_app, render_template, request
from flask_babel import gettext as _
from flask_login import current_user
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from lms import __version__
from lms.core import schema
from lms.core.auth import may, require
from lms.core.blueprint import bp
from lms.core.certificates import Certificates
from lms.core.db import db
from lms.core.downloads import download
from lms.core.errors import NotAllowed, NotFound
from lms.core.jobs import backlog
from lms.core.metrics import exposition


@bp.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/readyz")
def readyz() -> Response:
    """The process can serve: the database answers and has the tables that this program needs; else 503."""
    try:
        db.session.execute(text("SELECT 1"))
        revision = schema.current(db.engine)
    except SQLAlchemyError as error:
        return Response(f"database: {type(error).__name__}\n", 503, mimetype="text/plain")
    if revision != schema.head():
        return Response(
            f"database has revision {revision}, this program needs {schema.head()}: lms upgrade\n",
            503,
            mimetype="text/plain",
        )
    return Response(f"ready {current_app.config['ZHIKE'].origin}\n", mimetype="text/plain")


@bp.get("/metrics")
def metrics() -> Response:
    """Prometheus metrics, for this machine and for system administrators."""
    local = ipaddress.ip_address(request.remote_addr or "0.0.0.0").is_loopback
    if not local and not (current_user.is_authenticated and may(current_user, ("sys_admin",))):
        raise NotAllowed("metrics", _("监控数据只对本机和系统管理员开放。"))
    body, kind = exposition(backlog())
    return Response(body, content_type=kind)


def _certificates() -> Certificates:
    files = Certificates(current_app.config["ZHIKE"].data_dir / "tls")
    if not files.ca.exists():
        raise NotFound("no-ca", _("这台服务器没有校内证书。"), remedy=_("可能由前面的代理提供 HTTPS。"))
    return files


@bp.get("/ca.crt")
def ca_certificate() -> Response:
    """The school's CA certificate, to be installed once on each terminal; public."""
    return download(_certificates().ca.read_bytes(), "zhike-ca.crt")


@bp.get("/trust")
def trust() -> str:
    """How to install the school's CA certificate on Windows, UOS/Kylin, Android and others."""
    return render_template("core/trust.html", fingerprint=_certificates().fingerprint())


@bp.get("/admin/system")
@require("school_admin", "sys_admin")
def system() -> str:
    """State of this installation: version, database, disk, outbox, certificate."""
    settings = current_app.config["ZHIKE"]
    disk = shutil.disk_usage(settings.data_dir)
    files = Certificates(settings.data_dir / "tls")
    return render_template(
        "core/system.html",
        version=__version__,
        settings=settings,
        database="SQLite" if settings.is_sqlite else "PostgreSQL",
        revision=schema.current(db.engine),
        free_gib=disk.free / 2**30,
        total_gib=disk.total / 2**30,
        waiting=backlog(),
        fingerprint=files.fingerprint() if files.ca.exists() else "",
    )
