"""A read and judged file that waits for the admin's yes (待确认的导入): kept an hour in the run folder, without ID card numbers."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from flask import current_app
from flask_babel import lazy_gettext as _l

from lms.core.errors import NotFound
from lms.roster.intake.cells import Cell
from lms.roster.intake.headers import Column, Line, Table
from lms.roster.intake.pupils import Options

KEEP_SECONDS: Final = 3600


@dataclass(frozen=True)
class Pending:
    """What was read from the file, with the choices it was judged by; ``digest`` of the verdicts that were shown."""

    kind: str
    school_id: str
    account_id: str
    file_name: str
    sha256: str
    options: Options
    tables: tuple[Table, ...]
    notes: tuple[tuple[str, dict[str, Any]], ...]
    term_id: str = ""
    digest: str = ""


def _folder() -> Path:
    folder: Path = current_app.config["ZHIKE"].run / "imports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def keep(pending: Pending, token: str = "") -> str:
    """Write it down, readable by the server only, and forget those older than an hour. Returns its token."""
    token = token or uuid.uuid4().hex
    forget_old()
    body = json.dumps(asdict(pending), ensure_ascii=False).encode()
    path = _folder() / f"{token}.json"
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(body)
    part.replace(path)
    return token


def forget_old() -> int:
    """Delete what has waited for more than an hour, also what was half written; returns how many."""
    late = [old for old in _folder().iterdir() if _is_old(old)]
    for old in late:
        old.unlink(missing_ok=True)
    return len(late)


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > KEEP_SECONDS


def load(token: str, school_id: uuid.UUID, account_id: uuid.UUID | None) -> Pending:
    """What waits under the token; NotFound where it is over, or another's."""
    try:
        if not re.fullmatch(r"[0-9a-f]{32}", token):
            raise FileNotFoundError(token)
        path = _folder() / f"{token}.json"
        if _is_old(path):
            path.unlink(missing_ok=True)
            raise FileNotFoundError(token)
        pending = _from_dict(json.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise _gone() from error
    if pending.school_id != str(school_id) or pending.account_id != str(account_id or ""):
        raise _gone()
    return pending


def _gone() -> NotFound:
    return NotFound("import-gone", _l("这次导入已过期。"), remedy=_l("请重新选择文件；上传的内容只保留一小时。"))


def forget(token: str) -> None:
    """Delete what waits under the token."""
    (_folder() / f"{token}.json").unlink(missing_ok=True)


def _from_dict(body: dict[str, Any]) -> Pending:
    tables = tuple(
        Table(
            **{
                **table,
                "columns": tuple(Column(**column) for column in table["columns"]),
                "lines": tuple(
                    Line(line["sheet"], line["row"], {name: Cell(**cell) for name, cell in line["cells"].items()}) for line in table["lines"]
                ),
                "unread": tuple(table["unread"]),
                "skipped_rows": tuple(table["skipped_rows"]),
            }
        )
        for table in body.pop("tables")
    )
    options = Options(**{each.name: bool(body["options"][each.name]) for each in fields(Options)})
    notes = tuple((code, facts) for code, facts in body.pop("notes"))
    return Pending(**{**body, "options": options, "tables": tables, "notes": notes})
