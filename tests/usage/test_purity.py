"""What decides needs neither Flask nor the database: the engine runs on a bare machine."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from lms.usage.verifier import sample, verify

EVIDENCE = "chain grades keys lesson_facts plausibility"
JUDGING = "calendar facts forecast hours lessons packs reading schoolwide verdicts windows"
PURE = ["board", "policies", "reasons", *(f"evidence.{one}" for one in EVIDENCE.split()), *(f"judging.{one}" for one in JUDGING.split())]


def test_rules_chain_and_command_load_without_flask_and_sqlalchemy() -> None:
    code = (
        f"import sys, importlib\nfor name in {PURE}: importlib.import_module('lms.usage.' + name)\n"
        "import lms.usage.cli\nfrom lms.usage.policies import rules\nrules()\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('flask', 'sqlalchemy', 'flask_babel')))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"


def imported(path: str) -> set[str]:
    tree = ast.walk(ast.parse(Path(path).read_text("utf-8")))
    names = [alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names]
    tree = ast.walk(ast.parse(Path(path).read_text("utf-8")))
    names += [node.module or "" for node in tree if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names


def test_the_single_files_need_python_and_cryptography_only() -> None:
    assert imported(str(verify.__file__)) == {"cryptography", "rfc3161_client"}  # the second only where it is installed
    assert imported(str(sample.__file__)) == set()
