"""A rule pack (规则包) as data: version, clause and parameters whose meaning and range each rule declares; pure.

A rule's module gives ``TITLE``, ``Parameters`` (a frozen dataclass of sections, each a frozen dataclass with a ``label`` and
:func:`whole`, :func:`switch` and :func:`choice` fields) and ``judge(facts, policy)``. The same declaration checks ``rule.yaml``, an office's form and ``--set``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import yaml

if TYPE_CHECKING:
    from types import ModuleType

    from lms.usage.judging.facts import Facts
    from lms.usage.judging.verdicts import SchoolResult

Values = Mapping[str, Mapping[str, Any]]
COUNTS = ("lessons", "class-hours", "evidence")
LEVELS = ("nation", "province", "city", "county")
FIELDS = frozenset({"rule", "version", "clause", "counts", "owners", "facts", "parameters"})


@dataclass(frozen=True)
class Policy:
    """A rule with the data of its pack.

    ``counts``: what it counts, one of COUNTS. ``owners``: levels of the offices that may change the parameters. ``facts``: name of
    the JSON Schema of its facts. ``parameters``: the rule's own ``Parameters``.
    """

    name: str
    title: str
    version: str
    clause: str
    counts: str
    owners: tuple[str, ...]
    facts: str
    parameters: Any
    judge: Callable[[Facts, Policy], SchoolResult]

    def with_values(self, values: Values, version: str) -> Policy:
        """The same rule with other values under another version; raises ValueError with what :func:`problems` found."""
        found = problems(type(self.parameters), values)
        if found:
            raise ValueError("；".join(f"{path}：{text}" for path, text in found))
        return dataclasses.replace(self, parameters=build(type(self.parameters), values), version=version)

    def values(self) -> dict[str, dict[str, Any]]:
        """The parameters as plain data, by section and name."""
        return dataclasses.asdict(self.parameters)


def whole(label: str, least: int, most: int) -> Any:
    """A whole number from ``least`` to ``most``."""
    return dataclasses.field(metadata={"label": label, "least": least, "most": most})


def switch(label: str) -> Any:
    """Yes or no."""
    return dataclasses.field(metadata={"label": label})


def choice(label: str, options: Mapping[str, str]) -> Any:
    """One of ``options``: value → what it means."""
    return dataclasses.field(metadata={"label": label, "options": dict(options)})


def problems(kind: type[Any], values: Any) -> list[tuple[str, str]]:
    """What is wrong with ``values`` for the parameters ``kind``: place (``section.name``) and sentence."""
    found = _names_wrong(kind, values, "")
    for name, one in sections(kind).items():
        if isinstance(values, Mapping) and name in values:
            found += _names_wrong(one, values[name], name)
            if isinstance(values[name], Mapping):
                fields = {entry.name: entry for entry in dataclasses.fields(one)}
                wrong = ((key, _wrong(fields[key], value)) for key, value in values[name].items() if key in fields)
                found += [(f"{name}.{key}", text) for key, text in wrong if text]
    return found


def build(kind: type[Any], values: Values) -> Any:
    """The parameters from values that :func:`problems` found right."""
    return kind(**{name: one(**values[name]) for name, one in sections(kind).items()})


def sections(kind: type[Any]) -> dict[str, type[Any]]:
    """The sections of a rule's ``Parameters``, by name."""
    hints = get_type_hints(kind)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(kind)}


def _names_wrong(kind: type[Any], values: Any, where: str) -> list[tuple[str, str]]:
    wanted = {entry.name for entry in dataclasses.fields(kind)}
    if not isinstance(values, Mapping):
        return [(where or "parameters", "应为名称与数值的对照")]
    found = [(".".join(filter(None, (where, str(name)))), "不认识的参数") for name in values if name not in wanted]
    return found + [(".".join(filter(None, (where, name))), "缺少这个参数") for name in sorted(wanted - set(values))]


def _wrong(entry: dataclasses.Field[Any], value: Any) -> str:
    meta = entry.metadata
    if "options" in meta:
        return "" if value in meta["options"] else f"应为 {'、'.join(meta['options'])} 之一，不是 {value!r}"
    if "least" not in meta:
        return "" if isinstance(value, bool) else f"应为是或否，不是 {value!r}"
    if isinstance(value, int) and not isinstance(value, bool) and meta["least"] <= value <= meta["most"]:
        return ""
    return f"应为 {meta['least']} 到 {meta['most']} 的整数，不是 {value!r}"


def read_pack(where: str, text: str, module: ModuleType) -> Policy:
    """The pack in the text of a ``rule.yaml``; raises ValueError naming the file (``where``) and the field."""
    pack = yaml.safe_load(text)
    if not isinstance(pack, dict) or set(pack) != FIELDS:
        raise ValueError(f"{where}: needs exactly the fields {', '.join(sorted(FIELDS))}")
    if pack["counts"] not in COUNTS or not pack["owners"] or not set(pack["owners"]) <= set(LEVELS):
        raise ValueError(f"{where}: counts is one of {', '.join(COUNTS)}, owners some of {', '.join(LEVELS)}")
    found = problems(module.Parameters, pack["parameters"])
    if found:
        raise ValueError("; ".join(f"{where}: parameters.{path} {text}" for path, text in found))
    return Policy(
        name=pack["rule"],
        title=module.TITLE,
        version=pack["version"],
        clause=pack["clause"],
        counts=pack["counts"],
        owners=tuple(pack["owners"]),
        facts=pack["facts"],
        parameters=build(module.Parameters, pack["parameters"]),
        judge=module.judge,
    )
