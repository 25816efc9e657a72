"""Packages: good ones are read, bad ones are refused with file and line."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from lms.core.errors import Invalid
from lms.core.resources import bundled
from lms.courses.archive import unpack
from lms.courses.package import check_folder
from tests.courses.samples import write_package

BREAKS = {
    "missing file": (lambda p: (p / "lessons/01-see/plan.md").unlink(), "plan.md: 文件不存在"),
    "wrong yaml": (lambda p: (p / "lessons/01-see/lesson.yaml").write_text("a: [1\nb: 2"), "lesson.yaml:2: YAML 写法有误"),
    "alias bomb": (lambda p: (p / "course.yaml").write_text("a: &a [1]\nb: *a\n"), "course.yaml:1: 不支持锚点"),
    "duplicate key": (lambda p: _append(p / "course.yaml", "id: other\n"), "键重复：id"),
    "empty": (lambda p: (p / "course.yaml").write_text(""), "文件是空的"),
    "not utf-8": (lambda p: (p / "course.yaml").write_bytes("标题".encode("gbk")), "UTF-8"),
    "unknown key": (lambda p: _append(p / "course.yaml", "colour: red\n"), "不认识的项 colour"),
    "bad stage": (lambda p: _replace(p / "course.yaml", "stage: primary", "stage: 小学"), "stage = \"小学\"，只能是"),
    "bad grade": (lambda p: _replace(p / "course.yaml", "grade: 5", "grade: 13"), "grade = 13，超出范围"),
    "bad version": (lambda p: _replace(p / "course.yaml", "version: 1.0.0", "version: one"), "version = \"one\"，写法应符合"),
    "minutes": (lambda p: _replace(p / "lessons/01-see/lesson.yaml", "minutes: 40", "minutes: 45"), "各步骤共 40 分钟"),
    "no such activity": (lambda p: (p / "lessons/01-see/activities/check.yaml").unlink(), "没有活动 activities/check.yaml"),
    "activity id": (lambda p: _replace(p / "lessons/01-see/activities/check.yaml", "id: check", "id: other"), "id 应与文件同名"),
    "media missing": (lambda p: (p / "lessons/01-see/media/fig1.svg").unlink(), "媒体文件不存在：media/fig1.svg"),
    "media traversal": (lambda p: _replace(p / "lessons/01-see/lesson.yaml", "media/fig1.svg", "media/../../../course.yaml"), "media"),
    "lesson folder": (lambda p: shutil.rmtree(p / "lessons/01-see"), "没有文件夹 lessons/01-see"),
    "executable": (lambda p: (p / "run.sh").write_text("echo"), "run.sh: 不支持的文件类型 .sh"),
    "link": (lambda p: (p / "secret.md").symlink_to("/etc/passwd"), "secret.md: 不允许符号链接"),
    "no course": (lambda p: (p / "course.yaml").unlink(), "course.yaml: 文件不存在"),
    "nested": (lambda p: (p / "course.yaml").write_text("[" * 5000), "course.yaml:1"),
    "control characters": (lambda p: (p / "course.yaml").write_bytes(b"a: \x00"), "特殊字符"),
    "list": (lambda p: (p / "course.yaml").write_text("- 1\n"), "类型应为 object"),
}


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_good_package_is_read(tmp_path: Path) -> None:
    package, problems = check_folder(write_package(tmp_path / "p5-demo"))
    assert problems == []
    assert package is not None
    assert package.manifest["lessons"][0]["activities"]["check"]["kind"] == "quiz"


def test_hash_names_content(tmp_path: Path) -> None:
    one, _ = check_folder(write_package(tmp_path / "a" / "p5-demo"))
    two, _ = check_folder(write_package(tmp_path / "b" / "p5-demo"))
    three, _ = check_folder(write_package(tmp_path / "c" / "p5-demo", version="1.0.1"))
    assert one and two and three
    assert one.content_hash == two.content_hash != three.content_hash


@pytest.mark.parametrize("name", BREAKS)
def test_broken_package_names_file_and_cause(tmp_path: Path, name: str) -> None:
    folder = write_package(tmp_path / "p5-demo")
    breaking, message = BREAKS[name]
    breaking(folder)
    package, problems = check_folder(folder)
    assert package is None
    assert any(message in str(problem) for problem in problems), [str(problem) for problem in problems]


def _zip(path: Path, entries: dict[str, bytes], **attributes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, body in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = attributes.get("mode", 0o100644) << 16
            bundle.writestr(info, body)
    return path


@pytest.mark.parametrize(
    ("code", "entries", "mode"),
    [
        ("zip-path", {"../evil.md": b"x"}, 0o100644),
        ("zip-path", {"/etc/evil.md": b"x"}, 0o100644),
        ("zip-path", {"a\\..\\evil.md": b"x"}, 0o100644),
        ("zip-link", {"link.md": b"/etc/passwd"}, 0o120777),
        ("zip-bomb", {"course.yaml": b"0" * (60 << 20)}, 0o100644),
        ("zip-no-course", {"readme.md": b"x"}, 0o100644),
        ("zip-name", {"a" * 300 + ".md": b"x"}, 0o100644),
    ],
)
def test_bad_zip_is_refused(tmp_path: Path, code: str, entries: dict[str, bytes], mode: int) -> None:
    archive = _zip(tmp_path / "p.zip", entries, mode=mode)
    with pytest.raises(Invalid) as caught:
        unpack(archive, tmp_path / "out")
    assert caught.value.code == code
    assert not (tmp_path / "evil.md").exists()


def test_not_a_zip(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(b"PK\x03\x04 this is none")
    with pytest.raises(Invalid) as caught:
        unpack(tmp_path / "p.zip", tmp_path / "out")
    assert caught.value.code == "zip-broken"


def test_truncated_zip(tmp_path: Path) -> None:
    whole = _zip(tmp_path / "whole.zip", {"course.yaml": bytes(range(256)) * 400}).read_bytes()
    for cut in (30, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.zip").write_bytes(whole[:cut])
        with pytest.raises(Invalid):
            unpack(tmp_path / "cut.zip", tmp_path / f"out{cut}")


def test_bundled_packages_are_whole() -> None:
    folders = [path.parent for path in bundled("courses").glob("*/course.yaml")]
    assert len(folders) >= 4
    for folder in folders:
        package, problems = check_folder(folder)
        assert package is not None, [str(problem) for problem in problems]
