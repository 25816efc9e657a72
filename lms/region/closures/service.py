"""Verbs: a school asks for the countersignature, the office decides, the school takes the answer in; each a signed file.

Both keys are those agreed on for the hand-up, so that neither side signs for the other.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account
from lms.region.batches import Signed, fingerprint, read_document, sign_document
from lms.region.models import Subordinate
from lms.region.uplink import need_uplink
from lms.roster import service as roster
from lms.roster.models import CalendarDay, FlaggedWeek
from lms.usage.evidence import Sealed
from lms.usage.ledger import append_event, this_key
from lms.usage.schoolyear import service as schoolyear

REQUEST, ANSWER = "calendar-request", "calendar-answer"


def _plain(row: CalendarDay | FlaggedWeek) -> dict[str, Any]:
    """An entry as it travels and as it was signed."""
    is_day = isinstance(row, CalendarDay)
    return {
        "id": str(row.id),
        "kind": "day" if is_day else "week",
        "on": (row.day if isinstance(row, CalendarDay) else row.monday).isoformat(),
        "grades": row.grades,
        "reason": row.reason,
        "entered_at": row.entered_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def request_of(actor: Account, term_id: uuid.UUID) -> Signed:
    """The entries of a term that wait, as a signed file for the office; Refused (``nothing-waits``) where none does."""
    school = roster.school_of(actor.organisation_id)
    term = roster.term_of(school.id, term_id)
    waiting = schoolyear.pending_of(school, term)
    if not waiting:
        raise Refused("nothing-waits", _l("没有需要区县会签的登记。"))
    body = {
        "school": str(school.id),
        "name": school.organisation.name,
        "code": school.organisation.code,
        "term": [term.starts_on.isoformat(), term.ends_on.isoformat()],
        "entries": [_plain(one.row) | {"why": str(one.why)} for one in waiting],
    }
    audit(actor, "ask-countersignature", "school", school.id, school_id=school.id, entries=len(waiting))
    key = this_key()
    return sign_document(REQUEST, body, key.public, key.sign)


def read_request(officer: Account, document: Any, where: str = "") -> Signed:
    """A school's request; Refused (``school-unknown``) where its key is not enrolled in the officer's office."""
    found = read_document(REQUEST, document, where)
    mark = fingerprint(found.public_key)
    query = select(Subordinate.id).where(Subordinate.level == "school", Subordinate.fingerprint == mark)
    if db.session.scalar(query) is None:
        raise Refused(
            "school-unknown",
            _l("这所学校（密钥指纹 %(mark)s）还没有在这里登记。", mark=mark),
            remedy=_l("请先在“登记”页登记学校，再收它的申请。"),
        )
    return found


def answer(officer: Account, asked: Signed, agreed: Iterable[str]) -> Signed:
    """The office's decision on every entry of a request, signed with its key."""
    ticked = set(agreed)
    entries = [
        {**{name: one[name] for name in one if name != "why"}, "agreed": one["id"] in ticked}
        for one in asked.body["entries"]
    ]
    at = clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = this_key()
    audit(officer, "countersign-calendar", "school", asked.body["school"], agreed=len(ticked), of=len(entries))
    return sign_document(ANSWER, {"school": asked.body["school"], "at": at, "entries": entries}, key.public, key.sign)


def take(actor: Account, document: Any, where: str = "") -> tuple[int, int]:
    """Take the office's answer in; returns how many entries were countersigned and declined. Twice changes nothing.

    Raises Refused where it is not signed by the office above, or was given for other words than stand on the calendar.
    """
    school = roster.school_of(actor.organisation_id)
    above = need_uplink(school.id)
    found = read_document(ANSWER, document, where)
    if fingerprint(found.public_key) != above.fingerprint:
        raise Refused("answer-key", _l("这份会签不是 %(office)s 签发的。", office=above.name), clause="B1")
    if found.body["school"] != str(school.id):
        raise Refused("answer-school", _l("这份会签是给另一所学校的。"))
    at = datetime.strptime(found.body["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    agreed = declined = 0
    with write():
        told = []
        for one in found.body["entries"]:
            row = _row(school.id, one)
            if row.countersigned_at is not None or row.declined_at is not None or row.withdrawn_at is not None:
                continue
            told.append(one["id"])
            if one["agreed"]:
                row.countersigned_at, agreed = at, agreed + 1
            else:
                row.declined_at, declined = at, declined + 1
        if told:
            payload = {"entries": sorted(told), "office": above.fingerprint, "signature": found.signature}
            append_event(school.id, "calendar-countersigned", payload, [_sealed(found.body)], clock.now())
            audit(
                actor,
                "take-countersignature",
                "school",
                school.id,
                school_id=school.id,
                agreed=agreed,
                declined=declined,
            )
    return agreed, declined


def _sealed(body: Mapping[str, Any]) -> Sealed:
    """The whole answer, whose words may name people, as a commitment beside its signature."""
    return Sealed("answer", dict(body))


def _row(school_id: uuid.UUID, one: Mapping[str, Any]) -> CalendarDay | FlaggedWeek:
    row = schoolyear.entry_of(school_id, uuid.UUID(one["id"]))
    if _plain(row) != {name: value for name, value in one.items() if name != "agreed"}:
        raise Invalid(
            "answer-entry",
            _l("会签里 %(day)s 的内容和校历上的不一样。", day=one["on"]),
            remedy=_l("请重新生成申请，请区县再会签。"),
            clause="B1",
        )
    return row
