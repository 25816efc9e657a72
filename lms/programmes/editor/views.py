"""Pages on which an office writes its notices: drafts, common numbers, text, versions (通知包编辑)."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, current_app, flash, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.auth import current_account, require
from lms.core.db import db
from lms.core.errors import Invalid, NotFound
from lms.core.models import Account
from lms.programmes import notices
from lms.programmes.editor import drafts, numbers, rewriting
from lms.programmes.editor.layout_views import bp as layout_pages
from lms.programmes.models import NoticeDraft, NoticeVersion
from lms.programmes.pack import Problem

bp = Blueprint("editor", __name__, url_prefix="/editor")
bp.register_blueprint(layout_pages)
OFFICER = ("officer",)


def _local(at: Any) -> str:
    return clock.local(at, current_app.config["ZHIKE"].timezone).strftime("%Y-%m-%d %H:%M")


def _line(row: NoticeDraft) -> dict[str, Any]:
    pack, problems = drafts.check(row)
    by = db.session.get(Account, row.saved_by) if row.saved_by else None
    live = db.session.get(NoticeVersion, row.published_id) if row.published_id else None
    return {
        "row": row,
        "pack": pack,
        "problems": problems,
        "by": by.display_name if by else "",
        "is_live": bool(live and pack and live.digest == pack.digest),
    }


@bp.get("/")
@require(*OFFICER)
def index() -> str:
    """Drafts, published notices of the office, and what may be copied."""
    account = current_account()
    office = drafts.office_of(account)
    query = select(NoticeVersion).where(NoticeVersion.school_id == office.id).order_by(NoticeVersion.created_at)
    own = {row.slug: row for row in db.session.scalars(query)}
    packs = notices.packs_for(office.id)
    return render_template(
        "programmes/editor/index.html",
        drafts=[_line(row) for row in drafts.drafts_of(account)],
        own=list(own.values()),
        others=[pack for pack in packs if pack.slug not in own],
        local=_local,
    )


@bp.post("/drafts")
@require(*OFFICER)
def begin() -> BaseResponse:
    """Copy a notice, or begin the next version of one's own."""
    row = drafts.begin(current_account(), request.form.get("notice", ""))
    flash(_("草稿已建好：先改常用数字，再看文本；发布以前下级看不到。"))
    return redirect(url_for("programmes.editor.show", draft_id=row.id))


@bp.get("/<uuid:draft_id>")
@require(*OFFICER)
def show(draft_id: uuid.UUID) -> str:
    """The common numbers of a draft, and publishing."""
    row = drafts.draft_of(current_account(), draft_id)
    return _page(row)


def _page(row: NoticeDraft, given: dict[str, str] | None = None, refusal: str = "") -> str:
    line = _line(row)
    pack = line["pack"]
    return render_template(
        "programmes/editor/numbers.html",
        line=line,
        row=row,
        groups=numbers.groups_of(pack.document) if pack else [],
        given=given or {},
        refusal=refusal,
        tab="numbers",
    )


@bp.post("/<uuid:draft_id>")
@require(*OFFICER)
def save_numbers(draft_id: uuid.UUID) -> BaseResponse | tuple[str, int]:
    """Save the common numbers; what is wrong is shown above them and nothing typed is lost."""
    account = current_account()
    row = drafts.draft_of(account, draft_id)
    pack, _problems = drafts.check(row)
    if pack is None:
        raise Invalid("notice-pack", _l("文本里有错，请先在“文本”里改好。"))
    given = request.form.to_dict()
    try:
        texts = numbers.changed(row.texts, pack.document, given)
    except ValueError as error:
        return _page(row, given, str(error)), 422
    row = drafts.save(account, draft_id, texts, request.form.get("edition", 0, type=int))
    problems = drafts.check(row)[1]
    flash(_("已保存草稿。") if not problems else _("已保存草稿，还有 %(count)s 处要改。", count=len(problems)))
    return redirect(url_for("programmes.editor.show", draft_id=draft_id))


@bp.post("/<uuid:draft_id>/batches")
@require(*OFFICER)
def add_batch(draft_id: uuid.UUID) -> BaseResponse:
    """One more batch, with the days of the last one."""
    account = current_account()
    row = drafts.draft_of(account, draft_id)
    pack, _problems = drafts.check(row)
    if pack is None:
        raise Invalid("notice-pack", _l("文本里有错，请先在“文本”里改好。"))
    batches = pack.document["batches"]
    name = next(str(one) for one in range(len(batches) + 1, 1000) if all(str(one) != each["id"] for each in batches))
    added = {"id": name, "name": _("第%(number)s批", number=name), "due": dict(batches[-1]["due"])}
    texts = {"pack.yaml": rewriting.add(row.texts["pack.yaml"], ("batches",), added)}
    drafts.save(account, draft_id, texts, row.edition)
    flash(_("已加一批，请改名称和日期。"))
    return redirect(url_for("programmes.editor.show", draft_id=draft_id))


@bp.get("/<uuid:draft_id>/text")
@require(*OFFICER)
def text(draft_id: uuid.UUID) -> str:
    """The text of one file, with its errors by line."""
    row = drafts.draft_of(current_account(), draft_id)
    name = request.args.get("file", "pack.yaml")
    if name not in row.texts:
        raise NotFound("draft-file", _l("草稿里没有这个文件。"))
    line = _line(row)
    return render_template(
        "programmes/editor/text.html",
        line=line,
        row=row,
        name=name,
        names=_names(row),
        text=row.texts[name],
        tab="text",
    )


def _names(row: NoticeDraft) -> list[str]:
    return sorted(row.texts, key=lambda name: (name != "pack.yaml", name))


@bp.post("/<uuid:draft_id>/text")
@require(*OFFICER)
def save_text(draft_id: uuid.UUID) -> BaseResponse:
    """Save one file: by script (JSON: the new edition and every problem), or by the button."""
    account = current_account()
    drafts.draft_of(account, draft_id)
    sent = request.get_json() if request.is_json else request.form
    name, body, edition = sent.get("file"), sent.get("text"), sent.get("edition")
    if not isinstance(name, str) or not isinstance(body, str) or not str(edition).isdigit():
        raise Invalid("draft-text", _l("没有保存：请求不完整。"))
    row = drafts.save(account, draft_id, {name: body}, int(str(edition)))
    problems = drafts.check(row)[1]
    if request.is_json:
        return jsonify(edition=row.edition, problems=[_told(one) for one in problems])
    flash(_("已保存草稿。") if not problems else _("已保存草稿，还有 %(count)s 处要改。", count=len(problems)))
    return redirect(url_for("programmes.editor.text", draft_id=draft_id, file=name))


def _told(problem: Problem) -> dict[str, str | int]:
    return {"file": problem.file, "line": problem.line, "cause": problem.cause}


@bp.get("/<uuid:draft_id>/changes")
@require(*OFFICER)
def changes(draft_id: uuid.UUID) -> str:
    """What the draft changes against a published version, or one version against another."""
    account = current_account()
    row = drafts.draft_of(account, draft_id)
    line = _line(row)
    pack = line["pack"]
    versions = drafts.versions_of(account, pack.slug) if pack else []
    chosen = next(
        (one for one in versions if str(one.row.id) == request.args.get("against")), versions[0] if versions else None
    )
    return render_template(
        "programmes/editor/changes.html",
        line=line,
        row=row,
        versions=versions,
        chosen=chosen,
        lines=drafts.difference(chosen.row.document, pack.document) if chosen and pack else [],
        local=_local,
        tab="changes",
    )


@bp.post("/<uuid:draft_id>/publish")
@require(*OFFICER)
def publish(draft_id: uuid.UUID) -> BaseResponse:
    """Put it in force."""
    made = drafts.publish(current_account(), draft_id)
    flash(
        _(
            "已发布“%(title)s”（%(version)s），下级现在可以申报；已经开始的申报仍按原来的版本。",
            title=made.document["title"],
            version=made.version,
        )
    )
    return redirect(url_for("programmes.editor.show", draft_id=draft_id))


@bp.post("/<uuid:draft_id>/remove")
@require(*OFFICER)
def remove(draft_id: uuid.UUID) -> BaseResponse:
    """Throw the draft away, or take it again."""
    again = bool(request.form.get("again"))
    drafts.remove(current_account(), draft_id, again=again)
    flash(_("草稿已恢复。") if again else _("草稿已删除。"))
    return redirect(url_for("programmes.editor.index", removed=None if again else draft_id))
