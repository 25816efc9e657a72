"""``lms courses check | install | list`` (课程包命令)."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from lms.core.cli import in_app, the_school
from lms.core.errors import ZhikeError
from lms.courses.archive import unpack
from lms.courses.package import Package, Problem, check_folder


def register(main: click.Group) -> None:
    """Add the ``courses`` group to the ``lms`` command."""
    main.add_command(courses)


@click.group()
def courses() -> None:
    """Course packages: check, install, list (课程包)."""


@courses.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def check(folders: tuple[Path, ...], as_json: bool) -> None:
    """Check package folders or zip files; every problem with file and line; exit 1 if there is one."""
    import lms.activities.kinds  # noqa: F401  (kinds check their own settings)

    results: dict[str, list[str]] = {}
    for folder in folders:
        package, problems = _check(folder)
        results[str(folder)] = [str(problem) for problem in problems]
        if not as_json:
            for problem in problems:
                click.echo(f"{folder.name}/{problem}", err=True)
            if package is not None:
                course = package.manifest["course"]
                click.echo(f"✓ {course['id']} {course['version']} {course['title']['zh']} {package.content_hash[:12]}")
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False, indent=2))
    if any(results.values()):
        sys.exit(1)


def _check(path: Path) -> tuple[Package | None, list[Problem]]:
    if path.is_dir():
        return check_folder(path)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            return check_folder(unpack(path, Path(temporary)))
        except ZhikeError as error:
            return None, [Problem(error.where or path.name, 0, str(error.message))]


@courses.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--school", default="", help="Name or code of the school; needed where there are several.")
def install(folder: Path, school: str) -> None:
    """Install a package folder or zip for a school."""
    from lms.courses.service import install_folder, opened_zip

    with in_app():
        school_id, _ = the_school(school)
        try:
            if folder.is_dir():
                row = install_folder(None, school_id, folder)
            else:
                with opened_zip(folder) as inner:
                    row = install_folder(None, school_id, inner)
        except ZhikeError as error:
            raise click.ClickException("\n".join([str(error.message), *error.facts.get("problems", [])])) from error
        click.echo(f"✓ {row.slug} {row.version} {row.title} {row.content_hash[:12]}")


@courses.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def list_(as_json: bool) -> None:
    """Packages that come with the product and those installed here."""
    from lms.core.resources import bundled

    rows: list[dict[str, Any]] = []
    for path in sorted(bundled("courses").glob("*/course.yaml")):
        package, problems = check_folder(path.parent)
        course: dict[str, Any] = package.manifest["course"] if package else {"id": path.parent.name, "version": "?", "title": {"zh": str(problems[0])}}
        rows.append({"id": course["id"], "version": course["version"], "title": course["title"]["zh"], "lessons": len(course.get("lessons", [])), "ok": package is not None})
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        click.echo(f"{'✓' if row['ok'] else '✗'} {row['id']} {row['version']} {row['title']}（{row['lessons']} 课）")
