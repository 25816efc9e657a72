"""Files that people hand in (附件): type told by the bytes, kept in the data folder under their SHA-256, handed out only as a download."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from flask import current_app
from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid, NotFound

LARGEST_MB = 20
UNPACKED_MB = 80
XML_MB = {"docx": 10, "xlsx": 40}  # a document is read whole and takes some twenty times its text, a workbook row by row
MOST_PARTS = 5000
MIME = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jpg": "image/jpeg",
    "png": "image/png",
    "zip": "application/zip",
}
SCAN_TYPES = ("pdf", "jpg", "png")
_PART = b"PK\x01\x02"  # an entry of a zip's directory
_ODD = re.compile(r'[\\/:*?"<>|\x00-\x1f]')


def kind_of(data: bytes, where: str = "file") -> str:
    """pdf | docx | xlsx | jpg | png by the bytes, "" for anything else; Office files with macros or active content are none of them.

    Raises Invalid (``file-bomb``) for an Office file that unpacks to more than a reader's memory should hold.
    """
    if data.startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if not data.startswith(b"PK\x03\x04"):
        return ""
    return _office_kind(data, where)


def _office_kind(data: bytes, where: str) -> str:
    if data.count(_PART) > MOST_PARTS:
        raise _too_large_inside(where)
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            sizes = {part.filename: part.file_size for part in archive.infolist()}  # as declared; Python never unpacks more
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return ""
    if any("vbaProject" in name or "activeX" in name or "/embeddings/" in name for name in sizes):
        return ""
    kind = "docx" if "word/document.xml" in sizes else "xlsx" if "xl/workbook.xml" in sizes else ""
    xml = sum(size for name, size in sizes.items() if name.lower().endswith((".xml", ".rels")))
    if kind and (sum(sizes.values()) > UNPACKED_MB * 1_000_000 or xml > XML_MB[kind] * 1_000_000):
        raise _too_large_inside(where)
    return kind


def _too_large_inside(where: str) -> Invalid:
    return Invalid(
        "file-bomb",
        _l("文件解压后过大，已拒绝读取。"),
        remedy=_l("请把需要的内容复制到一个新文件里，另存后再传。"),
        where=where,
    )


def check(data: bytes, types: Sequence[str], largest_mb: int, where: str) -> str:
    """The file's type; raises Invalid for an empty, too large or other file, naming what is allowed."""
    told = "、".join(one.upper() for one in types)
    if not data:
        raise Invalid("file", _l("请选择文件。"), where=where)
    if len(data) > largest_mb * 1_000_000:
        raise Invalid(
            "file-size",
            _l("文件 %(size)s MB，超过 %(largest)s MB。", size=round(len(data) / 1e6, 1), largest=largest_mb),
            remedy=_l("请压缩扫描件（灰度、150 dpi 即可）后再传。"),
            where=where,
        )
    kind = kind_of(data, where)
    if kind not in types:
        raise Invalid(
            "file-type",
            _l("文件内容不是 %(types)s，或带有宏、嵌入对象。", types=told),
            remedy=_l("请另存为 %(types)s 后再传。", types=told),
            where=where,
        )
    return kind


def name_of(name: str, otherwise: str) -> str:
    """A file's name as it is kept: without its folder and without what a name must not hold; at most 150 characters."""
    return _ODD.sub("_", Path(name).name)[-150:] or otherwise


def keep(room: str, data: bytes) -> str:
    """Keep the bytes below the room's folder; returns their SHA-256, hex."""
    digest = hashlib.sha256(data).hexdigest()
    path = _path(room, digest)
    if path.is_file():
        return digest
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
    return digest


def content(room: str, digest: str) -> bytes:
    """The bytes; NotFound where the data folder has lost them."""
    path = _path(room, digest)
    if not path.is_file():
        raise NotFound("file", _l("文件不在数据文件夹里，请从备份恢复。"))
    return path.read_bytes()


def _path(room: str, digest: str) -> Path:
    folder: Path = current_app.config["ZHIKE"].data_dir
    return folder / room / digest[:2] / digest
