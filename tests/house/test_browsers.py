"""The oldest supported browser is Chromium 109, the last for Windows 7: our scripts and styles are written in what it reads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from labkit.agent.browser import OLDEST

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "lms" / "static"
TARGET = f"chrome{OLDEST}"
# What came later, by the version that brought it (MDN browser-compat-data).
LATER_SCRIPT = {
    110: r"\.toSorted\(|\.toReversed\(|\.toSpliced\(|\bwith\(\d",
    114: r"\.showPopover\(|\.togglePopover\(|\bCHIPS\b",
    116: r"AbortSignal\.any\(",
    117: r"Object\.groupBy\(|Map\.groupBy\(",
    119: r"Promise\.withResolvers\(",
    120: r"URL\.canParse\(",
    121: r"Array\.fromAsync\(",
    122: r"\.isSubsetOf\(|\.isSupersetOf\(|\.symmetricDifference\(|Iterator\.from\(",
    125: r"checkVisibility\(\{",
    128: r"Promise\.try\(",
}
LATER_STYLE = {
    111: r"color-mix\(|oklch\(|oklab\(|\blch\(|:nth-child\([^)]* of ",
    114: r"text-wrap\s*:\s*balance|:popover-open",
    115: r"animation-timeline|scroll-timeline",
    117: r"subgrid|@starting-style|transition-behavior",
    118: r"@scope\b",
    119: r"\(from ",
    123: r"light-dark\(|field-sizing",
    125: r"anchor-name|position-anchor",
}
BEHIND_SUPPORTS = re.compile(r"@supports \(color:light-dark\(red,red\)\)[^{]*\{[^{}]*\{[^{}]*\}\}")


def files(*ends: str, vendor: bool = False) -> list[Path]:
    found = [path for end in ends for path in STATIC.rglob(f"*{end}") if ("vendor" in path.parts) is vendor]
    return sorted(path for path in found if path.name != "axe.min.js")  # the tests' own


def esbuild(path: Path, target: str) -> str:
    program = next((ROOT / "node_modules" / "@esbuild").glob("*/bin/esbuild"))
    loader = "css" if path.suffix == ".css" else "js"
    run = subprocess.run([program, f"--loader={loader}", f"--target={target}", "--log-level=error"], input=path.read_bytes(), capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode()


@pytest.mark.parametrize("vendor", [False, True])
def test_no_script_needs_newer_syntax(vendor: bool) -> None:
    """esbuild rewrites what the target cannot read: where it has nothing to rewrite, the file can be read."""
    scripts = files(".js", ".mjs", vendor=vendor)
    assert len(scripts) >= 5
    assert [str(path.relative_to(STATIC)) for path in scripts if esbuild(path, TARGET) != esbuild(path, "esnext")] == []


def test_the_check_of_syntax_sees_what_is_newer(tmp_path: Path) -> None:
    newer = tmp_path / "newer.js"
    newer.write_text("class A { static { using x = open(); } }\nexport const y = /[\\p{L}--[a]]/v;\n", "utf-8")
    assert esbuild(newer, TARGET) != esbuild(newer, "esnext")


def later(texts: dict[str, str], patterns: dict[int, str]) -> list[str]:
    return [
        f"{name}: {match[0]} came with Chromium {version}"
        for name, text in texts.items()
        for version, pattern in patterns.items()
        if version > OLDEST
        for match in re.finditer(pattern, text)
    ]


def test_no_script_of_ours_calls_what_came_later() -> None:
    assert later({path.name: path.read_text("utf-8") for path in files(".js")}, LATER_SCRIPT) == []


def test_no_style_needs_colours_that_came_later() -> None:
    """Neither ours, nor Tabler's outside the rules that only newer browsers read."""
    texts = {path.name: path.read_text("utf-8") for path in files(".css")}
    tabler = (STATIC / "vendor" / "tabler" / "tabler.min.css").read_text("utf-8")
    assert BEHIND_SUPPORTS.search(tabler), "run `make assets`"
    texts["tabler"] = BEHIND_SUPPORTS.sub("", tabler)
    assert "oklch%28" not in texts["tabler"]  # the arrow of a select is a drawing in an address
    assert later(texts, {version: LATER_STYLE[version] for version in (111, 118, 119, 123)}) == []
    assert later({name: text for name, text in texts.items() if name != "tabler"}, LATER_STYLE) == []


def test_a_newer_browser_sees_the_colours_as_their_makers_meant_them() -> None:
    """Tabler as it came and as we ship it compute the same colours, in today's Chromium."""
    original = (ROOT / "node_modules/@tabler/core/dist/css/tabler.min.css").read_text("utf-8")
    shipped = (STATIC / "vendor" / "tabler" / "tabler.min.css").read_text("utf-8")
    classes = ["btn", "btn btn-primary", "btn btn-danger", "btn btn-outline-primary", "alert alert-danger", "badge bg-red-lt", "card", "form-control", "form-select", "nav-link active", "text-bg-success", "bg-primary bg-opacity-50", "dropdown-menu"]
    read = """(classes) => classes.map(name => { const one = document.createElement('div'); one.className = name; document.body.append(one);
      const style = getComputedStyle(one); return [name, style.color, style.backgroundColor, style.borderTopColor, style.boxShadow]; })"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        seen = []
        for sheet in (original, shipped):
            page.set_content("<body></body>")
            page.add_style_tag(content=sheet)
            seen.append(page.evaluate(read, classes))
        browser.close()
    assert seen[0] == seen[1]
    assert len({tuple(row[1:]) for row in seen[0]}) > 8


NOTICE = """<!doctype html><html><head><link rel="stylesheet" href="zhike.css"><script src="old_browser.js"></script></head>
<body><div id="old-browser" hidden><p id="old-browser-version"></p><button id="old-browser-go">go</button></div><main>lesson</main></body></html>"""


@pytest.mark.parametrize("missing", ["", "delete AbortSignal.timeout", "CSS.supports = () => false", "delete window.WebAssembly"])
def test_a_browser_that_is_too_old_is_told_so(tmp_path: Path, missing: str) -> None:
    for name in ("css/zhike.css", "js/core/old_browser.js"):
        (tmp_path / Path(name).name).write_text((STATIC / name).read_text("utf-8"), "utf-8")
    (tmp_path / "page.html").write_text(NOTICE, "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.add_init_script(missing)
        page.goto((tmp_path / "page.html").as_uri())
        notice, lesson = page.locator("#old-browser"), page.locator("main")
        assert (notice.is_visible(), lesson.is_visible()) == (bool(missing), not missing)
        if missing:
            assert "Chrome" in page.locator("#old-browser-version").inner_text()
            page.locator("#old-browser-go").click()
            assert (notice.is_visible(), lesson.is_visible()) == (False, True)
        browser.close()


def test_every_page_begins_with_the_question() -> None:
    bare = (ROOT / "lms" / "templates" / "bare.html").read_text("utf-8")
    assert bare.index("old_browser.js") < bare.index("block head")
    assert '<div hidden id="old-browser"' in bare
    assert 'id="old-browser-version"' in bare
    assert "<h1" not in bare  # every page has its own
    alone = [path for path in (ROOT / "lms").rglob("templates/**/*.html") if "<html" in path.read_text("utf-8") and path.name != "bare.html"]
    assert [path.name for path in alone if "<script" in path.read_text("utf-8")] == []
