"""Work that leaves the database goes through a row written in the deciding transaction (发件箱)."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import delete

from lms.core import clock
from lms.core.db import db, write
from lms.core.models import OutboxMessage

KEPT_DAYS = 7


def to_mqtt(school_id: uuid.UUID, topic: str, payload: dict[str, Any] | None, *, retain: bool = False) -> None:
    """Publish ``payload`` (JSON; None clears a retained topic) once the open transaction is committed; the bridge delivers in order."""
    text = "" if payload is None else json.dumps(payload, ensure_ascii=False, separators=(",", ":"), default=str)
    with write():
        db.session.add(OutboxMessage(school_id=school_id, destination="mqtt", topic=topic, payload=text, retain=retain))


def forget_delivered() -> None:
    """Delete what was delivered a week ago; of the work of the queue only what was done."""
    done = (OutboxMessage.destination != "queue") | OutboxMessage.done_at.is_not(None)
    with write() as session:
        session.execute(delete(OutboxMessage).where(OutboxMessage.delivered_at < clock.now() - timedelta(days=KEPT_DAYS), done))
