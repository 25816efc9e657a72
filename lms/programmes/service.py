"""The door of programmes: begin an application, fill it together, see what is missing (申报). Verbs only; rules decide."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select, tuple_

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.programmes import values
from lms.programmes.models import (
    Application,
    ApplicationEdit,
    ApplicationFile,
    ApplicationPart,
    ApplicationStep,
    Filing,
)
from lms.programmes.notices import frozen, kinds_for, lock, open_batches, pack_named, pack_of, stations_of
from lms.programmes.pack import Pack
from lms.programmes.rules import EDITABLE, Lack, WordCount, count_words, lacks_of_part
from lms.roster.models import SchoolStage

MANAGERS = ("school_admin", "officer")
SITTING = timedelta(minutes=10)  # saves of one person no further apart are one line of the history
SITTINGS_SHOWN = 20
Content = dict[str, Any]


def manages(account: Account, application: Application) -> bool:
    """Whether the account speaks for the applicant: admin of the school, officer of the office itself or of the one that fills it in (代填)."""
    return speaks_for(account, application) and may(account, MANAGERS)


def speaks_for(account: Account, application: Application) -> bool:
    """Whether the account's organisation is the applicant, or fills in for one that has no account (代填)."""
    return account.organisation_id in (application.school_id, application.filled_by_id)


def applications_of(organisation_id: uuid.UUID) -> list[Application]:
    """Applications of an organisation, newest first."""
    return list(
        db.session.scalars(
            select(Application).where(Application.school_id == organisation_id).order_by(Application.created_at.desc())
        )
    )


def application(account: Account, application_id: uuid.UUID) -> Application:
    """One that the account may see: its own organisation's, or one that was sent to its office; else NotFound."""
    found = db.session.get(Application, application_id)
    if found is not None and found.school_id == account.organisation_id and may(account, (*MANAGERS, "teacher")):
        return found
    if found is not None and manages(account, found):
        return found
    if found is not None and may(account, ("officer",)):
        seen = select(ApplicationStep.id).where(
            ApplicationStep.to_office_id == account.organisation_id, ApplicationStep.application_id == application_id
        )
        if db.session.scalar(seen.limit(1)) is not None:
            return found
    raise NotFound("application", _l("没有这份申报。"))


def begin(actor: Account, slug: str, kind: str, batch: str) -> Application:
    """Begin an application, or go on with the one that was begun; it keeps the notice's version of this day."""
    if not may(actor, MANAGERS):
        raise NotAllowed("begin-application", _l("请由学校管理员（或部门负责人）开始申报。"))
    return begin_for(actor, db.session.get_one(Organisation, actor.organisation_id), slug, kind, batch)


def begin_for(actor: Account, own: Organisation, slug: str, kind: str, batch: str) -> Application:
    """Begin for an organisation: the actor's own, or one that the actor's office fills in for (its caller has made sure of that)."""
    pack = pack_named(own.id, slug)
    if kind not in {one["id"] for one in kinds_for(pack, own.level)}:
        raise Refused("applicant-level", _l("这个通知的“%(kind)s”不由本单位申报。", kind=kind))
    if batch not in {one["id"] for one in open_batches(pack, clock.now())}:
        raise Refused("batch-closed", _l("这一批已经截止或还没有开始。"), remedy=_l("请选择另一批，或与主管部门联系。"))
    with write() as session:
        lock(own.id)
        known = session.scalar(
            select(Application).where(
                Application.school_id == own.id,
                Application.slug == slug,
                Application.kind == kind,
                Application.batch == batch,
            )
        )
        if known is not None:
            return known
        made = Application(
            id=new_id(),
            school_id=own.id,
            notice_id=frozen(pack).id,
            slug=slug,
            kind=kind,
            batch=batch,
            stages=stages_of(own.id),
            status=pack.status("draft"),
            created_by=actor.id,
            filled_by_id=actor.organisation_id if actor.organisation_id != own.id else None,
        )
        session.add(made)
        session.flush()
        if not stations_of(made):
            raise Refused(
                "no-office",
                _l("系统里还没有本单位的上级主管部门，申报送不出去。"),
                remedy=_l("请管理员先登记上级部门。"),
            )
        audit(
            actor, "begin-application", "application", made.id, school_id=own.id, notice=slug, kind=kind, batch=batch,
            digest=pack.digest, filled_by=str(made.filled_by_id or ""),
        )  # fmt: skip
    return made


def stages_of(school_id: uuid.UUID) -> list[str]:
    """Stages in which the school takes part, lowest first; none for an office."""
    found = db.session.scalars(
        select(SchoolStage.stage).where(SchoolStage.school_id == school_id, SchoolStage.participates.is_(True))
    )
    return sorted(found, key=("kindergarten", "primary", "junior", "senior").index)


def parts_of(application: Application) -> dict[str, ApplicationPart]:
    """What was written, by key."""
    return {
        row.key: row
        for row in db.session.scalars(select(ApplicationPart).where(ApplicationPart.application_id == application.id))
    }


def content_of(application: Application) -> Content:
    """Values by key."""
    return {key: row.value["value"] for key, row in parts_of(application).items()}


def last_filed(application: Application, at: datetime | None = None) -> Filing | None:
    """What it was handed in with: the last time, or the last one until ``at``."""
    query = select(Filing).where(Filing.application_id == application.id).order_by(Filing.step.desc())
    return db.session.scalars(query.where(Filing.created_at <= at) if at else query).first()


def filed_of(application: Application) -> Filing | None:
    """What it stands for as it was handed in; None while it may be edited."""
    return None if pack_of(application).status_is(application.status) in EDITABLE else last_filed(application)


def content_filed(filing: Filing) -> Content:
    """Values by key as they were handed in."""
    rows = db.session.scalars(
        select(ApplicationEdit).where(
            ApplicationEdit.application_id == filing.application_id,
            tuple_(ApplicationEdit.key, ApplicationEdit.edition).in_(filing.editions.items()),
        )
    )
    return {row.key: row.value["value"] for row in rows}


def files_of(application: Application) -> list[ApplicationFile]:
    """Files that are there, oldest first."""
    query = select(ApplicationFile).where(
        ApplicationFile.application_id == application.id, ApplicationFile.removed_at.is_(None)
    )
    return list(db.session.scalars(query.order_by(ApplicationFile.created_at)))


def steps_of(application: Application) -> list[ApplicationStep]:
    """The steps, oldest first."""
    return list(
        db.session.scalars(
            select(ApplicationStep)
            .where(ApplicationStep.application_id == application.id)
            .order_by(ApplicationStep.number)
        )
    )


def recommended(found: Application, kind: str) -> list[Application]:
    """Applications of a kind that the applicant, as an office, recommended (or granted) in this batch, in the order in which it did."""
    pack = pack_of(found)
    query = (
        select(Application)
        .join(ApplicationStep, ApplicationStep.application_id == Application.id)
        .where(
            Application.slug == found.slug,
            Application.batch == found.batch,
            Application.kind == kind,
            ApplicationStep.by_office_id == found.school_id,
            ApplicationStep.action.in_(("recommend", "grant")),
        )
        .order_by(ApplicationStep.created_at, ApplicationStep.id)
    )
    out = ("draft", "withdrawn", "refused")
    rows = list(dict.fromkeys(db.session.scalars(query)))
    return [row for row in rows if pack.status_is(row.status) not in out and row.office_id != found.school_id]


def may_write(account: Account, found: Application, row: ApplicationPart | None) -> bool:
    """Whether the account may write in a part now: who speaks for the applicant, or the part's owner (责任人)."""
    if pack_of(found).status_is(found.status) not in EDITABLE or not speaks_for(account, found):
        return False
    return manages(account, found) or (row is not None and row.owner_id == account.id)


@dataclass(frozen=True)
class Saved:
    """A save: the part's new edition and its 字数."""

    edition: int
    words: WordCount


def save_part(actor: Account, application_id: uuid.UUID, key: str, raw: Any, base: int) -> Saved:
    """Save a part that was read at edition ``base`` (0: nothing stood there).

    Raises Refused (``conflict``) with what another person saved meanwhile (facts ``theirs``, ``edition``, ``by``): people merge, nothing is lost.
    """
    found = application(actor, application_id)
    pack = pack_of(found)
    if key not in pack.keys_of(found.kind):
        raise NotFound("part", _l("申报表里没有这一部分。"))
    part = pack.part(key)
    try:
        value = values.clean(part, raw, pack.choices(part.get("choices", "")))
    except ValueError as error:
        raise Invalid("part-value", _l("没有保存：%(why)s。", why=str(error)), where=key) from error
    with write() as session:
        session.refresh(found, with_for_update=True)
        row = session.scalar(
            select(ApplicationPart).where(
                ApplicationPart.school_id == found.school_id,
                ApplicationPart.application_id == found.id,
                ApplicationPart.key == key,
            )
        )
        if not may_write(actor, found, row):
            raise NotAllowed(
                "part",
                _l("您现在不能修改这一部分。"),
                remedy=_l("已提交的申报要先撤回或被退回；别人负责的部分请找负责人。"),
            )
        held = row.edition if row is not None else 0
        if row is not None and row.value["value"] == value:
            return Saved(held, words_of(found, key))
        if held != base:
            assert row is not None
            by = session.get(Account, row.saved_by) if row.saved_by else None
            raise Refused(
                "conflict",
                _l("%(name)s 刚才改了同一部分，您的内容还没有保存。", name=by.display_name if by else "-"),
                remedy=_l("请对照两份内容合并后再保存。"),
                where=key,
                theirs=row.value["value"],
                edition=held,
                by=by.display_name if by else "",
            )
        if row is None:
            row = ApplicationPart(
                id=new_id(), school_id=found.school_id, application_id=found.id, key=key, value={}, edition=0
            )
            session.add(row)
        row.value, row.edition, row.saved_by, row.saved_at = {"value": value}, held + 1, actor.id, clock.now()
        session.add(
            ApplicationEdit(
                id=new_id(),
                school_id=found.school_id,
                application_id=found.id,
                key=key,
                edition=row.edition,
                value=row.value,
                saved_by=actor.id,
            )
        )
        session.flush()
        return Saved(row.edition, words_of(found, key))


def set_owner(actor: Account, application_id: uuid.UUID, key: str, owner_id: uuid.UUID | None) -> None:
    """Give a part to a member of staff of the applicant (责任人), or to nobody."""
    found = application(actor, application_id)
    if not manages(actor, found):
        raise NotAllowed("owner", _l("请由学校管理员（或部门负责人）分工。"))
    owner = db.session.get(Account, owner_id) if owner_id else None
    if owner_id and (owner is None or owner.organisation_id != found.school_id or owner.kind != "staff"):
        raise Invalid("owner", _l("本单位没有这位教职工。"), where="owner")
    if key not in pack_of(found).keys_of(found.kind):
        raise NotFound("part", _l("申报表里没有这一部分。"))
    with write() as session:
        session.refresh(found, with_for_update=True)
        row = session.scalar(
            select(ApplicationPart).where(ApplicationPart.application_id == found.id, ApplicationPart.key == key)
        )
        if row is None:
            row = ApplicationPart(
                id=new_id(),
                school_id=found.school_id,
                application_id=found.id,
                key=key,
                edition=0,
                value={"value": values.empty(pack_of(found).part(key))},
            )
            session.add(row)
        row.owner_id = owner.id if owner else None
        audit(
            actor, "part-owner", "application", found.id, school_id=found.school_id, part=key, owner=str(owner_id or "")
        )


def history_of(account: Account, application_id: uuid.UUID, key: str) -> list[tuple[ApplicationEdit, str]]:
    """Saved states of a part with who saved them, newest first: of what one person saved in one go (``SITTING``) the last, at most 20."""
    found = application(account, application_id)
    if not speaks_for(account, found):
        raise NotFound("application", _l("没有这份申报。"))
    mine = (ApplicationEdit.application_id == found.id, ApplicationEdit.key == key)
    saves = select(ApplicationEdit.id, ApplicationEdit.saved_by, ApplicationEdit.created_at).where(*mine)
    kept: list[uuid.UUID] = []
    later: tuple[uuid.UUID | None, datetime] | None = None
    for edit_id, by, at in db.session.execute(saves.order_by(ApplicationEdit.edition.desc())):
        if later is None or by != later[0] or later[1] - at > SITTING:
            kept.append(edit_id)
        later = (by, at)
    query = select(ApplicationEdit, Account.display_name).outerjoin(Account, Account.id == ApplicationEdit.saved_by)
    rows = db.session.execute(
        query.where(ApplicationEdit.id.in_(kept[:SITTINGS_SHOWN])).order_by(ApplicationEdit.edition.desc())
    )
    return [(edit, name or "") for edit, name in rows]


def restore_part(actor: Account, application_id: uuid.UUID, key: str, wanted: int, base: int) -> Saved:
    """A part as it stood in an earlier edition, saved as a new one; raises what :func:`save_part` raises."""
    found = application(actor, application_id)
    if not speaks_for(actor, found):
        raise NotFound("application", _l("没有这份申报。"))
    edit = db.session.scalar(
        select(ApplicationEdit).where(
            ApplicationEdit.application_id == found.id, ApplicationEdit.key == key, ApplicationEdit.edition == wanted
        )
    )
    if edit is None:
        raise NotFound("part", _l("没有这一版。"))
    return save_part(actor, application_id, key, edit.value["value"], base)


def words_of(found: Application, key: str, content: Mapping[str, Any] | None = None) -> WordCount:
    """字数 of a part and the limit it stands under; an answer is printed behind its number, which Word counts too."""
    pack, held = pack_of(found), content if content is not None else content_of(found)
    form, limit = key.split(".")[0], pack.limit_of(key)
    counted = count_words(limit, form, key, held)
    keys = [f"{form}.{one}" for one in limit["parts"]] if limit else [key]
    answers = [held.get(one) or {} for one in keys if pack.part(one)["type"] == "answers"]
    return replace(
        counted, count=counted.count + sum(bool(str(text).strip()) for one in answers for text in one.values())
    )


def lacks_of(found: Application) -> list[Lack]:
    """Everything that is missing or wrong; the hard ones stop the submission."""
    pack, content = pack_of(found), content_of(found)
    choices = pack.document.get("choices", {})
    lacks: list[Lack] = []
    seen: set[str] = set()
    if pack.kind(found.kind).get("stages") and not stages_of(found.school_id):
        lacks.append(Lack("stages", "还没有登记参与的学段：请管理员在“学校”里设置"))
    for key in pack.keys_of(found.kind):
        part = pack.part(key)
        lacks += lacks_of_part(part, key, content.get(key))
        lacks += [
            Lack(key, f"{part['heading'] or '封面'}：{one}") for one in values.faults(part, content.get(key), choices)
        ]
        lacks += _over(pack, found, key, content, seen)
    slots = {row.slot for row in files_of(found)}
    lacks += [
        Lack(f"file:{one['id']}", f"缺少附件：{one['name']}")
        for one in pack.attachments_of(found.kind)
        if one.get("required") and one["id"] not in slots
    ]
    return lacks


def _over(pack: Pack, found: Application, key: str, content: Mapping[str, Any], seen: set[str]) -> list[Lack]:
    limit = pack.limit_of(key)
    count = words_of(found, key, content)
    if limit is None or count.standing != "over" or str(limit) in seen:
        return []
    seen.add(str(limit))
    return [
        Lack(
            key,
            f"{pack.part(key)['heading']}：{count.count} 字，超过 {count.most} 字，请删去 {count.count - count.most} 字",
        )
    ]
