"""Read and check a course package or catalogue folder (课程包校验); pure but for reading files.

The format is documented in ``docs/how-to/write-a-course.md`` and by the JSON Schemas in ``lms/courses/schemas``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from lms.core.errors import ZhikeError
from lms.courses.yaml_lines import Lines, YamlProblem, load

MAX_FILES = 2000
MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_BYTES = 200 * 1024 * 1024
SUFFIXES = {".yaml", ".md", ".svg", ".png", ".jpg", ".jpeg", ".webp", ".csv", ".json", ".wav", ".mp3", ".mp4", ".webm", ".py", ".txt", ".pdf"}
VARIANTS = ("1", "2", "3")

KindCheck = Callable[[dict[str, Any]], None]
_kinds: dict[str, KindCheck] = {}


def register_kind(name: str, check: KindCheck) -> None:
    """Let an activity kind check its own settings: ``check`` raises ZhikeError with the reason."""
    _kinds[name] = check


@dataclass(frozen=True)
class Problem:
    """Something wrong in a package: relative file, line from 1 (0: the file itself), what and what to do."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


@dataclass(frozen=True)
class Package:
    """A checked package: ``manifest`` holds course, lessons, texts and activities as plain JSON."""

    folder: Path
    manifest: dict[str, Any]
    content_hash: str
    files: tuple[str, ...]


@dataclass
class _Reader:
    folder: Path
    problems: list[Problem] = field(default_factory=list)

    def say(self, file: str, line: int, message: str) -> None:
        self.problems.append(Problem(file, line, message))

    def text(self, name: str) -> str | None:
        path = self.folder / name
        if not path.is_file() or path.is_symlink():
            self.say(name, 0, "文件不存在")
            return None
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError:
            self.say(name, 0, "不是 UTF-8 编码的文本，请另存为 UTF-8")
            return None

    def yaml(self, name: str, schema: str) -> tuple[dict[str, Any], Lines] | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            data, lines = load(text)
        except YamlProblem as problem:
            self.say(name, problem.line, problem.message)
            return None
        errors = sorted(_validator(schema).iter_errors(data), key=lambda error: list(map(str, error.absolute_path)))
        for error in errors:
            self.say(name, _line(lines, error), _message(error))
        return (data, lines) if not errors and isinstance(data, dict) else None


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(files("lms.courses").joinpath(f"schemas/{name}.schema.json").read_text("utf-8")))


def _line(lines: Lines, error: ValidationError) -> int:
    path = tuple(error.absolute_path)
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _message(error: ValidationError) -> str:
    limit: Any = error.validator_value
    where = "/".join(str(part) for part in error.absolute_path) or "文件"
    value = json.dumps(error.instance, ensure_ascii=False, default=str)[:60]
    instance: Any = error.instance
    match error.validator:
        case "required":
            missing = [key for key in limit if key not in instance]
            return f"{where} 缺少 {'、'.join(missing)}"
        case "additionalProperties":
            schema: Any = error.schema
            extra = sorted(set(instance) - set(schema.get("properties", {})))
            return f"{where} 有不认识的项 {'、'.join(extra)}"
        case "enum":
            return f"{where} = {value}，只能是 {'、'.join(map(str, limit))}"
        case "type":
            return f"{where} = {value}，类型应为 {limit}"
        case "pattern":
            return f"{where} = {value}，写法应符合 {limit}"
        case "minimum" | "maximum" | "minItems" | "maxItems" | "minLength" | "maxLength":
            return f"{where} = {value}，超出范围（{error.validator} {limit}）"
        case "uniqueItems":
            return f"{where} 有重复项"
        case "const":
            return f"{where} = {value}，应为 {limit}"
    return f"{where} 在这种课程包里不允许出现" if error.validator is None else f"{where} = {value}，不符合 {error.validator}"


def check_folder(folder: Path) -> tuple[Package | None, list[Problem]]:
    """Check the package at ``folder``; returns it with no problems, or None with every problem found."""
    reader = _Reader(folder)
    if not folder.is_dir():
        return None, [Problem(str(folder.name), 0, "没有这个文件夹")]
    names = list(_files(reader))
    if reader.problems:
        return None, reader.problems
    read = reader.yaml("course.yaml", "course")
    if read is None:
        return None, reader.problems
    course, lines = read
    lessons = [_lesson(reader, course, slug, lines[("lessons", index)]) for index, slug in enumerate(course.get("lessons", []))]
    if course["kind"] == "catalogue":
        _units(reader, course, lines)
    if reader.problems:
        return None, reader.problems
    return Package(folder, {"course": course, "lessons": lessons}, content_hash(folder, names), tuple(names)), []


def check_course(course: dict[str, Any]) -> list[Problem]:
    """Problems of a course.yaml given as data, as :func:`check_folder` would name them."""
    return [Problem("course.yaml", 0, _message(error)) for error in _validator("course").iter_errors(course)]


def _files(reader: _Reader) -> Iterator[str]:
    total = count = 0
    for path in sorted(reader.folder.rglob("*")):
        name = path.relative_to(reader.folder).as_posix()
        if path.is_symlink():
            reader.say(name, 0, "不允许符号链接")
            continue
        if path.is_dir():
            continue
        if path.suffix.lower() not in SUFFIXES:
            reader.say(name, 0, f"不支持的文件类型 {path.suffix or '（无扩展名）'}")
            continue
        size = path.stat().st_size
        count, total = count + 1, total + size
        if size > MAX_FILE_BYTES:
            reader.say(name, 0, f"文件超过 {MAX_FILE_BYTES >> 20} MiB")
        yield name
    if count > MAX_FILES:
        reader.say("course.yaml", 0, f"文件太多（{count} 个，最多 {MAX_FILES}）")
    if total > MAX_BYTES:
        reader.say("course.yaml", 0, f"总大小 {total >> 20} MiB，最多 {MAX_BYTES >> 20} MiB")


def _units(reader: _Reader, course: dict[str, Any], lines: Lines) -> None:
    seen: set[str] = set()
    for index, unit in enumerate(course["units"]):
        if unit["code"] in seen:
            reader.say("course.yaml", lines[("units", index)], f"课次代码重复：{unit['code']}")
        seen.add(unit["code"])


def _lesson(reader: _Reader, course: dict[str, Any], slug: str, course_line: int) -> dict[str, Any]:
    base = f"lessons/{slug}"
    if not (reader.folder / base).is_dir():
        reader.say("course.yaml", course_line, f"没有文件夹 {base}")
        return {}
    read = reader.yaml(f"{base}/lesson.yaml", "lesson")
    if read is None:
        return {}
    lesson, lines = read
    file = f"{base}/lesson.yaml"
    if lesson["id"] != slug:
        reader.say(file, lines[("id",)], f"id 应与文件夹同名：{slug}")
    total = sum(step["minutes"] for step in lesson["steps"])
    if total != lesson["minutes"]:
        reader.say(file, lines[("steps",)], f"各步骤共 {total} 分钟，与 minutes = {lesson['minutes']} 不符")
    for index, name in enumerate(lesson.get("media", [])):
        if ".." in name or not (reader.folder / base / name).is_file():
            reader.say(file, lines[("media", index)], f"媒体文件不存在：{name}")
    texts = {part: reader.text(f"{base}/{lesson[part]}") or "" for part in ("plan", "text", "task_sheet", "answers")}
    activities = _activities(reader, base)
    _steps(reader, file, lesson, lines, activities)
    return {**lesson, "texts": texts, "activities": activities}


def _steps(reader: _Reader, file: str, lesson: dict[str, Any], lines: Lines, activities: dict[str, Any]) -> None:
    seen: set[str] = set()
    for index, step in enumerate(lesson["steps"]):
        path: tuple[str | int, ...] = ("steps", index)
        if step["id"] in seen:
            reader.say(file, lines[path], f"步骤 id 重复：{step['id']}")
        seen.add(step["id"])
        named = [(path, step.get("activity"))]
        named += [((*path, "variants", key), variant.get("activity")) for key, variant in step.get("variants", {}).items()]
        for where, activity in named:
            if activity is not None and activity not in activities:
                reader.say(file, lines.get((*where, "activity"), lines[path]), f"没有活动 activities/{activity}.yaml")


def _activities(reader: _Reader, base: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted((reader.folder / base / "activities").glob("*.yaml")):
        name = path.relative_to(reader.folder).as_posix()
        read = reader.yaml(name, "activity")
        if read is None:
            continue
        activity, lines = read
        if activity["id"] != path.stem:
            reader.say(name, lines[("id",)], f"id 应与文件同名：{path.stem}")
        check = _kinds.get(activity["kind"])
        if check is None and _kinds:
            reader.say(name, lines[("kind",)], f"没有这种活动：{activity['kind']}；可用：{'、'.join(sorted(_kinds))}")
        elif check is not None:
            try:
                check(activity.get("settings", {}))
            except ZhikeError as error:
                reader.say(name, lines.get(("settings",), 1), f"{error.where} {error.message}".strip())
        found[activity["id"]] = activity
    return found


def content_hash(folder: Path, names: list[str]) -> str:
    """SHA-256 over sorted names and file hashes; equal content has equal hash on every machine."""
    whole = hashlib.sha256()
    for name in sorted(names):
        whole.update(name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).digest())
    return whole.hexdigest()
