"""The journal (审计日志): who did what to which object and why; append-only."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import insert

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.group_commit import write_together
from lms.core.models import Account, AuditEntry


def audit(
    actor: Account | None,
    action: str,
    object_kind: str,
    object_id: object,
    reason: str | None = None,
    *,
    school_id: uuid.UUID | None = None,
    **detail: Any,
) -> None:
    """Append one line in the open :func:`~lms.core.db.write` (or in one of its own).

    ``detail`` holds ids, counts and codes, never names.
    """
    with write():
        db.session.add(
            AuditEntry(
                school_id=school_id or (actor.organisation_id if actor else None),
                actor_id=actor.id if actor else None,
                action=action,
                object_kind=object_kind,
                object_id=str(object_id),
                reason=reason,
                detail=detail,
            )
        )


def access(
    actor: Account,
    what: str,
    object_kind: str,
    object_id: object,
    *,
    people: int = 1,
    reason: str | None = None,
    school_id: uuid.UUID | None = None,
    **detail: Any,
) -> None:
    """Record that somebody looked at or took out personal data (访问记录), e.g. a class list, PIN cards, an export.

    Outside an open write it is committed at once (with others that wait), so that no later refusal erases it. ``people``: how many persons it concerned.
    ``school_id``: whose data it is, where that is not the reader's own organisation: the owner's journal shows it too.
    """
    values = {
        "id": new_id(),
        "at": clock.now(),
        "school_id": school_id or actor.organisation_id,
        "actor_id": actor.id,
        "action": f"access:{what}",
        "object_kind": object_kind,
        "object_id": str(object_id),
        "reason": reason,
        "detail": {"people": people, **detail},
    }
    write_together(lambda connection: connection.execute(insert(AuditEntry).values(values)).rowcount)
