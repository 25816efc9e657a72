"""The questions that can be asked of the future (如果……), each a change of the facts; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.usage.judging import forecast
from lms.usage.judging.calendar import monday_of
from lms.usage.judging.facts import ClassFact, Facts

KINDS = {
    "close": _l("停课一周"),
    "flag": _l("增加一个考试（复习、军训）周"),
    "move": _l("把考试周换到另一周"),
    "class": _l("新增一个班"),
}


@dataclass(frozen=True)
class Scenario:
    """What is asked; ``week`` and ``to`` are Mondays, ``grade`` 0 = all grades (for ``class``: the grade of the new class)."""

    kind: str
    week: date | None = None
    to: date | None = None
    grade: int = 0
    roster: int = 40

    def change(self, facts: Facts) -> Facts:
        """The facts as they would be; raises Invalid naming the field."""
        grades = frozenset({self.grade}) if self.grade else None
        if self.kind == "class":
            return forecast.add_class(facts, self._new_class(facts))
        if self.week is None:
            raise Invalid("what-if-week", _l("请选择哪一周。"), where="week")
        if self.kind == "close":
            return forecast.close_week(facts, self.week, grades=grades)
        if self.kind == "flag":
            return forecast.flag_week(facts, self.week, grades=grades)
        if not any(flag.monday == self.week for flag in facts.flags):
            raise Invalid("what-if-move", _l("这一周没有登记为考试周。"), where="week")
        if self.to is None:
            raise Invalid("what-if-to", _l("请选择换到哪一周。"), where="to")
        return forecast.move_flag(facts, self.week, self.to)

    def _new_class(self, facts: Facts) -> ClassFact:
        peers = [one for one in facts.classes if one.grade == self.grade]
        if not peers:
            raise Invalid("what-if-grade", _l("请选择新班的年级。"), where="grade")
        number = max(one.number or 0 for one in peers) + 1
        admitted = peers[0].admitted
        return ClassFact(
            id="what-if", stage=peers[0].stage, grade=self.grade, roster=self.roster, number=number,
            type="administrative", created=facts.as_of, admitted=admitted, name=str(_l("新班")),
        )  # fmt: skip


def read(form: Mapping[str, str]) -> Scenario | None:
    """The scenario of a query string; None where nothing is asked. Raises Invalid naming the field."""
    kind = form.get("kind", "")
    if not kind:
        return None
    if kind not in KINDS:
        raise Invalid("what-if", _l("没有这种推演。"), where="kind")
    grade = form.get("grade", "0") or "0"
    if not grade.isdigit() or int(grade) > 12:
        raise Invalid("what-if-grade", _l("年级应为 1–12。"), where="grade")
    return Scenario(kind, _monday(form, "week"), _monday(form, "to"), int(grade))


def _monday(form: Mapping[str, str], name: str) -> date | None:
    text = form.get(name, "")
    if not text:
        return None
    try:
        return monday_of(date.fromisoformat(text))
    except ValueError as error:
        raise Invalid("date", _l("日期应写成 2026-11-24 这样。"), where=name) from error
