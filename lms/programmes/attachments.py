"""Attachments and scans (附件): type told by the bytes, size within the notice's limit, kept under their hash, handed out only as a download."""

from __future__ import annotations

import uuid

from flask_babel import lazy_gettext as _l

from lms.core import blobs, clock
from lms.core.audit import audit
from lms.core.blobs import LARGEST_MB, MIME, SCAN_TYPES, check, keep, kind_of, name_of
from lms.core.db import db, new_id, write
from lms.core.errors import NotAllowed, NotFound
from lms.core.models import Account
from lms.programmes.models import Application, ApplicationFile
from lms.programmes.notices import pack_of
from lms.programmes.pack import Document
from lms.programmes.rules import EDITABLE
from lms.programmes.service import application, manages

__all__ = ["MIME", "SCAN_TYPES", "add_file", "content", "file_of", "kind_of", "remove_file", "slot_of"]
ROOM = "programmes"


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


def add_file(
    actor: Account, application_id: uuid.UUID, slot: str, name: str, data: bytes, code: str = ""
) -> ApplicationFile:
    """Take in a file; raises Invalid for a wrong type or size, naming what is allowed. ``code``: of a sealed document's content now."""
    found = application(actor, application_id)
    wanted = slot_of(found, slot)
    _need_writable(actor, found)
    types, largest = wanted.get("types", SCAN_TYPES), wanted.get("largest_mb", LARGEST_MB)
    kind = check(data, types, largest, slot)
    digest, clean = keep(ROOM, data), name_of(name, f"{slot}.{kind}")
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
            code=code,
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
    return blobs.content(ROOM, row.sha256)


def _need_writable(actor: Account, found: Application) -> None:
    if not manages(actor, found) or pack_of(found).status_is(found.status) not in EDITABLE:
        raise NotAllowed("file", _l("现在不能增减附件：申报已提交，或您不是申报单位的管理员。"))
