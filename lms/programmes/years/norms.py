"""The AI-ethics norm with who has taken note of it, and the yearly risk register (伦理规范、风险清单): HN-11, HA-13."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.programmes.notices import lock
from lms.programmes.teaching import today
from lms.programmes.years.models import EthicsNorm, NormAcknowledgement, RiskEntry
from lms.programmes.years.rules import LEVELS, Coverage
from lms.roster import service as roster
from lms.roster.erasing.service import Part, holds
from lms.roster.models import Enrollment, Person, SchoolClass

ADMIN = ("school_admin", "officer")
STARTING = Path(__file__).with_name("norm.md")
LONGEST = 20_000
DRAFT = "草案，请按本校实际修改后发布"


def starting_text() -> str:
    """A text of ours to begin with; a draft that the school adapts."""
    return STARTING.read_text("utf-8")


def need_admin(actor: Account) -> None:
    """Raise NotAllowed for all but the school's admin, or an officer of the area (HA-13)."""
    if not may(actor, ADMIN):
        raise NotAllowed("norm", _l("请由学校管理员（或部门负责人）办理。"))


def keeps(organisation_id: uuid.UUID) -> bool:
    """Whether the organisation may stand in a notice, and so keeps a norm and a risk register: schools, and counties and cities as areas."""
    return db.session.get_one(Organisation, organisation_id).level in ("school", "county", "city")


def norms_of(school_id: uuid.UUID) -> list[EthicsNorm]:
    """Versions, newest first."""
    query = select(EthicsNorm).where(EthicsNorm.school_id == school_id).order_by(EthicsNorm.number.desc())
    return list(db.session.scalars(query))


def norm_of(school_id: uuid.UUID) -> EthicsNorm | None:
    """The version in force."""
    return db.session.scalar(
        select(EthicsNorm).where(EthicsNorm.school_id == school_id).order_by(EthicsNorm.number.desc()).limit(1)
    )


def publish(actor: Account, text: str, note: str, *, asks_again: bool = True) -> EthicsNorm:
    """Put a new version in force; with ``asks_again`` everybody takes note anew. The same text again changes nothing."""
    need_admin(actor)
    text = text.replace("\r\n", "\n").strip()
    if len(text) < 50 or len(text) > LONGEST:
        raise Invalid("norm-text", _l("规范正文应为 50 到 %(most)s 字。", most=LONGEST), where="text")
    if DRAFT in text:
        raise Invalid(
            "norm-draft",
            _l("正文里还有“%(mark)s”字样。", mark=DRAFT),
            remedy=_l("请按本校实际修改草案，删去这几个字再发布。"),
            where="text",
        )
    with write() as session:
        lock(actor.organisation_id)
        held = norm_of(actor.organisation_id)
        if held is not None and held.text == text:
            return held
        row = EthicsNorm(
            id=new_id(), school_id=actor.organisation_id, number=held.number + 1 if held else 1, text=text,
            note=note.strip()[:200], asks_again=asks_again or held is None, created_by=actor.id,
        )  # fmt: skip
        session.add(row)
        audit(actor, "publish-norm", "ethics_norm", row.id, number=row.number, again=row.asks_again)
    return row


def asked(school_id: uuid.UUID) -> int:
    """Lowest version whose acknowledgement still holds; 0 where there is no norm."""
    return next((one.number for one in norms_of(school_id) if one.asks_again), 0)


def acknowledge(actor: Account) -> None:
    """A member of staff has read the norm in force."""
    norm = norm_of(actor.organisation_id)
    if norm is None or actor.kind != "staff":
        raise Refused("norm", _l("学校还没有发布人工智能伦理规范。"), remedy=_l("请与学校管理员联系。"))
    with write() as session:
        lock(actor.organisation_id)
        if has_acknowledged(actor):
            return
        session.add(
            NormAcknowledgement(
                id=new_id(), school_id=actor.organisation_id, number=norm.number, account_id=actor.id,
                agreed=True, answered_on=today(), entered_by=actor.id,
            )
        )  # fmt: skip
        audit(actor, "acknowledge-norm", "ethics_norm", norm.id, number=norm.number)


def has_acknowledged(account: Account) -> bool:
    """Whether the account has taken note of a version that still holds."""
    query = select(NormAcknowledgement.id).where(
        NormAcknowledgement.school_id == account.organisation_id,
        NormAcknowledgement.account_id == account.id,
        NormAcknowledgement.number >= asked(account.organisation_id),
    )
    return db.session.scalar(query.limit(1)) is not None


@dataclass(frozen=True)
class GuardianLine:
    """One pupil of a class list: name, school number, the guardian's answer (None: not yet) and its day."""

    person_id: uuid.UUID
    number: int
    name: str
    agreed: bool | None
    on: date | None


def class_answers(school_id: uuid.UUID, cohort: SchoolClass) -> list[GuardianLine]:
    """Pupils of a class with what their guardians answered on paper."""
    answers = _answers(school_id)
    return [
        GuardianLine(one.person_id, one.roll_no or number, one.name, *answers.get(one.person_id, (None, None)))
        for number, one in enumerate(roster.roster_of(cohort.id, today()), 1)
    ]


def _answers(school_id: uuid.UUID) -> dict[uuid.UUID, tuple[bool, date]]:
    query = (
        select(NormAcknowledgement)
        .where(
            NormAcknowledgement.school_id == school_id,
            NormAcknowledgement.person_id.is_not(None),
            NormAcknowledgement.number >= asked(school_id),
        )
        .order_by(NormAcknowledgement.number)
    )
    return {row.person_id: (row.agreed, row.answered_on) for row in db.session.scalars(query) if row.person_id}


def record_guardians(actor: Account, cohort: SchoolClass, answers: Mapping[uuid.UUID, str], on: date) -> int:
    """Enter what stands on the signed sheets of a class: ``yes``, ``no`` or "" (takes an entry back); returns how many changed."""
    if (
        not (may(actor, ADMIN) or roster.teaches(actor, cohort.id, today()))
        or cohort.school_id != actor.organisation_id
    ):
        raise NotAllowed("norm-class", _l("请由学校管理员或本班任课教师登记。"))
    norm = norm_of(actor.organisation_id)
    if norm is None:
        raise Refused("norm", _l("学校还没有发布人工智能伦理规范。"), remedy=_l("请先由学校管理员发布。"))
    if on > today():
        raise Invalid("norm-day", _l("签字日期不能晚于今天。"), where="on")
    pupils = {one.person_id for one in roster.roster_of(cohort.id, today())}
    changed = 0
    with write() as session:
        lock(actor.organisation_id)
        held = _answers(actor.organisation_id)
        for person_id, answer in answers.items():
            before = held.get(person_id)
            if person_id not in pupils or answer == ({True: "yes", False: "no"}[before[0]] if before else ""):
                continue
            changed += 1
            _set(actor, norm.number, person_id, answer, on)
        if changed:
            audit(actor, "norm-guardians", "school_class", cohort.id, number=norm.number, changed=changed)
        session.flush()
    return changed


def _set(actor: Account, number: int, person_id: uuid.UUID, answer: str, on: date) -> None:
    query = select(NormAcknowledgement).where(
        NormAcknowledgement.school_id == actor.organisation_id,
        NormAcknowledgement.person_id == person_id,
        NormAcknowledgement.number >= asked(actor.organisation_id),
    )
    for row in db.session.scalars(query):
        db.session.delete(row)
    db.session.flush()
    if answer in ("yes", "no"):
        db.session.add(
            NormAcknowledgement(
                id=new_id(), school_id=actor.organisation_id, number=number, person_id=person_id,
                agreed=answer == "yes", answered_on=on, entered_by=actor.id,
            )
        )  # fmt: skip


def staff_coverage(school_id: uuid.UUID) -> Coverage:
    """Active staff accounts of the school and how many have taken note."""
    staff = select(Account.id).where(
        Account.organisation_id == school_id, Account.kind == "staff", Account.active.is_(True)
    )
    of = len(db.session.scalars(staff).all())
    yes = db.session.scalar(
        select(func.count(NormAcknowledgement.account_id.distinct())).where(
            NormAcknowledgement.school_id == school_id,
            NormAcknowledgement.account_id.in_(staff),
            NormAcknowledgement.number >= max(1, asked(school_id)),
        )
    )
    return Coverage(of, yes or 0)


def pupil_coverage(school_id: uuid.UUID) -> Coverage:
    """Pupils of the school and what their guardians answered."""
    day = today()
    enrolled = set(
        db.session.scalars(
            select(Enrollment.person_id).where(
                Enrollment.school_id == school_id,
                Enrollment.starts_on <= day,
                (Enrollment.ends_on.is_(None)) | (Enrollment.ends_on >= day),
            )
        )
    )
    answers = [agreed for person, (agreed, _on) in _answers(school_id).items() if person in enrolled]
    return Coverage(len(enrolled), sum(answers), len(answers) - sum(answers))


# ---- the risk register


def risks_of(school_id: uuid.UUID, year: int) -> list[RiskEntry]:
    """Lines of a year, what weighs most first."""
    query = select(RiskEntry).where(
        RiskEntry.school_id == school_id, RiskEntry.year == year, RiskEntry.removed_at.is_(None)
    )
    return sorted(db.session.scalars(query), key=lambda one: (-one.likelihood * one.severity, one.created_at))


def risk_years(school_id: uuid.UUID) -> list[int]:
    """Years that have a register, newest first."""
    query = select(RiskEntry.year).where(RiskEntry.school_id == school_id, RiskEntry.removed_at.is_(None)).distinct()
    return sorted(db.session.scalars(query), reverse=True)


@dataclass(frozen=True)
class RiskGiven:
    """A line as it was typed."""

    risk: str
    likelihood: int
    severity: int
    measure: str
    owner: str
    reviewed_on: date | None


def save_risk(actor: Account, year: int, given: RiskGiven, risk_id: uuid.UUID | None = None) -> RiskEntry:
    """Add a line, or change one."""
    need_admin(actor)
    for where, text in (("risk", given.risk), ("measure", given.measure), ("owner", given.owner)):
        if not text.strip():
            raise Invalid("risk", _l("请填写风险、措施和责任人。"), where=where)
    if given.likelihood not in LEVELS or given.severity not in LEVELS:
        raise Invalid("risk-level", _l("可能性和严重程度请选低、中、高。"), where="likelihood")
    if not 2018 <= year <= today().year + 1:
        raise Invalid("risk-year", _l("年份不对。"), where="year")
    with write() as session:
        lock(actor.organisation_id)
        row = risk(actor.organisation_id, risk_id) if risk_id else None
        if row is None:
            row = RiskEntry(id=new_id(), school_id=actor.organisation_id, year=year)
            session.add(row)
        row.risk, row.measure, row.owner = (
            given.risk.strip()[:200],
            given.measure.strip()[:2000],
            given.owner.strip()[:64],
        )
        row.likelihood, row.severity, row.reviewed_on = given.likelihood, given.severity, given.reviewed_on
        audit(actor, "save-risk", "risk_entry", row.id, year=row.year)
    return row


def risk(school_id: uuid.UUID, risk_id: uuid.UUID) -> RiskEntry:
    """One line, also one that was taken out; NotFound."""
    row = db.session.get(RiskEntry, risk_id)
    if row is None or row.school_id != school_id:
        raise NotFound("risk", _l("没有这一项风险。"))
    return row


def remove_risk(actor: Account, risk_id: uuid.UUID, *, back: bool = False) -> None:
    """Take a line out, or back in (undo)."""
    need_admin(actor)
    with write():
        row = risk(actor.organisation_id, risk_id)
        row.removed_at = None if back else clock.now()
        audit(actor, "restore-risk" if back else "remove-risk", "risk_entry", row.id, year=row.year)


def copy_year(actor: Account, year: int) -> int:
    """Copy a year's lines into the next one, to be reviewed there; lines that stand there already are left out. Returns how many came."""
    need_admin(actor)
    with write() as session:
        lock(actor.organisation_id)
        known = {one.risk for one in risks_of(actor.organisation_id, year + 1)}
        fresh = [one for one in risks_of(actor.organisation_id, year) if one.risk not in known]
        for one in fresh:
            session.add(
                RiskEntry(
                    id=new_id(), school_id=one.school_id, year=year + 1, risk=one.risk, likelihood=one.likelihood,
                    severity=one.severity, measure=one.measure, owner=one.owner,
                )
            )  # fmt: skip
        audit(actor, "copy-risks", "school", actor.organisation_id, year=year + 1, count=len(fresh))
    return len(fresh)


def _held(person: Person) -> Iterable[Part]:
    mine = (NormAcknowledgement.school_id == person.school_id) & (NormAcknowledgement.person_id == person.id)
    yield Part(_l("伦理规范的家长知悉登记"), NormAcknowledgement, mine)


holds(_held)
