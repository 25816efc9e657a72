"""Notices that are open here: those that ship and those that offices made, and the version an application keeps (通知版本)."""

from __future__ import annotations

import json
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from io import BytesIO
from typing import Any

import yaml
from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Account, Organisation
from lms.courses.yaml_lines import load
from lms.programmes.dates import ZONE, channel_of, day_of, due_at, end_of, working_day
from lms.programmes.models import Application, ApplicationStep, NoticeVersion, OfficeDate
from lms.programmes.originals.files import held, take_in, template_faults
from lms.programmes.pack import SHIPPED, Document, Pack, Problem, check_texts, shipped, texts_in
from lms.programmes.regions import Place, concerns
from lms.programmes.rules import Office, Station, station_at, way

LARGEST = 2_000_000  # bytes of a pack's texts together
MEND_DAYS = 3  # working days that an applicant has at least for what was returned, unless the office says otherwise


def above(organisation_id: uuid.UUID) -> list[Office]:
    """Offices above an organisation, lowest first; each is read once a session."""
    own = db.session.get_one(Organisation, organisation_id)
    ids = [uuid.UUID(one) for one in own.path.split("/") if one and one != own.id.hex]
    rows = [row for one in reversed(ids) if (row := db.session.get(Organisation, one)) is not None]
    return [Office(row.id, row.level, row.name, row.code) for row in rows]


def lock(organisation_id: uuid.UUID) -> None:
    """One after another for this organisation, until the open write ends; rows that refer to it may still be written."""
    db.session.execute(
        select(Organisation.id).where(Organisation.id == organisation_id).with_for_update(key_share=True)
    )


def packs_for(organisation_id: uuid.UUID) -> list[Pack]:
    """Notices that the organisation may look at: shipped ones, and those of offices above it or of its own, the newest version of each.

    Those for another region are left out (适用地区).
    """
    ids = [organisation_id, *(one.id for one in above(organisation_id))]
    rows = [db.session.get_one(Organisation, one) for one in ids]
    places = [Place(one.level, one.name, one.code) for one in rows]
    found = dict(shipped())
    query = select(NoticeVersion).where(NoticeVersion.school_id.in_(ids)).order_by(NoticeVersion.created_at)
    found |= {row.slug: Pack(row.document) for row in db.session.scalars(query)}
    return [pack for pack in found.values() if concerns(pack.document.get("region", ()), places)]


def pack_named(organisation_id: uuid.UUID, slug: str) -> Pack:
    """The newest version of a notice; NotFound."""
    for pack in packs_for(organisation_id):
        if pack.slug == slug:
            return pack
    raise NotFound("notice", _l("没有这个通知。"))


def frozen(pack: Pack) -> NoticeVersion:
    """The row that keeps this version, made where it is missing; in the open write."""
    query = select(NoticeVersion).where(NoticeVersion.slug == pack.slug, NoticeVersion.digest == pack.digest)
    found = db.session.scalar(query)
    if found is not None:
        return found
    made = NoticeVersion(id=new_id(), slug=pack.slug, version=pack.version, digest=pack.digest, document=pack.document)
    try:
        with db.session.begin_nested():
            db.session.add(made)
    except IntegrityError:  # another school began at the same moment
        return db.session.scalars(query).one()
    return made


def pack_of(application: Application) -> Pack:
    """The notice as it stood when the application began."""
    return _version(application.notice_id)


@lru_cache(maxsize=128)
def _version(notice_id: uuid.UUID) -> Pack:
    """A kept version; it never changes (append-only), so that a page reads its text once."""
    return Pack(db.session.get_one(NoticeVersion, notice_id).document)


def publish(actor: Account, texts: dict[str, str]) -> NoticeVersion:
    """An office puts a notice of its own in force for those below; raises Invalid naming file, line and cause."""
    office = db.session.get_one(Organisation, actor.organisation_id)
    if office.level == "school" or not may(actor, ("officer",)):
        raise NotAllowed("publish-notice", _l("只有主管部门可以发布通知。"))
    pack, problems = checked(texts)
    if pack is not None and pack.slug in shipped():
        problems = [Problem("pack.yaml", 1, f"{pack.slug} 是随附的通知，请在 notice 里换一个名字")]
    if pack is None or problems:
        raise Invalid(
            "notice-pack",
            _l("通知包有误：%(problem)s", problem=str(problems[0])),
            where="pack",
            problems=[str(one) for one in problems],
        )
    with write() as session:
        other = session.scalar(
            select(NoticeVersion.id).where(
                NoticeVersion.slug == pack.slug,
                or_(NoticeVersion.school_id != office.id, NoticeVersion.school_id.is_(None)),
            )
        )
        if other is not None:
            raise Invalid("notice-name", _l("别的部门已经用了通知名 %(name)s。", name=pack.slug), where="notice")
        row = session.scalar(
            select(NoticeVersion).where(NoticeVersion.slug == pack.slug, NoticeVersion.digest == pack.digest)
        )
        if row is None:
            row = NoticeVersion(
                id=new_id(),
                school_id=office.id,
                slug=pack.slug,
                version=pack.version,
                digest=pack.digest,
                document=json.loads(pack.text),
                created_by=actor.id,
            )
            session.add(row)
            days = {one["id"]: one["due"] for one in pack.document["batches"]}  # they hold for who began before, too
            audit(actor, "publish-notice", "notice_version", row.id, version=pack.version, digest=pack.digest, due=days)
    return row


def checked(texts: dict[str, str]) -> tuple[Pack | None, list[Problem]]:
    """As :func:`check_texts`, and whether the forms' own files are here and have the places that are bound."""
    pack, problems = check_texts(texts)
    if pack is None:
        return None, problems
    for name, form in pack.document["forms"].items():
        if "template" in form:
            file = f"forms/{name}.yaml"
            lines = load(texts[file])[1]
            problems += [
                Problem(file, lines.get(("template", "bindings", number), lines[("template",)]), cause)
                for number, cause in template_faults(form, held(form["template"]))
            ]
    return pack, problems


def texts_of(files: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """Texts of an uploaded pack by their names in it, from loose files or a zip; raises Invalid naming the file that is none of a pack."""
    if len(files) == 1 and files[0][1].startswith(b"PK"):
        try:
            with zipfile.ZipFile(BytesIO(files[0][1])) as archive:
                members = [one for one in archive.infolist() if not one.is_dir()]
                if sum(one.file_size for one in members) > LARGEST:
                    raise Invalid("notice-size", _l("通知包太大。"), where="files")
                files = [(one.filename, archive.read(one)) for one in members]
        except zipfile.BadZipFile as error:
            raise Invalid("notice-zip", _l("压缩包打不开。"), where="files") from error
    found: dict[str, str] = {}
    for name, data in files:
        short = name.replace("\\", "/").rsplit("/", 1)[-1]
        if short.endswith((".docx", ".xlsx")):
            take_in(short, data)  # a form names it by its SHA-256
            continue
        if not short.endswith(".yaml"):
            raise Invalid(
                "notice-file",
                _l("“%(name)s”不是 .yaml 文件。", name=name or "-"),
                remedy=_l("请选择 pack.yaml 和 forms 文件夹里的全部文件，或把它们压成一个 zip。"),
                where="files",
            )
        try:
            found[short if short == "pack.yaml" else f"forms/{short}"] = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Invalid("notice-file", _l("“%(name)s”不是 UTF-8 文字。", name=name), where="files") from error
    return found


def texts_for(pack: Pack) -> dict[str, str]:
    """``pack.yaml`` and ``forms/…`` of a pack: of a shipped one with its comments, else written anew."""
    folder = SHIPPED / pack.slug
    known = shipped().get(pack.slug)
    if known is not None and known.digest == pack.digest:
        return texts_in(folder)
    head = {key: value for key, value in pack.document.items() if key != "forms"}
    documents = {"pack.yaml": head} | {f"forms/{name}.yaml": form for name, form in pack.document["forms"].items()}
    return {
        name: yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=200)
        for name, document in documents.items()
    }


def as_files(pack: Pack) -> bytes:
    """A zip of the pack's texts, and of the office's own files that its forms are written into (``files/…``)."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts_for(pack).items():
            archive.writestr(name, text)
        for form in pack.document["forms"].values():
            if "template" in form and (data := held(form["template"])) is not None:
                archive.writestr(f"files/{form['template']['name']}", data)
    return stream.getvalue()


# ---- dates (B9)


@dataclass(frozen=True)
class Due:
    """When an application must have come to an office: the day, whether it is past, how papers are sent; ``by``: the later version that moved it."""

    office: Office
    day: date | None
    over: bool
    channel: str = ""
    by: str = ""


def stations_of(application: Application) -> tuple[Station, ...]:
    """The way of an application."""
    return way(pack_of(application).kind(application.kind), above(application.school_id))


@dataclass(frozen=True)
class Days:
    """What the days of many applications are judged by, read at once: offices' own days by (office, notice, batch), days of returns by application.

    ``held``: the applicants and all offices above them: while they are held, nobody asks the database for them again.
    """

    offices: Mapping[tuple[uuid.UUID, str, str], date]
    returns: Mapping[uuid.UUID, date]
    held: tuple[Organisation, ...]


def days_for(found: Sequence[Application], more: Sequence[Organisation] = ()) -> Days:
    """For these applications, and for organisations that may have none yet; four questions, however many there are."""
    own = db.session.scalars(select(Organisation).where(Organisation.id.in_({one.school_id for one in found}))).all()
    ids = {uuid.UUID(part) for one in (*own, *more) for part in one.path.split("/") if part}
    higher = db.session.scalars(select(Organisation).where(Organisation.id.in_(ids))).all()
    dates = db.session.scalars(select(OfficeDate).where(OfficeDate.school_id.in_(ids)))
    back = [one.id for one in found if pack_of(one).status_is(one.status) == "returned"]
    steps = select(ApplicationStep.application_id, ApplicationStep.due_on).where(ApplicationStep.application_id.in_(back))
    latest = {row[0]: row[1] for row in db.session.execute(steps.order_by(ApplicationStep.number))}
    return Days(
        {(row.school_id, row.slug, row.batch): row.due_on for row in dates},
        {key: day for key, day in latest.items() if day is not None},
        (*own, *higher, *more),
    )


def due_of(
    pack: Pack, batch: str, stations: Sequence[Station], number: int, now: datetime, days: Days | None = None
) -> Due:
    """When it must have come to station ``number``, by the newest dates that the notice's own issuer published; ``days``: read before, for many."""
    newest = _newest(pack, batch)
    offices = [one.office for one in stations[number:]]
    if days is None:
        query = select(OfficeDate).where(
            OfficeDate.slug == pack.slug,
            OfficeDate.batch == batch,
            OfficeDate.school_id.in_([one.id for one in offices]),
        )
        set_by = {row.school_id: row.due_on for row in db.session.scalars(query)}
    else:
        set_by = {one.id: day for one in offices if (day := days.offices.get((one.id, pack.slug, batch)))}
    own = {one.level: set_by[one.id] for one in offices if one.id in set_by}
    names, levels_on = names_of(offices), [one.level for one in offices]
    day, was = (due_at(one.batch(batch), levels_on, offices[0].level, own, names) for one in (newest, pack))
    over, moved = day is not None and now >= end_of(day), newest.version if day != was else ""
    return Due(offices[0], day, over, channel_of(newest.batch(batch), stations[number]), moved)


def names_of(offices: Sequence[Office]) -> list[str]:
    """Names and codes by which a notice may mean an office."""
    return [text for one in offices for text in (one.name, one.code) if text]


def _newest(pack: Pack, batch: str) -> Pack:
    """The newest version of the notice by the same issuer that still has the batch: its dates hold for those who began before (延期)."""
    if pack.slug in shipped():
        found = shipped()[pack.slug]
    else:
        query = select(NoticeVersion.id).where(NoticeVersion.slug == pack.slug, NoticeVersion.school_id.is_not(None))
        row = db.session.scalar(query.order_by(NoticeVersion.created_at.desc(), NoticeVersion.id.desc()).limit(1))
        found = _version(row) if row is not None else pack
    later = found.version != pack.version and any(one["id"] == batch for one in found.document["batches"])
    return found if later else pack


def own_due(found: Application, now: datetime, days: Days | None = None) -> Due | None:
    """By when the applicant must hand it in: of what was returned the day that the office set (补正期限); None where nobody stands above."""
    stations = stations_of(found)
    if not stations:
        return None
    number = station_at(stations, found.office_id) or 0 if found.office_id else 0
    if pack_of(found).status_is(found.status) == "returned":
        query = select(ApplicationStep.due_on).where(ApplicationStep.application_id == found.id)
        asked = query.order_by(ApplicationStep.number.desc()).limit(1)
        day = days.returns.get(found.id) if days else db.session.scalar(asked)
        if day is not None:
            return Due(stations[number].office, day, now >= end_of(day))
    return due_of(pack_of(found), found.batch, stations, number, now, days)


def mend_days(found: Application, stations: Sequence[Station], number: int, now: datetime) -> tuple[date, date | None]:
    """The day proposed for putting right what station ``number`` returns, and the last one possible: the day by which that office must pass it on.

    Proposed: in ``MEND_DAYS`` working days, or the office's own day where that is later.
    """
    pack, last = pack_of(found), None
    if number + 1 < len(stations):
        last = due_of(pack, found.batch, stations, number + 1, now).day
    usual = working_day(now.astimezone(ZONE).date(), MEND_DAYS)
    usual = max(usual, due_of(pack, found.batch, stations, number, now).day or usual)
    return (min(usual, last) if last else usual), last


def set_date(actor: Account, slug: str, batch: str, day: date) -> OfficeDate:
    """An office sets an earlier day for what comes to it; raises Invalid for a later one (B9)."""
    office = db.session.get_one(Organisation, actor.organisation_id)
    pack = pack_named(office.id, slug)
    limit = due_at(
        _batch(pack, batch),
        [one.level for one in above(office.id)],
        office.level,
        None,
        names_of([Office(office.id, office.level, office.name, office.code)]),
    )
    if limit is not None and day > limit:
        raise Invalid(
            "office-date",
            _l("上级的截止日是 %(limit)s，本级只能提前，不能推后。", limit=limit.isoformat()),
            where="due_on",
            clause="B9",
        )
    with write() as session:
        lock(office.id)
        row = session.scalar(
            select(OfficeDate).where(
                OfficeDate.school_id == office.id, OfficeDate.slug == slug, OfficeDate.batch == batch
            )
        )
        if row is None:
            row = OfficeDate(id=new_id(), school_id=office.id, slug=slug, batch=batch, due_on=day)
            session.add(row)
        row.due_on, row.set_by = day, actor.id
        audit(actor, "office-date", "notice", slug, batch=batch, day=day.isoformat())
    return row


def _batch(pack: Pack, name: str) -> Document:
    try:
        return pack.batch(name)
    except KeyError as error:
        raise NotFound("batch", _l("没有这个批次。")) from error


def open_batches(pack: Pack, now: datetime) -> list[Document]:
    """Batches that have opened and whose last day has not passed; one without a day is open until its outcome is known (``kept``)."""
    today = now.astimezone(ZONE).date()
    return [one for one in pack.document["batches"] if _is_open(one, today)]


def _is_open(batch: Document, today: date) -> bool:
    last = max((day_of(day) for day in batch["due"].values()), default=None)
    return day_of(batch.get("opens", "2000-01-01")) <= today and (last >= today if last else "kept" not in batch)


def kinds_for(pack: Pack, level: str) -> list[dict[str, Any]]:
    """Kinds that an organisation of this level may apply for."""
    return [one for one in pack.document["kinds"] if level in one["applicant"]]


def now() -> datetime:
    """Server time: what a receipt says and a deadline is judged by."""
    return clock.now()
