"""Install, pin, hand out; pages and commands of the courses room."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import Workbook
from sqlalchemy import func, select

from lms.core.db import db
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.resources import bundled
from lms.courses import service
from lms.courses.catalogue import read_catalogue
from lms.courses.cli import courses
from lms.courses.models import PackageVersion
from tests.courses.samples import write_package
from tests.factories import make_admin, make_class, make_school, make_teacher, sign_in, token


def test_same_content_is_installed_once(app: Flask, tmp_path: Path) -> None:
    school = make_school()
    one = service.install_folder(None, school.id, write_package(tmp_path / "a" / "p5-demo"))
    two = service.install_folder(None, school.id, write_package(tmp_path / "b" / "p5-demo"))
    assert one.id == two.id
    assert (app.config["ZHIKE"].data_dir / "packages" / one.content_hash / "course.yaml").is_file()


def test_a_version_number_names_one_content(app: Flask, tmp_path: Path) -> None:
    school = make_school()
    folder = write_package(tmp_path / "p5-demo")
    service.install_folder(None, school.id, folder)
    (folder / "lessons/01-see/plan.md").write_text("changed")
    with pytest.raises(Refused) as caught:
        service.install_folder(None, school.id, folder)
    assert caught.value.code == "version-used"


def test_variants_lie_over_steps_and_pages_cannot_run_package_html(app: Flask, tmp_path: Path) -> None:
    school = make_school()
    row = service.install_folder(None, school.id, write_package(tmp_path / "p5-demo"))
    lesson = service.lesson_of(row.id, "01-see")
    ordinary, kits, lab = (service.steps_of(lesson, configuration) for configuration in (1, 2, 3))
    assert (ordinary[1].activity_id, kits[1].activity_id, lab[1].activity_id) == (None, "check", "check")
    assert "用摄像头做" in lab[1].show_html and "在纸上做" in ordinary[1].show_html
    shown = lab[0].show_html
    assert "<script>" not in shown and "example.invalid" not in shown
    assert f'src="/packages/{row.content_hash}/01-see/media/fig1.svg"' in shown


def test_a_newer_version_is_pinned_and_older_ones_stay(app: Flask, tmp_path: Path) -> None:
    school = make_school()
    cohort = make_class(school)
    first = service.install_folder(None, school.id, write_package(tmp_path / "a" / "p5-demo"))
    second = service.install_folder(None, school.id, write_package(tmp_path / "b" / "p5-demo", version="1.1.0"))
    service.pin(None, cohort.id, first.id)
    service.pin(None, cohort.id, second.id)
    assert [row.id for row in service.pinned(cohort.id)] == [second.id]
    assert service.lesson_of(first.id, "01-see").content_hash == first.content_hash


def test_pin_needs_a_package_of_the_school(app: Flask, tmp_path: Path) -> None:
    here, there = make_school("甲校"), make_school("乙校")
    row = service.install_folder(None, there.id, write_package(tmp_path / "p5-demo"))
    with pytest.raises(NotFound):
        service.pin(None, make_class(here).id, row.id)


def test_bundled_packages_install_and_do_not_count(app: Flask) -> None:
    school = make_school()
    rows = service.install_bundled(school.id, bundled("courses"))
    assert {row.stage for row in rows if row.kind == "package"} == {"primary", "junior", "senior"}
    for row in rows:
        assert not row.manifest["course"].get("counts_for")
        if row.kind == "package":
            assert len(row.manifest["lessons"]) >= 4
            for raw in row.manifest["lessons"]:
                for configuration in (1, 2, 3):
                    assert service.steps_of(service.lesson_of(row.id, raw["id"]), configuration)
    units = service.units(school.id, "demo-ncet")
    assert units and all(unit.marked == "示范" for unit in units)
    assert service.units(school.id, "ncet") == []


def test_media_serves_only_what_the_lesson_lists(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    school = make_school()
    teacher = make_teacher(school)
    row = service.install_folder(None, school.id, write_package(tmp_path / "p5-demo"))
    url = f"/packages/{row.content_hash}/01-see"
    assert client.get(f"{url}/media/fig1.svg").status_code in (302, 401)
    sign_in(client, teacher)
    good = client.get(f"{url}/media/fig1.svg")
    assert good.status_code == 200 and "sandbox" in good.headers["Content-Security-Policy"]
    for path in ("answers.md", "../../course.yaml", "media/../answers.md", "media/none.svg"):
        assert client.get(f"{url}/{path}").status_code == 404


def _zip_of(folder: Path) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for path in folder.rglob("*"):
            if path.is_file():
                bundle.write(path, path.relative_to(folder.parent))
    out.seek(0)
    return out


def test_upload_installs_or_lists_every_problem(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    school = make_school()
    sign_in(client, make_admin(school))
    folder = write_package(tmp_path / "p5-demo")
    broken = shutil.copytree(folder, tmp_path / "x" / "p5-demo")
    (broken / "lessons/01-see/plan.md").unlink()
    (broken / "lessons/01-see/text.md").unlink()
    csrf = token(client, "/courses/upload")
    refused = client.post("/courses/upload", data={"csrf_token": csrf, "file": (_zip_of(broken), "p.zip")})
    assert refused.status_code == 422
    assert "plan.md: 文件不存在" in refused.text and "text.md: 文件不存在" in refused.text
    assert db.session.scalar(select(func.count()).select_from(PackageVersion)) == 0
    assert list((app.config["ZHIKE"].data_dir / "packages").iterdir()) == []
    done = client.post("/courses/upload", data={"csrf_token": csrf, "file": (_zip_of(folder), "p.zip")})
    assert done.status_code == 302
    page = client.get(done.location).text
    assert "机器怎样看" in page
    assert "认识摄像头" in client.get(f"{done.location}/01-see?configuration=1").text
    assert client.get(f"{done.location}/01-see?configuration=9").status_code == 422
    assert client.get(f"{done.location}/01-see/print/task_sheet").status_code == 200
    assert "机器怎样看" in client.get("/courses").text


def test_pin_from_the_page(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    school = make_school()
    cohort = make_class(school)
    sign_in(client, make_teacher(school, cohort))
    row = service.install_folder(None, school.id, write_package(tmp_path / "p5-demo"))
    page = f"/courses/{row.id}"
    assert client.post(f"{page}/pin", data={"csrf_token": token(client, page), "class_id": str(cohort.id)}).status_code == 302
    assert service.pinned(cohort.id)[0].id == row.id


def _book(path: Path, rows: list[list[object]]) -> Path:
    book = Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(path)
    return path


def test_catalogue_is_read_from_a_real_life_table(tmp_path: Path) -> None:
    path = _book(tmp_path / "c.xlsx", [["XX小学教材目录", None, None], ["册 次", "课次", "课 题"], ["五上", 1, "甲"], [None, 2.0, "乙"], [None, None, None], ["五下", None, "丙"]])
    assert [(row.code, row.title, row.problem) for row in read_catalogue(path)] == [("五上-1", "甲", ""), ("五上-2", "乙", ""), ("五下-1", "丙", "")]


@pytest.mark.parametrize(
    ("rows", "word"),
    [([["册次", "课次", "课题"], ["五上", 1, None]], "缺少课题"), ([["册次", "课次", "课题"], ["五上", 1, "甲"], ["五上", 1, "乙"]], "课次重复"), ([["册次", "课题"], [None, "甲"]], "缺少册次"), ([["册次", "课题"], ["五上", "甲" * 121]], "120 字")],
)
def test_wrong_catalogue_rows_are_named(tmp_path: Path, rows: list[list[object]], word: str) -> None:
    assert any(word in row.problem for row in read_catalogue(_book(tmp_path / "c.xlsx", rows)))


def test_no_excel_and_no_header(tmp_path: Path) -> None:
    (tmp_path / "c.xlsx").write_bytes(b"not excel")
    for path in (tmp_path / "c.xlsx", _book(tmp_path / "d.xlsx", [["a", "b"], [1, 2]])):
        with pytest.raises(Invalid):
            read_catalogue(path)


def test_a_catalogue_that_unpacks_too_large_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "c.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("xl/workbook.xml", b"")
        archive.writestr("xl/worksheets/sheet1.xml", b"<c/>" * 22_000_000)
    with pytest.raises(Invalid, match="file-bomb"):
        read_catalogue(path)


def test_catalogue_import_previews_first(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    school = make_school()
    sign_in(client, make_admin(school))
    csrf = token(client, "/courses/catalogue")
    path = _book(tmp_path / "c.xlsx", [["册次", "课次", "课题"], ["五上", 1, "甲"], ["五上", 2, "乙"]])
    form = {"csrf_token": csrf, "course": "ncet", "title": "学校自有教材"}
    with path.open("rb") as file:
        preview = client.post("/courses/catalogue", data={**form, "file": (file, "c.xlsx")})
    assert preview.status_code == 200 and service.units(school.id) == []
    import html
    import re

    kept = re.search(r'name="rows" value="([^"]+)"', preview.text)
    assert kept
    done = client.post("/courses/catalogue", data={**form, "rows": html.unescape(kept[1])})
    assert done.status_code == 302
    assert [unit.code for unit in service.units(school.id, "ncet")] == ["五上-1", "五上-2"]
    assert client.post("/courses/catalogue", data={**form, "rows": "[{}]"}).status_code == 422


def test_commands(tmp_path: Path) -> None:
    good = write_package(tmp_path / "p5-demo")
    bad = write_package(tmp_path / "bad")
    (bad / "course.yaml").write_text("id: [")
    runner = CliRunner()
    assert runner.invoke(courses, ["check", str(good)]).exit_code == 0
    refused = runner.invoke(courses, ["check", str(good), str(bad)])
    assert refused.exit_code == 1 and "course.yaml:1" in refused.output
    assert "p5-senses" in runner.invoke(courses, ["list"]).output
