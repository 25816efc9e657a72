"""Numbers of rules on their way from an office to a school's own installation, with each receipt (规则参数下发)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import func, select

from lms.core.audit import audit
from lms.core.db import db, new_id
from lms.core.errors import Invalid, NotFound
from lms.core.models import Organisation
from lms.usage import policies
from lms.usage.rulebook.models import RuleVersion
from lms.usage.rulebook.service import checked


def rows_for(organisation_id: uuid.UUID) -> list[dict[str, Any]]:
    """Every version that an office above has made, lowest office last: rule, number, version, values, valid_from (ISO), reason, level."""
    query = (
        select(RuleVersion, Organisation.level)
        .join(Organisation, Organisation.id == RuleVersion.organisation_id)
        .where(RuleVersion.organisation_id.in_(_above(organisation_id)))
        .order_by(func.length(Organisation.path), RuleVersion.rule, RuleVersion.number)
    )
    return [
        {
            "rule": row.rule, "number": row.number, "version": row.version, "values": row.values,
            "valid_from": row.valid_from.isoformat(), "reason": row.reason, "level": level,
        }
        for row, level in db.session.execute(query)
    ]  # fmt: skip


def learn(school_id: uuid.UUID, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keep what the office above told, in the caller's transaction; the versions that are new here.

    A rule, a number or a level that this installation does not know is left out: the office judges by it all the same, and a newer
    programme here will take it in with the next receipt.
    """
    offices = {
        one.level: one.id
        for one in db.session.scalars(select(Organisation).where(Organisation.id.in_(_above(school_id))))
    }
    learnt = []
    for told in rows:
        office_id = offices.get(str(told["level"]))
        if office_id is None or not _fits(told) or _known(office_id, told):
            continue
        db.session.add(
            RuleVersion(
                id=new_id(), organisation_id=office_id, rule=told["rule"], number=told["number"], version=told["version"],
                values=told["values"], valid_from=date.fromisoformat(told["valid_from"]), reason=told["reason"],
            )
        )  # fmt: skip
        learnt.append(str(told["version"]))
        audit(
            None,
            "learn-rule-values",
            "rule",
            told["rule"],
            told["reason"],
            school_id=school_id,
            version=told["version"],
        )
    return learnt


def _above(organisation_id: uuid.UUID) -> list[uuid.UUID]:
    path = db.session.get_one(Organisation, organisation_id).path
    return [key for part in path.split("/") if part and (key := uuid.UUID(part)) != organisation_id]


def _fits(told: Mapping[str, Any]) -> bool:
    try:
        rule = policies.policy(str(told["rule"]))
        checked(rule, told["values"])
    except (Invalid, NotFound):
        return False
    return told["level"] in rule.owners


def _known(office_id: uuid.UUID, told: Mapping[str, Any]) -> bool:
    query = select(RuleVersion.id).where(
        RuleVersion.organisation_id == office_id, RuleVersion.rule == told["rule"], RuleVersion.number == told["number"]
    )
    return db.session.scalar(query) is not None
