"""The code on a page that will be sealed, and what scanned pages stand for (盖章页编码与匹配); pure."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_CODE = re.compile(r"ZK1:([A-Z2-7]{26}):(\d{1,2}):(\d{1,3}):(\d{1,3}):([0-9A-F]{16})")
State = Literal["matched", "changed", "foreign", "unread"]
ANY = 0  # page of a mark that stands on every page alike, as Word's footer does


@dataclass(frozen=True)
class Mark:
    """What the code says: application, number of the document in the notice (from 0), page of so many (from 1; ``ANY``), content code."""

    application: uuid.UUID
    document: int
    page: int
    pages: int
    code: str

    @property
    def text(self) -> str:
        """As the QR code holds it: capitals, digits and colons, which make it small."""
        name = base64.b32encode(self.application.bytes).decode().rstrip("=")
        return f"ZK1:{name}:{self.document}:{self.page}:{self.pages}:{self.code}"

    @property
    def said(self) -> str:
        """Beside the code, for people: the short code and the page."""
        place = f" · {self.page}/{self.pages}" if self.page != ANY else ""
        return f"{self.code[:4]}-{self.code[4:8]}{place}"


def read_mark(text: str) -> Mark | None:
    """The mark of a code, None where it is none of ours."""
    found = _CODE.fullmatch(text.strip())
    if found is None:
        return None
    try:
        name = uuid.UUID(bytes=base64.b32decode(found[1] + "======"))
    except ValueError:
        return None
    return Mark(name, int(found[2]), int(found[3]), int(found[4]), found[5])


def content_code(parts: Mapping[str, Any]) -> str:
    """16 hex digits that change with anything that was written: of the SHA-256 of the canonical JSON."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16].upper()


@dataclass(frozen=True)
class Page:
    """A scanned page: its row, what it was told to be (by its code or by hand)."""

    id: Any
    document: str
    page: int
    pages: int
    code: str


@dataclass(frozen=True)
class Sealed:
    """How far a document is: its pages in order with the scans that are right, what is missing, what was printed before a change.

    ``files``: scans of the whole document that were uploaded for it as it stands now; ``old_files``: before a change.
    """

    document: str
    pages: int
    matched: tuple[Page, ...]
    missing: tuple[int, ...]
    changed: tuple[Page, ...]
    files: tuple[Any, ...] = ()
    old_files: tuple[Any, ...] = ()

    @property
    def done(self) -> bool:
        """Whether every sealed page is there."""
        return bool(self.files) or (bool(self.matched) and not self.missing and not self.changed)

    @property
    def stale(self) -> bool:
        """Whether it was sealed before a change, and must be printed and sealed again (过期)."""
        return not self.done and bool(self.changed or self.old_files)


def standing(
    document: str, code: str, sealed: Sequence[str], scans: Sequence[Page], files: Sequence[tuple[Any, str]] = ()
) -> Sealed:
    """How far a document is. ``code``: of its content now; ``sealed``: cover | all; a page scanned twice counts once, the newer one.

    ``files``: scans uploaded as a whole, each with the code of what the document said then.
    """
    own = [one for one in scans if one.document == document]
    fresh = [one for one in own if one.code == code]
    numbered = {one.page: one for one in fresh if one.page != ANY}
    free = [one for one in fresh if one.page == ANY]
    pages = (
        1 if "all" not in sealed else max([one.pages for one in fresh], default=0) or max(len(numbered) + len(free), 1)
    )
    for number in range(1, pages + 1):
        if number not in numbered and free:
            numbered[number] = free.pop(0)
    matched = tuple(numbered[number] for number in sorted(numbered) if number <= pages)
    found = {number for number in numbered if number <= pages}
    missing = tuple(number for number in range(1, pages + 1) if number not in found)
    stale = [one for one in own if one.code != code]
    changed = tuple(one for one in stale if missing and (one.page in missing or one.page == ANY))
    new, old = (tuple(key for key, was in files if (was == code) is now) for now in (True, False))
    return Sealed(document, pages, matched, missing, changed, new, old)
