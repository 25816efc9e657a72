"""House rules that a tool can check."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from lms.app import FEATURES, load_models
from lms.config import PREFIX, Settings
from lms.core.db import Base

ROOT = Path(__file__).resolve().parents[2]
OURS = ("lms", "labkit")
SCHOOLLESS = {
    "account",
    "alembic_version",
    "chain_head",
    "instance_state",
    "lockout",
    "organisation",
    "role_grant",
    "rule_version",
    "school",
    "subordinate",
    "uplink",
}


def sources(*folders: str, suffix: str = ".py") -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob(f"*{suffix}")):
            if not {"vendor", "bundle", "versions"} & set(path.parts):
                yield path


def models() -> list[type[Base]]:
    load_models()
    return [mapper.class_ for mapper in Base.registry.mappers]


def test_every_model_says_which_personal_data_it_holds() -> None:
    silent = [model.__name__ for model in models() if "Personal data:" not in (inspect.getdoc(model) or "")]
    assert silent == []


def test_every_table_of_a_school_says_so() -> None:
    load_models()
    assert [
        name for name, table in Base.metadata.tables.items() if "school_id" not in table.c and name not in SCHOOLLESS
    ] == []


def test_every_setting_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "settings.md").read_text("utf-8")
    explained = set(re.findall(rf"`{PREFIX}(\w+)`", page))
    assert explained == {field.name.upper() for field in fields(Settings)}


def test_every_setting_has_its_default_on_the_page() -> None:
    page = (ROOT / "docs" / "how-to" / "settings.md").read_text("utf-8")
    rows = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| `?([^|`]*)`? \|", page, re.MULTILINE))
    for field in fields(Settings):
        default = getattr(Settings(), field.name)
        shown = {"True": "1", "False": "0", ".": ""}.get(str(default), str(default))
        assert rows[field.name.upper()].strip() == shown, field.name


def test_only_config_reads_the_environment() -> None:
    allowed = {ROOT / "lms" / "config.py"}
    handed_down = re.compile(r"\{\*\*os\.environ")  # to a child process, not read
    guilty = []
    for path in sources("lms"):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if re.search(r"os\.(environ|getenv)", line) and path not in allowed and not handed_down.search(line):
                guilty.append(f"{path.relative_to(ROOT)}:{number}")
    assert guilty == []


def test_nothing_sleeps() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in sources(*OURS)
        if re.search(r"\btime\.sleep\(|\basyncio\.sleep\(", path.read_text("utf-8"))
    ]
    assert guilty == []


def test_nothing_is_left_to_do() -> None:
    mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    guilty = [
        str(path.relative_to(ROOT))
        for path in sources("lms", "labkit", "tests")
        if path != Path(__file__) and mark.search(path.read_text("utf-8"))
    ]
    assert guilty == []


def test_exceptions_of_the_type_checker_say_why() -> None:
    bare = re.compile(r"#\s*type:\s*ignore(?!\[[\w, -]+\]\s+#|\[[\w, -]+\]\s+\()")
    guilty = []
    for path in sources(*OURS):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if bare.search(line):
                guilty.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert guilty == []


def test_no_mocks() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in sources("tests")
        if re.search(r"unittest.mock|MagicMock|mocker", path.read_text("utf-8")) and path != Path(__file__)
    ]
    assert guilty == []


def test_every_module_begins_with_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources(*OURS)
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_functions_fit_a_screen() -> None:
    tall = []
    for path in sources(*OURS):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno > 70:
                tall.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert tall == []


def test_files_have_one_subject() -> None:
    names = [
        str(path.relative_to(ROOT))
        for path in sources(*OURS)
        if path.stem in ("utils", "helpers", "manager", "common", "misc")
    ]
    long = [f"{path.relative_to(ROOT)}" for path in sources(*OURS) if len(path.read_text("utf-8").splitlines()) > 600]
    assert (names, long) == ([], [])


def test_templates_hold_no_inline_script_or_handler() -> None:
    guilty = []
    for path in sources("lms", suffix=".html"):
        text = path.read_text("utf-8")
        for script in re.findall(r"<script\b([^>]*)>", text):
            if "src=" not in script and 'type="application/json"' not in script:
                guilty.append(f"{path.relative_to(ROOT)}: <script{script}>")
        guilty += [f"{path.relative_to(ROOT)}: {found}" for found in re.findall(r"\son[a-z]+=\"[^\"]*\"", text)]
        guilty += [
            f"{path.relative_to(ROOT)}: {found}" for found in re.findall(r"(?:src|href)=\"https?://[^\"]*\"", text)
        ]
    assert guilty == []


def test_every_room_has_its_models() -> None:
    assert all((ROOT / "lms" / feature / "models.py").is_file() for feature in FEATURES)


@pytest.mark.parametrize("heavy", ["openpyxl", "numpy", "cv2", "mediapipe", "alembic", "huey", "docx", "amqtt"])
def test_the_web_server_carries_no_heavy_library(heavy: str, loaded: frozenset[str]) -> None:
    assert heavy not in loaded


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Modules in memory after the app was made, in a process of its own."""
    script = (
        "import sys, pathlib\nfrom lms.app import create_app\nfrom lms.config import Settings\n"
        "create_app(Settings(data_dir=pathlib.Path(sys.argv[1])))\nprint(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path_factory.mktemp("memory"))],
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(done.stdout.split())
