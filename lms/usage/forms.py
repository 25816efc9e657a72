"""The correction form: what is changed in a record (更正表单)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.courses import service as courses
from lms.usage.judging.lessons import KIND_NAMES
from lms.usage.models import UsageRecord

NUMBERS = {"minutes": 300, "present": 500, "on_leave": 500}


def changes_of(form: Mapping[str, str], record: UsageRecord) -> dict[str, Any]:
    """What the form changes in the record; raises Invalid naming the field that cannot be read, or that nothing was changed.

    ``unit`` and ``makeup_on`` are read only where the form has them.
    """
    found: dict[str, Any] = {}
    for name, highest in NUMBERS.items():
        text = form.get(name, "").strip()
        if not text.isascii() or not text.isdigit() or int(text) > highest:
            raise Invalid("correction-number", _l("请填写 0 到 %(highest)s 的整数。", highest=highest), where=name)
        found[name] = int(text)
    if found["present"] + found["on_leave"] > record.roster:
        raise Invalid("correction-sum", _l("实到加请假超过了名册的 %(n)s 人。", n=record.roster), where="present")
    found["kind"] = form.get("kind", "")
    if found["kind"] not in KIND_NAMES:
        raise Invalid("lesson-kind", _l("不认识的课型 %(kind)s。", kind=found["kind"]), where="kind", clause="B2a")
    if "makeup_on" in form:
        found["makeup_of"] = _makeup(form["makeup_on"].strip(), found["kind"], record)
    if "unit" in form:
        found["units"] = _units(form["unit"], record)
    changed = {name: value for name, value in found.items() if value != getattr(record, name)}
    if not changed:
        raise Invalid("nothing-changed", _l("没有改动任何内容。"), remedy=_l("请改正有误的数字后再提交。"))
    return changed


def _makeup(text: str, kind: str, record: UsageRecord) -> str | None:
    """The link to the cancelled slot; one that stands with the same day is kept."""
    if kind != "makeup":
        return None
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise Invalid("makeup-of", _l("补课要写明补的是哪一天停掉的课。"), where="makeup_on", clause="B2a")
    held = record.makeup_of or ""
    return held if held.startswith(text) else f"{date.fromisoformat(text).isoformat()}/paper"


def _units(unit: str, record: UsageRecord) -> list[str]:
    if not unit:
        return []
    if unit in record.units:
        return list(record.units)
    if unit not in {f"{one.course}:{one.code}" for one in courses.units(record.school_id)}:
        raise Invalid("unit", _l("学校的教材目录里没有这一课。"), where=unit, clause="B2a")
    return [unit]
