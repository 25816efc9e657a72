"""The how-to “a new notice has come out”, followed step by step as a new user would: in the browser, and by a folder."""

from __future__ import annotations

import re
import shlex
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from docx import Document
from flask import Flask

from lms.cli import main
from lms.core import clock
from lms.core.models import Organisation
from lms.programmes import notices, papers, service
from tests.factories import token
from tests.programmes import places as make
from tests.programmes.test_editor import inputs
from tests.programmes.test_originals import word_file
from tests.programmes.test_pages import door

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "new-notice.md").read_text("utf-8")
BROWSER, FOLDER = (
    PAGE.split("## 在浏览器里")[1].split("## 用文件夹")[0],
    PAGE.split("## 用文件夹")[1].split("## pack.yaml")[0],
)
Tree = dict[str, Organisation]


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def test_in_the_browser(app: Flask, tree: Tree) -> None:
    steps = [set(re.findall(r"\*\*([^*]+)\*\*", step)) for step in re.split(r"^\d\. ", BROWSER, flags=re.MULTILINE)[1:]]
    assert len(steps) == 6
    office = door(app, make.person(tree["city"]))  # the example is a county's: a city takes it as well

    def seen(number: int, *pages: str) -> None:
        """Everything in bold of a step stands on the pages of it."""
        assert [word for word in steps[number - 1] if not any(word in page for page in pages)] == []

    home = office.get("/programmes/").text
    seen(1, home)
    assert "/programmes/editor/" in home
    listed = office.get("/programmes/editor/").text
    csrf = token(office, "/programmes/editor/")
    address = office.post("/programmes/editor/drafts", data={"csrf_token": csrf, "notice": "example"}).headers[
        "Location"
    ]
    numbers = office.get(address).text
    assert "处要改" not in numbers  # what one begins with is right
    given = inputs(office, address)
    assert given["pack.yaml|issuer"] == "乙市" and given["pack.yaml|batches/0/due/city"] == "2026-12-15"
    given |= {
        "pack.yaml|notice": "yi-robot-day",
        "pack.yaml|title": "乙市机器人活动日（虚构）",
        "pack.yaml|quotas/0/most": "2",
    }
    saved = office.post(address, data=given, follow_redirects=True)
    assert "已保存草稿。" in saved.text
    seen(3, numbers)
    text = office.get(f"{address}/text").text
    seen(4, text)
    layout = f"{address}/layout/application"
    office.post(f"{layout}/file", data={"csrf_token": csrf, "file": (BytesIO(word_file()), "原表.docx")})
    seen(5, office.get(f"{layout}?at=table 1 row 2 cell 2").text)
    office.post(
        layout, data={"csrf_token": csrf, "at": "table 1 row 2 cell 2", "put": "fill", "field": "application.story"}
    )
    assert office.get(f"{layout}/trial").data.startswith(b"PK")
    seen(6, office.get(address).text)
    assert (
        "已发布“乙市机器人活动日（虚构）”"
        in office.post(f"{address}/publish", data={"csrf_token": csrf}, follow_redirects=True).text
    )
    seen(2, listed, office.get("/programmes/editor/").text)
    school = make.person(tree["school"])
    assert "乙市机器人活动日" in door(app, school).get("/programmes/").text
    found = service.begin(school, "yi-robot-day", "school", "2026")
    make.fill_in(school, found)
    made = Document(BytesIO(papers.document_of(found, "application", "docx")[1]))
    assert made.tables[0].cell(1, 1).text == "基本情况良好。"
    assert [one.office.name for one in notices.stations_of(found)] == ["乙市"]


def test_by_a_folder(app: Flask, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [line for line in FOLDER.split("```")[1].strip().split("\n") if line]
    assert [shlex.split(one)[:3] for one in commands] == [["lms", "programmes", "new"], ["lms", "programmes", "check"]]
    done = CliRunner().invoke(main, shlex.split(commands[0])[1:])
    assert done.exit_code == 0 and "先改 notice" in done.output
    assert "已经存在" in CliRunner().invoke(main, shlex.split(commands[0])[1:]).output
    folder = tmp_path / shlex.split(commands[0])[3]
    pack = folder / "pack.yaml"
    pack.write_text(
        pack.read_text("utf-8")
        .replace("notice: county-ai-class", "notice: bing-robots")
        .replace("granted: model", "granted: best"),
        "utf-8",
    )
    wrong = CliRunner().invoke(main, shlex.split(commands[1])[1:])
    assert wrong.exit_code == 1 and re.search(
        r"pack\.yaml:\d+: statuses 里没有 best，请在 statuses 里加上，或改为：", wrong.output
    )
    pack.write_text(pack.read_text("utf-8").replace("granted: best", "granted: model"), "utf-8")
    right = CliRunner().invoke(main, shlex.split(commands[1])[1:])
    assert right.exit_code == 0 and "✓ bing-robots 2026.1" in right.output
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in folder.rglob("*.yaml"):
            archive.write(path, path.relative_to(tmp_path))  # a zip of the folder has its name before the files
    office = door(app, make.person(tree["county"]))
    button = re.findall(r"\*\*([^*]+)\*\*", FOLDER)[0]
    assert button in office.get("/programmes/").text
    sent = {"csrf_token": token(office, "/programmes/"), "files": (BytesIO(stream.getvalue()), "my-notice.zip")}
    assert "下级现在可以申报" in office.post("/programmes/notices", data=sent, follow_redirects=True).text
    assert service.begin(make.person(tree["school"]), "bing-robots", "school", "2026").slug == "bing-robots"
    like = CliRunner().invoke(main, ["programmes", "new", "like", "--like", "hunan-baixiao"])
    assert like.exit_code == 0 and (tmp_path / "like" / "forms" / "summary.yaml").is_file()
