"""Attachments made ready and bound behind a dossier (装订): a program of its own, so that a damaged or endless file never holds the server up.

``python -m lms.programmes.selection.binder read FOLDER``: of every ``in-<n>.<pdf|jpg|png>`` a clean ``part-<n>.pdf``, and a line of JSON
{n, pages} or {n, error} as soon as it is known. ``… bind FOLDER``: ``main.pdf`` with the parts of ``bind.json`` ([{n, title}]) behind it,
each behind a bookmark below 附件, as ``bound.pdf``. Bounds: pages a file and together, pixels and side of a picture. Source: ISO 32000-1, 12.3.3.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

MOST_PAGES, MOST_TOGETHER = 200, 600
MOST_PIXELS, LARGEST_SIDE = 80_000_000, 2400
A4_INCHES = (8.27, 11.69)
OUTLINE = "附件"


class Unfit(ValueError):
    """A file that is not bound; the text says why."""


def main(verb: str, folder: Path) -> None:
    """Do what the verb says."""
    if verb == "bind":
        bind(folder)
        return
    pages = 0
    for path in sorted(folder.glob("in-*"), key=_number):
        try:
            count = read(path, folder / f"part-{_number(path)}.pdf", MOST_TOGETHER - pages)
        except Unfit as error:
            print(json.dumps({"n": _number(path), "error": str(error)}), flush=True)
            continue
        pages += count
        print(json.dumps({"n": _number(path), "pages": count}), flush=True)


def _number(path: Path) -> int:
    return int(path.stem.split("-")[1])


def read(path: Path, target: Path, left: int) -> int:
    """Write the file's pages to ``target``; how many. Raises Unfit: damaged, encrypted, too long, too large."""
    return _picture(path, target, left) if path.suffix != ".pdf" else _pages(path, target, left)


def _pages(path: Path, target: Path, left: int) -> int:
    import zlib

    from pypdf import PdfReader, PdfWriter
    from pypdf.errors import PyPdfError

    damaged = (
        PyPdfError, ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError, RuntimeError, NotImplementedError, MemoryError,
        OSError, zlib.error,
    )  # fmt: skip  # what pypdf raises on files that are none
    try:
        reader = PdfReader(path)
        if reader.is_encrypted:
            raise Unfit("有密码，打不开")
        count = len(reader.pages)
        if not count:
            raise Unfit("文件损坏，没有一页")
        _bound(count, left)
        writer = PdfWriter()
        writer.append(reader, import_outline=False)
        for page in writer.pages:
            page.pop("/AA", None)
            for one in page.get("/Annots") or ():
                for name in ("/A", "/AA"):  # a stamp stays, what it would do does not
                    one.get_object().pop(name, None)
        writer.write(target)
    except Unfit:
        raise
    except damaged as error:
        raise Unfit("文件损坏，打不开") from error
    return count


def _bound(count: int, left: int) -> None:
    if count > MOST_PAGES:
        raise Unfit(f"共 {count} 页，每个文件最多装订 {MOST_PAGES} 页")
    if count > left:
        raise Unfit(f"共 {count} 页，全部附件最多装订 {MOST_TOGETHER} 页")


def _picture(path: Path, target: Path, left: int) -> int:
    from PIL import Image, ImageOps

    _bound(1, left)
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise Unfit("图片像素太多")
            opened.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
            made = Image.new("RGB", upright.size, "white")
            made.paste(upright, mask=upright.getchannel("A") if "A" in upright.getbands() else None)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise error if isinstance(error, Unfit) else Unfit("图片损坏，打不开") from error
    across, down = A4_INCHES if made.height >= made.width else A4_INCHES[::-1]
    made.save(target, "PDF", resolution=max(made.width / across, made.height / down), quality=82)
    return 1


def bind(folder: Path) -> None:
    """Put the parts behind the dossier."""
    from pypdf import PdfWriter

    wanted: Sequence[dict[str, str]] = json.loads((folder / "bind.json").read_text("utf-8"))
    writer = PdfWriter(clone_from=folder / "main.pdf")
    above = writer.add_outline_item(title=OUTLINE, page_number=len(writer.pages) - 1) if wanted else None
    for one in wanted:
        first = len(writer.pages)
        writer.append(folder / f"part-{one['n']}.pdf", import_outline=False)
        writer.add_outline_item(title=one["title"], page_number=first, parent=above)
    writer.write(folder / "bound.pdf")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
