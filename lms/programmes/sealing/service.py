"""Scans handed over, read in the background, matched to the pages that must be sealed (盖章页). Verbs only; rules decide."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import blobs, clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.jobs import later, task
from lms.core.models import Account
from lms.programmes.models import Application, ScanPage, ScanUpload
from lms.programmes.notices import pack_of
from lms.programmes.pack import Document, Pack
from lms.programmes.rules import EDITABLE, Lack
from lms.programmes.sealing import pdfs
from lms.programmes.sealing.rules import Mark, Page, Sealed, content_code, read_mark, standing
from lms.programmes.service import application, content_of, files_of, manages

ROOM = "programmes"
MOST_FILES, LARGEST_MB = 40, 40
READ_S = 300


def can_read() -> bool:
    """Whether this machine can read codes (OpenCV is an optional package)."""
    return find_spec("cv2") is not None


def sealed_documents(found: Application, pack: Pack) -> list[Document]:
    """Documents with pages that must be sealed."""
    return [one for one in pack.documents_of(found.kind) if one.get("sealed")]


def code_of(found: Application, pack: Pack, document: Document, more: Mapping[str, Any]) -> str:
    """Code of what the document says now; ``more``: what is collected into it from other applications."""
    form, content = pack.form(document["form"]), content_of(found)
    printed = [f"{form['form']}.{part['id']}" for part in form["parts"] if not part.get("inner")]
    keys = [f"{form['form']}.cover", f"{form['form']}.foot", *printed]
    return content_code(
        {"notice": pack.digest, "form": form["form"], "content": {key: content.get(key) for key in keys}, **more}
    )


def mark_of(found: Application, pack: Pack, document: Document, code: str, page: int, pages: int) -> Mark:
    """The mark of a page of a document."""
    number = next(place for place, one in enumerate(pack.document["documents"]) if one["id"] == document["id"])
    return Mark(found.id, number, page, pages, code)


# ---- handing over and reading


def hand_over(actor: Account, application_id: uuid.UUID, files: Sequence[tuple[str, bytes]]) -> ScanUpload:
    """Take scans in any order: PDF, JPG, PNG; they are read in the background. Raises Invalid naming the file that is none."""
    found = application(actor, application_id)
    _need_writable(actor, found)
    files = [one for one in files if one[1]]
    if not can_read():
        raise Refused(
            "no-reader",
            _l("这台服务器没有安装图像识别（zhike[vision]）。"),
            remedy=_l("请在申报页按文件分别上传扫描件。"),
        )
    if not files or len(files) > MOST_FILES:
        raise Invalid("scans", _l("请选择扫描件，一次最多 %(most)s 个文件。", most=MOST_FILES), where="files")
    kinds = [blobs.check(data, blobs.SCAN_TYPES, LARGEST_MB, name or "files") for name, data in files]
    kept = [
        {"name": blobs.name_of(name, f"scan.{kind}"), "type": kind, "sha256": blobs.keep(ROOM, data)}
        for (name, data), kind in zip(files, kinds, strict=True)
    ]
    with write() as session:
        row = ScanUpload(
            id=new_id(), school_id=found.school_id, application_id=found.id, files=kept, uploaded_by=actor.id
        )
        session.add(row)
        audit(actor, "scan-upload", "application", found.id, school_id=found.school_id, files=len(kept))
        later(found.school_id, "read-scans", upload_id=str(row.id))
    return row


def _not_read(upload_id: str) -> None:
    """The page then says that it was not read and what to do."""
    with write() as session:
        upload = session.get(ScanUpload, uuid.UUID(upload_id))
        if upload is not None and upload.state == "waiting":
            upload.state = "failed"


@task("read-scans", given_up=_not_read)
def read_scans(upload_id: str) -> None:
    """Read the codes of an upload's pages, in a process of its own; safe to run twice."""
    upload = db.session.get(ScanUpload, uuid.UUID(upload_id))
    if upload is None or upload.state != "waiting":
        return
    found = db.session.get_one(Application, upload.application_id)
    with tempfile.TemporaryDirectory(prefix="scans-") as name:
        folder = Path(name)
        for number, file in enumerate(upload.files, 1):
            (folder / f"in-{number}.{file['type']}").write_bytes(blobs.content(ROOM, file["sha256"]))
        told = _read(folder)
        pages: list[ScanPage] = []
        faults = []
        for one in told or ():
            file = upload.files[int(one["file"].split("-")[1].split(".")[0]) - 1]
            if "error" in one:
                faults.append({"name": file["name"], "cause": one["error"]})
                continue
            number = len(pages) + 1
            digest = blobs.keep(ROOM, (folder / f"page-{number}.jpg").read_bytes())
            pages.append(_page(found, upload, number, file["name"], digest, one))
    with write() as session:
        session.refresh(upload, with_for_update=True)
        if upload.state == "waiting":
            upload.state, upload.faults = "failed" if told is None else "done", faults
            session.add_all(pages)


def _read(folder: Path) -> list[dict[str, Any]] | None:
    """What the reading program tells of the pages, None where it broke down."""
    command = [sys.executable, "-m", "lms.programmes.sealing.reading", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=READ_S)
        told: list[dict[str, Any]] = json.loads((folder / "pages.json").read_text("utf-8"))
    except (subprocess.SubprocessError, OSError, ValueError):
        return None
    return told


def _page(
    found: Application, upload: ScanUpload, number: int, name: str, digest: str, told: Mapping[str, Any]
) -> ScanPage:
    row = ScanPage(
        id=new_id(), school_id=found.school_id, application_id=found.id, upload_id=upload.id, number=number, name=name,
        sha256=digest, width=told["width"], height=told["height"], told=told["text"][:120],
    )  # fmt: skip
    mark, documents = read_mark(told["text"]), pack_of(found).document["documents"]
    if mark is not None and mark.application == found.id and mark.document < len(documents):
        row.document, row.page, row.pages, row.code = documents[mark.document]["id"], mark.page, mark.pages, mark.code
    return row


# ---- what stands where


@dataclass(frozen=True)
class Desk:
    """All that was scanned: how far each document is, pages that are not matched, uploads that are being read or failed."""

    documents: list[tuple[Document, Sealed]]
    rows: dict[uuid.UUID, ScanPage]
    loose: list[ScanPage]
    uploads: list[ScanUpload]

    @property
    def waiting(self) -> bool:
        """Whether something is being read."""
        return any(one.state == "waiting" for one in self.uploads)


def pages_of(found: Application) -> list[ScanPage]:
    """Pages that are there, oldest first."""
    query = select(ScanPage).where(ScanPage.application_id == found.id, ScanPage.removed_at.is_(None))
    return list(db.session.scalars(query.order_by(ScanPage.created_at, ScanPage.upload_id, ScanPage.number)))


def desk_of(found: Application, codes: Mapping[str, str]) -> Desk:
    """All that was scanned of an application; ``codes``: content codes of its documents now."""
    pack, rows = pack_of(found), pages_of(found)
    scans = [Page(row.id, row.document, row.page, row.pages, row.code) for row in rows]
    uploads = db.session.scalars(
        select(ScanUpload).where(ScanUpload.application_id == found.id).order_by(ScanUpload.created_at)
    )
    files = files_of(found)
    documents = []
    for one in sealed_documents(found, pack):
        whole = [(row.id, row.code) for row in files if row.slot == f"scan:{one['id']}"]
        documents.append((one, standing(one["id"], codes[one["id"]], one["sealed"], scans, whole)))
    return Desk(documents, {row.id: row for row in rows}, [row for row in rows if not row.document], list(uploads))


def lacks(found: Application, codes: Mapping[str, str]) -> list[Lack]:
    """Documents whose stamped pages are not in, or were printed before a change; hard unless the notice takes them later (``seal_later``)."""
    pack, made = pack_of(found), []
    for document, state in desk_of(found, codes).documents:
        if state.done:
            continue
        title = pack.form(document["form"])["title"]
        why = "打印以后内容改过，请重新打印、签字盖章、扫描上传" if state.stale else "还没有盖章页扫描件"
        if state.matched and not state.stale:
            why = f"盖章页缺第 {'、'.join(map(str, state.missing))} 页"
        made.append(Lack(f"scan:{document['id']}", f"{title}：{why}", hard=not document.get("seal_later")))
    return made


def assign(
    actor: Account,
    application_id: uuid.UUID,
    page_id: uuid.UUID,
    document: str,
    page: int,
    codes: Mapping[str, str],
) -> None:
    """Say by hand which page of which document it is; ``""``: throw the page away.

    It stands for the document as it is now (``codes``); where its own code can be read, for what was printed.
    """
    found = application(actor, application_id)
    row = page_of(found, page_id)
    _need_writable(actor, found)
    if document and (
        document not in {one["id"] for one in sealed_documents(found, pack_of(found))} or not 1 <= page <= 99
    ):
        raise Invalid("scan-page", _l("请选择文件和页码。"), where="document")
    with write():
        if document:
            mark, order = read_mark(row.told), pack_of(found).document["documents"]
            printed = mark is not None and mark.application == found.id and order[mark.document]["id"] == document
            row.code = mark.code if mark is not None and printed else codes[document]
            row.document, row.page, row.pages, row.by_hand = document, page, page, True
        else:
            row.removed_at = clock.now()
        audit(actor, "scan-page", "application", found.id, school_id=found.school_id, document=document, page=page)


def page_of(found: Application, page_id: uuid.UUID) -> ScanPage:
    """One of the application's pages; NotFound."""
    row = db.session.get(ScanPage, page_id)
    if row is None or row.application_id != found.id or row.removed_at is not None:
        raise NotFound("scan-page", _l("没有这一页。"))
    return row


def picture(row: ScanPage) -> bytes:
    """The page as JPEG."""
    return blobs.content(ROOM, row.sha256)


def bundled(found: Application, state: Sealed) -> bytes:
    """The sealed pages of a document in order, as one PDF."""
    rows = {row.id: row for row in pages_of(found)}
    return pdfs.of_pictures([(picture(rows[one.id]), rows[one.id].width, rows[one.id].height) for one in state.matched])


def _need_writable(actor: Account, found: Application) -> None:
    if not manages(actor, found) or pack_of(found).status_is(found.status) not in EDITABLE:
        raise NotAllowed("file", _l("现在不能增减附件：申报已提交，或您不是申报单位的管理员。"))
