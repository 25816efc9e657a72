"""Exports opened again: columns verbatim and in order, names exact, marks, numbers as text."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO
from typing import Any

import pytest
from docx import Document
from docx.shared import Pt
from flask import Flask
from openpyxl import load_workbook

from lms.core import clock
from lms.core.db import write
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Account, Organisation
from lms.core.paper import can_print
from lms.programmes import attachments, notices, papers, service, workflow
from lms.programmes import words as counting
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.pack import shipped
from lms.programmes.selection import behalf, readback
from tests.programmes import places as make
from tests.programmes.test_pages import door

Tree = dict[str, Organisation]
GS_26 = ["姓名", "单位（到内设部门）", "职务", "办公电话", "手机号", "微信号"]
GS_27 = ["姓名", "单位", "职称", "手机号", "E-mail", "微信号"]
GS_28 = ["", "单位名称", "“央馆人工智能课程”应用学段", "联系人", "职务/职称", "手机号", "E-mail", "微信号"]
GS_29 = ["试点区", "学段", "角色", "姓名", "单位", "职称", "手机号", "E-mail", "微信号"]
HN_28 = ["序号", "区县(XX市XX区（县）)", "学校名称", "通讯地址", "联系人姓名", "职务", "联系电话", "备注"]


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def handed_in(actor: Account, slug: str, kind: str) -> Application:
    found = service.begin(actor, slug, kind, "2026")
    make.fill_in(actor, found)
    return workflow.submit(actor, found.id)


def word_of(found: Application, name: str) -> tuple[list[list[list[str]]], str]:
    _file_name, data = papers.document_of(found, name, "docx")
    document = Document(BytesIO(data))
    tables = [[[cell.text for cell in row.cells] for row in table.rows] for table in document.tables]
    return tables, "\n".join(one.text for one in document.paragraphs)


def sheets_of(found: Application, name: str) -> dict[str, list[list[Any]]]:
    book = load_workbook(BytesIO(papers.document_of(found, name, "xlsx")[1]))
    return {sheet.title: [[cell.value for cell in row] for row in sheet.iter_rows()] for sheet in book}


def province_with_an_area(tree: Tree) -> Application:
    county, province = make.person(tree["county"]), make.person(tree["province"])
    school = handed_in(make.person(tree["school"]), "ncet-pilot", "school")
    workflow.act(county, school.id, "recommend")  # an area hands in with the schools that it listed
    area = handed_in(county, "ncet-pilot", "area")
    for found in (school, area):
        for level in ("county", "city", "province"):
            if found.office_id == tree[level].id:
                workflow.act(
                    {"county": county, "province": province}.get(level) or make.person(tree[level]),
                    found.id,
                    "recommend",
                )
    made = service.begin(province, "ncet-pilot", "province", "2026")
    make.fill_in(province, made)
    return made


def test_the_four_tables_of_the_pilot_form(tree: Tree) -> None:
    made = province_with_an_area(tree)
    tables, text = word_of(made, "information")
    assert [table[0] for table in tables] == [GS_26, GS_27, GS_28, GS_29]
    assert tables[2][1][:3] == ["试点区1　试点区申报单位", "丙县", "小学"]
    assert tables[2][2][:3] == ["试点校1", "丙县一小", "小学"]
    assert tables[2][2][5] == "13800000000"
    assert tables[3][1][0] == "丙县" and tables[3][1][1:3] == ["小学", "牵头人"]
    for words in (
        "附件1",
        "“央馆人工智能课程”规模化应用试点区申报信息表",
        "填报单位（省级电教部门）公章：甲省",
        "填报日期：2026年11月20日",
        "注：本地3名左右",
        "注：各省限报5个试点区, 可依需增行",
    ):
        assert words in text
    assert "非官方表样" not in text


def test_the_same_tables_in_excel(tree: Tree) -> None:
    made = province_with_an_area(tree)
    sheets = sheets_of(made, "information")
    assert list(sheets) == [
        "一、省级电教部门联系人",
        "二、省级试点工作专家指导组",
        "三、试点区和试点校",
        "四、试点区教研团队",
    ]
    for rows, head in zip(sheets.values(), (GS_26, GS_27, GS_28, GS_29), strict=True):
        found = [[cell or "" for cell in row][: len(head)] for row in rows]
        assert head in found
    contact = [[cell or "" for cell in row] for row in sheets["一、省级电教部门联系人"]]
    phone = contact[contact.index(GS_26) + 1][3]
    assert phone == "13800000000" and isinstance(phone, str)  # no scientific notation


def test_a_sheet_prints_on_one_page_across_and_hides_no_text(tree: Tree) -> None:
    province = make.person(tree["province"])
    made = service.begin(province, "ncet-pilot", "province", "2026")
    rows = [{"name": "张三", "unit": "甲省电化教育馆" * 8, "post": "主任"}]
    service.save_part(province, made.id, "information.contact", rows, 0)
    for sheet in load_workbook(BytesIO(papers.document_of(made, "information", "xlsx")[1])):
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (
            "landscape",
            1,
            0,
        )
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
    sheet = load_workbook(BytesIO(papers.document_of(made, "information", "xlsx")[1])).worksheets[0]
    heads = [row[0].row for row in sheet.iter_rows() if row[0].value == "姓名"]
    assert sheet.print_title_rows == f"${heads[0]}:${heads[0]}"
    assert sheet.row_dimensions[heads[0] + 1].height > 4 * 15 > sheet.row_dimensions[heads[0]].height


def test_a_cell_never_begins_a_formula(tree: Tree) -> None:
    province = make.person(tree["province"])
    made = service.begin(province, "ncet-pilot", "province", "2026")
    service.save_part(province, made.id, "information.contact", [{"name": "=1+1", "unit": "+86"}], 0)
    book = load_workbook(BytesIO(papers.document_of(made, "information", "xlsx")[1]))
    cells = [cell for row in book.worksheets[0].iter_rows() for cell in row if cell.value == "=1+1"]
    assert [cell.data_type for cell in cells] == ["s"]


def test_the_statement_has_its_cover_its_parts_and_nothing_of_ours(tree: Tree) -> None:
    county = make.person(tree["county"])
    area = service.begin(county, "ncet-pilot", "area", "2026")
    make.fill_in(county, area)
    tables, text = word_of(area, "area-statement")
    for words in (
        "申报单位（公章）：丙县",
        "负责人签字：",
        "填报日期：",
        "一、基本情况",
        "二、申报资格自查",
        "三、工作方案",
        "四、各试点校自述",
    ):
        assert words in text
    (annex,) = tables  # conditions and figures, behind the sections
    assert annex[0] == ["作答", "申报条件", "系统数据"] and "试点校总数5所（含）以上" in annex[4]
    assert "微信号" not in text  # what only the summary needs is not printed


def test_the_hunan_form_is_one_table_with_its_rows(tree: Tree) -> None:
    admin = make.person(tree["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    service.save_part(admin, found.id, "application.stage", ["小学"], 1)
    tables, text = word_of(found, "application")
    heads = [
        "实验主题",
        "学段",
        "重点领域\n每学期每学科不少于10课时，选择1-2优势学科和优势领域",
        "现有条件和优势\n1000字以内",
        "实施方案\n3000字以内",
    ]
    assert [row[0] for row in tables[0]] == heads
    assert tables[0][1][1] == "□幼儿园 ☑小学 □初中 □九年一贯制 □高中 □完全中学"
    for words in (
        "申报单位名称（公章）：",
        "联系人：",
        "联系电话：",
        "联系地址：",
        "申报日期：2026年11月20日",
        "湖南省电化教育馆 2025年5月",
    ):
        assert words in text


def test_the_hunan_summary(tree: Tree) -> None:
    city = make.person(tree["city"])
    admin = make.person(tree["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    for officer in (make.person(tree["county"]), city):
        workflow.act(officer, found.id, "recommend")
    made = service.begin(city, "hunan-baixiao", "city", "2026")
    make.fill_in(city, made)
    tables, text = word_of(made, "summary")
    assert tables[0][0] == HN_28
    assert tables[0][1][:3] == ["1", "乙市丙县", "丙县一小"] and tables[0][1][7] == "教育部中小学人工智能教育基地校"
    assert "填报单位（__市州电教部门）公章：乙市" in text and "填报人：" in text
    rows = [[cell or "" for cell in row] for row in next(iter(sheets_of(made, "summary").values()))]
    assert rows[0][0] == "湖南省“百校千课”人工智能教育实验项目推荐汇总表"
    assert re.fullmatch(
        r"填报单位（__市州电教部门）公章：乙市\s+负责人：某负责人\s+联系电话：13800000000\s+填报日期：2026年11月20日",
        rows[1][0],
    )
    assert rows[2] == HN_28 and rows[3][6] == "13800000000"
    assert rows[-1][0].split("\u3000\u3000") == ["填报人：某填报人", "联系电话：13800000000"]


def test_ours_are_marked_as_not_official_on_every_paper_and_page(app: Flask, tree: Tree) -> None:
    people = {level: make.person(tree[level]) for level in ("school", "county", "city", "province")}
    seen = 0
    for slug in ("henan-experiment", "smart-training"):
        for kind in shipped()[slug].document["kinds"]:
            actor = people["school" if "school" in kind["applicant"] else kind["applicant"][-1]]
            found = service.begin(actor, slug, kind["id"], "2026")
            for document in shipped()[slug].documents_of(kind["id"]):
                made = papers.paper_of(found, document)
                assert made.blocks[0].text == "非官方表样", (slug, document["id"])  # what Word and PDF are made of
                if "xlsx" in document["formats"]:
                    assert ["非官方表样"] in [
                        [cell for cell in row if cell] for row in next(iter(sheets_of(found, document["id"]).values()))
                    ]
                seen += 1
            client, address = door(app, actor), f"/programmes/{found.id}"
            for page in ("/programmes/", address, f"{address}/parts/{shipped()[slug].keys_of(kind['id'])[0]}"):
                assert "非官方表样" in client.get(page).text, page
    assert seen >= 6


def test_the_zip_has_the_mandated_names(tree: Tree) -> None:
    province = make.person(tree["province"])
    school, area = (
        handed_in(make.person(tree["school"]), "smart-training", "school"),
        handed_in(make.person(tree["county"]), "smart-training", "area"),
    )
    for found in (school, area):
        workflow.act(province, found.id, "recommend")
    made = service.begin(province, "smart-training", "province", "2026")
    make.fill_in(province, made)
    name, data, missing = papers.bundle_of(made, "province")
    assert (name, missing) == ("甲省智能研修平台应用试验区（校）申报材料.zip", [])
    assert zipfile.ZipFile(BytesIO(data)).namelist() == [
        "智能研修平台应用试验区申报表-甲省乙市丙县.docx",
        "智能研修平台试验校申报表-甲省乙市丙县丙县一小.docx",
        "推荐汇总表.xlsx",
        "推荐汇总表-盖章页扫描件.pdf",
        "省级组织单位联系表.xlsx",
    ]


NAMES = [
    ("ncet-pilot", "school", "school", "试点校自述材料（丙县一小）.zip", ["试点校自述材料（丙县一小）.docx"]),
    ("ncet-pilot", "area", "county", "试点区申报材料（丙县）.zip", ["附件2-“央馆人工智能课程”规模化应用试点区申报自述材料（丙县）.docx"]),
    ("ncet-pilot", "province", "province", "“央馆人工智能课程”规模化应用试点区申报材料（甲省）.zip", ["附件1-“央馆人工智能课程”规模化应用试点区申报信息表（甲省）.docx"]),
    ("hunan-baixiao", "school", "school", "“百校千课”申报材料（丙县一小）.zip", ["附件2-湖南省“百校千课”人工智能教育实验项目申报书（丙县一小）.docx"]),
    ("hunan-baixiao", "city", "city", "“百校千课”申报材料（乙市）.zip", ["附件3-湖南省“百校千课”人工智能教育实验项目推荐汇总表（乙市）.xlsx"]),
    ("henan-experiment", "area", "county", "河南省中小学人工智能教育实验区申报材料（丙县）.zip", ["河南省中小学人工智能教育实验区申报书（丙县）.docx"]),
    ("henan-experiment", "school", "school", "河南省中小学人工智能教育实验校申报材料（丙县一小）.zip", ["河南省中小学人工智能教育实验校申报书（丙县一小）.docx", "实验校建设参考指标自查表（丙县一小）.xlsx"]),
    ("henan-experiment", "city", "city", "河南省中小学人工智能教育实验区（校）申报材料（乙市）.zip", ["河南省中小学人工智能教育实验校推荐汇总表（乙市）.xlsx"]),
    ("smart-training", "area", "county", "智能研修平台应用试验区申报表-甲省乙市丙县.zip", ["智能研修平台应用试验区申报表-甲省乙市丙县.docx"]),
    ("smart-training", "school", "school", "智能研修平台试验校申报表-甲省乙市丙县丙县一小.zip", ["智能研修平台试验校申报表-甲省乙市丙县丙县一小.docx"]),
    ("smart-training", "school", "city-school", "智能研修平台试验校申报表-甲省乙市乙市实验小学.zip", ["智能研修平台试验校申报表-甲省乙市乙市实验小学.docx"]),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "kind", "applicant", "name", "holds"), NAMES)
def test_every_zip_and_file_has_its_name(
    tree: Tree, slug: str, kind: str, applicant: str, name: str, holds: list[str]
) -> None:
    found = service.begin(make.person(tree[applicant]), slug, kind, "2026")
    bundle = next(iter(notices.pack_of(found).bundles_of(kind)))
    made, data, missing = papers.bundle_of(found, bundle["id"])
    assert (made, zipfile.ZipFile(BytesIO(data)).namelist()) == (name, holds)
    assert missing  # the stamped pages, until they are scanned


def test_the_zips_of_the_pilot_hold_each_schools_statement_and_every_stamped_page(tree: Tree) -> None:
    county, province = make.person(tree["county"]), make.person(tree["province"])
    second = make.school("丙县二小", tree["county"])
    for where, scanned in ((tree["school"], True), (second, False)):
        admin = make.person(where)
        found = service.begin(admin, "ncet-pilot", "school", "2026")
        make.fill_in(admin, found)
        code = papers.codes_of(found)["school-statement"]
        attachments.add_file(admin, found.id, "scan:school-statement", "2.pdf", make.PDF + b" ", code)
        workflow.submit(admin, found.id)
        workflow.act(county, found.id, "recommend")
        if not scanned:  # handed in without, as a notice may allow
            with write():
                for row in service.files_of(found):
                    row.removed_at = clock.now() if row.slot.startswith("scan:") else None
    area = service.begin(county, "ncet-pilot", "area", "2026")
    make.fill_in(county, area)
    workflow.submit(county, area.id)
    statement = "附件2-“央馆人工智能课程”规模化应用试点区申报自述材料（丙县）"
    _name, data, missing = papers.bundle_of(area, "area")
    assert missing == ["试点校自述材料（丙县二小）"]
    assert zipfile.ZipFile(BytesIO(data)).namelist() == [
        f"{statement}.docx",
        f"{statement}-盖章页扫描件.pdf",
        "试点校自述材料（丙县一小）.docx",
        "试点校自述材料（丙县二小）.docx",
        "试点校自述材料（丙县一小）-盖章页扫描件1.pdf",
        "试点校自述材料（丙县一小）-盖章页扫描件2.pdf",
    ]
    text = word_of(area, "area-statement")[1]
    fourth = text[text.index("四、各试点校自述") :]
    for school in ("丙县一小", "丙县二小"):
        assert f"学校（公章）：{school}" in fourth
    assert fourth.count("一、学校基本情况") == 2 and "二、资格自查" in fourth
    for level in ("city", "province"):
        workflow.act(province if level == "province" else make.person(tree[level]), area.id, "recommend")
    made = service.begin(province, "ncet-pilot", "province", "2026")
    names = zipfile.ZipFile(BytesIO(papers.bundle_of(made, "province")[1])).namelist()
    assert names[1:3] == [f"{statement}.docx", f"{statement}-盖章页扫描件.pdf"]


def test_the_provinces_table_and_its_zip_name_the_same_schools(tree: Tree) -> None:
    """A school that the county never listed stands in neither; one directly under city or province in both (GS-01, GS-28)."""
    county, city, province = (make.person(tree[level]) for level in ("county", "city", "province"))
    handed_in(make.person(make.school("丙县二小", tree["county"])), "ncet-pilot", "school")  # waits at the county
    listed = handed_in(make.person(tree["school"]), "ncet-pilot", "school")
    workflow.act(county, listed.id, "recommend")
    of_city = handed_in(make.person(tree["city-school"]), "ncet-pilot", "school")
    of_province = handed_in(make.person(tree["province-school"]), "ncet-pilot", "school")
    area = handed_in(county, "ncet-pilot", "area")
    for officer, found in ((city, area), (province, area), (city, of_city), (province, of_city), (province, of_province)):
        workflow.act(officer, found.id, "recommend")
    made = service.begin(province, "ncet-pilot", "province", "2026")
    rows = papers.collect(made, pack_of(made), pack_of(made).part("information.areas"))
    assert [(row["head"], row["unit"]) for row in rows] == [
        ("试点区1\u3000试点区申报单位", "丙县"),
        ("试点校1", "丙县一小"),
        ("不在试点区内的试点校1", "乙市实验小学"),
        ("不在试点区内的试点校2", "甲省附小"),
    ]
    names = zipfile.ZipFile(BytesIO(papers.bundle_of(made, "province")[1])).namelist()
    assert [one for one in names if one.startswith("试点校") and one.endswith("）.docx")] == [
        f"试点校自述材料（{school}）.docx" for school in ("丙县一小", "乙市实验小学", "甲省附小")
    ]


def test_names_of_files_hold_places_whatever_the_offices_are_called(tree: Tree) -> None:
    """ZN-07..09: an office entered by its full name (代填) leaves 县教育局 out of the mandated names."""
    for level, name in (("province", "甲省教育厅"), ("city", "甲省乙市教育局"), ("county", "丁县教育体育局")):
        with write():
            tree[level].name = name
    area = service.begin(make.person(tree["county"]), "smart-training", "area", "2026")
    school = service.begin(make.person(tree["school"]), "smart-training", "school", "2026")
    province = service.begin(make.person(tree["province"]), "smart-training", "province", "2026")
    assert papers.document_of(area, "area", "docx")[0] == "智能研修平台应用试验区申报表-甲省乙市丁县.docx"
    assert papers.document_of(school, "school", "docx")[0] == "智能研修平台试验校申报表-甲省乙市丁县丙县一小.docx"
    assert papers.bundle_of(province, "province")[0] == "甲省智能研修平台应用试验区（校）申报材料.zip"
    assert papers.places_of(area)["applicant"] == "丁县教育体育局"  # on the cover the unit's own name


def test_covers_have_their_lines_in_order(tree: Tree) -> None:
    covers = {
        ("school", "ncet-pilot", "school"): ["学校（公章）", "负责人签字", "填报日期"],  # GS-33
        ("county", "ncet-pilot", "area"): ["申报单位（公章）", "负责人签字", "填报日期"],  # GS-30
        ("province", "ncet-pilot", "province"): ["填报单位（省级电教部门）公章", "填报日期"],  # GS-25
        ("school", "hunan-baixiao", "school"): [
            "申报单位名称（公章）",
            "联系人",
            "联系电话",
            "联系地址",
            "申报日期",
        ],  # HN-26
    }
    for (level, slug, kind), labels in covers.items():
        found = service.begin(make.person(tree[level]), slug, kind, "2026")
        document = notices.pack_of(found).documents_of(kind)[0]
        made = papers.paper_of(found, document)
        lines = [one.text.partition("：") for one in made.blocks if one.kind == "cover"]
        assert [line[0] for line in lines] == labels
        assert lines[-1][2] == "____年__月__日"  # nobody wrote a day
        assert all(line[2].strip("_") == "" for line in lines if line[0] == "负责人签字")


MIXED = "智能AI课，2022年"  # 智能 2, AI 1, 课 1, ， 1, 2022 1, 年 1
LIMITS = [
    ("ncet-pilot", "area", "county", "area-statement.basics", 1000),
    ("ncet-pilot", "area", "county", "area-statement.check", 1000),
    ("ncet-pilot", "area", "county", "area-statement.plan", 3000),
    ("ncet-pilot", "school", "school", "school-statement.basics", 500),
    ("ncet-pilot", "school", "school", "school-statement.check", 1000),
    ("ncet-pilot", "school", "school", "school-statement.plan", 2000),
    ("hunan-baixiao", "school", "school", "application.conditions", 1000),
    ("hunan-baixiao", "school", "school", "application.plan", 3000),
]


@pytest.mark.parametrize(("slug", "kind", "applicant", "key", "most"), LIMITS)
def test_each_limit_stops_one_word_above_it(
    tree: Tree, slug: str, kind: str, applicant: str, key: str, most: int
) -> None:
    actor = make.person(tree[applicant])
    found = service.begin(actor, slug, kind, "2026")
    part, lessons = notices.pack_of(found).part(key), 0
    if key == "school-statement.plan":  # one limit with the table: its cells count (B8)
        rows = [{"stage": "小学", "class": "五1班", "pupils": "45", "hours": "双周1课时", "name": "Li Lei"}]
        service.save_part(actor, found.id, "school-statement.lessons", rows, 0)
        lessons = 2 + 3 + 1 + 5 + 2
    for edition, words in enumerate((most - 1, most, most + 1)):
        whole, rest = divmod(words - lessons, 7)
        text = MIXED * whole + "，" * rest
        value: Any = text
        if part["type"] == "answers":
            value = dict.fromkeys(part["criteria"], "") | {part["criteria"][0]: text[:-1]}  # its number counts one
        service.save_part(actor, found.id, key, value, edition)
        assert service.words_of(found, key).count == words
        over = [one for one in service.lacks_of(found) if one.where == key and "请删去" in one.text]
        assert [one.hard for one in over] == ([True] if words > most else [])
        assert not over or f"超过 {most} 字，请删去 1 字" in over[0].text


def test_a_count_in_word_agrees_with_ours(tree: Tree) -> None:
    """The section of §二 as printed has the words that the page counted; conditions and figures stand behind the sections (GS-31, GS-33)."""
    for level, kind, key, form, after in (
        ("county", "area", "area-statement.check", "area-statement", "三、工作方案"),
        ("school", "school", "school-statement.check", "school-statement", "三、工作方案"),
    ):
        actor = make.person(tree[level])
        found = service.begin(actor, "ncet-pilot", kind, "2026")
        part = pack_of(found).part(key)
        service.save_part(actor, found.id, key, dict.fromkeys(part["criteria"], MIXED * 10), 0)
        document = Document(BytesIO(papers.document_of(found, form, "docx")[1]))
        lines = [one.text for one in document.paragraphs]
        section = lines[lines.index(part["heading"]) + 1 : lines.index(after)]
        assert sum(map(counting.words, section)) == service.words_of(found, key).count == 71 * len(part["criteria"])
        annex = [cell.text for row in document.tables[-1].rows for cell in row.cells]
        assert pack_of(found).criterion(part["criteria"][0])["text"] in annex
        pieces, names = behalf.pieces_of("docx", papers.document_of(found, form, "docx")[1], ""), papers.places_of(found)
        back = readback.read_form(pack_of(found).form(form), pieces, {}, {}, names)
        assert back["check"] == service.content_of(found)[key]


def test_the_sheet_is_that_of_an_official_paper(tree: Tree) -> None:
    found = service.begin(make.person(tree["county"]), "ncet-pilot", "area", "2026")
    document = Document(BytesIO(papers.document_of(found, "area-statement", "docx")[1]))
    sheet = document.sections[0]
    margins = (sheet.top_margin, sheet.right_margin, sheet.bottom_margin, sheet.left_margin)
    assert [round(one.mm) for one in (sheet.page_width, sheet.page_height, *margins) if one] == [
        210,
        297,
        37,
        26,
        35,
        28,
    ]
    assert "PAGE" in sheet.footer._element.xml
    titles = [one for one in document.paragraphs if one.runs and one.runs[0].font.size == Pt(22)]
    assert [one.text for one in titles] == [
        "“央馆人工智能课程”规模化应用试点区",
        "申报自述材料",
    ]  # broken where it means something
    assert 'w:eastAsia="方正小标宋简体"' in titles[0]._p.xml
    heading = next(one for one in document.paragraphs if one.text == "一、基本情况")
    assert 'w:eastAsia="黑体"' in heading._p.xml and heading.paragraph_format.keep_with_next
    assert (
        document.styles["Normal"].font.size == Pt(16)
        and 'w:eastAsia="仿宋_GB2312"' in document.styles["Normal"].element.xml
    )


def test_a_zip_says_which_scan_is_missing(tree: Tree) -> None:
    admin = make.person(tree["school"])
    found = service.begin(admin, "smart-training", "school", "2026")
    assert papers.bundle_of(found, "school")[2] == ["智能研修平台试验校申报表-甲省乙市丙县丙县一小"]
    with pytest.raises(NotFound):
        papers.bundle_of(found, "area")


@pytest.mark.skipif(not can_print(), reason="weasyprint is not installed")
def test_a_pdf(tree: Tree, app: Flask) -> None:
    admin = make.person(tree["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    with app.test_request_context():
        assert papers.document_of(found, "application", "pdf")[1].startswith(b"%PDF-")


@pytest.mark.parametrize("data", [b"", b"MZ\x90\x00", b"PK\x03\x04 broken", b"<html></html>"])
def test_attachments_are_known_by_their_bytes(tree: Tree, data: bytes) -> None:
    admin = make.person(tree["school"])
    found = service.begin(admin, "ncet-pilot", "school", "2026")
    with pytest.raises(Invalid):
        attachments.add_file(admin, found.id, "plan", "计划.pdf", data)


def test_macros_large_files_and_strange_names(tree: Tree) -> None:
    admin = make.person(tree["school"])
    found = service.begin(admin, "ncet-pilot", "school", "2026")
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
        archive.writestr("word/vbaProject.bin", "x")
    with pytest.raises(Invalid, match="file-type"):
        attachments.add_file(admin, found.id, "plan", "计划.docx", stream.getvalue())
    with pytest.raises(Invalid, match="file-size"):
        attachments.add_file(admin, found.id, "plan", "计划.pdf", make.PDF + b"0" * 20_000_000)
    with pytest.raises(NotFound):
        attachments.add_file(admin, found.id, "nothing", "计划.pdf", make.PDF)
    row = attachments.add_file(admin, found.id, "plan", "../../计划?.pdf", make.PDF)
    assert row.name == "计划_.pdf" and attachments.content(row) == make.PDF
    attachments.remove_file(admin, found.id, row.id)
    assert service.files_of(found) == []
    with pytest.raises(NotAllowed):
        attachments.add_file(make.person(tree["school"], "teacher"), found.id, "plan", "计划.pdf", make.PDF)
