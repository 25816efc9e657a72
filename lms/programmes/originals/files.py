"""Taking in the office's own file (表样文件), and filling it: bad ones are refused with what to do."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.core import blobs
from lms.core.errors import Invalid, NotFound, Refused
from lms.programmes.layout import Filler
from lms.programmes.originals.rules import Preview, places_in, writes
from lms.programmes.originals.sheet_form import NoRoom, fill_sheets, read_sheets
from lms.programmes.originals.word_form import fill_word, read_word

ROOM = "programmes"
LARGEST = 5_000_000
UNPACKED = 60_000_000
_OLE = b"\xd0\xcf\x11\xe0"


def take_in(name: str, data: bytes) -> tuple[str, str]:
    """Keep a file; its SHA-256 and whether it is ``docx`` or ``xlsx``. Raises Invalid naming what is wrong with it."""
    kind = check_file(name, data)
    look(data, kind)  # it opens
    return blobs.keep(ROOM, data), kind


def check_file(name: str, data: bytes) -> str:
    """``docx`` or ``xlsx``; raises Invalid for anything that must not be a form."""
    if not data:
        raise Invalid("template", _l("请选择文件。"), where="file")
    if len(data) > LARGEST:
        raise Invalid(
            "template-size",
            _l("“%(name)s”有 %(size)s MB，超过 5 MB。", name=name, size=round(len(data) / 1e6, 1)),
            remedy=_l("请删去表样里的大图片后再传。"),
            where="file",
        )
    if data.startswith(_OLE):
        encrypted = "EncryptedPackage".encode("utf-16-le") in data
        raise Invalid(
            "template-encrypted" if encrypted else "template-old",
            _l("“%(name)s”加了密码。", name=name) if encrypted else _l("“%(name)s”是旧格式（.doc、.xls）。", name=name),
            remedy=_l("请去掉密码后再传。") if encrypted else _l("请另存为 .docx 或 .xlsx 后再传。"),
            where="file",
        )
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = {one.filename: one.file_size for one in archive.infolist()}
            remote = any(
                _is_remote(archive.read(one)) for one in names if one.endswith(".rels") and names[one] < 200_000
            )
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise _no_form(name) from error
    if sum(names.values()) > UNPACKED:
        raise Invalid("template-size", _l("“%(name)s”解开后太大。", name=name), where="file")
    if any("vbaProject" in one or "activeX" in one or "/embeddings/" in one or "/ctrlProps/" in one for one in names):
        raise Invalid(
            "template-macro",
            _l("“%(name)s”带有宏、控件或嵌入对象。", name=name),
            remedy=_l("请另存为不含宏的 .docx 或 .xlsx 后再传。"),
            where="file",
        )
    if remote:
        raise Invalid(
            "template-remote",
            _l("“%(name)s”引用了外部文件。", name=name),
            remedy=_l("请断开外部链接（模板、图片、数据）后再传。"),
            where="file",
        )
    kind = "docx" if "word/document.xml" in names else "xlsx" if "xl/workbook.xml" in names else ""
    if not kind:
        raise _no_form(name)
    if kind == "xlsx" and any(one.startswith(("xl/drawings/drawing", "xl/charts/", "xl/pivot")) for one in names):
        raise Invalid(
            "template-drawing",
            _l("“%(name)s”里有图片、文本框、图表或透视表，填写时保不住。", name=name),
            remedy=_l("请删去它们后再传；文字请直接写在单元格里。"),
            where="file",
        )
    return kind


def _is_remote(relations: bytes) -> bool:
    return any(
        b'TargetMode="External"' in one and b"/hyperlink" not in one for one in relations.split(b"<Relationship ")[1:]
    )


def _no_form(name: str) -> Invalid:
    return Invalid(
        "template-type",
        _l("“%(name)s”不是 Word（.docx）或 Excel（.xlsx）文件，或已损坏。", name=name or "-"),
        remedy=_l("请用 Word、Excel 或 WPS 打开后另存为 .docx 或 .xlsx 再传。"),
        where="file",
    )


def look(data: bytes, kind: str) -> Preview:
    """Its places; raises Invalid where the library cannot open it."""
    from docx.exceptions import PythonDocxError
    from docx.opc.exceptions import OpcError
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        return read_word(data) if kind == "docx" else read_sheets(data)
    except (
        PythonDocxError,
        OpcError,
        SyntaxError,
        InvalidFileException,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        zipfile.BadZipFile,
    ) as error:
        raise _no_form(kind) from error


def held(template: Mapping[str, Any]) -> bytes | None:
    """Bytes of a form's file, None where the data folder has none."""
    try:
        return blobs.content(ROOM, template["file"])
    except NotFound:
        return None


def stored(template: Mapping[str, Any]) -> tuple[bytes, str]:
    """Bytes and kind of a form's file; NotFound where the data folder has lost it."""
    data = held(template)
    if data is None:
        raise NotFound("template", _l("表样文件不在数据文件夹里，请重新上传或从备份恢复。"))
    return data, check_file(template.get("name", ""), data)


def fill(form: Mapping[str, Any], filler: Filler, choices: Mapping[str, Sequence[str]]) -> bytes:
    """The office's file filled in; raises Refused naming the place that does not fit."""
    template = form["template"]
    data, kind = stored(template)
    single, rows = writes(template["bindings"], form, filler, choices)
    try:
        return fill_word(data, single, rows) if kind == "docx" else fill_sheets(data, single, rows)
    except KeyError as error:
        raise Refused(
            "template-place",
            _l("表样里没有“%(at)s”这个位置。", at=str(error.args[0])),
            remedy=_l("请通知的发布部门重新绑定后发布新版本。"),
        ) from error
    except NoRoom as error:
        raise Refused(
            "template-rows",
            _l("表样里的空行不够：%(why)s。", why=str(error)),
            remedy=_l("请通知的发布部门在表样里多留空行。"),
        ) from error


def template_faults(form: Mapping[str, Any], data: bytes | None) -> list[tuple[int, str]]:
    """Number (from 0, -1: the file itself) and cause of everything that the file does not bear out."""
    template = form["template"]
    if data is None:
        return [(-1, f"没有表样文件 {template['name']}，请上传")]
    try:
        places = places_in(look(data, check_file(template["name"], data)))
    except Invalid as error:
        return [(-1, str(error.message))]
    return [
        (number, f"表样里没有“{one['at']}”这个位置")
        for number, one in enumerate(template["bindings"])
        if one["at"] not in places
    ]
