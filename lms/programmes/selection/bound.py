"""One bookmarked PDF of an applicant (评审材料): the dossier and behind it its attachments, each behind a bookmark; what is not bound is named."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from flask import render_template

from lms.core import paper
from lms.core.blobs import SCAN_TYPES
from lms.core.errors import NotFound
from lms.programmes import attachments
from lms.programmes.models import Application, ApplicationFile
from lms.programmes.selection.dossier import Dossier, dossier_of

READ_S, BIND_S = 60, 60
LARGEST_BYTES = 120_000_000  # of all files that are bound together


@dataclass(frozen=True)
class Bound:
    """The PDF, and the files that are not in it."""

    pdf: bytes
    left_out: tuple[ApplicationFile, ...]


def bound_of(found: Application) -> Bound:
    """Dossier and attachments in one file; raises Refused (``no-pdf``) where the server cannot print."""
    made = dossier_of(found)
    with tempfile.TemporaryDirectory(prefix="dossier-") as name:
        folder = Path(name)
        notes = _read(folder, made.files)
        pdf = _printed(made, notes)
        wanted = [
            {"n": number, "title": f"{made.slots.get(one.slot, one.slot)}：{one.name}"}
            for number, one in enumerate(made.files)
            if not notes[number]
        ]
        if wanted:
            (folder / "main.pdf").write_bytes(pdf)
            (folder / "bind.json").write_text(json.dumps(wanted), "utf-8")
            if _run("bind", folder, BIND_S) is not None and (folder / "bound.pdf").is_file():
                return Bound((folder / "bound.pdf").read_bytes(), _left(made.files, notes))
            notes = {number: why or "没有装订成" for number, why in notes.items()}
            pdf = _printed(made, notes)
    return Bound(pdf, _left(made.files, notes))


def _printed(made: Dossier, notes: Mapping[int, str]) -> bytes:
    return paper.pdf(render_template("selection/dossier.html", made=made, notes=notes), "css/selection-paper.css")


def _left(files: Sequence[ApplicationFile], notes: Mapping[int, str]) -> tuple[ApplicationFile, ...]:
    return tuple(one for number, one in enumerate(files) if notes[number])


def _read(folder: Path, files: Sequence[ApplicationFile]) -> dict[int, str]:
    """Why a file is not bound, by its place; "" where it is."""
    if find_spec("pypdf") is None:
        return dict.fromkeys(range(len(files)), "服务器没有安装装订附件的软件（zhike[paper]）")
    notes: dict[int, str] = {}
    size = 0
    for number, one in enumerate(files):
        size += one.size if one.type in SCAN_TYPES else 0
        if one.type not in SCAN_TYPES:
            notes[number] = f"{one.type.upper()} 文件，不装订"
        elif size > LARGEST_BYTES:
            notes[number] = f"附件合计超过 {LARGEST_BYTES // 1_000_000} MB，不装订"
        else:
            try:
                (folder / f"in-{number}.{one.type}").write_bytes(attachments.content(one))
            except NotFound:
                notes[number] = "文件不在数据文件夹里"
    told = (_run("read", folder, READ_S) or "") if len(notes) < len(files) else ""
    answers = {one["n"]: one.get("error", "") for one in map(json.loads, told.splitlines())}
    return {number: notes.get(number, answers.get(number, "处理时间太长，不装订")) for number in range(len(files))}


def _run(verb: str, folder: Path, seconds: int) -> str | None:
    """What the program told until its end or its last second; None where it broke down."""
    command = [sys.executable, "-m", "lms.programmes.selection.binder", verb, str(folder)]
    with (folder / "told").open("w+", encoding="utf-8") as told:
        try:
            done = subprocess.run(command, stdout=told, stderr=subprocess.DEVNULL, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            done = None
        text = (folder / "told").read_text("utf-8")
    if verb == "bind" and (done is None or done.returncode):
        return None
    return text
