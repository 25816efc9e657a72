"""Documentation that cannot rot: every page is in the index, links lead somewhere, decisions have numbers of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
PAGES = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md"))]


def targets(page: Path) -> set[Path]:
    """Files that a page links to."""
    found = (match[1] for match in LINK.finditer(page.read_text("utf-8")))
    return {(page.parent / one).resolve() for one in found if not re.match(r"[a-z]+:", one)}


def test_every_page_is_in_the_index() -> None:
    index = DOCS / "README.md"
    pages = {*(DOCS / "how-to").glob("*.md"), *(DOCS / "decisions").glob("*.md"), DOCS / "evidence.md"}
    assert sorted(path.name for path in pages - targets(index)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert sorted(str(path) for path in targets(page) if not path.exists()) == []


def test_pages_named_in_the_changelog_exist() -> None:
    named = set(re.findall(r"`(docs/[\w./-]+)`", (ROOT / "CHANGELOG.md").read_text("utf-8")))
    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_every_decision_has_a_number_of_its_own() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [page.name[:3] for page in pages] == [f"{number:03}" for number in range(1, len(pages) + 1)]
    assert [page.name for page in pages if not page.read_text("utf-8").startswith(f"# {page.name[:3]} ")] == []
