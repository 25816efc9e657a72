"""The wheel alone is the product: installed in an empty folder it finds its courses, profiles, tables, pages and front end."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRONT_END = (
    "tabler/tabler.min.css",
    "tabler/icons.svg",
    "echarts/echarts.min.js",
    "mqtt/mqtt.esm.js",
    "mediapipe/vision_bundle.mjs",
    "mediapipe/vision_wasm_internal.wasm",
    "mediapipe/face.tflite",
    "mediapipe/hand.task",
    "codemirror/codemirror.js",
    "pyodide/pyodide.mjs",
    "pyodide/pyodide.asm.wasm",
    "pyodide/python_stdlib.zip",
)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        text=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it; its dependencies come from ours, the checkout does not."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel)], check=True
    )
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", "utf-8")
    return folder


def run(installed: Path, cwd: Path, *command: str) -> str:
    """Output of a command of the environment, in an empty folder."""
    environ = {"PATH": f"{installed / 'bin'}:{os.environ['PATH']}", "HOME": str(cwd), "LANG": "C.UTF-8"}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked(*folders: str) -> set[str]:
    """Files of the checkout that git knows."""
    listed = subprocess.run(
        ["git", "ls-files", *folders], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\n")
    return {name for name in listed if name and (ROOT / name).exists()}


def test_everything_is_in_it_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = {
        name
        for name in tracked("lms", "labkit")
        if not name.startswith("lms/static/bundle/") and not name.endswith((".po", ".pot"))
    }
    wanted |= {f"lms/bundled/{name}" for name in tracked("courses")}
    wanted |= {f"labkit/{name}" for name in tracked("device_profiles")}
    wanted |= {f"lms/static/vendor/{name}" for name in FRONT_END}
    assert wanted - held == set()
    assert not [
        name
        for name in held
        if name.startswith(("tests/", "node_modules/")) or "__pycache__" in name or name.endswith(".po")
    ]


def test_it_is_not_the_checkout_that_runs(installed: Path, tmp_path: Path) -> None:
    place = run(installed, tmp_path, "python", "-c", "import lms, labkit; print(lms.__file__, labkit.__file__)")
    assert str(ROOT) not in place


def test_commands_work_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    assert "version" in run(installed, tmp_path, "lms", "--version")
    run(installed, tmp_path, "labkit", "--help")
    assert "https://" in run(installed, tmp_path, "lms", "prepare")
    assert (tmp_path / "zhike-data" / "zhike.sqlite").exists()
    run(installed, tmp_path, "lms", "backup", "all.zip")
    assert "备份完好" in run(installed, tmp_path, "lms", "restore", "--check", "all.zip")


def test_courses_and_profiles_come_with_it(installed: Path, tmp_path: Path) -> None:
    script = (
        "from lms.core.resources import bundled\nfrom labkit.profiles import load_profiles\n"
        "print(bundled('courses'))\nprint(len(load_profiles()))\nprint(*[p.parent for p in bundled('courses').glob('*/course.yaml')])"
    )
    place, profiles, folders = run(installed, tmp_path, "python", "-c", script).splitlines()
    assert str(installed) in place
    assert int(profiles) >= 4
    checked = run(installed, tmp_path, "lms", "courses", "check", *folders.split())
    assert checked.count("✓") == len(folders.split()) >= 3


def test_pages_and_front_end_are_served(installed: Path, tmp_path: Path) -> None:
    script = (
        "from lms.app import create_app\nfrom lms.config import Settings\nfrom pathlib import Path\nfrom lms.core import schema\n"
        "from lms.core.db import db\napp = create_app(Settings(data_dir=Path('data')))\nc = app.app_context(); c.push()\n"
        "schema.upgrade(db.engine)\nclient = app.test_client()\n"
        "print([client.get(p).status_code for p in ('/healthz', '/readyz', '/static/vendor/tabler/icons.svg', '/static/logo.svg', '/')])"
    )
    assert run(installed, tmp_path, "python", "-c", script).splitlines()[-1] == "[200, 200, 200, 200, 503]"
