"""What an expert without an account is sent (评审材料包): a zip with the PDF of each applicant, files that are not bound, the score sheet.

Made in the background, one applicant after another; kept for a week.
"""

from __future__ import annotations

import uuid
import zipfile
from datetime import timedelta
from pathlib import Path

from flask import current_app
from flask_babel import force_locale
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.blobs import name_of
from lms.core.db import db, new_id, write
from lms.core.errors import NotFound, Refused
from lms.core.jobs import every, later, task
from lms.core.models import Account, Organisation
from lms.programmes import attachments
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.selection import scoring, service
from lms.programmes.selection.bound import bound_of
from lms.programmes.selection.dossier import slots_of
from lms.programmes.selection.experts import expert_here
from lms.programmes.selection.models import Expert, Panel, ReviewParcel

KEPT = timedelta(days=7)


def parcels_of(row: Panel) -> dict[uuid.UUID, ReviewParcel]:
    """The newest parcel of each expert."""
    query = select(ReviewParcel).where(ReviewParcel.panel_id == row.id).order_by(ReviewParcel.created_at)
    return {one.expert_id: one for one in db.session.scalars(query)}


def ask(actor: Account, panel_id: uuid.UUID, expert_id: uuid.UUID) -> ReviewParcel:
    """Have the parcel of an expert made anew; raises Refused where nothing lies with the expert."""
    row, expert = service.panel(actor, panel_id), expert_here(actor, expert_id)
    found = _applications(row, expert)
    if not found:
        raise Refused("no-review", _l("还没有分给这位专家的申报。"), remedy=_l("请先分配或抽取专家。"))
    with write() as session:
        _forget(ReviewParcel.panel_id == row.id, ReviewParcel.expert_id == expert.id)
        made = ReviewParcel(
            id=new_id(), school_id=row.school_id, panel_id=row.id, expert_id=expert.id, total=len(found), asked_by=actor.id
        )  # fmt: skip
        session.add(made)
        audit(actor, "review-parcel", "panel", row.id, expert=str(expert.id), count=len(found))
        later(row.school_id, "review-parcel", parcel_id=str(made.id))
    return made


def parcel_file(actor: Account, panel_id: uuid.UUID, expert_id: uuid.UUID) -> tuple[str, bytes, int]:
    """Name, bytes and number of applicants of a parcel; raises Refused while it is not ready."""
    row, expert = service.panel(actor, panel_id), expert_here(actor, expert_id)
    made = parcels_of(row).get(expert.id)
    if made is None or made.state != "done" or not (path := _path(made.id)).is_file():
        raise Refused("parcel", _l("评审材料还没有准备好，或者已经过期。"), remedy=_l("请在评审页重新准备。"))
    return f"评审材料（{expert.name}）.zip", path.read_bytes(), made.total


def _applications(row: Panel, expert: Expert) -> list[Application]:
    mine = [one.application_id for one in service.reviews_of(row) if one.expert_id == expert.id and one.state in service.LIVE]
    found = {one.id: one for one in db.session.scalars(select(Application).where(Application.id.in_(mine)))}
    return [found[one] for one in mine]


def _not_made(parcel_id: str) -> None:
    with write() as session:
        made = session.get(ReviewParcel, uuid.UUID(parcel_id))
        if made is not None and made.state == "waiting":
            made.state, made.problem = "failed", "几次都没有做成，请点“重新准备”；还不行时请联系系统管理员。"


@task("review-parcel", given_up=_not_made)
def make_parcel(parcel_id: str) -> None:
    """Make a parcel; one that was asked for again, or is made, is left alone."""
    made = db.session.get(ReviewParcel, uuid.UUID(parcel_id))
    if made is None or made.state != "waiting":
        return
    path = _path(made.id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    try:
        with force_locale("zh"), zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            _fill(archive, made)
    except Refused as error:
        part.unlink(missing_ok=True)
        with write():
            made.state, made.problem = "failed", str(error.message)[:400]
        return
    part.replace(path)
    with write():
        made.state = "done"


def _fill(archive: zipfile.ZipFile, made: ReviewParcel) -> None:
    row, expert = db.session.get_one(Panel, made.panel_id), db.session.get_one(Expert, made.expert_id)
    archive.writestr(*scoring.sheet_of(row, expert))
    for number, found in enumerate(_applications(row, expert), 1):
        called = f"{number:02d}-{name_of(db.session.get_one(Organisation, found.school_id).name, 'x')}"
        bound = bound_of(found)
        archive.writestr(f"{called}.pdf", bound.pdf)
        slots = slots_of(pack_of(found), found)
        for place, one in enumerate(bound.left_out, 1):
            try:
                data = attachments.content(one)
            except NotFound:  # the dossier says so
                continue
            archive.writestr(f"附件/{called}/{place:02d}-{name_of(slots[one.slot], 'x')}-{one.name}", data)
        with write():
            made.ready = number


def _path(parcel_id: uuid.UUID) -> Path:
    folder: Path = current_app.config["ZHIKE"].data_dir
    return folder / "programmes" / "parcels" / f"{parcel_id.hex}.zip"


def _forget(*which: object) -> None:
    with write() as session:
        for one in session.scalars(select(ReviewParcel.id).where(*which)).all():  # type: ignore[arg-type]  # conditions of a query
            _path(one).unlink(missing_ok=True)
            session.execute(delete(ReviewParcel).where(ReviewParcel.id == one))


def _forget_old() -> None:
    _forget(ReviewParcel.created_at < clock.now() - KEPT)


every(59, "forget-review-parcels", _forget_old)
