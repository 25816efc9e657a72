"""A YAML file that remembers the line of every value, so that a fault can name it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from labkit.errors import BadDocument, Fault, Place

TYPE_NAMES = {
    "object": "对象",
    "array": "列表",
    "string": "文本",
    "number": "数",
    "integer": "整数",
    "boolean": "true/false",
    "null": "空",
}
Key = str | int
MAX_BYTES = 256 * 1024


@dataclass(frozen=True)
class Document:
    """Plain values of a YAML file (``dict``, ``list``, ``str``, ``int``, ``float``, ``bool``, ``None``) and their lines."""

    path: Path
    data: object
    lines: dict[tuple[Key, ...], int]

    def place(self, *where: Key) -> Place:
        """The line of a value; of its nearest known parent when the value itself is missing."""
        path = tuple(where)
        while path and path not in self.lines:
            path = path[:-1]
        return Place(self.path, self.lines.get(path, 1))

    def fault(self, where: Iterable[Key], zh: str, en: str) -> Fault:
        """A fault at a value."""
        return Fault(self.place(*where), zh, en)


def read(path: Path) -> Document:
    """Read one YAML file.

    Raises BadDocument: missing or larger than 256 KiB, not UTF-8, not YAML, aliases (they allow expansion bombs),
    a key twice, or no mapping at the top.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _bad(path, 1, f"打不开：{error.strerror}", f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise _bad(path, 1, f"文件大于 {MAX_BYTES // 1024} KiB", f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _bad(path, line, "不是 UTF-8 文本", "is not UTF-8 text") from error
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise _bad(path, line, "不允许 YAML 别名（*）", "YAML aliases (*) are not allowed")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _bad(
            path, mark.line + 1 if mark else 1, f"不是合法的 YAML：{error.problem}", f"is not YAML: {error.problem}"
        ) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _bad(path, 1, f"不是合法的 YAML：{error}", f"is not YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise _bad(path, 1, "最外层必须是“键: 值”", "must hold keys and values at the top")
    lines: dict[tuple[Key, ...], int] = {}
    data = _plain(path, node, (), lines)
    return Document(path, data, lines)


def validate(document: Document, schema_name: str) -> None:
    """Check a document against ``labkit/schemas/<schema_name>``; raises BadDocument with every fault."""
    faults = tuple(
        _schema_fault(document, error)
        for error in sorted(validator(schema_name).iter_errors(document.data), key=_where)
    )
    if faults:
        raise BadDocument(faults)


def validator(schema_name: str) -> Draft202012Validator:
    """The JSON Schema validator of one published schema."""
    text = resources.files("labkit").joinpath("schemas", schema_name).read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def _where(error: ValidationError) -> list[str]:
    return [str(part) for part in error.absolute_path]


def _schema_fault(document: Document, error: ValidationError) -> Fault:
    deepest = error
    while deepest.context:
        deepest = max(deepest.context, key=lambda e: len(e.absolute_path))
    where = tuple(deepest.absolute_path)
    name = ".".join(str(part) for part in where) or "文件"
    return document.fault(where, f"{name}：{_cause_zh(deepest)}", f"{name if where else 'file'}: {deepest.message}")


def _cause_zh(error: ValidationError) -> str:
    rule, value = str(error.validator), cast(Any, error.validator_value)
    if rule == "required" and isinstance(error.instance, dict):
        missing = [key for key in value if key not in error.instance]
        return f"缺少 {'、'.join(missing)}"
    if rule == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        return f"不认识的键 {'、'.join(str(key) for key in error.instance if key not in known)}"
    if rule == "type":
        kinds = value if isinstance(value, list) else [value]
        return f"应为{'或'.join(TYPE_NAMES.get(str(kind), str(kind)) for kind in kinds)}，现为 {error.instance!r}"
    if rule == "enum":
        return f"只能是 {'、'.join(str(v) for v in value)}，现为 {error.instance!r}"
    if rule == "pattern":
        return f"{error.instance!r} 不合格式 {value}"
    if rule in ("minimum", "exclusiveMinimum"):
        return f"{error.instance!r} 太小（至少 {value}）"
    if rule in ("maximum", "exclusiveMaximum"):
        return f"{error.instance!r} 太大（至多 {value}）"
    return str(error.message)


def _plain(path: Path, node: yaml.Node, where: tuple[Key, ...], lines: dict[tuple[Key, ...], int]) -> object:
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _bad(path, key_node.start_mark.line + 1, "键必须是文本", "a key must be text")
            key = str(key_node.value)
            if key in mapping:
                raise _bad(path, key_node.start_mark.line + 1, f"键 {key} 出现了两次", f"the key {key} stands twice")
            lines[(*where, key)] = key_node.start_mark.line + 1
            mapping[key] = _plain(path, value_node, (*where, key), lines)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_plain(path, item, (*where, index), lines) for index, item in enumerate(node.value)]
    if node.tag in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:binary"):
        return str(node.value)
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise _bad(
            path, node.start_mark.line + 1, f"读不懂的值 {node.value!r}", f"unreadable value {node.value!r}"
        ) from error


def _bad(path: Path, line: int, zh: str, en: str) -> BadDocument:
    return BadDocument((Fault(Place(path, line), zh, en),))
