"""Whose batch it is (来源核验): signed by an enrolled key, or vouched for by an enrolled office; never trusted at first sight."""

from __future__ import annotations

import json
import uuid
from typing import NoReturn

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused
from lms.core.origin import kept_origin
from lms.region import rules
from lms.region.batches import Batch, Signed, fingerprint, read_document, unzipped
from lms.region.models import Subordinate
from lms.region.office import next_number, place

RECEIPT = "receipt.json"
INNER = "batch.zip"


def vouched(data: bytes, where: str) -> tuple[Signed | None, bytes]:
    """(receipt of the office that forwards, batch) of what came."""
    members = unzipped(data, where)
    if INNER not in members:
        return None, data
    try:
        return read_document("receipt", json.loads(members[RECEIPT]), where), members[INNER]
    except (KeyError, ValueError) as error:
        raise Invalid("batch-unreadable", _l("转报的文件里没有下级的回执。"), where=where) from error


def sender(batch: Batch, voucher: Signed | None) -> uuid.UUID:
    """The enrolled school that the batch is signed by; raises Refused where its key is not known here."""
    mark = fingerprint(batch.public_key)
    if not batch.signed:
        raise Refused(
            "manifest-signature",
            _l("清单的签名无效：内容在途中被改动。"),
            remedy=_l("没有导入任何内容；请重新发送。"),
            clause="B10",
        )
    origin = str(kept_origin())
    if batch.manifest.get("origin") != origin:
        raise Refused(
            "origin",
            _l("上报的数据来源是 %(theirs)s，这里是 %(ours)s。", theirs=batch.manifest.get("origin"), ours=origin),
            clause="B10",
        )
    school_id = uuid.UUID(batch.school)
    found = db.session.scalar(
        select(Subordinate).where(Subordinate.organisation_id == school_id, Subordinate.level == "school")
    )
    if found is None:
        found = db.session.scalar(
            select(Subordinate).where(
                Subordinate.fingerprint == mark, Subordinate.level == "school", Subordinate.organisation_id.is_(None)
            )
        )
    if found is None and voucher is not None:
        return _introduce(batch, voucher)
    if found is None:
        raise Refused(
            "school-unknown",
            _l(
                "%(name)s（密钥指纹 %(mark)s）还没有在这里登记。",
                name=batch.manifest["profile"].get("name", ""),
                mark=mark,
            ),
            remedy=_l("请用电话或当面核对指纹，在“登记”页登记这所学校之后再导入。"),
            where="fingerprint",
            clause="B10",
        )
    return found.id


def _introduce(batch: Batch, voucher: Signed) -> uuid.UUID:
    """Enrol a school that an enrolled office below vouches for by its receipt."""
    office = db.session.scalar(
        select(Subordinate).where(Subordinate.public_key == voucher.public_key.hex(), Subordinate.level != "school")
    )
    if office is None:
        raise Refused(
            "office-unknown",
            _l("转报的部门（密钥指纹 %(mark)s）还没有在这里登记。", mark=fingerprint(voucher.public_key)),
            clause="B10",
        )
    if voucher.body["school"] != batch.school or voucher.body["school_key"] != batch.public_key.hex():
        raise Refused("voucher", _l("下级的回执与这一批不符。"), clause="B10")
    profile = dict(voucher.body["profile"])
    with write() as session:
        made = Subordinate(
            id=new_id(), via_id=office.id, number=next_number(), level="school", name=profile["name"], code=profile.get("code", ""),
            fingerprint=fingerprint(batch.public_key), public_key=batch.public_key.hex(),
        )  # fmt: skip
        session.add(made)
        session.flush()
        place(made, uuid.UUID(batch.school), profile)
        audit(None, "introduce", "subordinate", made.id, via=str(office.id))
    return made.id


def refuse_key(batch: Batch) -> NoReturn:
    """A key that nobody here has accepted."""
    raise Refused(
        "school-key",
        _l(
            "%(name)s 用了没有登记的密钥（指纹 %(mark)s）。",
            name=batch.manifest["profile"].get("name", ""),
            mark=fingerprint(batch.public_key),
        ),
        remedy=_l("请用电话或当面核对指纹，在学校页面上接受新密钥之后再导入。"),
        clause="B10",
    )


def refuse_foreign_origin(segment: rules.Segment) -> None:
    """Simulated links never enter a real office, nor real ones a simulated."""
    real = kept_origin() == "real"
    for body in segment.bodies:
        if (body["origin"] == "simulated") == real:
            raise Refused(
                "origin",
                _l("第 %(seq)s 环的来源是 %(origin)s，这里不收。", seq=body["seq"], origin=body["origin"]),
                clause="B10",
            )
