"""The journal (审计日志): who did what to which object and why; append-only."""

from __future__ import annotations

import uuid
from typing import Any

from lms.core.db import db, write
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
