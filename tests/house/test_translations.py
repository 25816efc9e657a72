"""The English catalogue says everything that the Chinese source says, with the same placeholders."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
PLACEHOLDER = re.compile(r"%\([a-z_]+\)[sd]|%%|\{[a-z_]*\}")


def test_english_catalogue_is_complete(tmp_path: Path) -> None:
    pot = tmp_path / "messages.pot"
    command = [sys.executable, "-m", "babel.messages.frontend", "--quiet", "extract", "-F", "pyproject.toml", "-k", "_l", "-k", "_n:1,2", "-o", str(pot), "lms"]
    subprocess.run(command, cwd=ROOT, check=True)
    with pot.open("rb") as source, (ROOT / "lms/translations/en/LC_MESSAGES/messages.po").open("rb") as target:
        wanted = [str(message.id) for message in read_po(source) if message.id]
        english = {str(message.id): str(message.string) for message in read_po(target) if message.id and not message.fuzzy}
    assert len(wanted) > 1000
    missing = [text for text in wanted if not english.get(text)]
    assert not missing, f"run `make messages` and translate {len(missing)}: {missing[:5]}"
    uneven = [text for text in wanted if sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(english[text]))]
    assert not uneven, uneven[:5]
    assert not [key for key in english if key not in wanted], "texts that nobody says any more"


def test_a_percent_sign_is_doubled_only_where_values_are_filled_in() -> None:
    """``_("电量%%")`` without values shows both signs: gettext halves them only when it fills in."""
    alone = re.compile(r"""\b_l?\(\s*(["'])(?:(?!\1).)*%%(?:(?!\1).)*\1\s*\)""")
    shown = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for suffix in ("*.py", "*.html")
        for path in sorted((ROOT / "lms").rglob(suffix))
        if "vendor" not in path.parts
        for found in alone.finditer(path.read_text("utf-8"))
    ]
    assert shown == []
