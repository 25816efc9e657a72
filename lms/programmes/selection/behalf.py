"""A body without an account is normal: an office fills in for it (代填), reads its Word or Excel, and records the decisions of an office above
that has no account, with the scan of its paper (代录)."""

from __future__ import annotations

import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import blobs, clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account, Organisation, RoleGrant
from lms.core.stages import SCHOOL_TYPES
from lms.programmes import attachments, papers, service, values, workflow
from lms.programmes.dates import LEVELS, ZONE, day_in
from lms.programmes.models import Application, ApplicationFile
from lms.programmes.notices import lock, pack_of, stations_of
from lms.programmes.rules import EDITABLE, station_at
from lms.programmes.selection import readback
from lms.programmes.selection.models import RecordedDecision
from lms.programmes.selection.tables import rows_of
from lms.programmes.words import words_in
from lms.roster.models import School
from lms.roster.school import LOCALITIES, add_stage

ORIGINAL = "original"
STATES = {
    "new": _l("填入"),
    "changed": _l("改动"),
    "same": _l("相同"),
    "absent": _l("文件里没有"),
    "problem": _l("不能填入"),
}


def has_account(organisation_id: uuid.UUID) -> bool:
    """Whether somebody can act for the organisation here: an active admin of the school, an officer of the office."""
    query = (
        select(Account.id)
        .join(RoleGrant, RoleGrant.account_id == Account.id)
        .where(
            Account.organisation_id == organisation_id, Account.active.is_(True), Account.kind == "staff",
            RoleGrant.role.in_(("school_admin", "officer")), RoleGrant.revoked_at.is_(None),
        )
    )  # fmt: skip
    return db.session.scalar(query.limit(1)) is not None


def filler_name(found: Application) -> str:
    """Name of the office that fills in (代填), "" where the applicant does it itself."""
    return db.session.get_one(Organisation, found.filled_by_id).name if found.filled_by_id else ""


def wards_of(office_id: uuid.UUID) -> list[Organisation]:
    """Organisations below the office in which nobody can act, by name."""
    office = db.session.get_one(Organisation, office_id)
    acting = (
        select(Account.organisation_id)
        .join(RoleGrant, RoleGrant.account_id == Account.id)
        .where(
            Account.active.is_(True),
            Account.kind == "staff",
            RoleGrant.role.in_(("school_admin", "officer")),
            RoleGrant.revoked_at.is_(None),
        )
    )
    query = select(Organisation).where(
        Organisation.path.startswith(office.path), Organisation.id != office.id, Organisation.id.not_in(acting)
    )
    return sorted(db.session.scalars(query), key=lambda one: (LEVELS.index(one.level), one.name))


def below(office_id: uuid.UUID) -> list[Organisation]:
    """The office and the offices below it, to hang a new organisation under."""
    office = db.session.get_one(Organisation, office_id)
    query = select(Organisation).where(Organisation.path.startswith(office.path), Organisation.level != "school")
    return list(db.session.scalars(query.order_by(Organisation.path)))


def filled_by(office_id: uuid.UUID) -> list[Application]:
    """Applications that the office fills in, newest first."""
    return list(
        db.session.scalars(
            select(Application).where(Application.filled_by_id == office_id).order_by(Application.created_at.desc())
        )
    )


def add_organisation(actor: Account, form: Mapping[str, str]) -> Organisation:
    """Enter an organisation that the system does not know yet; raises Invalid naming the field, Refused where its name is there already."""
    workflow.need_officer(actor)
    office = db.session.get_one(Organisation, actor.organisation_id)
    level, name = form.get("level", ""), form.get("name", "").strip()
    try:
        parent = db.session.get(Organisation, uuid.UUID(form.get("parent", "")))
    except ValueError:
        parent = None
    if parent is None or not parent.path.startswith(office.path):
        raise Invalid("parent", _l("请选择本单位或下级作为它的主管部门。"), where="parent")
    if level not in LEVELS or LEVELS.index(level) >= LEVELS.index(parent.level):
        raise Invalid("level", _l("层级应低于它的主管部门。"), where="level")
    if not name or len(name) > 120:
        raise Invalid("name", _l("请填写单位全称。"), where="name")
    school_type, locality = form.get("school_type", ""), form.get("locality", "城区")
    if level == "school" and (school_type not in SCHOOL_TYPES or locality not in LOCALITIES):
        raise Invalid("school_type", _l("请选择学校类型和城乡类别。"), where="school_type")
    with write() as session:
        lock(office.id)
        if session.scalar(
            select(Organisation.id).where(Organisation.parent_id == parent.id, Organisation.name == name)
        ):
            raise Refused("organisation-known", _l("%(name)s 已经在册。", name=name), remedy=_l("请在列表里选择它。"))
        made = Organisation(
            id=new_id(), parent_id=parent.id, level=level, name=name, code=form.get("code", "").strip()[:32], path=""
        )
        made.path = f"{parent.path}{made.id.hex}/"
        session.add(made)
        session.flush()
        if level == "school":
            session.add(School(id=made.id, school_type=school_type, locality=locality))
            session.flush()
            for stage in SCHOOL_TYPES[school_type]:
                add_stage(None, made.id, stage)
        audit(actor, "add-organisation", "organisation", made.id, level=level, under=str(parent.id))
    return made


def begin(actor: Account, organisation_id: uuid.UUID, slug: str, kind: str, batch: str) -> Application:
    """Begin an application for an organisation below that has no account; Refused where it has one."""
    workflow.need_officer(actor)
    office, ward = (
        db.session.get_one(Organisation, actor.organisation_id),
        db.session.get(Organisation, organisation_id),
    )
    if ward is None or ward.id == office.id or not ward.path.startswith(office.path):
        raise NotFound("organisation", _l("没有这个机构。"))
    if has_account(ward.id):
        raise Refused(
            "has-account",
            _l("%(name)s 有自己的账号。", name=ward.name),
            remedy=_l("请由该单位自己填写；可在“谁还没报”里提醒。"),
        )
    found = service.begin_for(actor, ward, slug, kind, batch)
    if found.filled_by_id != office.id:
        raise Refused("begun", _l("这份申报已经由别的单位开始填写。"), remedy=_l("请与该单位联系。"))
    return found


def hand_over(actor: Account, application_id: uuid.UUID) -> Application:
    """The applicant has an account now: the office hands the application over and writes in it no more (交还)."""
    with write():
        found = ward_application(actor, application_id)
        if not has_account(found.school_id):
            raise Refused("no-account", _l("该单位还没有账号，交还以后没有人能填写。"), remedy=_l("请先为它开通账号。"))
        found.filled_by_id = None
        audit(actor, "hand-over-application", "application", found.id, school_id=found.school_id)
    return found


def ward_application(actor: Account, application_id: uuid.UUID) -> Application:
    """An application that the actor's office fills in; NotFound for every other."""
    workflow.need_officer(actor)
    found = db.session.get(Application, application_id)
    if found is None or found.filled_by_id != actor.organisation_id:
        raise NotFound("application", _l("没有这份申报。"))
    return found


# ---- what was sent on paper or by e-mail, read back


@dataclass(frozen=True)
class PartIn:
    """A part of the application and what the file says: ``state`` of STATES; ``text`` names the trouble; counts are 字数."""

    key: str
    heading: str
    state: str
    text: str = ""
    value: Any = None
    before: int = 0
    after: int = 0


def take_original(actor: Account, application_id: uuid.UUID, name: str, data: bytes) -> ApplicationFile:
    """Keep the file that the applicant sent (原件) with the application; raises Invalid for anything but Word, Excel or PDF."""
    found = ward_application(actor, application_id)
    kind = blobs.check(data, ("docx", "xlsx", "pdf"), blobs.LARGEST_MB, "file")
    return _keep(actor, found, ORIGINAL, name, kind, data)


def _keep(actor: Account, found: Application, slot: str, name: str, kind: str, data: bytes) -> ApplicationFile:
    digest = blobs.keep(attachments.ROOM, data)
    with write() as session:
        known = session.scalar(
            select(ApplicationFile).where(
                ApplicationFile.application_id == found.id,
                ApplicationFile.slot == slot,
                ApplicationFile.sha256 == digest,
                ApplicationFile.removed_at.is_(None),
            )
        )
        if known is not None:
            return known
        row = ApplicationFile(
            id=new_id(), school_id=found.school_id, application_id=found.id, slot=slot, name=blobs.name_of(name, f"{slot}.{kind}"),
            type=kind, size=len(data), sha256=digest, added_by=actor.id,
        )  # fmt: skip
        session.add(row)
        session.flush()
        audit(actor, "application-file", "application", found.id, school_id=found.school_id, slot=slot, sha256=digest)
    return row


def originals_of(found: Application) -> list[ApplicationFile]:
    """Files that the applicant sent."""
    return [one for one in service.files_of(found) if one.slot == ORIGINAL]


def read_original(actor: Account, application_id: uuid.UUID, file_id: uuid.UUID) -> list[PartIn]:
    """What the file would fill in, part by part; nothing is written. An empty list: the layout is not ours, the parts must be typed in."""
    found = ward_application(actor, application_id)
    row = attachments.file_of(found, file_id)
    pieces = pieces_of(row.type, attachments.content(row), row.name)
    pack, content, names = pack_of(found), service.content_of(found), papers.places_of(found)
    criteria = {one["id"]: one["text"] for one in pack.criteria_of(found.kind)}
    shown: dict[str, Any] = {}
    for name in pack.kind(found.kind)["forms"]:
        form = pack.form(name)
        if readback.is_ours(form, pieces):
            shown |= {
                f"{name}.{part}": value
                for part, value in readback.read_form(
                    form, pieces, pack.document.get("choices", {}), criteria, names
                ).items()
            }
    if not shown:
        return []
    lines = []
    for key in pack.keys_of(found.kind):
        part = pack.part(key)
        if "collect" in part:
            continue
        lines.append(
            _part_in(part, key, key in shown, shown.get(key), content.get(key), pack.choices(part.get("choices", "")))
        )
    return lines


def _part_in(part: Mapping[str, Any], key: str, there: bool, raw: Any, known: Any, choices: Sequence[str]) -> PartIn:
    heading = part["heading"] or "封面"
    before = words_in(known) if known else 0
    if not there:
        return PartIn(key, heading, "absent", "请在申报页手工填写", None, before, before)
    try:
        value = values.clean(part, raw, choices)
    except ValueError as error:
        return PartIn(key, heading, "problem", str(error), None, before, before)
    faults = values.faults(part, value, {str(part.get("choices", "")): choices})
    empty = values.empty(part)
    blank = value == empty or (isinstance(value, dict) and not any(value.values()))
    if blank or value == known:
        return PartIn(
            key,
            heading,
            "same" if value == known or not known else "absent",
            "文件里是空的" if blank else "",
            None,
            before,
            before,
        )
    text = "；".join(one for one in faults if part["type"] != "table" and part["type"] != "fields")
    return PartIn(key, heading, "changed" if known else "new", text, value, before, words_in(value))


def take_parts(actor: Account, application_id: uuid.UUID, file_id: uuid.UUID, keys: Sequence[str]) -> int:
    """Write the parts that were ticked in the dry run; each goes into the history, so that it can be undone. Returns how many."""
    with write():
        found = ward_application(actor, application_id)
        wanted = [
            one
            for one in read_original(actor, application_id, file_id)
            if one.key in keys and one.state in ("new", "changed")
        ]
        rows = service.parts_of(found)
        for one in wanted:
            held = rows[one.key].edition if one.key in rows else 0
            service.save_part(actor, application_id, one.key, one.value, held)
        audit(
            actor,
            "read-original",
            "application",
            found.id,
            school_id=found.school_id,
            file=str(file_id),
            parts=[one.key for one in wanted],
        )
    return len(wanted)


def pieces_of(kind: str, data: bytes, name: str) -> list[readback.Piece]:
    """Paragraphs and tables of a Word or Excel file, in order; nothing of a PDF."""
    if kind == "xlsx":
        return [readback.Piece(title, tuple(tuple(row) for row in rows)) for title, rows in rows_of(data, name)]
    if kind != "docx":
        return []
    from docx import Document
    from docx.opc.exceptions import PackageNotFoundError
    from docx.table import Table

    try:
        found = []
        for one in Document(BytesIO(data)).iter_inner_content():
            if isinstance(one, Table):
                found.append(readback.Piece(rows=tuple(tuple(cell.text for cell in row.cells) for row in one.rows)))
            else:
                found.append(readback.Piece(one.text))
    except (PackageNotFoundError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise Invalid(
            "file-broken",
            _l("这个文件打不开，可能已损坏。"),
            remedy=_l("请用 Word 或 WPS 打开它，另存为 .docx 后再传。"),
            where=name,
        ) from error
    return found


# ---- decisions of an office above that has no account


def office_to_record(account: Account, found: Application) -> Organisation | None:
    """The office for which this account may record a decision now: it holds the application, nobody can act there, and we are the next below."""
    if (
        found.office_id is None
        or pack_of(found).status_is(found.status) != "waiting"
        or found.office_id == account.organisation_id
    ):
        return None
    if not may(account, service.MANAGERS) or has_account(found.office_id):
        return None
    stations = stations_of(found)
    number = station_at(stations, found.office_id) or 0
    recorder = next(
        (one.office.id for one in reversed(stations[:number]) if has_account(one.office.id)),
        found.filled_by_id or found.school_id,
    )
    return db.session.get(Organisation, found.office_id) if recorder == account.organisation_id else None


def record(actor: Account, application_id: uuid.UUID, form: Mapping[str, str], name: str, scan: bytes) -> Application:
    """Record what the office above decided on paper (上级决定登记): number and day of the paper, its scan; the way goes on as if it had acted that day."""
    number = form.get("number", "").strip()[:60]
    try:
        day = date.fromisoformat(form.get("decided_on", ""))
    except ValueError as error:
        raise Invalid("decided_on", _l("请填写上级文件的日期。"), where="decided_on") from error
    if not number:
        raise Invalid("number", _l("请填写上级文件的文号；没有文号的写“无文号”。"), where="number")
    if day > clock.now().astimezone(ZONE).date():
        raise Invalid("decided_on", _l("上级文件的日期还没有到。"), where="decided_on")
    kind = blobs.check(scan, blobs.SCAN_TYPES, blobs.LARGEST_MB, "file")
    with write() as session:
        found = service.application(actor, application_id)
        session.refresh(found, with_for_update=True)
        decided = office_to_record(actor, found)
        if decided is None:
            raise Refused(
                "record", _l("现在不能代录：申报不在无账号的上级，或应由更近的一级登记。"), remedy=_l("请刷新页面。")
            )
        lock(decided.id)
        stations = stations_of(found)
        place = station_at(stations, decided.id) or 0
        remark = "　".join(filter(None, (f"〔代录〕{number}，{day.isoformat()}", form.get("remark", "").strip())))
        desk = workflow.Desk(stations, place, datetime.combine(day, time(), ZONE), day_in(form.get("due_on")))
        workflow.decide(actor, found, desk, form.get("action", ""), remark)
        session.flush()
        step = service.steps_of(found)[-1]
        file = _keep(actor, found, f"decision:{step.number}", name, kind, scan)
        session.add(
            RecordedDecision(
                id=new_id(), school_id=actor.organisation_id, application_id=found.id, step=step.number, office_id=decided.id, number=number,
                decided_on=day, file_id=file.id, made_by=actor.id,
            )
        )  # fmt: skip
        audit(
            actor,
            "record-decision",
            "application",
            found.id,
            school_id=found.school_id,
            office=str(decided.id),
            step=step.number,
            action_taken=step.action,
        )
    return found


def recorded_of(found: Application) -> dict[int, RecordedDecision]:
    """Steps that were recorded for an office without an account, by number."""
    query = select(RecordedDecision).where(RecordedDecision.application_id == found.id)
    return {row.step: row for row in db.session.scalars(query)}


def facts_of(account: Account, found: Application) -> dict[str, Any]:
    """What the application's page shows: who fills in, steps that were recorded, the office whose decision may be recorded now."""
    return {"filler": filler_name(found), "recorded": recorded_of(found), "records": office_to_record(account, found)}


def editable(found: Application) -> bool:
    """Whether the application may still be filled in."""
    return pack_of(found).status_is(found.status) in EDITABLE
