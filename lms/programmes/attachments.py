"""Attachments and scans (附件): type told by the bytes, size within the notice's limit, kept under their hash, handed out only as a download."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import uuid
import zipfile
from io import BytesIO
from pathlib import Path

from flask import current_app
from flask_babel import lazy_gettext as _l

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Account
from lms.programmes.models import Application, ApplicationFile
from lms.programmes.notices import pack_of
from lms.programmes.pack import Document
from lms.programmes.rules import EDITABLE
from lms.programmes.service import application, manages

LARGEST_MB = 20
MIME = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jpg": "image/jpeg",
    "png": "image/png",
    "zip": "application/zip",
}
SCAN_TYPES = ["pdf", "jpg", "png"]
_ODD = re.compile(r'[\\/:*?"<>|\x00-\x1f]')


def kind_of(data: bytes) -> str:
    """pdf | docx | xlsx | jpg | png by the bytes, "" for anything else; Office files with macros or active content are none of them."""
    if data.startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if not data.startswith(b"PK\x03\x04"):
        return ""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile:
        return ""
    if any("vbaProject" in name or "activeX" in name or "/embeddings/" in name for name in names):
        return ""
    return "docx" if "word/document.xml" in names else "xlsx" if "xl/workbook.xml" in names else ""


def slot_of(found: Application, slot: str) -> Document:
    """What a slot takes: an attachment of the notice, or the scan of a document's stamped pages; NotFound."""
    pack = pack_of(found)
    if slot.startswith("scan:"):
        for one in pack.documents_of(found.kind):
            if one["id"] == slot.removeprefix("scan:") and one.get("sealed"):
                return {"id": slot, "name": one["id"], "types": SCAN_TYPES}
    for one in pack.attachments_of(found.kind):
        if one["id"] == slot:
            return one
    raise NotFound("slot", _l("通知里没有这个附件。"))


def add_file(actor: Account, application_id: uuid.UUID, slot: str, name: str, data: bytes) -> ApplicationFile:
    """Take in a file; raises Invalid for a wrong type or size, naming what is allowed."""
    found = application(actor, application_id)
    wanted = slot_of(found, slot)
    _need_writable(actor, found)
    types, largest = wanted.get("types", SCAN_TYPES), wanted.get("largest_mb", LARGEST_MB)
    told = "、".join(one.upper() for one in types)
    if not data:
        raise Invalid("file", _l("请选择文件。"), where=slot)
    if len(data) > largest * 1_000_000:
        raise Invalid(
            "file-size",
            _l("文件 %(size)s MB，超过 %(largest)s MB。", size=round(len(data) / 1e6, 1), largest=largest),
            remedy=_l("请压缩扫描件（灰度、150 dpi 即可）后再传。"),
            where=slot,
        )
    kind = kind_of(data)
    if kind not in types:
        raise Invalid(
            "file-type",
            _l("文件内容不是 %(types)s，或带有宏、嵌入对象。", types=told),
            remedy=_l("请另存为 %(types)s 后再传。", types=told),
            where=slot,
        )
    digest = hashlib.sha256(data).hexdigest()
    _keep(digest, data)
    clean = _ODD.sub("_", Path(name).name)[-150:] or f"{slot}.{kind}"
    with write() as session:
        session.refresh(found, with_for_update=True)  # it may have been submitted meanwhile
        _need_writable(actor, found)
        row = ApplicationFile(
            id=new_id(),
            school_id=found.school_id,
            application_id=found.id,
            slot=slot,
            name=clean,
            type=kind,
            size=len(data),
            sha256=digest,
            added_by=actor.id,
        )
        session.add(row)
        audit(actor, "application-file", "application", found.id, school_id=found.school_id, slot=slot, sha256=digest)
    return row


def remove_file(actor: Account, application_id: uuid.UUID, file_id: uuid.UUID) -> None:
    """Take a file out; the journal keeps that it was there."""
    found = application(actor, application_id)
    with write() as session:
        session.refresh(found, with_for_update=True)
        _need_writable(actor, found)
        row = file_of(found, file_id)
        row.removed_at = clock.now()
        audit(
            actor,
            "application-file-out",
            "application",
            found.id,
            school_id=found.school_id,
            slot=row.slot,
            sha256=row.sha256,
        )


def file_of(found: Application, file_id: uuid.UUID) -> ApplicationFile:
    """One of the application's files; NotFound."""
    row = db.session.get(ApplicationFile, file_id)
    if row is None or row.application_id != found.id or row.removed_at is not None:
        raise NotFound("file", _l("没有这个文件。"))
    return row


def content(row: ApplicationFile) -> bytes:
    """The bytes; NotFound where the data folder has lost them."""
    path = _path(row.sha256)
    if not path.is_file():
        raise NotFound("file", _l("文件不在数据文件夹里，请从备份恢复。"))
    return path.read_bytes()


def _need_writable(actor: Account, found: Application) -> None:
    if not manages(actor, found) or pack_of(found).status_is(found.status) not in EDITABLE:
        raise NotAllowed("file", _l("现在不能增减附件：申报已提交，或您不是申报单位的管理员。"))


def _path(digest: str) -> Path:
    folder: Path = current_app.config["ZHIKE"].data_dir
    return folder / "programmes" / digest[:2] / digest


def _keep(digest: str, data: bytes) -> None:
    path = _path(digest)
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
