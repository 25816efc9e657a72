"""What the page on simulation names is there, and all that is there is named."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest
import yaml

from labkit.bench.run import TARGETS
from labkit.cli import main
from labkit.lab import load_lab
from labkit.simulate import physics
from labkit.simulate.faults import Faults, read_faults

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "how-to" / "simulate.md").read_text("utf-8")


def rows(heading: str) -> list[str]:
    section = TEXT.split(f"\n## {heading}")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_every_fault_is_explained() -> None:
    assert set(rows("故障")) == {field.name for field in fields(Faults)}


def test_every_figure_is_explained_with_its_target() -> None:
    assert set(rows("测速")) == set(TARGETS) | {"estop_p99_ms"}
    for name, (_way, limit) in TARGETS.items():
        assert re.search(rf"^\| `{name}` .*{limit:g} \|$", TEXT, re.MULTILINE), name


def test_the_lab_file_of_the_page_is_one(tmp_path: Path) -> None:
    block = re.search(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert block
    (tmp_path / "lab.yaml").write_text("name: gw-page\nroom: lab1\n" + block[1])
    lab = load_lab(tmp_path / "lab.yaml")
    assert lab.terminals == 40
    assert len(physics.read_arena(lab.arena).walls) == 4 + 4 + 1
    simulate = lab.devices[0].simulate
    assert simulate and read_faults("mbot-1", simulate.faults).delay_ms == 30
    assert yaml.safe_load(block[1])["simulate"].keys() == {"terminals", "arena"}


@pytest.mark.parametrize("line", re.findall(r"^labkit (.*?)(?:\s+#.*)?$", TEXT, re.MULTILINE))
def test_every_command_of_the_page_can_be_given(line: str) -> None:
    name, *words = line.split()
    command = main.commands[name]
    with pytest.raises((click.exceptions.Exit, SystemExit)):
        command.make_context(name, [*words, "--help"], parent=click.Context(main))
    context = click.Context(command, parent=click.Context(main))
    command.make_parser(context).parse_args(list(words))
