"""``lms usage``: judge facts from a file, print their schema, verify evidence chains (命令行)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from lms.core.errors import ZhikeError
from lms.usage.judging.reading import facts_schema, from_json
from lms.usage.judging.verdicts import VERDICT_NAMES, ClassResult, SchoolResult, UnitResult
from lms.usage.policies import Policy, evaluate, policy, rules
from lms.usage.verifier.cli import COMMANDS


def register(main: click.Group) -> None:
    """Add ``usage`` to the ``lms`` command."""
    for command in COMMANDS:
        usage.add_command(command)
    main.add_command(usage)


@click.group()
def usage() -> None:
    """Usage records, evidence and compliance (开课使用与合规)."""


@usage.command("rules")
def list_rules() -> None:
    """List the rules with version, clause and parameters."""
    for rule in rules():
        click.echo(f"{rule.name}\t{rule.version}\t{rule.title}\t{rule.clause}")
        for part, values in rule.values().items():
            click.echo("  " + " ".join(f"{part}.{name}={json.dumps(value)}" for name, value in values.items()))


@usage.command("schema")
@click.argument("rule")
def print_schema(rule: str) -> None:
    """Print the JSON Schema of the facts that RULE reads."""
    click.echo(json.dumps(facts_schema(_known(rule).facts), ensure_ascii=False, indent=2))


@usage.command("evaluate")
@click.option("--facts", "source", required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True), help="Facts as JSON, - for stdin.")
@click.option("--rule", required=True, help="Name of the rule, see lms usage rules.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Day of judgement; default: the facts' own.")
@click.option("--set", "changes", multiple=True, metavar="SECTION.NAME=VALUE", help="Try another value of a parameter, see lms usage rules.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate_file(source: str, rule: str, as_of: Any, changes: tuple[str, ...], as_json: bool) -> None:
    """Judge a school from a file of facts."""
    known = _changed(_known(rule), changes)
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8-sig")
        document = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise click.ClickException(f"{source}: 不是 JSON：第 {error.lineno} 行第 {error.colno} 列 {error.msg}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{source}: 不是 UTF-8 编码的文本，请另存为 UTF-8 后再试") from error
    try:
        facts = from_json(document, as_of.date() if as_of else None, known.facts)
    except ZhikeError as error:
        raise click.ClickException(f"{error.message} {error.remedy}") from error
    result = evaluate(facts, known)
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=False, indent=2))
        return
    _say(result)


def _no_number(text: str) -> Any:
    raise click.ClickException(f"{text} 不是数，JSON 里不能有")


def _changed(rule: Policy, changes: tuple[str, ...]) -> Policy:
    """The rule with the values of ``--set``; its version says that they were tried only."""
    if not changes:
        return rule
    values = rule.values()
    for change in changes:
        place, sign, text = change.partition("=")
        part, _, name = place.strip().partition(".")
        if not sign or name not in values.get(part, {}):
            raise click.ClickException(f"--set {change}：应为 SECTION.NAME=VALUE，名称见 lms usage rules")
        try:
            values[part][name] = json.loads(text)
        except json.JSONDecodeError:
            values[part][name] = text
    try:
        return rule.with_values(values, f"{rule.version}+try")
    except ValueError as error:
        raise click.ClickException(f"--set {error}") from error


def _known(rule: str) -> Policy:
    try:
        return policy(rule)
    except ZhikeError as error:
        raise click.ClickException(f"{error.message}；{error.remedy}") from error


def _say(result: SchoolResult) -> None:
    label = " · 计划" if result.facts.basis == "plan" else ""
    click.echo(f"{result.rule} {result.version} · {result.facts.as_of.isoformat()}{label} · {VERDICT_NAMES[result.verdict]} — {result.reason}")
    for stage in result.stages:
        click.echo(f"  {stage.stage}: {VERDICT_NAMES[stage.verdict]} — {stage.reason}")
    lines: list[tuple[str, ClassResult | UnitResult]] = [(one.cohort.id, one) for one in result.classes]
    lines += [(one.key, one) for one in result.units]
    for key, line in lines:
        click.echo(f"  {key}: {VERDICT_NAMES[line.verdict]} {line.counted}/{line.required} — {line.reason}")
