"""From office to office (逐级转报): each batch goes on as the school signed it, with this office's receipt to vouch for the school."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import ZhikeError
from lms.core.models import Account
from lms.region import line
from lms.region.archive import batch_path
from lms.region.batches import zipped
from lms.region.models import HandedBatch, Uplink
from lms.region.office import need_office, office
from lms.region.trust import INNER, RECEIPT

log = logging.getLogger("lms.region")


def open_batches(limit: int = 500) -> Sequence[HandedBatch]:
    """Batches that the office above has not receipted, in the order of each chain."""
    query = select(HandedBatch).where(HandedBatch.forwarded_at.is_(None), HandedBatch.state == "applied")
    return db.session.scalars(query.order_by(HandedBatch.received_at, HandedBatch.first_seq).limit(limit)).all()


def envelope(row: HandedBatch) -> bytes:
    """The batch as received, and our receipt for it."""
    receipt = json.dumps(row.receipt, ensure_ascii=False, sort_keys=True).encode()
    return zipped({INNER: batch_path(row.school_id, row.name).read_bytes(), RECEIPT: receipt})


def forward_due() -> int:
    """Send on what is open; stops at the first failure, which the page shows. Returns batches sent."""
    here = office()
    above = db.session.get(Uplink, here.id) if here else None
    if above is None or not above.url:
        return 0
    sent = 0
    try:
        for row in open_batches():
            data, url, ca = envelope(row), above.url, above.ca
            db.session.rollback()
            line.post(url, "/api/region/batches", ca, data, "application/zip")
            with write() as session:
                session.get_one(HandedBatch, row.id).forwarded_at = clock.now()
                session.get_one(Uplink, above.organisation_id).done_at = clock.now()
            sent += 1
    except ZhikeError as error:
        db.session.rollback()
        with write() as session:
            found = session.get_one(Uplink, above.organisation_id)
            found.trouble, found.tried_at = f"{error.message} {error.remedy}".strip(), clock.now()
        log.warning("forwarding failed", extra={"why": error.code})
        return sent
    if sent:
        with write() as session:
            session.get_one(Uplink, above.organisation_id).trouble = ""
    return sent


def forward_file(actor: Account) -> bytes:
    """What is open as one file; it stays open until the office above has it, and may be handed over twice."""
    here = need_office()
    rows = open_batches(10_000)
    with write():
        audit(actor, "forward-file", "organisation", here.id, batches=len(rows))
    return zipped({f"{number:06d}.zip": envelope(row) for number, row in enumerate(rows)})
