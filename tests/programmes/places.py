"""A made-up tree of offices and schools with their people, and the shortest way to fill an application in."""

from __future__ import annotations

import uuid
from typing import Any

from lms.core.auth import hash_password
from lms.core.db import db, new_id, write
from lms.core.models import Account, Organisation, RoleGrant
from lms.programmes import attachments, notices, papers, service
from lms.programmes.models import Application
from lms.programmes.pack import Document
from lms.roster.models import School, SchoolStage
from tests.factories import PASSWORD

PDF = b"%PDF-1.4\n% made up\n%%EOF\n"


def organisation(level: str, name: str, above: Organisation | None = None, code: str = "") -> Organisation:
    with write():
        made = Organisation(
            id=new_id(), parent_id=above.id if above else None, level=level, name=name, code=code, path=""
        )
        made.path = f"{above.path if above else ''}{made.id.hex}/"
        db.session.add(made)
        db.session.flush()
    return made


def school(name: str, above: Organisation, stages: tuple[str, ...] = ("primary",), code: str = "") -> Organisation:
    made = organisation("school", name, above, code or f"36{uuid.uuid4().int % 10**8:08d}")
    with write():
        db.session.add(School(id=made.id, school_type="小学"))
        db.session.flush()
        db.session.add_all(
            SchoolStage(school_id=made.id, stage=one, class_hour_minutes=40, solution_config=2) for one in stages
        )
    return made


def person(where: Organisation, role: str = "", name: str = "") -> Account:
    role = role or ("school_admin" if where.level == "school" else "officer")
    with write():
        made = Account(
            id=new_id(),
            organisation_id=where.id,
            kind="staff",
            username=f"{role}-{uuid.uuid4().hex[:8]}",
            display_name=name or f"{where.name}经办人",
            password_hash=hash_password(PASSWORD),
        )
        db.session.add(made)
        db.session.flush()
        db.session.add(RoleGrant(account_id=made.id, role=role, organisation_id=where.id))
    return made


def tree() -> dict[str, Organisation]:
    """nation → province → city → county, and a school at each level below the province."""
    nation = organisation("nation", "全国")
    province = organisation("province", "甲省", nation)
    city = organisation("city", "乙市", province)
    county = organisation("county", "丙县", city)
    return {
        "nation": nation, "province": province, "city": city, "county": county,
        "school": school("丙县一小", county), "city-school": school("乙市实验小学", city), "province-school": school("甲省附小", province),
    }  # fmt: skip


def fill_in(actor: Account, found: Application) -> None:
    """Write something right in every part, hand in every attachment that is needed, and a scan of every document that is sealed."""
    write_up(actor, found)
    seal(actor, found)


def write_up(actor: Account, found: Application) -> None:
    """Write something right in every part, and hand in every attachment that is needed; nothing is sealed yet."""
    pack = notices.pack_of(found)
    for key in pack.keys_of(found.kind):
        part = pack.part(key)
        if "collect" not in part:
            service.save_part(actor, found.id, key, some(part, pack.document), _edition(found, key))
    for one in pack.attachments_of(found.kind):
        if one.get("required"):
            attachments.add_file(actor, found.id, one["id"], "附件.pdf", PDF)


def seal(actor: Account, found: Application) -> None:
    """Hand in a scan of every document that is sealed, as it stands now."""
    for name, code in papers.codes_of(found).items():
        attachments.add_file(actor, found.id, f"scan:{name}", "盖章页.pdf", PDF, code)


def _edition(found: Application, key: str) -> int:
    row = service.parts_of(found).get(key)
    return row.edition if row else 0


def some(part: Document, document: Document) -> Any:
    kind = part["type"]
    if kind == "text":
        return "、".join(part.get("must_show", ())) or "基本情况良好。"
    if kind == "answers":
        return dict.fromkeys(part["criteria"], "已具备。")
    if kind == "choices":
        themes = part.get("themes")
        return (
            [themes["needs"], *[one for one in document["choices"][part["choices"]] if one != themes["needs"]][:1]]
            if themes
            else document["choices"][part["choices"]][:1]
        )
    if kind == "fields":
        return {
            one["id"]: _cell(one, document) for one in part["fields"] if not one.get("by_hand") and not one.get("from")
        }
    return [
        {one["id"]: _cell(one, document) for one in part["columns"]}
        for _number in range(part.get("rows", {}).get("least", 1))
    ]


def _cell(field: Document, document: Document) -> str:
    if "choices" in field:
        return str(document["choices"][field["choices"]][0])
    samples = {
        "phone": "13800000000",
        "email": "a@example.cn",
        "date": "2026-11-20",
        "number": "3",
        "credit-code": "91350100M000100Y43",
    }
    return samples.get(field.get("type", ""), f"某{field['label'][:4]}" if field["id"] != "title" else "高级教师")
