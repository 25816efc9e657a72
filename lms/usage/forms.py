"""The correction form: what is changed, why, and the second person who signs with own name and password (更正表单)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core.auth import check_lock, clear_failures, matches, name_subject, note_failure, waste_time
from lms.core.db import db
from lms.core.errors import Invalid
from lms.core.models import Account
from lms.usage.lessons import KIND_NAMES
from lms.usage.models import UsageRecord

NUMBERS = {"minutes": 300, "present": 500, "on_leave": 500}


def changes_of(form: Mapping[str, str], record: UsageRecord) -> dict[str, Any]:
    """What the form changes in the record; raises Invalid naming the field that cannot be read, or that nothing was changed."""
    found: dict[str, Any] = {}
    for name, highest in NUMBERS.items():
        text = form.get(name, "").strip()
        if not text.isascii() or not text.isdigit() or int(text) > highest:
            raise Invalid("correction-number", _l("请填写 0 到 %(highest)s 的整数。", highest=highest), where=name)
        found[name] = int(text)
    found["kind"] = form.get("kind", "")
    if found["kind"] not in KIND_NAMES:
        raise Invalid("lesson-kind", _l("不认识的课型 %(kind)s。", kind=found["kind"]), where="kind", clause="B2a")
    changed = {name: value for name, value in found.items() if value != getattr(record, name)}
    if not changed:
        raise Invalid("nothing-changed", _l("没有改动任何内容。"), remedy=_l("请改正有误的数字后再提交。"))
    return changed


def second_person(username: str, password: str, school_id: uuid.UUID) -> Account:
    """The colleague who signs beside the acting one; failures count and lock as at sign-in."""
    query = select(Account).where(Account.username == username.strip(), Account.kind == "staff", Account.organisation_id == school_id)
    account: Account | None = db.session.scalar(query)
    subject = f"account:{account.id}" if account is not None else name_subject(username.strip())
    check_lock(subject)
    if account is not None and account.active and matches(account.password_hash, password):
        clear_failures(subject)
        return account
    if account is None:
        waste_time(password)
    note_failure(school_id, subject)
    raise Invalid("second-person", _l("第二位确认人的用户名或密码不对。"), remedy=_l("请确认人本人输入。"), where="second", clause="B10")
