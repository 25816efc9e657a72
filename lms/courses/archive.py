"""Unpack an uploaded zip safely (压缩包): no traversal, no links, no bombs."""

from __future__ import annotations

import errno
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.courses.package import MAX_BYTES, MAX_FILE_BYTES, MAX_FILES

MAX_RATIO = 200
CHUNK = 1 << 20


def unpack(archive: Path, target: Path) -> Path:
    """Unpack ``archive`` below ``target``; returns the folder that holds course.yaml (the root or its only folder).

    Sizes are counted while reading, never believed. Raises Invalid, leaving ``target`` to be thrown away.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            entries = bundle.infolist()
            if len(entries) > MAX_FILES:
                raise Invalid("zip-files", _l("压缩包里文件太多（%(n)d 个）。", n=len(entries)))
            budget = MAX_BYTES
            for entry in entries:
                budget -= _unpack_one(bundle, entry, target, budget)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise Invalid("zip-broken", _l("压缩包已损坏或不是 zip 文件。"), remedy=_l("请重新打包后上传。")) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise Invalid("zip-twice", _l("压缩包里同一个名字出现两次。"), remedy=_l("请重新打包后上传。")) from error
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EINVAL):
            raise
        raise Invalid("zip-name", _l("压缩包里的文件名太长。"), remedy=_l("请改短文件名后重新打包。")) from error
    tops = [path for path in target.iterdir() if path.name != "__MACOSX"]
    if (target / "course.yaml").is_file():
        return target
    if len(tops) == 1 and tops[0].is_dir():
        return tops[0]
    raise Invalid("zip-no-course", _l("压缩包里没有 course.yaml。"), remedy=_l("请把课程文件夹整个打包。"))


def _unpack_one(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, budget: int) -> int:
    name = entry.filename
    path = PurePosixPath(name)
    if "\\" in name or "\0" in name or path.is_absolute() or ".." in path.parts or ":" in path.parts[0:1]:
        raise Invalid("zip-path", _l("压缩包里有不安全的路径。"), where=name[:120])
    mode = entry.external_attr >> 16
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise Invalid("zip-link", _l("压缩包里有链接或特殊文件。"), where=name[:120])
    if entry.flag_bits & 1:
        raise Invalid("zip-password", _l("压缩包有密码。"), remedy=_l("请去掉密码后上传。"))
    place = target / name
    if entry.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        return 0
    place.parent.mkdir(parents=True, exist_ok=True)
    limit = min(budget, MAX_FILE_BYTES, max(entry.compress_size, 1) * MAX_RATIO + CHUNK)
    written = 0
    with bundle.open(entry) as source, place.open("xb") as out:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > limit:
                raise Invalid("zip-bomb", _l("压缩包展开后太大。"), where=name[:120])
            out.write(chunk)
    return written
