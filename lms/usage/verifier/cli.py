"""``lms usage verify | pack | rotate-key | anchor``: evidence from the command line (证据命令)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lms.usage.evidence.chain import ChainReport


@click.command()
@click.argument("pack", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--school", help="Id or code of one school; default: every school of this instance.")
@click.option(
    "--against",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="An earlier pack or receipt to hold PACK against.",
)
@click.option("--code", multiple=True, help="Short code from a signed weekly sheet.")
@click.option("--issuer-key", multiple=True, help="Key or fingerprint of an issuer that you trust; others do not count.")
@click.option(
    "--tsa-ca",
    type=click.Path(exists=True, dir_okay=False),
    help="Root certificates (PEM) of the time-stamping authority.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    pack: Path | None,
    school: str | None,
    against: tuple[str, ...],
    code: tuple[str, ...],
    issuer_key: tuple[str, ...],
    tsa_ca: str | None,
    as_json: bool,
) -> None:
    """Verify a PACK of evidence, or the chains of this instance; exit 1 and the first broken link where one is not whole."""
    if pack is not None:
        from lms.usage.verifier.verify import main

        given = {"--against": against, "--code": code, "--issuer-key": issuer_key}
        more = [part for name, values in given.items() for one in values for part in (name, one)]
        sys.exit(main([str(pack), *more, *(["--tsa-ca", tsa_ca] if tsa_ca else []), *(["--json"] if as_json else [])]))
    from lms.core.cli import in_app, schools
    from lms.usage import service

    with in_app():
        reports = [(str(school_id), name, service.verify_chain(school_id)) for school_id, name in schools(school)]
    if as_json:
        click.echo(json.dumps({key: _report(name, one) for key, name, one in reports}, ensure_ascii=False, indent=2))
    else:
        for _, name, one in reports:
            click.echo(f"{name}: {one.in_words()}")
            for remark in one.remarks:
                click.echo(f"  - {remark}")
    if not reports:
        raise click.ClickException("没有这所学校" if school else "还没有学校")
    if not all(one.ok for _, _, one in reports):
        sys.exit(1)


def _report(name: str, one: ChainReport) -> dict[str, Any]:
    return {
        "name": name,
        "ok": one.ok,
        "length": one.length,
        "first_broken": one.first_broken,
        "reason": one.reason,
        "origin": list(one.origins),
    }


@click.command()
@click.option("--school", help="Id or code of the school; may be left out where there is one.")
@click.option(
    "--term", default="", help="Term as 2026-1 (school year, 1 autumn or 2 spring); default: the present one."
)
@click.option("--out", "target", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def pack(school: str | None, term: str, target: Path) -> None:
    """Write the inspector's pack of a term: chain, roots, anchors, figures, verifier, instructions; no names."""
    from lms.core import clock
    from lms.core.cli import in_app, the_school
    from lms.usage.evidence.packing import term_of, write_pack

    with in_app():
        school_id, name = the_school(school)
        made = write_pack(school_id, term_of(school_id, term, clock.now()), target, clock.now())
    click.echo(f"{name}: {target}（{made['head']['seq']} 环，本学期 {made['records']} 条记录）")


@click.command("rotate-key")
@click.confirmation_option(prompt="更换本机的签名密钥？旧密钥会在每条链上签字交接")
def rotate_key() -> None:
    """Put a new signing key in force; the old one hands over on each chain."""
    from lms.core.cli import in_app
    from lms.usage.evidence.keys import rotate

    with in_app() as app:
        old, new = rotate(app.config["ZHIKE"].data_dir)
    click.echo(f"旧密钥 {old.key_id} → 新密钥 {new.key_id}；下一次登记时写入各链。请随即做一次备份。")


@click.group()
def anchor() -> None:
    """Fix daily roots outside the school (校外锚定)."""


@anchor.command("request")
@click.option("--school", help="Id or code of the school.")
@click.option("--out", "target", required=True, type=click.Path(dir_okay=False, path_type=Path))
def ask(school: str | None, target: Path) -> None:
    """Write the newest root as a small file for the region or a peer school to countersign."""
    from lms.core.cli import in_app, the_school
    from lms.usage.evidence import anchors

    with in_app():
        school_id, name = the_school(school)
        target.write_text(json.dumps(anchors.request_of(school_id, name), ensure_ascii=False, indent=1), "utf-8")
    click.echo(f"{target}：请用 U 盘或邮件交给区县或友校，对方用 lms usage anchor sign 会签")


@anchor.command("sign")
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "issuer", required=True, help="Name under which you sign, e.g. 某区教育局.")
@click.option("--kind", type=click.Choice(["region", "peer"]), default="peer", show_default=True)
@click.option("--out", "target", required=True, type=click.Path(dir_okay=False, path_type=Path))
def sign(source: Path, issuer: str, kind: str, target: Path) -> None:
    """Countersign another school's file with the key of this installation."""
    from lms.core import clock
    from lms.core.cli import in_app
    from lms.usage.evidence import anchors
    from lms.usage.evidence.ledger import this_key
    from lms.usage.verifier.verify import fingerprint

    with in_app():
        key = this_key()
        answer = anchors.countersign(_document(source), kind, issuer, key, clock.now())
    target.write_text(json.dumps(answer, ensure_ascii=False, indent=1), "utf-8")
    click.echo(f"{target}：请交回对方；本机密钥指纹 {fingerprint(key.public)}")


@anchor.command("accept")
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--school", help="Id or code of the school.")
@click.option("--new-key", is_flag=True, help="The issuer told you on another way that its key has changed.")
def accept(source: Path, school: str | None, new_key: bool) -> None:
    """Enter a countersignature that came back."""
    from lms.core.cli import in_app, the_school
    from lms.usage.evidence import anchors

    with in_app():
        school_id, _ = the_school(school)
        row = anchors.accept(None, school_id, _document(source), new_key=new_key)
        click.echo(f"已登记：{row.issuer} 于 {row.at:%Y-%m-%d %H:%M} UTC 会签 {row.day} 的每日根")


def _document(source: Path) -> dict[str, Any]:
    try:
        found = json.loads(source.read_text("utf-8-sig"))
    except ValueError as error:
        raise click.ClickException(f"{source}: 不是会签文件（JSON）") from error
    if not isinstance(found, dict):
        raise click.ClickException(f"{source}: 不是会签文件（JSON）")
    return found


COMMANDS = (verify, pack, rotate_key, anchor)
