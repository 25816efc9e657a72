"""Changing one value of a YAML text while its comments and its order stay (改写); pure."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

Path = tuple[str | int, ...]
_PLAIN = re.compile(r"[\w（）〔〕“”、，。；：+·/.\-—–%℃ ]*[\w）〕”。]")


def scalar(value: str | int) -> str:
    """A value as YAML writes it: numbers and plain words bare, all else in quotes."""
    if isinstance(value, int):
        return str(value)
    day = re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", value)
    bare = _PLAIN.fullmatch(value) and not value.startswith((" ", "-", "%", "·"))
    return value if day or (bare and yaml.safe_load(value) == value) else json.dumps(value, ensure_ascii=False)


def put(text: str, path: Path, value: str | int | None) -> str:
    """The text with ``value`` at ``path``; None takes the key out. Raises KeyError where the path leads nowhere."""
    parent = _node(yaml.compose(text, yaml.SafeLoader), path[:-1])
    found = _child(parent, path[-1])
    if found is not None and value is not None:
        start, end = found[1].start_mark.index, _end(text, found[1])
        return text[:start] + scalar(value) + text[end:]
    if found is not None and isinstance(parent, yaml.CollectionNode):
        return _without(text, parent, found)
    if value is None:
        return text
    if not isinstance(parent, yaml.MappingNode):
        raise KeyError(path)
    said = f"{path[-1]}: {scalar(value)}"
    if parent.flow_style:
        place = parent.end_mark.index - 1
        return f"{text[:place].rstrip()}{', ' if parent.value else ''}{said}{text[place:]}"
    first = parent.value[0][0]
    return f"{text[: first.start_mark.index]}{said}\n{' ' * first.start_mark.column}{text[first.start_mark.index :]}"


def add(text: str, path: Path, values: dict[str, Any] | str) -> str:
    """The text with one more item in the list at ``path``, written on one line."""
    node = _node(yaml.compose(text, yaml.SafeLoader), path)
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise KeyError(path)
    flow = (
        scalar(values)
        if isinstance(values, str)
        else yaml.safe_dump(values, allow_unicode=True, sort_keys=False, default_flow_style=True, width=10_000).strip()
    )
    last = node.value[-1]
    end = _end(text, last)
    if node.flow_style:
        return f"{text[:end]}, {flow}{text[end:]}"
    column = node.start_mark.column
    return f"{text[:end]}\n{' ' * column}- {flow}{text[end:]}"


def replace_top(text: str, key: str, value: Any) -> str:
    """The text with a key of the top written anew at its end; None takes it out."""
    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise KeyError(key)
    found = _child(root, key)
    if found is not None:
        text = _without(text, root, found)
    if value is None:
        return text
    said = yaml.safe_dump({key: value}, allow_unicode=True, sort_keys=False, width=10_000)
    return f"{text.rstrip()}\n{said}"


Pair = tuple[yaml.Node, yaml.Node]


def _node(root: yaml.Node | None, path: Path) -> yaml.Node:
    if root is None:
        raise KeyError(path)
    for step in path:
        found = _child(root, step)
        if found is None:
            raise KeyError(path)
        root = found[1]
    return root


def _child(node: yaml.Node, step: str | int) -> Pair | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return (node.value[step], node.value[step]) if step < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((pair for pair in node.value if str(pair[0].value) == step), None)
    return None


def _end(text: str, node: yaml.Node) -> int:
    """Where the node's own text ends: block nodes reach to the next token, over blank lines and comments."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style:
        return int(node.end_mark.index)
    children = [one for pair in node.value for one in (pair if isinstance(pair, tuple) else (pair,))]
    return _end(text, children[-1]) if children else int(node.end_mark.index)


def _without(text: str, parent: yaml.CollectionNode, pair: Pair) -> str:
    start, end = pair[0].start_mark.index, _end(text, pair[1])
    if parent.flow_style:
        after = re.match(r"\s*,\s*", text[end:])
        if after:
            return text[:start] + text[end + after.end() :]
        return re.sub(r",\s*$", "", text[:start]) + text[end:]
    line = text.find("\n", end)
    begin = text.rfind("\n", 0, start) + 1
    return text[:begin] + (text[line + 1 :] if line >= 0 else "")
