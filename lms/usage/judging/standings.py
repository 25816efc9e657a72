"""What each rule says of the school, worked out once and kept until something it rests on changes (判定结果).

Every write to a table that the facts come from raises the school's edition in the same transaction, whoever writes; a page compares the
edition (one row) and takes what this process has worked out for it. Nothing is ever served that the engine would not say now.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import event, inspect, select
from sqlalchemy.orm import Mapper, ORMExecuteState, Session

from lms.core.db import db, new_id
from lms.core.models import InstanceState, Organisation
from lms.roster.models import CalendarDay, Enrollment, FlaggedWeek, Person, School, SchoolClass, SchoolStage, Term
from lms.usage import policies
from lms.usage.judging.gathering import facts_of
from lms.usage.judging.verdicts import SchoolResult
from lms.usage.models import EvidenceAnchor, EvidenceEvent, UsageRecord
from lms.usage.rulebook.models import RuleVersion
from lms.usage.rulebook.service import rules_for

# Tables with a school, and those that every school's verdict may rest on.
OF_A_SCHOOL = (UsageRecord, CalendarDay, FlaggedWeek, SchoolClass, SchoolStage, Term, Enrollment, Person, EvidenceAnchor, EvidenceEvent)
OF_ALL = (RuleVersion, Organisation, School)
KEPT = 64
_TOUCHED, _ALL = "zhike_standings", "all"
Results = Mapping[str, SchoolResult]


@dataclass
class _Kept:
    """Results by school and day, the least used go first; thread-safe."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    results: OrderedDict[tuple[uuid.UUID, date, str], tuple[str, Results]] = field(default_factory=OrderedDict)

    def get(self, key: tuple[uuid.UUID, date, str], edition: str) -> Results | None:
        with self.lock:
            held = self.results.get(key)
            if held is None or held[0] != edition:
                return None
            self.results.move_to_end(key)
            return held[1]

    def put(self, key: tuple[uuid.UUID, date, str], edition: str, results: Results) -> None:
        with self.lock:
            self.results[key] = edition, results
            self.results.move_to_end(key)
            while len(self.results) > KEPT:
                self.results.popitem(last=False)


_kept = _Kept()


def standings(school_id: uuid.UUID, as_of: date) -> Results:
    """Each rule that counts 1次, by name, with the school's result at the end of ``as_of``; raises Refused (``no-term``, ``no-stage``)."""
    edition = _edition(school_id)  # before the facts: what is written in between makes it old at once
    key = (school_id, as_of, db.engine.url.render_as_string())
    found = _kept.get(key, edition)
    if found is None:
        facts = facts_of(school_id, as_of)
        found = {rule.name: policies.evaluate(facts, rule) for rule in rules_for(school_id, facts.judged_on, "lessons")}
        _kept.put(key, edition, found)
    return found


def _edition(school_id: uuid.UUID) -> str:
    names = (_row_of(school_id), _row_of(_ALL), f"course/{school_id}")
    held = {row[0]: row[1] for row in db.session.execute(select(InstanceState.key, InstanceState.value).where(InstanceState.key.in_(names)))}
    return "/".join(held.get(name, "") for name in names)


def _row_of(school: uuid.UUID | str) -> str:
    return f"edition/{school}"


def _note(_mapper: Mapper[Any], _connection: Any, row: Any) -> None:
    session = inspect(row).session
    if session is not None:
        session.info.setdefault(_TOUCHED, set()).add(_ALL if isinstance(row, OF_ALL) else row.school_id)


def _note_many(state: ORMExecuteState) -> None:
    """Inserts, updates and deletes of many rows at once name no school: every school's edition rises."""
    changes = state.is_insert or state.is_update or state.is_delete
    if changes and state.bind_mapper is not None and issubclass(state.bind_mapper.class_, (*OF_A_SCHOOL, *OF_ALL)):
        state.session.info.setdefault(_TOUCHED, set()).add(_ALL)


def _raise(session: Session) -> None:
    session.flush()
    for school in session.info.pop(_TOUCHED, ()):
        row = session.get(InstanceState, _row_of(school)) or InstanceState(key=_row_of(school))
        row.value = new_id().hex
        session.add(row)


def _forget(session: Session) -> None:
    session.info.pop(_TOUCHED, None)


for _model in (*OF_A_SCHOOL, *OF_ALL):
    for _moment in ("after_insert", "after_update", "after_delete"):
        event.listen(_model, _moment, _note)
event.listen(db.session, "do_orm_execute", _note_many)
event.listen(db.session, "before_commit", _raise)
event.listen(db.session, "after_soft_rollback", lambda session, _transaction: _forget(session))
