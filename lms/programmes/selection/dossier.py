"""What an expert reads of one applicant (评审材料): every claim marked 系统数据, with the evidence grade, or 学校自述."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Refused
from lms.core.models import Organisation
from lms.core.stages import STAGE_NAMES
from lms.programmes import drafts, selfcheck
from lms.programmes.models import Application, ApplicationFile
from lms.programmes.notices import pack_of
from lms.programmes.pack import Pack
from lms.programmes.selection import behalf
from lms.programmes.service import content_of, filed_of, files_of
from lms.programmes.teaching import today
from lms.roster.models import School
from lms.usage.evidence.anchors import Standing
from lms.usage.judging.gathering import term_for
from lms.usage.models import VOID, UsageRecord

SYSTEM, OWN = "系统数据", "学校自述"
_PRIVATE = ("手机", "电话", "微信", "E-mail", "邮箱", "身份证")
_DECLARED = ("", "学校自述", "申报表")


@dataclass(frozen=True)
class Claim:
    """A claim with where it comes from: ``mark`` SYSTEM or OWN; ``grade`` in words where lessons stand behind it."""

    title: str
    mark: str
    grade: str = ""
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Section:
    """A section: a bookmark of the PDF."""

    title: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Dossier:
    """All of it."""

    applicant: str
    notice: str
    kind: str
    stages: str
    filled_by: str
    sections: tuple[Section, ...]
    files: tuple[ApplicationFile, ...]
    slots: Mapping[str, str]
    simulated: bool


def dossier_of(found: Application) -> Dossier:
    """Everything about one applicant that an expert may read."""
    pack, content = pack_of(found), content_of(found)
    lines = selfcheck.lines_of(found, filed_of(found))
    sections = [Section("资格自查", tuple(_check(found, lines)))]
    answers = {line.criterion["id"]: line for line in lines}
    for name in pack.kind(found.kind)["forms"]:
        claims = [
            claim
            for key in pack.keys_of(found.kind)
            if key.split(".", 1)[0] == name and key in content
            for claim in _claims(pack, found, key, content[key], answers)
        ]
        if claims:
            sections.append(Section(pack.form(name)["title"], tuple(claims)))
    slots = slots_of(pack, found)
    files = files_of(found)
    return Dossier(
        applicant=db.session.get_one(Organisation, found.school_id).name,
        notice=pack.title,
        kind=pack.kind(found.kind)["name"],
        stages="、".join(STAGE_NAMES[one] for one in found.stages if one in STAGE_NAMES),
        filled_by=behalf.filler_name(found),
        sections=tuple(sections),
        files=tuple(one for slot in slots for one in files if one.slot == slot),
        slots=slots,
        simulated=current_app.config["ZHIKE"].origin == "simulated",
    )


def slots_of(pack: Pack, found: Application) -> dict[str, str]:
    """Slots whose files an expert may read: what the notice asks for; not what was sent to the office, nor papers of offices."""
    asked = {one["id"]: one["name"] for one in pack.attachments_of(found.kind)}
    return asked | {f"scan:{one['id']}": "盖章页扫描件" for one in pack.documents_of(found.kind)}


def _check(found: Application, lines: Sequence[selfcheck.Line]) -> list[Claim]:
    claims = []
    for line in lines:
        declared = line.outcome.source in _DECLARED
        grade = grades_of(found.school_id) if line.criterion["measure"] == "usage" else ""
        text = "　".join(
            filter(
                None,
                (
                    f"{line.state_name}：{line.outcome.figure}".rstrip("："),
                    f"来源：{line.outcome.source}" if line.outcome.source else "",
                ),
            )
        )
        claims.append(
            Claim(
                f"{line.criterion.get('clause', line.criterion['id'])} {line.criterion['text']}",
                OWN if declared else SYSTEM,
                grade,
                text,
            )
        )
    return claims


def grades_of(school_id: uuid.UUID) -> str:
    """How many lesson records of this term stand at which grade of evidence, in words; "" where there is no school or none."""
    if db.session.get(School, school_id) is None:
        return ""
    try:
        term = term_for(school_id, today())
    except Refused:
        return ""
    rows = db.session.scalars(
        select(UsageRecord).where(
            UsageRecord.school_id == school_id, UsageRecord.lesson_on.between(term.starts_on, term.ends_on)
        )
    ).all()
    replaced, standing = {row.corrects_id for row in rows}, Standing(school_id, clock.now())
    grades = [standing.of(row)[0] for row in rows if row.id not in replaced and row.kind != VOID]
    if not grades:
        return "本学期还没有开课记录"
    return "证据等级 " + "、".join(f"{one} {grades.count(one)} 课次" for one in "ABC")


def _claims(pack: Pack, found: Application, key: str, value: Any, answers: Mapping[str, selfcheck.Line]) -> list[Claim]:
    part = pack.part(key)
    title = part["heading"] or ("封面" if key.endswith(".cover") else "表尾")
    kind = part["type"]
    if kind == "answers":
        claims = []
        for name in part["criteria"]:
            claims.append(Claim(f"{name} {pack.criterion(name)['text']}", OWN, "", str((value or {}).get(name, ""))))
            line = answers.get(name)
            if line is not None and line.outcome.source not in _DECLARED:
                claims.append(
                    Claim("", SYSTEM, "", f"{line.state_name}：{line.outcome.figure}（来源：{line.outcome.source}）")
                )
        return claims
    if kind == "text":
        return [Claim(title, OWN, "", str(value))] if value else []
    if kind == "choices":
        return [Claim(title, OWN, "", "、".join(value))] if value else []
    if kind == "fields":
        pairs = tuple((str(one["label"]), _shown(one, value)) for one in part["fields"] if (value or {}).get(one["id"]))
        return [Claim(title, OWN, "", "", ("项目", "内容"), pairs)] if pairs else []
    rows = tuple(tuple(_shown(one, row) for one in part["columns"]) for row in value or ())
    if not rows:
        return []
    mark, grade = _origin(part, found, value)
    return [Claim(title, mark, grade, "", tuple(one["label"] for one in part["columns"]), rows)]


def _shown(field: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """What stands in a field; telephones, addresses of mail and the like are no business of experts."""
    text = str(row.get(field["id"], ""))
    private = field.get("type") in ("phone", "email") or any(one in field["label"] for one in _PRIVATE)
    return "（略）" if text and private else text


def _origin(part: Mapping[str, Any], found: Application, value: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Whether the rows of a table are the system's own, and what to say beside it."""
    draft = drafts.DRAFTS.get(str(part.get("fill", "")))
    if draft is None:
        return OWN, ""
    columns = [one["id"] for one in part["columns"]]
    known = [{name: str(row.get(name, "")) for name in columns} for row in draft.rows(found, dict(part))]
    same = sum({name: str(row.get(name, "")) for name in columns} in known for row in value)
    if same == len(value):
        return SYSTEM, f"来源：{draft.source}，未改动"
    return OWN, f"{same} / {len(value)} 行与系统记录（{draft.source}）一致"
