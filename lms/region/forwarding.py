"""From office to office (逐级转报): each batch goes on as the school signed it, with this office's receipt to vouch for the school."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Collection, Mapping, Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import ZhikeError
from lms.core.models import Account, Organisation
from lms.region import line
from lms.region.archive import batch_path
from lms.region.batches import zipped
from lms.region.models import HandedBatch, Uplink
from lms.region.office import need_office, office
from lms.region.trust import INNER, RECEIPT

log = logging.getLogger("lms.region")
MOST = 500  # batches of one turn
NAMED = 5  # refused schools named on the page


def open_batches(limit: int, without: Collection[uuid.UUID] = ()) -> Sequence[HandedBatch]:
    """Batches that the office above has not receipted, in the order of each chain; none of the schools ``without``."""
    query = select(HandedBatch).where(HandedBatch.forwarded_at.is_(None), HandedBatch.state == "applied")
    query = query.where(HandedBatch.school_id.not_in(without))
    return db.session.scalars(query.order_by(HandedBatch.received_at, HandedBatch.first_seq).limit(limit)).all()


def envelope(row: HandedBatch) -> bytes:
    """The batch as received, and our receipt for it."""
    receipt = json.dumps(row.receipt, ensure_ascii=False, sort_keys=True).encode()
    return zipped({INNER: batch_path(row.school_id, row.name).read_bytes(), RECEIPT: receipt})


def forward_due() -> int:
    """Send on what is open; returns batches sent.

    A school whose batch the office above refuses is left for the next turn and named on the page, the others go on; without a line all wait.
    """
    here = office()
    above = db.session.get(Uplink, here.id) if here else None
    if above is None or not above.url:
        return 0
    mine, url, ca = above.organisation_id, above.url, above.ca
    sent, refused, trouble = 0, dict[uuid.UUID, str](), ""
    while not trouble and sent < MOST and (rows := open_batches(1, refused.keys())):
        row, school_id, data = rows[0].id, rows[0].school_id, envelope(rows[0])
        db.session.rollback()  # no transaction stays open while the line is slow
        try:
            line.post(url, "/api/region/batches", ca, data, "application/zip")
        except line.NoLine as error:
            trouble = _words(error)
        except ZhikeError as error:
            refused[school_id] = _words(error)
            log.warning("a batch was refused above", extra={"why": error.code, "school": str(school_id)})
        else:
            with write() as session:
                session.get_one(HandedBatch, row).forwarded_at = clock.now()
                session.get_one(Uplink, mine).done_at = clock.now()
            sent += 1
    if sent or refused or trouble:
        with write() as session:
            found = session.get_one(Uplink, mine)
            found.trouble = "\n".join([*([trouble] if trouble else []), *_by_school(refused)])
            found.tried_at = clock.now() if found.trouble else found.tried_at
    return sent


def _words(error: ZhikeError) -> str:
    return f"{error.message} {error.remedy}".strip()


def _by_school(refused: Mapping[uuid.UUID, str]) -> list[str]:
    """What was refused above, each with the name of the school."""
    named = {one.id: one.name for one in db.session.scalars(select(Organisation).where(Organisation.id.in_(refused)))}
    told = [str(_l("%(school)s 的一批被上级退回：%(why)s", school=named[key], why=why)) for key, why in refused.items()]
    more = [str(_l("另有 %(count)s 所学校的上报被退回。", count=len(told) - NAMED))] if len(told) > NAMED else []
    return told[:NAMED] + more


def forward_file(actor: Account) -> bytes:
    """What is open as one file; it stays open until the office above has it, and may be handed over twice."""
    here = need_office()
    rows = open_batches(10_000)
    with write():
        audit(actor, "forward-file", "organisation", here.id, batches=len(rows))
    return zipped({f"{number:06d}.zip": envelope(row) for number, row in enumerate(rows)})
