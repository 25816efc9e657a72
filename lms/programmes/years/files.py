"""Files of reports, cases, events, visits and rectifications (附件): one table, told by the row they belong to."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import blobs, clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import NotFound, Refused
from lms.core.models import Account
from lms.programmes.attachments import ROOM
from lms.programmes.years.models import YearFile

TYPES = ("pdf", "docx", "xlsx", "jpg", "png")
MOST = 20


def files_about(*about: uuid.UUID) -> list[YearFile]:
    """Files of the rows that are there, oldest first."""
    query = select(YearFile).where(YearFile.about.in_(about), YearFile.removed_at.is_(None))
    return list(db.session.scalars(query.order_by(YearFile.created_at)))


def add(
    actor: Account, school_id: uuid.UUID, about: uuid.UUID, name: str, data: bytes, types: Sequence[str] = TYPES
) -> YearFile:
    """Take a file in for a row; who may is the caller's to know. Raises Invalid for a wrong type or size."""
    kind = blobs.check(data, types, blobs.LARGEST_MB, "file")
    digest, clean = blobs.keep(ROOM, data), blobs.name_of(name, f"附件.{kind}")
    with write() as session:
        if len(files_about(about)) >= MOST:
            raise Refused(
                "files", _l("这里最多放 %(most)s 个文件。", most=MOST), remedy=_l("请删去不用的，或合并成一个 PDF。")
            )
        row = YearFile(
            id=new_id(), school_id=school_id, about=about, name=clean, type=kind, size=len(data),
            sha256=digest, added_by=actor.id,
        )  # fmt: skip
        session.add(row)
        audit(actor, "year-file", "year_file", row.id, school_id=school_id, about=str(about), sha256=row.sha256)
    return row


def content(row: YearFile) -> bytes:
    """The bytes; NotFound where the data folder has lost them."""
    return blobs.content(ROOM, row.sha256)


def file_of(file_id: uuid.UUID) -> YearFile:
    """One file that is there; NotFound."""
    row = db.session.get(YearFile, file_id)
    if row is None or row.removed_at is not None:
        raise NotFound("file", _l("没有这个文件。"))
    return row


def remove(actor: Account, row: YearFile) -> None:
    """Take a file out; the journal keeps that it was there."""
    with write():
        found = file_of(row.id)
        found.removed_at = clock.now()
        audit(actor, "year-file-out", "year_file", found.id, school_id=found.school_id, sha256=found.sha256)
