"""Verbs of import (导入): preview what a file would do, apply it whole or its good rows, hand back a copy with the problems marked."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from flask import current_app
from flask_babel import lazy_gettext as _l

from lms.config import kept_secret
from lms.core.audit import audit
from lms.core.db import write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account
from lms.roster.access import need_admin, school_of
from lms.roster.intake import pending as waiting
from lms.roster.intake.cells import Cell, Sheet
from lms.roster.intake.headers import SYNONYMS, Table, find_header, understand
from lms.roster.intake.pending import Pending
from lms.roster.intake.pupils import Judged, Options, hash_registry, judge
from lms.roster.intake.sheets import MAX_ROWS, read_sheets
from lms.roster.intake.slots import JudgedSlot, judge_slots
from lms.roster.intake.snapshot import known_pupils, known_staff, shape_of, slot_world
from lms.roster.intake.staff import JudgedStaff, judge_staff
from lms.roster.intake.store import store_pupils, store_slots, store_staff
from lms.roster.intake.verdicts import ERROR, Verdict, mask
from lms.roster.models import Term
from lms.roster.school import term_of, term_on

KINDS: Final = {"pupils": _l("学生名单"), "staff": _l("教师名单"), "slots": _l("课表")}
NEEDED: Final = {"pupils": "姓名、班级（或年级）", "staff": "姓名、工号（或任教班级）", "slots": "班级、星期、节次"}

AnyJudged = Judged | JudgedStaff | JudgedSlot


@dataclass(frozen=True)
class Preview:
    """What a file would do: a verdict a row, counts by status, notes on what was left unread, classes that would be made."""

    token: str
    kind: str
    file_name: str
    verdicts: tuple[Verdict, ...]
    counts: dict[str, int]
    notes: tuple[tuple[str, dict[str, Any]], ...]
    unknown_classes: tuple[str, ...]
    new_classes: tuple[str, ...]
    options: Options

    @property
    def clean(self) -> bool:
        """Whether no row is refused."""
        return not self.counts.get(ERROR)

    @property
    def useful(self) -> bool:
        """Whether applying it would change anything."""
        return bool(self.counts.get("new") or self.counts.get("changed"))


@dataclass(frozen=True)
class Applied:
    """What an import did; ``skipped`` rows had problems."""

    new: int
    changed: int
    unchanged: int
    skipped: int


def preview(
    actor: Account | None, school_id: uuid.UUID, kind: str, data: bytes, file_name: str, options: Options | None = None, term: Term | None = None
) -> Preview:
    """Read and judge a file; nothing is stored in the roster. ``kind``: pupils | staff | slots (``term`` default: the running one).

    Raises Invalid for a file that cannot be read or holds no such list.
    """
    need_admin(actor, school_id)
    options = options or Options()
    if kind not in KINDS:
        raise Invalid("import-kind", _l("请选择要导入的内容。"), where="kind")
    shape = shape_of(school_id)
    if not shape.stages:
        raise Refused("no-stage", _l("学校还没有学段。"), remedy=_l("请先在“概况”页添加学段。"))
    if kind == "slots":
        term = term or term_on(school_id, shape.on)
        if term is None:
            raise Refused("no-term", _l("现在不在任何学期内。"), remedy=_l("请先在“校历”页添加学期。"))
    tables, notes = _tables(read_sheets(data, file_name), kind, shape.system, file_name)
    tables = tuple(_private(table, options) for table in tables)
    pending = Pending(
        kind,
        str(school_id),
        str(actor.id if actor else ""),
        file_name[:120],
        hashlib.sha256(data).hexdigest(),
        options,
        tables,
        notes,
        str(term.id) if term else "",
    )
    return _shown(pending)


def again(actor: Account, school_id: uuid.UUID, token: str, options: Options | None = None) -> Preview:
    """Judge a waiting file once more, with other choices where given. What was not kept at upload (监护人, 学籍号) needs a new upload."""
    need_admin(actor, school_id)
    pending = waiting.load(token, school_id, actor.id)
    if options is not None:
        kept = replace(pending.options, create_classes=options.create_classes)
        pending = replace(pending, options=kept)
    return _shown(pending, token)


def _shown(pending: Pending, token: str = "") -> Preview:
    judged = _judge(pending)
    token = waiting.keep(replace(pending, digest=_digest(judged)), token)
    verdicts = tuple(each.verdict for each in judged)
    unknown = [problem.facts["name"] for verdict in verdicts for problem in verdict.problems if problem.code == "class-unknown" and "name" in problem.facts]
    new = [problem.facts["name"] for verdict in verdicts for problem in verdict.warnings if problem.code == "class-new"]
    counts = Counter(verdict.status for verdict in verdicts)
    return Preview(
        token,
        pending.kind,
        pending.file_name,
        verdicts,
        dict(counts),
        pending.notes,
        tuple(dict.fromkeys(unknown)),
        tuple(dict.fromkeys(new)),
        pending.options,
    )


def apply(actor: Account | None, school_id: uuid.UUID, token: str, *, good_only: bool = False) -> Applied:
    """Store a previewed file in one transaction: every row, or with ``good_only`` those without a problem.

    Raises Refused (nothing is stored) where rows have problems and ``good_only`` is not set, and where the roster has changed so that
    the preview no longer holds.
    """
    need_admin(actor, school_id)
    pending = waiting.load(token, school_id, actor.id if actor else None)
    with write():
        judged = _judge(pending)
        if _digest(judged) != pending.digest:
            raise Refused("import-stale", _l("名单在预览之后被改过，没有导入任何内容。"), remedy=_l("请重新预览后再确认。"))
        counts = Counter(each.verdict.status for each in judged)
        if counts[ERROR] and not good_only:
            raise Refused(
                "import-errors",
                _l("有 %(n)s 行有问题，没有导入任何内容。", n=counts[ERROR]),
                remedy=_l("请改正后重新导入，或选择“只导入没有问题的行”。"),
                where="; ".join(f"{each.verdict.sheet}!{each.verdict.row} {each.verdict.problems[0].code}" for each in judged if each.verdict.problems)[:300],
            )
        _store(actor, school_id, pending, [each for each in judged if each.verdict.status != ERROR])
        audit(
            actor,
            f"import-{pending.kind}",
            "school",
            school_id,
            school_id=school_id,
            sha256=pending.sha256,
            new=counts["new"],
            changed=counts["changed"],
            unchanged=counts["unchanged"],
            skipped=counts[ERROR],
        )
    waiting.forget(token)
    return Applied(counts["new"], counts["changed"], counts["unchanged"], counts[ERROR])


def import_file(
    actor: Account | None, school_id: uuid.UUID, kind: str, data: bytes, file_name: str, options: Options | None = None, term: Term | None = None
) -> Applied:
    """Preview and apply in one go, for set-up; refused whole if any row has a problem."""
    shown = preview(actor, school_id, kind, data, file_name, options, term)
    return apply(actor, school_id, shown.token)


def _store(actor: Account | None, school_id: uuid.UUID, pending: Pending, judged: Sequence[AnyJudged]) -> None:
    on = shape_of(school_id).on
    if pending.kind == "pupils":
        store_pupils(actor, school_id, [each for each in judged if isinstance(each, Judged)], on)
    elif pending.kind == "staff":
        store_staff(actor, school_id, [each for each in judged if isinstance(each, JudgedStaff)])
    else:
        term = term_of(school_id, uuid.UUID(pending.term_id))
        store_slots(school_id, term.id, [each for each in judged if isinstance(each, JudgedSlot)])


def _judge(pending: Pending) -> Sequence[AnyJudged]:
    school_id = uuid.UUID(pending.school_id)
    lines = [line for table in pending.tables for line in table.lines]
    shape = shape_of(school_id)
    if pending.kind == "pupils":
        return judge(lines, known_pupils(school_id, shape.on), shape, pending.options)
    if pending.kind == "staff":
        known = known_pupils(school_id, shape.on)
        return judge_staff(lines, known_staff(school_id, shape.on), known.cohorts, shape)
    return judge_slots(lines, slot_world(school_id, uuid.UUID(pending.term_id), shape.on), shape)


def _digest(judged: Sequence[AnyJudged]) -> str:
    facts = [
        (each.verdict.sheet, each.verdict.row, each.verdict.status, each.verdict.changes, [problem.code for problem in each.verdict.problems])
        for each in judged
    ]
    return hashlib.sha256(json.dumps(facts, ensure_ascii=False).encode()).hexdigest()


def _tables(
    sheets: Sequence[Sheet], kind: str, system: str, file_name: str
) -> tuple[tuple[Table, ...], tuple[tuple[str, dict[str, Any]], ...]]:
    tables: list[Table] = []
    notes: list[tuple[str, dict[str, Any]]] = []
    for sheet in sheets:
        table = understand(sheet, kind, system)
        if table is None:
            notes.append(("sheet-other", {"sheet": sheet.name}))
        elif sheet.hidden:
            notes.append(("sheet-hidden", {"sheet": sheet.name}))
        else:
            _check_table(table, file_name)
            tables.append(table)
            notes += _notes(table)
    if not tables:
        raise _no_header(sheets, kind, file_name)
    rows = sum(len(table.lines) for table in tables)
    if rows > MAX_ROWS:
        raise Invalid("file-rows", _l("一共有 %(n)s 行，超过 5000 行。", n=rows), remedy=_l("请按年级拆成几个文件，分次导入。"), where=file_name)
    if not rows:
        raise Invalid("no-rows", _l("表头下面没有内容。"), remedy=_l("请确认名单在表头下面，中间没有隔着很多空行。"), where=file_name)
    return tuple(tables), tuple(notes)


def _check_table(table: Table, file_name: str) -> None:
    if table.double:
        raise Invalid(
            "header-double",
            _l("工作表“%(sheet)s”第 %(row)s 行有两列“%(title)s”。", sheet=table.sheet, row=table.header_row, title=table.double),
            remedy=_l("并排的两份名单请改成上下一份；其余请删去一列。"),
            where=file_name,
        )


def _notes(table: Table) -> list[tuple[str, dict[str, Any]]]:
    notes: list[tuple[str, dict[str, Any]]] = []
    if table.id_cards:
        notes.append(("id-cards", {"sheet": table.sheet}))
    cards = set(SYNONYMS["id_card"])
    unread = [title for title in table.unread if title.replace(" ", "") not in cards]
    if unread:
        notes.append(("unread", {"sheet": table.sheet, "columns": "、".join(unread[:12])}))
    if table.skipped_rows:
        notes.append(("rows-skipped", {"sheet": table.sheet, "rows": "、".join(str(row) for row in table.skipped_rows[:12])}))
    return notes


def _no_header(sheets: Sequence[Sheet], kind: str, file_name: str) -> Invalid:
    found = [header for sheet in sheets if (header := find_header(sheet.rows))]
    seen = "、".join(SYNONYMS[field][0] for _at, fields in found[:1] for field in fields if field) or "—"
    return Invalid(
        "no-header",
        _l("没有找到%(kind)s的表头。需要的列：%(needed)s；找到的列：%(seen)s。", kind=KINDS[kind], needed=NEEDED[kind], seen=seen),
        remedy=_l("请确认表头在前 20 行之内，列名写在同一行；隐藏的工作表不会读取。"),
        where=file_name,
    )


def _private(table: Table, options: Options) -> Table:
    """The table without what the admin did not ask to keep; a 学籍号 as its keyed hash, ID card numbers masked."""
    dropped = set()
    if not options.keep_guardians:
        dropped |= {"guardian", "guardian_phone", "relation"}
    if not options.keep_registry:
        dropped.add("registry_no")

    def kept(name: str, cell: Cell) -> Cell:
        if name == "registry_no":
            return hash_registry(cell, keyed)
        return mask(cell) if name in ("student_no", "staff_no") else cell

    lines = tuple(
        replace(line, cells={name: kept(name, cell) for name, cell in line.cells.items() if name not in dropped}) for line in table.lines
    )
    return replace(table, lines=lines, columns=tuple(column for column in table.columns if column.field not in dropped))


def keyed(registry_no: str) -> str:
    """HMAC-SHA-256 of a 学籍号 under a key of this installation that is used for nothing else."""
    key = kept_secret(current_app.config["ZHIKE"].data_dir / "keys" / "registry")
    return hmac.new(key.encode(), registry_no.encode(), hashlib.sha256).hexdigest()


def pending_of(actor: Account, school_id: uuid.UUID, token: str) -> tuple[Pending, tuple[Verdict, ...]]:
    """A waiting file with its verdicts, for the annotated copy."""
    need_admin(actor, school_id)
    school_of(school_id)
    pending = waiting.load(token, school_id, actor.id)
    return pending, tuple(each.verdict for each in _judge(pending))
