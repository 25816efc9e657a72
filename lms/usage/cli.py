"""``lms usage``: judge facts from a file, print their schema, verify evidence chains (命令行)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lms.core.errors import ZhikeError
from lms.usage.policies import evaluate, policy, rules
from lms.usage.reading import facts_schema, from_json
from lms.usage.verdicts import VERDICT_NAMES

if TYPE_CHECKING:
    from lms.usage.chain import ChainReport


def register(main: click.Group) -> None:
    """Add ``usage`` to the ``lms`` command."""
    main.add_command(usage)


@click.group()
def usage() -> None:
    """Usage records, evidence and compliance (开课使用与合规)."""


@usage.command("rules")
def list_rules() -> None:
    """List the rules with version and clause."""
    for rule in rules():
        click.echo(f"{rule.name}\t{rule.version}\t{rule.title}\t{rule.clause}")


@usage.command("schema")
@click.argument("rule")
def print_schema(rule: str) -> None:
    """Print the JSON Schema of the facts that RULE reads."""
    _known(rule)
    click.echo(json.dumps(facts_schema(), ensure_ascii=False, indent=2))


@usage.command("evaluate")
@click.option("--facts", "source", required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True), help="Facts as JSON, - for stdin.")
@click.option("--rule", required=True, help="Name of the rule, see lms usage rules.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Day of judgement; default: the facts' own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate_file(source: str, rule: str, as_of: Any, as_json: bool) -> None:
    """Judge a school from a file of facts."""
    known = _known(rule)
    text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8-sig")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise click.ClickException(f"{source}: 不是 JSON：第 {error.lineno} 行第 {error.colno} 列 {error.msg}") from error
    try:
        facts = from_json(document, as_of.date() if as_of else None)
    except ZhikeError as error:
        raise click.ClickException(f"{error.message} {error.remedy}") from error
    result = evaluate(facts, known)
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=False, indent=2))
        return
    _say(result.to_json())


def _known(rule: str) -> Any:
    try:
        return policy(rule)
    except ZhikeError as error:
        raise click.ClickException(f"{error.message}；{error.remedy}") from error


def _say(result: dict[str, Any]) -> None:
    click.echo(f"{result['rule']} {result['version']} · {result['as_of']} · {VERDICT_NAMES[result['verdict']]}")
    for stage, one in result["stages"].items():
        click.echo(f"  {stage}: {VERDICT_NAMES[one['verdict']]} — {one['why']}")
    for key, one in result["classes"].items():
        click.echo(f"  {key}: {VERDICT_NAMES[one['verdict']]} {one['counted']}/{one['required']} — {one['why']}")


@usage.command("verify")
@click.option("--school", "school", help="Id or code of one school; default: every school of this instance.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(school: str | None, as_json: bool) -> None:
    """Verify evidence chains of this instance; exit 1 and the first broken link where one is not whole."""
    from lms.app import create_app
    from lms.core.db import db
    from lms.usage import service

    with create_app().app_context():
        try:
            reports = [(str(school_id), name, service.verify_chain(school_id)) for school_id, name in service.schools(school)]
        finally:
            db.session.remove()
            db.engine.dispose()
    if as_json:
        click.echo(json.dumps({key: _report(name, one) for key, name, one in reports}, ensure_ascii=False, indent=2))
    else:
        for _, name, one in reports:
            click.echo(f"{name}: {one.in_words()}")
    if not reports:
        raise click.ClickException("没有这所学校" if school else "还没有学校")
    if not all(one.ok for _, _, one in reports):
        sys.exit(1)


def _report(name: str, one: ChainReport) -> dict[str, Any]:
    return {"name": name, "ok": one.ok, "length": one.length, "first_broken": one.first_broken, "reason": one.reason, "origin": list(one.origins)}


