"""What decides needs neither Flask nor the database: the engine runs on a bare machine."""

from __future__ import annotations

import subprocess
import sys

PURE = "board calendar chain evidence facts forecast hours keys lesson_facts lessons packs policies reading reasons schoolwide verdicts windows"


def test_rules_chain_and_command_load_without_flask_and_sqlalchemy() -> None:
    code = (
        f"import sys, importlib\nfor name in {PURE.split()}: importlib.import_module('lms.usage.' + name)\n"
        "import lms.usage.cli\nfrom lms.usage.policies import rules\nrules()\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('flask', 'sqlalchemy', 'flask_babel')))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"
