"""The office's own Word and Excel files: filled where they are bound, everything else as it was."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from docx.shared import Pt
from openpyxl import Workbook, load_workbook
from openpyxl.styles import Border, Font, PatternFill, Side

from lms.core.errors import Invalid
from lms.programmes.layout import Filler
from lms.programmes.originals import files, rules
from lms.programmes.originals.rules import Grid, Spot
from lms.programmes.originals.sheet_form import NoRoom, fill_sheets, read_sheets
from lms.programmes.originals.word_form import fill_word, read_word

FORM: dict[str, Any] = {
    "form": "application",
    "title": "申报表",
    "cover": [
        {"id": "unit", "label": "单位", "from": "applicant"},
        {"id": "date", "label": "日期", "type": "date"},
        {"id": "seal", "label": "公章", "by_hand": True},
    ],
    "parts": [
        {"id": "stage", "heading": "学段", "type": "choices", "choices": "stage"},
        {"id": "story", "heading": "做法", "type": "text"},
        {
            "id": "people",
            "heading": "教师",
            "type": "table",
            "columns": [{"id": "name", "label": "姓名"}, {"id": "mobile", "label": "手机"}],
        },
    ],
}
CHOICES = {"stage": ["小学", "初中", "高中"]}


def filler(rows: int = 3) -> Filler:
    return Filler(
        content={
            "application.cover": {"date": "2026-11-20"},
            "application.stage": ["小学", "高中"],
            "application.story": "第一段\n第二段",
            "application.people": [{"name": f"教师{one}", "mobile": f"1380000000{one}"} for one in range(1, rows + 1)],
        },
        names={"applicant": "丙县一小"},
        collected={},
        criteria={},
    )


def word_file() -> bytes:
    document = Document()
    title = document.add_paragraph()
    run = title.add_run("某县申报表")
    run.font.name, run.font.size, run.bold = "方正小标宋简体", Pt(22), True
    unit = document.add_paragraph("单位（公章）：")
    unit.add_run("            ").underline = True
    unit.add_run("  日期：____年__月__日")
    table = document.add_table(rows=6, cols=3, style="Table Grid")
    table.cell(0, 0).text, table.cell(0, 1).text = "学段", "□小学 □初中 □高中"
    table.cell(0, 1).merge(table.cell(0, 2))
    table.cell(1, 0).text = "做法"
    table.cell(1, 1).merge(table.cell(1, 2))
    for column, head in enumerate(("序号", "姓名", "手机")):
        table.cell(2, column).text = head
    table.cell(3, 1).paragraphs[0].add_run(" ").italic = True
    table.cell(5, 0).merge(table.cell(5, 2)).text = "注：可依需增行"
    stream = BytesIO()
    document.save(stream)
    return stream.getvalue()


WORD_BINDINGS = [
    {"at": "paragraph 2", "put": "blank 1", "field": "application.cover.unit"},
    {"at": "paragraph 2", "put": "blank 2", "field": "application.cover.date"},
    {"at": "table 1 row 1 cell 2", "put": "tick", "field": "application.stage"},
    {"at": "table 1 row 2 cell 2", "field": "application.story"},
    {"at": "table 1 row 4 cell 1", "field": "application.people.#"},
    {"at": "table 1 row 4 cell 2", "field": "application.people.name"},
    {"at": "table 1 row 4 cell 3", "field": "application.people.mobile"},
]


def sheet_file(formula: bool = False) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "汇总表"
    sheet.merge_cells("A1:C1")
    sheet["A1"], sheet["A2"] = "某县推荐汇总表", "填报单位：____"
    sheet["A1"].font = Font(name="黑体", size=18)
    sheet.row_dimensions[1].height = 40
    sheet.append(["序号", "姓名", "手机"])
    side = Side(style="medium")
    for row in (4, 5):
        for column in (1, 2, 3):
            cell = sheet.cell(row, column)
            cell.border, cell.fill = Border(side, side, side, side), PatternFill("solid", fgColor="FFEEDD")
            cell.number_format = "@"
        sheet.row_dimensions[row].height = 33
    sheet.merge_cells("A6:B6")
    sheet["A6"], sheet["C6"] = "填报人：", "=COUNTA(B4:B5)" if formula else "（公章）"
    sheet.row_dimensions[6].height = 50
    sheet.column_dimensions["B"].width = 31
    book.create_sheet("说明")["A1"] = "请勿改动"
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


SHEET_BINDINGS = [
    {"at": "汇总表!A2", "put": "blank 1", "field": "name.applicant"},
    {"at": "汇总表!A4", "field": "application.people.#"},
    {"at": "汇总表!B4", "field": "application.people.name"},
    {"at": "汇总表!C4", "field": "application.people.mobile"},
]


def test_places_of_a_word_file() -> None:
    preview = read_word(word_file())
    assert [one.at for one in preview if isinstance(one, Spot)] == ["paragraph 1", "paragraph 2"]
    unit = preview[1]
    assert isinstance(unit, Spot) and (unit.blanks, unit.put) == (4, "blank 1")
    grid = preview[2]
    assert isinstance(grid, Grid)
    assert [(one.at, one.across) for one in grid.rows[0]] == [("table 1 row 1 cell 1", 1), ("table 1 row 1 cell 2", 2)]
    assert grid.rows[0][1].put == "tick" and grid.rows[1][1].put == "fill" and grid.rows[1][0].put == "after"


@pytest.mark.parametrize("rows", [1, 2, 3, 9])
def test_a_word_file_comes_back_filled_and_otherwise_unchanged(rows: int) -> None:
    data = word_file()
    made = Document(BytesIO(fill_word(data, *rules.writes(WORD_BINDINGS, FORM, filler(rows), CHOICES))))
    before = Document(BytesIO(data))
    assert made.paragraphs[0]._p.xml == before.paragraphs[0]._p.xml  # the title, to the byte
    unit = made.paragraphs[1]
    assert unit.text == "单位（公章）：丙县一小  日期：2026年11月20日"
    assert [run.underline for run in unit.runs if run.text == "丙县一小"] == [True]
    table = made.tables[0]
    texts = [[cell.text for cell in row.cells] for row in table.rows]
    assert texts[0] == ["学段", "☑小学 □初中 ☑高中", "☑小学 □初中 ☑高中"]
    assert texts[1][1] == "第一段\n第二段" and texts[2] == ["序号", "姓名", "手机"]
    assert texts[3 : 3 + rows] == [[str(one), f"教师{one}", f"1380000000{one}"] for one in range(1, rows + 1)]
    assert len(texts) == max(6, 4 + rows) and texts[-1] == ["注：可依需增行"] * 3
    assert table.rows[3].cells[1].paragraphs[0].runs[0].italic is True
    assert table.style is not None and table.style.name == "Table Grid"
    assert [column.width for column in table.columns] == [column.width for column in before.tables[0].columns]
    assert made.sections[0].left_margin == before.sections[0].left_margin


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_an_excel_file_comes_back_filled_and_otherwise_unchanged(rows: int) -> None:
    data = sheet_file()
    made = load_workbook(BytesIO(fill_sheets(data, *rules.writes(SHEET_BINDINGS, FORM, filler(rows), CHOICES))))
    sheet = made["汇总表"]
    extra = max(0, rows - 2)
    assert {str(one) for one in sheet.merged_cells.ranges} == {"A1:C1", f"A{6 + extra}:B{6 + extra}"}
    assert (sheet["A1"].value, sheet["A1"].font.name, sheet["A1"].font.size) == ("某县推荐汇总表", "黑体", 18)
    assert sheet["A2"].value == "填报单位：丙县一小"
    for number in range(1, rows + 1):
        cells = [sheet.cell(3 + number, column) for column in (1, 2, 3)]
        assert [cell.value for cell in cells] == [str(number), f"教师{number}", f"1380000000{number}"]
        assert {(cell.border.left.style, cell.fill.fgColor.rgb, cell.number_format) for cell in cells} == {
            ("medium", "00FFEEDD", "@")
        }
        assert sheet.row_dimensions[3 + number].height == 33
    assert (sheet.cell(6 + extra, 1).value, sheet.cell(6 + extra, 3).value) == ("填报人：", "（公章）")
    assert sheet.row_dimensions[6 + extra].height == 50 and sheet.column_dimensions["B"].width == 31
    assert made["说明"]["A1"].value == "请勿改动"
    assert all(cell.data_type == "s" for row in sheet.iter_rows() for cell in row if cell.value)


def test_rows_are_not_squeezed_in_where_formulas_would_break() -> None:
    bound = rules.writes(SHEET_BINDINGS, FORM, filler(2), CHOICES)
    assert (
        load_workbook(BytesIO(fill_sheets(sheet_file(formula=True), *bound)))["汇总表"]["C6"].value == "=COUNTA(B4:B5)"
    )
    with pytest.raises(NoRoom, match="公式"):
        fill_sheets(sheet_file(formula=True), *rules.writes(SHEET_BINDINGS, FORM, filler(3), CHOICES))


def test_a_place_that_is_not_there_is_named() -> None:
    for fill, data, at in (
        (fill_word, word_file(), "table 9 row 1 cell 1"),
        (fill_sheets, sheet_file(), "别的!A1"),
        (fill_sheets, sheet_file(), "汇总表!B1"),
    ):
        with pytest.raises(KeyError, match=at):
            fill(data, *rules.writes([{"at": at, "field": "application.story"}], FORM, filler(), CHOICES))


def test_wrong_bindings_are_named() -> None:
    def causes(*bindings: dict[str, str]) -> list[str]:
        return [cause for _number, cause in rules.faults(bindings, FORM, {})]

    assert causes(*WORD_BINDINGS) == causes(*SHEET_BINDINGS) == []
    assert "写法不对" in causes({"at": "somewhere", "field": "application.story"})[0]
    assert "没有“application.nothing”" in causes({"at": "paragraph 1", "field": "application.nothing"})[0]
    assert (
        "没有“application.cover.seal”" in causes({"at": "paragraph 1", "field": "application.cover.seal"})[0]
    )  # never a seal
    assert "只能绑定在表格的一行里" in causes({"at": "paragraph 1", "field": "application.people.name"})[0]
    assert "绑定了两次" in causes(*[{"at": "paragraph 1", "field": "application.story"}] * 2)[0]


def spoiled(**extra: bytes) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(BytesIO(word_file())) as source, zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            target.writestr(name, extra.get(name, source.read(name)))
        for name in extra.keys() - set(source.namelist()):
            target.writestr(name, extra[name])
    return stream.getvalue()


REMOTE = b'<Relationships><Relationship Id="r" Type="http://x/attachedTemplate" Target="http://x.invalid/a.dotm" TargetMode="External"/></Relationships>'


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "template"),
        (b"%PDF-1.4", "template-type"),
        (b"PK\x03\x04 broken", "template-type"),
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "template-encrypted"),
        (b"\xd0\xcf\x11\xe0 old word", "template-old"),
        (b"0" * 5_000_001, "template-size"),
        (spoiled(**{"word/vbaProject.bin": b"x"}), "template-macro"),
        (spoiled(**{"word/_rels/settings.xml.rels": REMOTE}), "template-remote"),
        (spoiled(**{"word/document.xml": b"<broken"}), "template-type"),
    ],
)
def test_bad_files_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        files.look(data, files.check_file("表.docx", data))
    assert refused.value.code == code and str(refused.value.message)


def test_a_drawing_in_a_sheet_is_refused(tmp_path: Path) -> None:
    stream = BytesIO()
    with zipfile.ZipFile(BytesIO(sheet_file())) as source, zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr("xl/drawings/drawing1.xml", "<xdr/>")
    with pytest.raises(Invalid) as refused:
        files.check_file("表.xlsx", stream.getvalue())
    assert refused.value.code == "template-drawing"
    assert files.check_file("表.xlsx", sheet_file()) == "xlsx" and len(read_sheets(sheet_file())) == 2
