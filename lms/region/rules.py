"""What a receiver decides about a batch (审核规则): where it continues, whether its links, roots and claims hold; pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from lms.usage.evidence import windows
from lms.usage.verifier import verify

if TYPE_CHECKING:
    from lms.roster.calendar import NationalDay
    from lms.usage.judging.facts import Facts

STALE_DAYS = 35
CLOSURE_ENTRY = timedelta(days=3)
FREE_FLAGS = 4


@dataclass(frozen=True)
class Known:
    """What a receiver holds of one school's chain: acknowledged until ``seq`` with ``hash``.

    ``keys``: key id → (public key, seq since). ``tail``: hashes of the links after the last signed root (``rooted``, of ``root_day``).
    ``trusted``: public keys that a person accepted by their fingerprint.
    """

    school: str
    seq: int = 0
    hash: str = verify.GENESIS
    keys: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)
    tail: tuple[str, ...] = ()
    rooted: int = 0
    root_day: str = ""
    trusted: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What stops a batch: the link ``seq``, a code of the verifier and its facts, and the record or lesson concerned, in words."""

    seq: int
    code: str
    facts: tuple[tuple[str, Any], ...] = ()
    record: str = ""
    on: str = ""


@dataclass(frozen=True)
class Segment:
    """New links that hold: their bodies, the receiver's knowledge afterwards, the roots that were newly checked."""

    bodies: tuple[Mapping[str, Any], ...]
    known: Known
    roots: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Held:
    """What later links are held against: ids of the records that are held, and (lesson, class) of each."""

    records: frozenset[str] = frozenset()
    lessons: frozenset[tuple[str, str]] = frozenset()


class _Walk(verify.Walk):
    """The verifier's walk over a part of a chain: order, form, keys, and each record by itself (back-dated, twice, corrected by one person).

    What links tell of plans entered before is for who has the whole chain. ``held`` None: the links were checked when they came.
    """

    trusted: tuple[bytes, ...] = ()
    held: Held | None = None

    def _take(self, body: Mapping[str, Any]) -> None:
        self.times.append(body["at"])
        payload = body["payload"]
        if body["type"] in ("chain-opened", "key-changed"):
            public = bytes.fromhex(payload["public_key"])
            if public in self.trusted and verify.digest(public)[:16] == body["key_id"]:
                self.keys[body["key_id"]], self.key_since[body["key_id"]] = public, self.seq
                return
        self._key(self.seq, body)
        if self.held is not None and body["type"] in verify.RECORDS:
            self.story._record(self.seq, body, {**payload, "plan": None})


def departs(held: Mapping[int, str], first: int, hashes: Sequence[str], prev: str) -> int | None:
    """The first seq at which a batch contradicts the links that are held, None where it agrees with all of them."""
    if held.get(first - 1, prev) != prev:
        return first - 1
    return next((first + at for at, one in enumerate(hashes) if held.get(first + at, one) != one), None)


def declares_restore(links: Sequence[str]) -> bool:
    """Whether what departs begins with a declared restore; a new key may be announced before it."""
    for text in links[:2]:
        try:
            kind = json.loads(text).get("type")
        except (ValueError, AttributeError):
            return False
        if kind == "restore":
            return True
        if kind != "key-changed":
            return False
    return False


def calendar_after(
    calendar: Mapping[str, Mapping[str, Any]], bodies: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The calendar as the chain has it: id → kind, on, school, grades, follows, and the day on which the chain first saw it so.

    What bounds the window W is kept as windows.taken tells.
    """
    found = {key: dict(row) for key, row in calendar.items()}
    for body in bodies:
        if body["type"] != "calendar-changed":
            continue
        entered = (verify.moment(body["at"]) + timedelta(minutes=body["payload"]["offset"])).date().isoformat()
        for row in body["payload"]["set"]:
            if row["kind"] in windows.WINDOWS:
                found[row["id"]] = windows.taken(found.get(row["id"]), row, entered)
                continue
            kept = {name: row[name] for name in ("kind", "on", "school", "grades", "follows", "source")}
            before = found.get(row["id"])
            if before is None or any(before[name] != value for name, value in kept.items()):
                found[row["id"]] = {**kept, "entered": entered, "countersigned": ""}
        for key in body["payload"]["removed"]:
            if found.get(key, {}).get("kind") not in windows.WINDOWS:  # a term entered anew is the same term
                found.pop(key, None)
    return found


def late_entries(calendar: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """(id, row) of closures and flagged weeks that count only with the office's countersignature (B1), by day.

    Those entered too late, those countersigned already, in each half-year the flagged weeks of a grade after the first FREE_FLAGS; and terms,
    admissions and 分班 dates that were moved when they had been reached.
    """
    moved = [(key, row) for key, row in sorted(calendar.items()) if row["kind"] in windows.WINDOWS and row["late"]]
    found, used = moved, Counter[tuple[str, int]]()
    for key, row in sorted(calendar.items(), key=lambda pair: (pair[1]["on"], pair[0])):
        if row["school"] or row["source"] == "national":
            continue
        on, entered = date.fromisoformat(row["on"]), date.fromisoformat(row["entered"])
        needs = bool(row["countersigned"])
        if row["kind"] == "day":
            needs = needs or entered > on + CLOSURE_ENTRY
        elif not needs:
            half = f"{on.year}-{on.month // 7}" if on.month > 1 else f"{on.year - 1}-1"  # January ends the autumn term
            grades = [(half, grade) for grade in row["grades"] or range(1, 13)]
            needs = entered >= on or any(used[one] >= FREE_FLAGS for one in grades)
            used.update(() if needs else grades)
        if needs:
            found.append((key, row))
    return found


def countersigned(calendar: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Ids of the entries that the office has countersigned."""
    return sorted(key for key, row in calendar.items() if row["countersigned"])


def with_calendar(facts: Facts, calendar: Mapping[str, Mapping[str, Any]], national: Iterable[NationalDay]) -> Facts:
    """The facts with closures and flagged weeks as the chain has them: one that is not on it falls away, one that was entered later than
    told counts as entered then, and only this office's own countersignature counts."""
    holidays = {(one.day, one.is_school) for one in national}
    rows = {
        (row["kind"], row["on"], row["school"], tuple(sorted(row["grades"] or ()))): row for row in calendar.values()
    }
    days, flags = [], []
    for day in facts.days:
        row = rows.get(("day", day.day.isoformat(), day.is_school, tuple(sorted(day.grades or ()))))
        if day.source == "national" and (day.day, day.is_school) in holidays:
            days.append(day)
        elif row is not None:
            days.append(replace(day, **_as_seen(row, day.entered)))
    for flag in facts.flags:
        row = rows.get(("week", flag.monday.isoformat(), False, tuple(sorted(flag.grades or ()))))
        if row is not None:
            flags.append(replace(flag, **_as_seen(row, flag.entered)))
    facts = windows.term_held(windows.judged_by(facts, calendar), calendar)
    return replace(facts, days=tuple(days), flags=tuple(flags), remarks=())


def _as_seen(row: Mapping[str, Any], told: date | None) -> dict[str, Any]:
    seen = date.fromisoformat(row["entered"])
    return {"entered": max(told or seen, seen), "countersigned": bool(row["countersigned"])}


def check_inside(hashes: Sequence[str], links: Sequence[str], first: int, prev: str) -> Fault | None:
    """Whether links follow each other and are as they were hashed; for a batch that waits for what comes before it."""
    for offset, text in enumerate(links):
        hashed = verify.digest(text.encode())
        if offset >= len(hashes) or hashed != hashes[offset]:
            return fault_at(verify.fault(first + offset, "changed"), text)
        try:
            follows = json.loads(text).get("prev") == prev
        except (ValueError, AttributeError):
            return fault_at(verify.fault(first + offset, "unreadable"), text)
        if not follows:
            return fault_at(verify.fault(first + offset, "unlinked"), text)
        prev = hashed
    return None


def check_segment(
    known: Known,
    links: Sequence[str],
    hashes: Sequence[str],
    first: int,
    roots: Iterable[Mapping[str, Any]],
    held: Held | None = None,
) -> Segment | Fault:
    """Walk the links after ``known`` (those before are skipped) and the roots that end in them; the first fault, with its record."""
    skip = known.seq + 1 - first
    walk = _Walk(known.school, known.seq, known.hash)
    walk.trusted, walk.held = known.trusted, held
    walk.keys = {key: public for key, (public, _) in known.keys.items()}
    walk.key_since = {key: since for key, (_, since) in known.keys.items()}
    if held is not None:
        walk.story.records = {key: {} for key in held.records}
        walk.story.lessons = set(held.lessons)
    bodies = []
    for offset in range(skip, len(links)):
        body = walk.feed(links[offset], hashes[offset] if offset < len(hashes) else "")
        if body is None:
            assert walk.broken is not None
            return fault_at(walk.broken, links[offset])
        bodies.append(body)
    tail = [*known.tail, *walk.hashes]
    rooted, day, new = known.rooted, known.root_day, []
    for root in roots:
        if root["last_seq"] <= rooted:
            continue
        found = _check_root(walk, root, rooted, day, tail)
        if found is not None:
            return found
        tail = tail[root["last_seq"] - rooted :]
        rooted, day = root["last_seq"], root["day"]
        new.append(root)
    keys = {key: (public, walk.key_since[key]) for key, public in walk.keys.items()}
    after = Known(known.school, walk.seq, walk.prev, keys, tuple(tail), rooted, day, known.trusted)
    return Segment(tuple(bodies), after, tuple(new))


def _check_root(walk: verify.Walk, root: Mapping[str, Any], rooted: int, day: str, tail: Sequence[str]) -> Fault | None:
    first, last = root["first_seq"], root["last_seq"]
    where = verify.fault(first, "root", day=root["day"])
    if first != rooted + 1 or root["day"] <= day:
        where = verify.fault(first, "root-gap", day=root["day"])
    elif last > walk.seq:
        where = verify.fault(walk.seq + 1, "truncated", signed=last, left=walk.seq)
    elif verify.merkle_root(tail[: last - rooted]) == root["root"]:
        key = walk.keys.get(root["key_id"])
        statement = verify.root_statement(walk.school, root["day"], first, last, root["root"])
        if key is not None and verify.signed_by(key, root["signature"], statement):
            return None
        where = verify.fault(first, "signature", day=root["day"])
    return fault_at(where, "")


def fault_at(found: verify.Fault, text: str) -> Fault:
    """A fault with the record that its link tells of, as far as the text can be read."""
    record, on = "", ""
    try:
        body = json.loads(text) if text else {}
        told = body.get("payload", {}).get("record", {})
        record, on = str(told.get("id", "")), str(told.get("lesson_on", ""))
    except (ValueError, AttributeError):
        pass  # what cannot be read is named by its number alone
    return Fault(found.seq, found.code, found.facts, record, on)


def records_of(bodies: Iterable[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """(seq, record) of the links that hold one: counts and pseudonyms."""
    return [(body["seq"], body["payload"]["record"]) for body in bodies if body["type"] in verify.RECORDS]


def unsupported(
    lessons: Iterable[Mapping[str, Any]], held: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str, str] | None:
    """The first claimed lesson that the chain does not bear out: (record id, day, what differs); ``held``: records in force by id.

    The evidence grade may only be worse than recorded, the units may only be fewer.
    """
    for lesson in lessons:
        record = held.get(lesson["id"])
        if record is None:
            return lesson["id"], lesson["date"], "missing"
        for name, value in _claimed(lesson).items():
            if (_part(record[name]) if name == "part_of" else record[name]) != value:
                return lesson["id"], lesson["date"], name
        unit = lesson.get("unit") or []
        units = {f"{lesson.get('course')}:{one}" for one in (unit if isinstance(unit, list) else [unit])}
        if not units <= set(record["units"]) or (lesson.get("course") and not units):
            return lesson["id"], lesson["date"], "units"
        if (lesson.get("evidence") or "C") < record["evidence"]:
            return lesson["id"], lesson["date"], "evidence"
    return None


def _claimed(lesson: Mapping[str, Any]) -> dict[str, Any]:
    """What a claimed lesson says that its record on the chain must say as well, by the record's names."""
    return {
        "class": lesson["class"],
        "lesson_on": lesson["date"],
        "minutes": lesson["minutes"],
        "class_hours": lesson.get("class_hours", 1),
        "kind": lesson.get("kind", "regular"),
        "roster": lesson.get("roster"),
        "present": lesson["present"],
        "on_leave": lesson.get("leave", 0),
        "subject": lesson.get("subject", ""),
        "makeup_of": lesson.get("makeup_of"),
        "part_of": _part(lesson.get("part_of")),
    }


def _part(told: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    return (told["lesson"], told["kind"], told["parts"]) if told else None


@dataclass(frozen=True)
class Gap:
    """Links that are missing before a batch that waits: seqs, and the days between which they were written."""

    first_seq: int
    last_seq: int
    after: date | None
    before: date


def gaps(seq: int, last_day: date | None, waiting: Iterable[tuple[int, int, date, date]]) -> list[Gap]:
    """Gaps between what is known (until ``seq``, written on ``last_day``) and the waiting segments (first, last, first day, last day)."""
    found, until, day = [], seq, last_day
    for first, last, first_day, final_day in sorted(waiting):
        if first > until + 1:
            found.append(Gap(until + 1, first - 1, day, first_day))
        if last > until:
            until, day = last, final_day
    return found
