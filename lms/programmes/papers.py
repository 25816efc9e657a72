"""Documents of an application (导出): Word, PDF and Excel from the same blocks, and the zip with the names that the notice mandates."""

from __future__ import annotations

import uuid
import zipfile
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

from flask import current_app, render_template
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import paper, word
from lms.core.db import db
from lms.core.errors import NotFound
from lms.core.models import Organisation
from lms.core.stages import STAGE_NAMES
from lms.programmes import attachments, selfcheck
from lms.programmes.layout import Block, Filler, Paper, lay_out
from lms.programmes.models import Application, Filing
from lms.programmes.notices import pack_of
from lms.programmes.originals import files as originals
from lms.programmes.pack import Document, Pack, file_name
from lms.programmes.places import place_named
from lms.programmes.sealing import printing
from lms.programmes.sealing import service as sealing
from lms.programmes.service import content_filed, content_of, filed_of, files_of, last_filed, recommended
from lms.programmes.sheets import as_xlsx


def places_of(found: Application) -> dict[str, str]:
    """Names that a file name may hold: each level's place (甲省, never 甲省教育厅: ZN-07..09), the applicant's and the office's full names."""
    own = db.session.get_one(Organisation, found.school_id)
    ids = [uuid.UUID(one) for one in own.path.split("/") if one]
    rows = {row.id: row for row in db.session.scalars(select(Organisation).where(Organisation.id.in_(ids)))}
    names: dict[str, str] = {}
    for row in (rows[one] for one in ids):  # from above: 甲省乙市丁县教育局 under 乙市 is 丁县
        names[row.level] = row.name if row.level == "school" else place_named(row.name, list(names.values()))
    year = str(found.created_at.year)
    names["county-full"] = names.get("city", "") + names.get("county", "")
    return (
        {"province": "", "city": "", "county": "", "school": ""}
        | names
        | {"applicant": own.name, "office": rows[ids[-2]].name if len(ids) > 1 else "", "year": year}
    )


def filler_of(found: Application, pack: Pack, form: Document, filed: Filing | None) -> Filler:
    """What fills a form: written, collected and measured; as it was handed in, or now for None."""
    lines = (
        {one.criterion["id"]: one for one in selfcheck.lines_of(found, filed)}
        if any(one["type"] == "answers" for one in form["parts"])
        else {}
    )
    collected = {f"{form['form']}.{part['id']}": part for part in form["parts"] if "collect" in part}
    return Filler(
        content=content_filed(filed) if filed else content_of(found),
        names=places_of(found),
        collected={key: collected_of(found, pack, key, part, filed) for key, part in collected.items()},
        criteria={
            name: (line.criterion["text"], line.outcome.figure if line.outcome.source not in ("学校自述", "") else "")
            for name, line in lines.items()
        },
        simulated=current_app.config["ZHIKE"].origin == "simulated",
    )


def paper_of(found: Application, document: Document, above: Filing | None = None) -> Paper:
    """A document in our layout; ``above``: as it stood when that was handed in."""
    pack, filed = pack_of(found), _filed(found, above)
    form = pack.form(document["form"])
    made = lay_out(form, filler_of(found, pack, form, filed), pack.document.get("choices", {}))
    return _appended(found, made, form["append"], filed) if "append" in form else made


def _filed(found: Application, above: Filing | None) -> Filing | None:
    return last_filed(found, above.created_at) if above else filed_of(found)


def _appended(found: Application, made: Paper, added: Document, filed: Filing | None) -> Paper:
    """The document with those of the applications below it as its last section, each from a new page (GS-31 §四)."""
    blocks = [*made.blocks, Block("heading", added["heading"])]
    for one in below(found, added["kind"]):
        blocks += [Block("break"), *paper_of(one, {"form": added["form"]}, filed).blocks]
    return replace(made, blocks=tuple(blocks))


def document_of(found: Application, name: str, form: str, above: Filing | None = None) -> tuple[str, bytes]:
    """File name and bytes of a document as ``docx``, ``xlsx`` or ``pdf``; NotFound where the notice has none such."""
    pack = pack_of(found)
    for one in pack.documents_of(found.kind):
        if one["id"] == name and form in one["formats"]:
            called, described = f"{file_name(one['file'], places_of(found))}.{form}", pack.form(one["form"])
            if described.get("template", {}).get("name", "").endswith(f".{form}"):  # the office's own file
                filler = filler_of(found, pack, described, _filed(found, above))
                if filler.simulated:  # nothing is written into the office's file but its fields
                    called = f"示范数据-{called}"
                return called, originals.fill(described, filler, pack.document.get("choices", {}))
            return called, _rendered(found, one, form, above)
    raise NotFound("document", _l("通知里没有这份文件。"))


def _rendered(found: Application, document: Document, form: str, above: Filing | None) -> bytes:
    """In our layout; pages that will be sealed carry a code, in Excel nothing can."""
    made = paper_of(found, document, above)
    if not document.get("sealed") or form == "xlsx":
        return _RENDER[form](made)
    if form == "pdf":
        return printing.as_sealed_pdf(found, document, made)
    built = docx_of(made)
    printing.with_codes(built, found, document, made)
    return word.saved(built)


def codes_of(found: Application) -> dict[str, str]:
    """Content codes of the documents that will be sealed, as they stand now."""
    documents = sealing.sealed_documents(found, pack_of(found))
    return {one["id"]: printing.code_now(found, one, partial(paper_of, found, one)) for one in documents}


# ---- rows that come from other applications


def collected_of(
    found: Application, pack: Pack, key: str, part: Document, filed: Filing | None
) -> list[dict[str, str]]:
    """Rows of a summary table: as they were handed in, or as they stand now."""
    return list(filed.collected.get(key, ())) if filed else collect(found, pack, part)


def collect(found: Application, pack: Pack, part: Document) -> list[dict[str, str]]:
    """Rows of a summary table from the applications that this office recommended, in the order in which it did (GS-28, GS-29, HN-28)."""
    asked = part["collect"]
    rows: list[dict[str, str]] = []
    listed: set[uuid.UUID] = set()
    for number, one in enumerate(recommended(found, asked["kind"]), 1):
        content = content_of(one)
        if asked.get("table"):
            rows += [_row(part, one, content, len(rows) + 1, {**row}) for row in content.get(asked["table"]) or ()]
            continue
        schools = below(one, asked["below"]) if asked.get("below") else []
        listed |= {row.id for row in schools}
        head = f"试点区{number}　{asked['area']}" if asked.get("area") else ""
        stages = [stage for stage in STAGE_NAMES if any(stage in row.stages for row in (one, *schools))]
        rows.append(_row(part, one, content, len(rows) + 1, {"head": head, "stages": stages}))
        for place, school in enumerate(schools, 1):
            given = {"head": f"{asked.get('school', '')}{place}", "stages": school.stages}
            rows.append(_row(part, school, content_of(school), len(rows) + 1, given))
    if asked.get("alone"):  # schools directly under city or province: in the zip, so in the table
        alone = [row for row in recommended(found, asked["below"]) if row.id not in listed]
        for place, school in enumerate(alone, 1):
            given = {"head": f"{asked['alone']}{place}", "stages": school.stages}
            rows.append(_row(part, school, content_of(school), len(rows) + 1, given))
    return rows


def listed_in(found: Application, kind: str) -> list[Application]:
    """Applications of a kind that the office recommended: as it handed them in, or as they stand now."""
    filed = filed_of(found)
    if filed is None or kind not in filed.below:
        return recommended(found, kind)
    rows = (db.session.get(Application, uuid.UUID(one)) for one in filed.below[kind])
    return [row for row in rows if row is not None]


def below(area: Application, kind: str) -> list[Application]:
    """Applications that the area's office recommended (列入试点区), none that still waits there or was sent back when it handed in."""
    if filed_of(area) is not None:
        return listed_in(area, kind)
    pack = pack_of(area)
    return [row for row in recommended(area, kind) if pack.status_is(row.status) != "returned"]


def _row(
    part: Document, one: Application, content: dict[str, Any], number: int, given: dict[str, Any]
) -> dict[str, str]:
    names = places_of(one)
    row = {}
    for column in part["columns"]:
        source, _dot, name = column.get("from", "").partition(".")
        if source == "row":
            row[column["id"]] = str(given.get(name, ""))
        elif source == "head":
            row[column["id"]] = str(given.get("head", ""))
        elif source == "number":
            row[column["id"]] = str(number)
        elif source == "stages":
            row[column["id"]] = "、".join(
                STAGE_NAMES[stage] for stage in given.get("stages", one.stages) if stage in STAGE_NAMES
            )
        elif source in names:
            row[column["id"]] = names[source]
        else:
            row[column["id"]] = _field(content, source, name)
    return row


def _field(content: dict[str, Any], part: str, field: str) -> str:
    for key, value in content.items():
        if key.endswith(f".{part}") and isinstance(value, dict) and value.get(field):
            return str(value[field])
        if key.endswith(f".{part}") and field == "all" and isinstance(value, list):
            return "、".join(map(str, value))
    return ""


# ---- formats


def as_docx(made: Paper) -> bytes:
    """Word's bytes of :func:`docx_of`."""
    return word.saved(docx_of(made))


def docx_of(made: Paper) -> Any:
    """Word in the layout of GB/T 9704: title 二号 小标宋, headings 黑体, body 三号 仿宋; tables as the form has them."""
    document = word.new_paper(landscape=made.wide)
    covered = any(block.kind == "break" for block in made.blocks)
    for block in made.blocks:
        if block.table is not None:
            word.write_table(document, block.table.columns, block.table.rows, word.fitted(document, block.table.widths))
        elif block.kind == "title":
            word.write_title(document, block.text)
            word.write_blank(document, 3 if covered else 0)
        elif block.kind == "issuer":
            word.write_blank(document, 4)
            word.write_line(document, block.text, centred=True)
        elif block.kind == "break":
            word.new_page(document)
        elif block.kind in ("heading", "mark", "sub"):
            word.write_line(document, block.text, word.HEI if block.kind != "sub" else word.KAI)
        elif block.kind in ("note", "head", "foot"):
            word.write_line(document, block.text, size=word.SIZE_5)
        else:
            word.write_line(document, block.text, indented=block.kind in ("text", "cover"))
    return document


def as_pdf(made: Paper) -> bytes:
    """PDF of the same blocks; raises Refused (``no-pdf``) where the server cannot print."""
    return paper.pdf(render_template("programmes/paper.html", paper=made), "css/programmes-paper.css")


_RENDER = {"docx": as_docx, "xlsx": as_xlsx, "pdf": as_pdf}


# ---- the zip


def bundle_of(found: Application, name: str) -> tuple[str, bytes, list[str]]:
    """Name, bytes and what is still missing of a zip (scans that were not uploaded)."""
    pack = pack_of(found)
    bundle = next((one for one in pack.bundles_of(found.kind) if one["id"] == name), None)
    if bundle is None:
        raise NotFound("bundle", _l("通知里没有这个压缩包。"))
    missing: list[str] = []
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        used: set[str] = set()
        filed = filed_of(found)
        for one in bundle["contains"]:
            for owner in _owners(found, one.get("of", "")):
                for path, data in _content(owner, one, missing, filed if owner is not found else None):
                    archive.writestr(_unique(path, used), data)
    return f"{file_name(bundle['file'], places_of(found))}.zip", stream.getvalue(), missing


def _owners(found: Application, kind: str) -> list[Application]:
    if not kind or kind == found.kind:
        return [found]
    within = pack_of(found).kind(kind).get("within")
    if within == found.kind:
        return below(found, kind)
    inside = [row for area in listed_in(found, within) for row in below(area, kind)] if within else []
    return list(dict.fromkeys([*inside, *listed_in(found, kind)]))  # what stands in the table, and no other


def _content(
    found: Application, wanted: Document, missing: list[str], above: Filing | None
) -> list[tuple[str, bytes]]:
    if wanted["format"] != "scan":
        return [document_of(found, wanted["document"], wanted["format"], above)]
    document = next(one for one in pack_of(found).documents_of(found.kind) if one["id"] == wanted["document"])
    name = file_name(document["file"], places_of(found))
    state = {one["id"]: made for one, made in sealing.desk_of(found, codes_of(found)).documents}[document["id"]]
    rows = [row for row in files_of(found) if row.id in state.files]
    if not rows:  # nothing was uploaded for the document by hand: pages matched by their code
        if state.done:
            return [(f"{name}-盖章页扫描件.pdf", sealing.bundled(found, state))]
        missing.append(f"{name}（内容在打印后改过，请重新打印盖章）" if state.stale else name)
    return [
        (f"{name}-盖章页扫描件{'' if len(rows) == 1 else place}.{row.type}", attachments.content(row))
        for place, row in enumerate(rows, 1)
    ]


def _unique(path: str, used: set[str]) -> str:
    stem, _dot, ending = path.rpartition(".")
    found, number = path, 1
    while found in used:
        number += 1
        found = f"{stem}（{number}）.{ending}"
    used.add(found)
    return found
