"""An office's drafts of notices (通知草稿): copy, save, check, publish as a new version, compare versions."""

from __future__ import annotations

import difflib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.programmes import notices
from lms.programmes.editor import rewriting
from lms.programmes.models import Application, NoticeDraft, NoticeVersion
from lms.programmes.pack import EXAMPLE, Document, Pack, Problem, shipped, texts_in

START = "example"  # as the name of a notice: the smallest one, made up
FILE = re.compile(r"pack\.yaml|forms/[A-Za-z0-9][A-Za-z0-9-]{0,39}\.yaml")


def office_of(actor: Account) -> Organisation:
    """The office that the account writes notices for; raises NotAllowed."""
    office = db.session.get_one(Organisation, actor.organisation_id)
    if office.level == "school" or not may(actor, ("officer",)):
        raise NotAllowed("publish-notice", _l("只有主管部门可以发布通知。"))
    return office


def drafts_of(actor: Account) -> list[NoticeDraft]:
    """The office's drafts, newest first."""
    query = select(NoticeDraft).where(NoticeDraft.school_id == office_of(actor).id, NoticeDraft.removed_at.is_(None))
    return list(db.session.scalars(query.order_by(NoticeDraft.saved_at.desc())))


def draft_of(actor: Account, draft_id: uuid.UUID) -> NoticeDraft:
    """One of the office's drafts; NotFound."""
    row = db.session.get(NoticeDraft, draft_id)
    if row is None or row.school_id != office_of(actor).id:
        raise NotFound("draft", _l("没有这份草稿。"))
    return row


def begin(actor: Account, slug: str) -> NoticeDraft:
    """A draft from a notice: of one's own the next version, of any other a copy under a name of one's own."""
    office = office_of(actor)
    if slug == START:
        texts = _for_level(texts_in(EXAMPLE), office.level)
        texts["pack.yaml"] = _renamed(texts["pack.yaml"], "notice", office)
    else:
        pack = notices.pack_named(office.id, slug)
        texts = notices.texts_for(pack)
        own = select(NoticeVersion.id).where(NoticeVersion.slug == slug, NoticeVersion.school_id == office.id)
        if db.session.scalar(own.limit(1)) is None:
            texts["pack.yaml"] = _renamed(texts["pack.yaml"], slug, office)
        else:
            texts["pack.yaml"] = rewriting.put(texts["pack.yaml"], ("version",), _next_version(pack.version))
    with write() as session:
        row = NoticeDraft(id=new_id(), school_id=office.id, texts=texts, saved_by=actor.id)
        session.add(row)
        audit(actor, "notice-draft", "notice_draft", row.id, notice=slug)
    return row


def _renamed(text: str, slug: str, office: Organisation) -> str:
    """The text under a name that is free, issued by the office, this year's first version."""
    for key, value in (("notice", _free_name(slug)), ("issuer", office.name), ("version", f"{clock.now().year}.1")):
        text = rewriting.put(text, (key,), value)
    return text


def _for_level(texts: dict[str, str], level: str) -> dict[str, str]:
    """The example, which a county decides on, for the level of the office that takes it."""
    text = texts["pack.yaml"]
    if level != "county":
        day = yaml.safe_load(text)["batches"][0]["due"]["county"].isoformat()
        text = rewriting.put(text, ("kinds", 0, "chain", 0, "level"), level)
        text = rewriting.put(text, ("kinds", 0, "ladder", 0, "by", 0), level)
        text = rewriting.put(text, ("quotas", 0, "level"), level)
        text = rewriting.put(
            rewriting.put(text, ("batches", 0, "due", level), day), ("batches", 0, "due", "county"), None
        )
    return {**texts, "pack.yaml": text}


def _free_name(slug: str) -> str:
    taken = {*shipped(), *db.session.scalars(select(NoticeVersion.slug).distinct())}
    stem = slug[:34].rstrip("-")
    return next(name for number in range(2, 1000) if (name := f"{stem}-{number}") not in taken)


def _next_version(version: str) -> str:
    year, number = version.split(".")
    now = clock.now().year
    return f"{year}.{int(number) + 1}" if int(year) >= now else f"{now}.1"


def save(actor: Account, draft_id: uuid.UUID, changes: Mapping[str, str], edition: int) -> NoticeDraft:
    """Keep changed files, right or wrong; raises Refused (``conflict``) where somebody saved meanwhile."""
    row = draft_of(actor, draft_id)
    for name, text in changes.items():
        if not FILE.fullmatch(name):
            raise Invalid(
                "draft-file", _l("文件名应为 pack.yaml 或 forms/….yaml，现在是“%(name)s”。", name=name), where="file"
            )
        if "\x00" in text:
            raise Invalid("draft-file", _l("“%(name)s”里有看不见的特殊字符。", name=name), where="file")
    with write() as session:
        session.refresh(row, with_for_update=True)
        if row.edition != edition:
            by = session.get(Account, row.saved_by) if row.saved_by else None
            raise Refused(
                "conflict",
                _l("%(name)s 刚才改了这份草稿，您的改动还没有保存。", name=by.display_name if by else "-"),
                remedy=_l("请把您的改动先复制出来，刷新页面后再改。"),
            )
        texts = {**row.texts, **{name: text.replace("\r\n", "\n") for name, text in changes.items()}}
        if sum(map(len, texts.values())) > notices.LARGEST:
            raise Invalid("notice-size", _l("通知包太大。"), where="text")
        if texts != row.texts:
            row.texts, row.edition, row.saved_by, row.saved_at = texts, row.edition + 1, actor.id, clock.now()
    return row


def remove(actor: Account, draft_id: uuid.UUID, *, again: bool = False) -> NoticeDraft:
    """Throw a draft away, or take it ``again`` (undo)."""
    row = draft_of(actor, draft_id)
    with write():
        row.removed_at = None if again else clock.now()
        audit(actor, "notice-draft-out", "notice_draft", row.id, again=again)
    return row


def check(row: NoticeDraft) -> tuple[Pack | None, list[Problem]]:
    """The draft as a pack, and everything that is wrong."""
    return notices.checked(row.texts)


def publish(actor: Account, draft_id: uuid.UUID) -> NoticeVersion:
    """Put the draft in force as a new version; applications that have begun keep theirs."""
    row = draft_of(actor, draft_id)
    pack, problems = check(row)
    if pack is not None and not problems:
        other = db.session.scalar(
            select(NoticeVersion.id).where(
                NoticeVersion.slug == pack.slug,
                NoticeVersion.version == pack.version,
                NoticeVersion.digest != pack.digest,
            )
        )
        if other is not None:
            raise Invalid(
                "notice-version",
                _l("版本 %(version)s 已经发布过，内容不同。", version=pack.version),
                remedy=_l("请在“常用数字”里把版本改为 %(next)s。", next=_next_version(pack.version)),
                where="version",
            )
    made = notices.publish(actor, row.texts)
    with write():
        row.published_id = made.id
    return made


# ---- versions


@dataclass(frozen=True)
class Version:
    """A published version, and how many applications keep it."""

    row: NoticeVersion
    applications: int


def versions_of(actor: Account, slug: str) -> list[Version]:
    """The office's versions of a notice, newest first."""
    query = (
        select(NoticeVersion, func.count(Application.id))
        .outerjoin(Application, Application.notice_id == NoticeVersion.id)
        .where(NoticeVersion.slug == slug, NoticeVersion.school_id == office_of(actor).id)
        .group_by(NoticeVersion.id)
        .order_by(NoticeVersion.created_at.desc(), NoticeVersion.id.desc())
    )
    return [Version(row, count) for row, count in db.session.execute(query)]


def difference(old: Document, new: Document) -> list[tuple[str, str]]:
    """What changed from one version to the next: (sign, line); sign ``+``, ``-``, ``@`` for where, blank for what stands around it."""
    lines = difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=2)
    return [(line[0], line[1:] if line[0] != "@" else "…") for line in lines if not line.startswith(("---", "+++"))]


def _lines(document: Document) -> list[str]:
    rest: dict[str, Any] = {key: value for key, value in document.items() if key != "forms"}
    parts = [("pack.yaml", rest), *((f"forms/{name}.yaml", form) for name, form in sorted(document["forms"].items()))]
    return [
        line
        for name, part in parts
        for line in [f"# {name}", *yaml.safe_dump(part, allow_unicode=True, sort_keys=True, width=200).split("\n")]
    ]
