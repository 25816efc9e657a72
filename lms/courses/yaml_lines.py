"""YAML with the line of every value, so that a message can say where (行号)."""

from __future__ import annotations

from typing import Any

import yaml

MAX_BYTES = 1_000_000


class YamlProblem(ValueError):
    """The text is no plain YAML; ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


Lines = dict[tuple[str | int, ...], int]


def load(text: str) -> tuple[Any, Lines]:
    """Plain data of ``text`` and the line of each path into it.

    Keys are strings; duplicate keys, anchors, aliases and tags are refused (an alias bomb needs them). Raises YamlProblem.
    """
    if len(text.encode()) > MAX_BYTES:
        raise YamlProblem(1, f"文件超过 {MAX_BYTES // 1000} kB")
    try:
        for token in yaml.scan(text, yaml.SafeLoader):
            if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken):
                raise YamlProblem(token.start_mark.line + 1, "不支持锚点、引用和类型标记（& * !）")
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlProblem((mark.line if mark else 0) + 1, f"YAML 写法有误：{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise YamlProblem(1, "文件里有不可见的特殊字符") from error
    except RecursionError as error:
        raise YamlProblem(1, "嵌套层数太多") from error
    if node is None:
        raise YamlProblem(1, "文件是空的")
    lines: Lines = {}
    constructor = yaml.SafeLoader("")
    try:
        return _plain(node, (), lines, constructor), lines
    except yaml.MarkedYAMLError as error:
        raise YamlProblem((error.problem_mark.line if error.problem_mark else 0) + 1, f"值无法识别：{error.problem}") from error
    finally:
        constructor.dispose()


def _plain(node: yaml.Node, path: tuple[str | int, ...], lines: Lines, constructor: yaml.SafeLoader) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in result:
                raise YamlProblem(key_node.start_mark.line + 1, f"键重复：{key}")
            result[key] = _plain(value_node, (*path, key), lines, constructor)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*path, index), lines, constructor) for index, child in enumerate(node.value)]
    try:
        value = constructor.construct_object(node)
    except ValueError as error:
        raise YamlProblem(node.start_mark.line + 1, f"值无法识别：{node.value!r}") from error
    return value if isinstance(value, str | int | float | bool) or value is None else str(node.value)
