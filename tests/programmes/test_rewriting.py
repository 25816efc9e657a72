"""Changing a notice's text by its numbers: comments and order stay, the rest is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lms.programmes.editor import numbers
from lms.programmes.editor.rewriting import add, put, replace_top
from lms.programmes.pack import SHIPPED, check_texts

TEXT = """# head
title: 甲  # why
batches:
  - {id: "1", name: 第一批, due: {county: 2026-12-15}}
  # between
  - id: "2"
    name: 第二批
    due:
      county: 2026-12-20

# tail
end: 1
"""


def texts_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.yaml")}


def test_values_are_replaced_added_and_taken_out() -> None:
    assert put(TEXT, ("title",), "乙") == TEXT.replace("甲", "乙")
    assert put(TEXT, ("batches", 0, "due", "county"), "2026-12-01") == TEXT.replace("12-15", "12-01")
    assert "due: {county: 2026-12-15, city: 2026-12-18}" in put(TEXT, ("batches", 0, "due", "city"), "2026-12-18")
    assert "    due:\n      city: 2026-12-30\n      county: 2026-12-20\n" in put(
        TEXT, ("batches", 1, "due", "city"), "2026-12-30"
    )
    assert put(TEXT, ("batches", 0, "name"), None) == TEXT.replace(" name: 第一批,", "")
    assert put(TEXT, ("batches", 1, "name"), None) == TEXT.replace("    name: 第二批\n", "")
    made = add(TEXT, ("batches",), {"id": "3", "name": "第三批"})
    assert "      county: 2026-12-20\n  - {id: '3', name: 第三批}\n\n# tail\n" in made and "# between" in made
    with pytest.raises(KeyError):
        put(TEXT, ("nothing", "deep"), "x")


@pytest.mark.parametrize(
    "value", ["a: b", "是", "true", "3", "- x", "# x", "“百校”（2026）", "x'\"", " y", "2026-12-01", "{x}", "a #b"]
)
def test_every_text_stays_a_text(value: str) -> None:
    assert str(yaml.safe_load(put(TEXT, ("title",), value))["title"]) == value


def test_a_top_key_is_written_anew() -> None:
    made = replace_top(
        replace_top(TEXT, "template", {"file": "a", "bindings": []}),
        "template",
        {"file": "b", "bindings": [{"at": "x"}]},
    )
    assert made.count("template:") == 1 and yaml.safe_load(made)["template"]["bindings"] == [{"at": "x"}]
    assert replace_top(made, "template", None) == TEXT


@pytest.mark.parametrize("slug", ["hunan-baixiao", "henan-experiment"])
def test_every_number_of_every_notice_can_be_changed_by_itself(slug: str) -> None:
    texts = texts_of(SHIPPED / slug)
    pack, problems = check_texts(texts)
    assert pack is not None and problems == []
    groups = numbers.groups_of(pack.document)
    assert {"通知", "名额" if pack.document.get("quotas") else "通知"} <= {group.title for group in groups}
    assert numbers.changed(texts, pack.document, {}) == texts
    new = {"number": "77", "day": "2020-01-02", "month": "2031-07", "text": "x-1", "long": "x: 1"}
    given = {one.name: new[one.kind] for group in groups for one in group.numbers if one.name != "pack.yaml|version"}
    made = numbers.changed(texts, pack.document, given)
    again, problems = check_texts(made)
    assert again is not None and problems == []
    shown = {one.name: one.value for group in numbers.groups_of(again.document) for one in group.numbers}
    assert {name: shown[name] for name in given} == given
    for name, text in texts.items():  # comments stay
        assert [one for one in made[name].split("\n") if one.startswith("#")] == [
            one for one in text.split("\n") if one.startswith("#")
        ]


def test_what_must_not_be_is_named() -> None:
    texts = texts_of(SHIPPED / "hunan-baixiao")
    pack, _problems = check_texts(texts)
    assert pack is not None
    with pytest.raises(ValueError, match=r"名称.*不能为空"):
        numbers.changed(texts, pack.document, {"pack.yaml|title": " "})
    with pytest.raises(ValueError, match="应为整数"):
        numbers.changed(texts, pack.document, {"pack.yaml|targets/0/number": "很多"})
