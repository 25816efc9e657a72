"""Rows of a pupils' list against the roster (学生名单): new, changed, unchanged or refused; pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lms.roster.intake.cells import EMPTY, Cell
from lms.roster.intake.headers import Line
from lms.roster.intake.verdicts import (
    CHANGED,
    ERROR,
    NEW,
    UNCHANGED,
    Problem,
    Refusal,
    Shape,
    Verdict,
    check_kind,
    lost_zeros,
    parses_alone,
    read_class,
    read_name,
    read_number,
    read_sex,
    shown_name,
)
from lms.roster.rules import Cohort, squeeze


@dataclass(frozen=True)
class KnownPupil:
    """A pupil of the school as import sees one; ``cohort`` None for who is in no class."""

    person_id: str
    name: str
    sex: str = ""
    cohort: Cohort | None = None
    roll_no: int = 0
    student_no: str = ""
    registry: str = ""
    left: bool = False
    guardian: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Known:
    """The roster as it stands: pupils and classes."""

    pupils: tuple[KnownPupil, ...] = ()
    cohorts: frozenset[Cohort] = frozenset()


@dataclass(frozen=True)
class Options:
    """What the admin chose: make unknown classes, keep guardians' telephones, keep the 学籍号 as a keyed hash."""

    create_classes: bool = False
    keep_guardians: bool = False
    keep_registry: bool = False


@dataclass(frozen=True)
class PupilRow:
    """A pupil as the file gives one; ``registry`` is already the keyed hash. ``person_id`` empty for a new one."""

    name: str = ""
    student_no: str = ""
    cohort: Cohort | None = None
    sex: str = ""
    roll_no: int = 0
    registry: str = ""
    guardian: str = ""
    phone: str = ""
    relation: str = ""
    person_id: str = ""
    changes: tuple[str, ...] = ()


@dataclass
class Draft:
    """A row while it is judged."""

    line: Line
    pupil: PupilRow
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Judged:
    """A row's verdict with the pupil to store."""

    verdict: Verdict
    pupil: PupilRow


def judge(lines: Sequence[Line], known: Known, shape: Shape, options: Options) -> list[Judged]:
    """A verdict for every row; a 学籍号 has been hashed before (see :func:`hash_registry`)."""
    drafts = [_read(line, known, shape, options) for line in lines]
    _find_lost_zeros(drafts)
    _find_doubles(drafts)
    matched = _match(drafts, known)
    return [_decide(draft, person, options) for draft, person in zip(drafts, matched, strict=True)]


def _read(line: Line, known: Known, shape: Shape, options: Options) -> Draft:
    draft = Draft(line, PupilRow())
    readers: list[tuple[str, Callable[[], object]]] = [
        ("name", lambda: read_name(line.get("name"))),
        ("student_no", lambda: read_number(line.get("student_no"), "student_no")),
        ("cohort", lambda: read_class(line, shape, known.cohorts)),
        ("sex", lambda: read_sex(line.get("sex"))),
        ("roll_no", lambda: _roll_no(line)),
    ]
    if options.keep_guardians:
        readers += [
            ("guardian", lambda: read_name(line.get("guardian"), "guardian") if line.get("guardian").kind != "empty" else ""),
            ("phone", lambda: _phone(line)),
            ("relation", lambda: squeeze(line.get("relation").text)[:16]),
        ]
    if options.keep_registry:
        readers.append(("registry", lambda: _registry(line)))
    for name, reader in readers:
        try:
            draft.pupil = replace(draft.pupil, **{name: reader()})  # type: ignore[arg-type]  # each reader gives its field's type
        except Refusal as refusal:
            draft.problems.append(refusal.problem)
    cohort = draft.pupil.cohort
    if cohort is not None and cohort not in known.cohorts:
        written = line.get("class").text
        grade = "" if parses_alone(written, shape) else line.get("grade").text
        fact = Problem("class-unknown", "class", {"value": f"{grade}{written}", "name": shown_name(cohort, shape)})
        (draft.warnings if options.create_classes else draft.problems).append(replace(fact, code="class-new") if options.create_classes else fact)
    if not draft.pupil.student_no and not any(problem.field == "student_no" for problem in draft.problems):
        draft.warnings.append(Problem("number-none", "student_no"))
    return draft


def _roll_no(line: Line) -> int:
    cell = line.get("roll_no")
    check_kind(cell, "roll_no")
    text = re.sub(r"号$", "", squeeze(cell.text))
    if not text:
        return 0
    if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= 200:
        raise Refusal("roll-no", "roll_no", value=cell.text[:20])
    return int(text)


def _phone(line: Line) -> str:
    cell = line.get("guardian_phone")
    check_kind(cell, "guardian_phone")
    text = re.sub(r"[-()]", "", squeeze(cell.text)).removeprefix("+86")
    if not text:
        return ""
    if re.fullmatch(r"\d(\.\d+)?E\+?\d+", text.upper()):
        raise Refusal("phone-scientific", "guardian_phone", value=cell.text)
    if not re.fullmatch(r"1[3-9]\d{9}|0\d{9,11}", text):
        raise Refusal("phone", "guardian_phone", value=cell.text[:24])
    return text


def hash_registry(cell: Cell, keyed: Callable[[str], str]) -> Cell:
    """The 学籍号 as its keyed hash, or why it is refused; the number itself goes no further."""
    try:
        check_kind(cell, "registry_no")
    except Refusal:
        return cell
    text = squeeze(cell.text).upper()
    if not text:
        return EMPTY
    if cell.kind == "number" and len(text) > 15:
        return Cell("number-precision", "refused")
    if re.fullmatch(r"\d(\.\d+)?E\+?\d+", text):
        return Cell("number-scientific", "refused")
    return Cell(keyed(text), "text") if re.fullmatch(r"[GJL]\d{17}[\dX]|\d{16}", text) else Cell("registry", "refused")


def _registry(line: Line) -> str:
    cell = line.get("registry_no")
    check_kind(cell, "registry_no")
    return cell.text


def _find_lost_zeros(drafts: Sequence[Draft]) -> None:
    by_sheet: dict[str, list[tuple[int, Draft]]] = defaultdict(list)
    for index, draft in enumerate(drafts):
        if draft.pupil.student_no:
            by_sheet[draft.line.sheet].append((index, draft))
    for group in by_sheet.values():
        for index in lost_zeros([(index, draft.line.get("student_no")) for index, draft in group]):
            drafts[index].problems.append(Problem("number-zeros", "student_no", {"value": drafts[index].pupil.student_no}))


def _find_doubles(drafts: Sequence[Draft]) -> None:
    """The same number twice; the same name twice in a class where a number is missing; the same 学籍号 or 座号 twice."""
    numbers: dict[str, list[Draft]] = defaultdict(list)
    registries: dict[str, list[Draft]] = defaultdict(list)
    names: dict[tuple[Cohort, str], list[Draft]] = defaultdict(list)
    rolls: dict[tuple[Cohort, int], list[Draft]] = defaultdict(list)
    for draft in drafts:
        pupil = draft.pupil
        if pupil.student_no:
            numbers[pupil.student_no].append(draft)
        if pupil.registry:
            registries[pupil.registry].append(draft)
        if pupil.cohort and pupil.name:
            names[pupil.cohort, pupil.name].append(draft)
        if pupil.cohort and pupil.roll_no:
            rolls[pupil.cohort, pupil.roll_no].append(draft)
    for groups, code, where in ((numbers, "number-double", "student_no"), (registries, "registry-double", "registry_no"), (rolls, "roll-double", "roll_no")):
        for group in groups.values():
            same = len({(draft.pupil.name, draft.pupil.cohort) for draft in group}) == 1
            for draft in group[1:] if same and code == "number-double" else (group if len(group) > 1 else ()):
                other = group[0] if draft is not group[0] else group[1]
                facts = {"value": draft.pupil.student_no, "sheet": other.line.sheet, "row": other.line.row, "name": other.pupil.name}
                draft.problems.append(Problem("row-double" if same and code == "number-double" else code, where, facts))
    for same_name in names.values():
        if len(same_name) > 1:
            for draft in same_name:
                if not draft.pupil.student_no:
                    other = next(each for each in same_name if each is not draft)
                    draft.problems.append(Problem("name-double", "name", {"name": draft.pupil.name, "row": other.line.row, "sheet": other.line.sheet}))


def _match(drafts: Sequence[Draft], known: Known) -> list[KnownPupil | None]:
    by_number = {pupil.student_no: pupil for pupil in known.pupils if pupil.student_no}
    by_registry = {pupil.registry: pupil for pupil in known.pupils if pupil.registry}
    by_name: dict[tuple[Cohort | None, str], list[KnownPupil]] = defaultdict(list)
    for pupil in known.pupils:
        if not pupil.left:
            by_name[pupil.cohort, pupil.name].append(pupil)
    taken: dict[str, Draft] = {}
    matched: list[KnownPupil | None] = []
    for draft in drafts:
        person = _person(draft, by_number, by_registry, by_name)
        if person is not None and not draft.problems:
            if person.person_id in taken:
                first = taken[person.person_id].line
                draft.problems.append(Problem("person-double", "name", {"name": person.name, "row": first.row, "sheet": first.sheet}))
            taken.setdefault(person.person_id, draft)
        matched.append(person)
    return matched


def _person(
    draft: Draft,
    by_number: Mapping[str, KnownPupil],
    by_registry: Mapping[str, KnownPupil],
    by_name: Mapping[tuple[Cohort | None, str], list[KnownPupil]],
) -> KnownPupil | None:
    row = draft.pupil
    found = by_number.get(row.student_no) if row.student_no else None
    if found is not None:
        if row.name and found.name != row.name and (row.cohort is None or found.cohort != row.cohort):
            draft.problems.append(Problem("number-other", "student_no", {"value": row.student_no, "name": found.name}))
        elif row.registry and by_registry.get(row.registry, found) is not found:
            draft.problems.append(Problem("registry-other", "registry_no", {"name": by_registry[row.registry].name}))
        return found
    found = by_registry.get(row.registry) if row.registry else None
    if found is not None:
        if row.name and found.name != row.name:
            draft.problems.append(Problem("registry-other", "registry_no", {"name": found.name}))
        return found
    if row.cohort is None or not row.name:
        return None
    same = by_name.get((row.cohort, row.name), [])
    if row.student_no:  # the same name under another number is another pupil
        same = [pupil for pupil in same if not pupil.student_no]
    if len(same) > 1:
        draft.problems.append(Problem("name-double-known", "name", {"name": row.name, "count": len(same)}))
    return same[0] if len(same) == 1 else None


def _decide(draft: Draft, person: KnownPupil | None, options: Options) -> Judged:
    row = draft.pupil
    changes = _changes(row, person, options) if person is not None else ()
    status = ERROR if draft.problems else NEW if person is None else CHANGED if changes else UNCHANGED
    verdict = Verdict(
        draft.line.sheet,
        draft.line.row,
        status,
        row.name or draft.line.get("name").text,
        tuple(draft.problems),
        tuple(draft.warnings),
        changes if status == CHANGED else (),
    )
    return Judged(verdict, replace(row, person_id=person.person_id if person else "", changes=changes))


def _changes(row: PupilRow, person: KnownPupil, options: Options) -> tuple[str, ...]:
    pairs = (
        ("name", row.name, person.name),
        ("class", row.cohort, person.cohort),
        ("sex", row.sex, person.sex),
        ("roll_no", row.roll_no, person.roll_no),
        ("student_no", row.student_no, person.student_no),
        ("registry_no", row.registry, person.registry),
    )
    found = [name for name, given, stored in pairs if given and given != stored]
    if person.left:
        found.append("returns")
    if options.keep_guardians and (row.guardian or row.phone) and (row.guardian or "监护人", row.phone) != person.guardian:
        found.append("guardian")
    return tuple(found)
