"""``lms roster erase`` (花名册命令)."""

from __future__ import annotations

import click

from lms.core.cli import in_app, the_school


def register(main: click.Group) -> None:
    """Add the ``roster`` group to the ``lms`` command."""
    main.add_command(roster)


@click.group()
def roster() -> None:
    """The roster: erase what is held of a pupil (花名册)."""


@roster.command()
@click.argument("person", required=False, default="")
@click.option("--school", help="Id, code or name, where there are several.")
@click.option("--reason", default="", help="On what ground, without the name; needed with --yes.")
@click.option("--yes", is_flag=True, help="Do it; otherwise only shown.")
def erase(person: str, school: str | None, reason: str, yes: bool) -> None:
    """Show or erase all that is held of the pupil PERSON (school number, name or id); without PERSON: who is due (删除学生个人信息)."""
    with in_app():
        from lms.roster.access import school_of, today_of
        from lms.roster.erasing import service

        school_id, _name = the_school(school)
        if not person:
            found = service.due(school_id, today_of(school_of(school_id)))
            click.echo(f"离校满一年、可以删除的学生：{len(found)} 名")
            for one in found:
                click.echo(f"{one.id}  {one.name}  {one.left_on or '已毕业'}")
            return
        pupil = service.pupil_of(school_id, person)
        name = pupil.name
        plan = service.erase(None, pupil, name, reason) if yes else service.plan(None, pupil)
        click.echo(f"{'已删除' if yes else '会删除'}：{name if not yes else pupil.id}")
        for what, count in plan.lines:
            click.echo(f"  {what}  {count}")
        for mention in plan.mentions:
            click.echo(f"  请人工核对，文字里有这个姓名：{mention.table}.{mention.column}  {mention.count}")
        if not yes:
            click.echo("没有改动。确认无误后加 --yes --reason 依据（不要写姓名）。")
