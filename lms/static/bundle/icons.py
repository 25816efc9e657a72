"""Write the SVG sprite of the Tabler icons in use (ids ``tabler-<name>``); an unknown name is an error.

Names are read where they are written: ``icon("robot")`` and ``icon_name="robot"`` in templates, the icon of a menu ``Entry`` in Python,
``#tabler-robot`` anywhere. Usage: ``python lms/static/bundle/icons.py node_modules lms/static/vendor/tabler/icons.svg``.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

LMS = Path(__file__).resolve().parents[2]
IN_TEMPLATE = re.compile(r"""(?:\bicon\(\s*|icon(?:_name)?\s*=\s*)["']([a-z0-9-]+)["']""")
IN_CHOICE = re.compile(r"""\bicon\([^(){}]*?["']([a-z0-9-]+)["']\s+if\b[^(){}]*?\belse\s+["']([a-z0-9-]+)["']""")
REFERENCE = re.compile(r"#tabler-([a-z0-9]+(?:-[a-z0-9]+)*)")
DEFAULTS = re.compile(r"""icon_name="([a-z0-9-]+)\"""")


def names_in(path: Path) -> set[str]:
    """Icon names that one source file mentions."""
    text = path.read_text("utf-8")
    names = set(REFERENCE.findall(text))
    if path.suffix == ".html":
        names |= set(IN_TEMPLATE.findall(text)) | set(DEFAULTS.findall(text))
        names |= {name for pair in IN_CHOICE.findall(text) for name in pair}
    elif path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Entry":
                given = [*node.args[2:3], *(keyword.value for keyword in node.keywords if keyword.arg == "icon")]
                names |= {item.value for item in given if isinstance(item, ast.Constant) and isinstance(item.value, str)}
            if isinstance(node, ast.keyword) and node.arg == "icon" and isinstance(node.value, ast.Constant):
                names.add(str(node.value.value))
    return {name.removeprefix("tabler-") for name in names if name}


def symbol(path: Path, name: str) -> str:
    """One icon as a ``<symbol>``; Tabler's outline icons are strokes on a 24 × 24 field."""
    inner = re.sub(r"^.*?<svg[^>]*>|</svg>\s*$|<path stroke=\"none\" d=\"M0 0h24v24H0z\" fill=\"none\"\s*/>", "", path.read_text("utf-8"), flags=re.S)
    return f'<symbol id="tabler-{name}" viewBox="0 0 24 24">{" ".join(inner.split())}</symbol>'


def main(node_modules: Path, target: Path) -> int:
    """Write the sprite; 1 if a name is unknown."""
    where: dict[str, Path] = {}
    for path in sorted(LMS.rglob("*")):
        if path.suffix in (".html", ".py", ".js") and not {"vendor", "bundle"} & set(path.relative_to(LMS).parts):
            for name in names_in(path):
                where.setdefault(name, path)
    folder = node_modules / "@tabler" / "icons" / "icons" / "outline"
    unknown = {name: path for name, path in where.items() if not (folder / f"{name}.svg").is_file()}
    for name, path in unknown.items():
        print(f"{path.relative_to(LMS.parent)}: no Tabler icon {name!r}", file=sys.stderr)
    if unknown:
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    symbols = "\n".join(symbol(folder / f"{name}.svg", name) for name in sorted(where))
    target.write_text(f'<svg xmlns="http://www.w3.org/2000/svg">\n{symbols}\n</svg>\n', "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
