"""The numbers of a notice that change from year to year (常用数字): which they are, and what a page's form says they should be; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lms.programmes.dates import LEVELS
from lms.programmes.editor.rewriting import put

LEVEL_NAMES = {"county": "县", "city": "市", "province": "省", "nation": "国家", "school": "学校"}
Kind = Literal["text", "long", "number", "day", "month"]


@dataclass(frozen=True)
class Number:
    """One value: the file and path it stands at, what it is called, its value (``""``: not set)."""

    file: str
    path: tuple[str | int, ...]
    label: str
    kind: Kind
    value: str
    optional: bool = False

    @property
    def name(self) -> str:
        """Name of its input."""
        return f"{self.file}|{'/'.join(map(str, self.path))}"


@dataclass(frozen=True)
class Group:
    """Values that belong together."""

    title: str
    numbers: tuple[Number, ...]


def groups_of(pack: Mapping[str, Any]) -> list[Group]:
    """Everything that can be changed without touching the text, of a pack with its forms."""
    head = (
        _one(pack, ("notice",), "代号（小写字母、数字、短横）", "text"),
        _one(pack, ("version",), "版本（年份.次数）", "text"),
        _one(pack, ("title",), "名称", "text"),
        _one(pack, ("issuer",), "发文单位", "text"),
        _one(pack, ("number",), "文号", "text", True),
        _one(pack, ("summary",), "摘要", "long"),
    )
    groups = [Group("通知", head), *_batches(pack)]
    groups += [
        Group("名额", _rows(pack, "quotas", "most")),
        Group("条件里的数字", _criteria(pack)),
        Group("字数上限", _limits(pack)),
        Group("目标数", _rows(pack, "targets", "number")),
        Group("阶段", _phases(pack)),
    ]
    return [group for group in groups if group.numbers]


def _one(
    pack: Mapping[str, Any],
    path: tuple[str | int, ...],
    label: str,
    kind: Kind,
    optional: bool = False,
    file: str = "pack.yaml",
) -> Number:
    at: Any = pack if file == "pack.yaml" else pack["forms"][file[6:-5]]
    for step in path:
        at = at.get(step, "") if isinstance(at, Mapping) else at[step]
    return Number(file, path, label, kind, str(at), optional)


def _rows(pack: Mapping[str, Any], key: str, value: str) -> tuple[Number, ...]:
    return tuple(
        _one(pack, (key, number, value), row["name"], "number") for number, row in enumerate(pack.get(key, ()))
    )


def _batches(pack: Mapping[str, Any]) -> list[Group]:
    levels = {step["level"] for kind in pack["kinds"] for step in kind["chain"]}
    groups = []
    for number, batch in enumerate(pack["batches"]):
        at: tuple[str | int, ...] = ("batches", number)
        rows = [
            _one(pack, (*at, "name"), "批次名称", "text"),
            _one(pack, (*at, "opens"), "开始", "day", True),
            *(
                _one(pack, (*at, "due", level), f"报到{LEVEL_NAMES[level]}级的截止日", "day", True)
                for level in LEVELS
                if level in levels or level in batch["due"]
            ),
            *(
                _one(pack, (*at, "local", place, "due"), f"{row['office']}自己的截止日", "day")
                for place, row in enumerate(batch.get("local", ()))
            ),
        ]
        groups.append(Group(f"批次：{batch['name']}", tuple(rows)))
    return groups


def _criteria(pack: Mapping[str, Any]) -> tuple[Number, ...]:
    return tuple(
        _one(pack, ("criteria", number, "with", key), f"{row['id']} {row['text'][:36]}（{key}）", "number")
        for number, row in enumerate(pack["criteria"])
        for key, value in row.get("with", {}).items()
        if isinstance(value, int) and not isinstance(value, bool)
    )


def _limits(pack: Mapping[str, Any]) -> tuple[Number, ...]:
    found = []
    for name, form in pack["forms"].items():
        headings = {part["id"]: part["heading"] for part in form["parts"]}
        for number, limit in enumerate(form.get("limits", ())):
            label = f"{form['title'][:24]}：{'、'.join(headings.get(one) or one for one in limit['parts'])}"
            found.append(_one(pack, ("limits", number, "most"), label, "number", file=f"forms/{name}.yaml"))
    return tuple(found)


def _phases(pack: Mapping[str, Any]) -> tuple[Number, ...]:
    return tuple(
        _one(pack, ("phases", number, end), f"{row['name']}{label}", "month")
        for number, row in enumerate(pack.get("phases", ()))
        for end, label in (("from", "自"), ("to", "至"))
    )


def changed(texts: Mapping[str, str], pack: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """The texts with what the page's form says; raises ValueError naming a value that must not be empty or is no number."""
    made = dict(texts)
    for group in groups_of(pack):
        for one in group.numbers:
            value = given.get(one.name, one.value).strip()
            if value == one.value:
                continue
            if not value and not one.optional:
                raise ValueError(f"{group.title}：“{one.label}”不能为空")
            if one.kind == "number" and not value.isdigit():
                raise ValueError(f"{group.title}：“{one.label}”应为整数，现在是 {value}")
            made[one.file] = put(made[one.file], one.path, int(value) if one.kind == "number" else value or None)
    return made
