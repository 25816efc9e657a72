"""A board that is there and named nowhere becomes a line of the lab file (认领), or the file stays as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from labkit.errors import BadDocument, LabkitError, Malformed
from labkit.lab import load_lab
from labkit.model import Profile

_WORDS = re.compile(r"[a-z0-9]+")


def own_id(stranger: str, profile: str) -> str:
    """The id that a stranger gets when nobody gives it another: a Homie 5 board keeps its own."""
    return stranger if profile == "homie5-board" else "-".join(_WORDS.findall(stranger.lower()))


def entry(device_id: str, profile: str, url: str, sticker: str) -> str:
    """A line of ``devices``; every text is quoted as JSON, which YAML reads."""
    fields = {"id": device_id, "profile": profile, "sticker": sticker, "url": url}
    return "{" + ", ".join(f"{key}: {json.dumps(v, ensure_ascii=False)}" for key, v in fields.items() if v) + "}"


def append(lab_file: Path, line: str, device_id: str, profiles: Mapping[str, Profile] | None = None) -> None:
    """Add a line behind the last of the lab file's devices; raises LabkitError, and leaves the file as it was, when that is not good."""
    before = lab_file.read_text(encoding="utf-8")
    known = load_lab(lab_file, profiles)
    draft = lab_file.with_suffix(".draft.yaml")
    draft.write_text(_with(before, line), encoding="utf-8")
    try:
        after = load_lab(draft, profiles)
        if [d.id for d in after.devices] != [*(d.id for d in known.devices), device_id]:
            raise Malformed("devices 不是一行一台的列表", "devices are no list with a line each")
        draft.replace(lab_file)
    except (BadDocument, Malformed, yaml.YAMLError) as error:
        why = error if isinstance(error, LabkitError) else Malformed(str(error), str(error))
        raise LabkitError(
            "not_adopted", f"没有写进去：{why.zh}\n请手工加上：{line}", f"not written: {why.en}; add by hand: {line}"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _with(text: str, line: str) -> str:
    """The document with one entry more in its block list ``devices``; unchanged where that is none."""
    root = yaml.compose(text)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    listed = next((value for key, value in pairs if key.value == "devices"), None)
    if not isinstance(listed, yaml.SequenceNode) or listed.flow_style or not listed.value:
        return text
    end = listed.value[-1].end_mark
    lines = text.splitlines()
    at = end.line if end.column == 0 else end.line + 1
    return "\n".join([*lines[:at], " " * listed.start_mark.column + f"- {line}", *lines[at:], ""])
