"""Pages of notices: one's own list, and the school's ways out of the app (通知)."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.auth import current_account, current_school_id, may, require
from lms.core.errors import Refused
from lms.notices import service

bp = Blueprint("notices", __name__, template_folder="templates", url_prefix="/notices")
STAFF = ("teacher", "school_admin", "officer", "expert", "sys_admin", "audit_admin")
ADMIN = ("school_admin", "officer")
KIND_NAMES = {
    "smtp": _l("邮件"),
    "wecom": _l("企业微信群机器人"),
    "dingtalk": _l("钉钉群机器人"),
    "feishu": _l("飞书群机器人"),
}


@bp.get("/")
@require(*STAFF)
def index() -> str:
    """One's notices; open and unread first."""
    account = current_account()
    admin = may(account, ADMIN)
    return render_template(
        "notices/index.html",
        notices=service.notices_of(account),
        today=clock.now().date(),
        admin=admin,
        channels=service.channels_of(account.organisation_id) if admin else (),
        kind_names=KIND_NAMES,
    )


@bp.get("/count")
@require(*STAFF)
def count() -> Response:
    """How many are unread; asked by the bell, at most once a minute."""
    return jsonify(unread=service.unread(current_account()))


@bp.get("/<uuid:notice_id>")
@require(*STAFF)
def follow(notice_id: uuid.UUID) -> BaseResponse:
    """Read a notice and go where it leads."""
    account = current_account()
    found = service.notice_of(account, notice_id)
    target = found.link if found.link.startswith("/") and not found.link.startswith("//") else url_for("notices.index")
    service.mark_read(account, notice_id)
    return redirect(target)


@bp.post("/read")
@require(*STAFF)
def read() -> BaseResponse:
    """Mark one notice, or all, as read; ``again`` undoes it for one."""
    chosen = request.form.get("notice", "")
    service.mark_read(
        current_account(), uuid.UUID(chosen) if chosen else None, again="again" in request.form and bool(chosen)
    )
    return redirect(url_for("notices.index"))


@bp.post("/channels")
@require(*ADMIN)
def add_channel() -> BaseResponse:
    """Add a way out of the app."""
    row = service.add_channel(current_account(), request.form.get("kind", ""), request.form)
    flash(_("已添加“%(name)s”。请点“发一条试试”，确认对方收到。", name=row.name))
    return redirect(url_for("notices.index") + "#channels")


@bp.post("/channels/<uuid:channel_id>")
@require(*ADMIN)
def change_channel(channel_id: uuid.UUID) -> BaseResponse:
    """Try or remove a channel."""
    row = service.channel_of(current_school_id(), channel_id)
    if "remove" in request.form:
        service.remove_channel(current_account(), row)
        flash(_("已删除这个渠道。"))
    else:
        problem = service.try_channel(row, _("智课通知测试"), _("收到这条消息，说明这个渠道可以用。"))
        if problem:
            remedy = _l("请检查地址、密钥和网络；学校不上外网时，用校内邮件服务器。")
            raise Refused("not-sent", _l("没有发出去：%(problem)s", problem=problem), remedy=remedy)
        flash(_("已发出，请确认对方收到。"))
    return redirect(url_for("notices.index") + "#channels")
