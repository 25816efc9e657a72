"""The four notices as data; what a wrong pack is told; the county's notice that needs no code."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from lms.cli import main
from lms.programmes.pack import SHIPPED, check_folder, check_texts, file_name, read_pack, shipped, texts_in
from lms.programmes.places import place_named, same_place

ROOT = Path(__file__).resolve().parents[2]
COUNTY = ROOT / "lms" / "programmes" / "example"


def labels(slug: str, form: str, part: str) -> list[str]:
    return [one["label"] for one in shipped()[slug].part(f"{form}.{part}")["columns"]]


@pytest.mark.parametrize(
    ("slug", "short", "last"),
    [
        ("ncet-pilot", "GS", 33),
        ("hunan-baixiao", "HN", 28),
        ("henan-experiment", "HA", 16),
        ("smart-training", "ZN", 20),
    ],
)
def test_every_clause_of_the_notice_is_served(slug: str, short: str, last: int) -> None:
    wanted = [f"{short}-{number:02d}" for number in range(1, last + 1)]
    assert list(shipped()[slug].document["clauses"]) == wanted
    text = "".join(path.read_text("utf-8") for path in sorted((SHIPPED / slug).rglob("*.yaml")))
    assert [one for one in wanted if len(re.findall(rf"\b{one}\b", text)) < 1] == []


def test_columns_of_the_pilot_notice_verbatim() -> None:
    assert labels("ncet-pilot", "information", "contact") == [
        "姓名",
        "单位（到内设部门）",
        "职务",
        "办公电话",
        "手机号",
        "微信号",
    ]  # GS-26
    assert labels("ncet-pilot", "information", "experts") == [
        "姓名",
        "单位",
        "职称",
        "手机号",
        "E-mail",
        "微信号",
    ]  # GS-27
    assert labels("ncet-pilot", "information", "areas") == [
        "",
        "单位名称",
        "“央馆人工智能课程”应用学段",
        "联系人",
        "职务/职称",
        "手机号",
        "E-mail",
        "微信号",
    ]  # GS-28
    assert labels("ncet-pilot", "information", "teams") == [
        "试点区",
        "学段",
        "角色",
        "姓名",
        "单位",
        "职称",
        "手机号",
        "E-mail",
        "微信号",
    ]  # GS-29


def test_limits_of_the_notices() -> None:
    ncet, hunan = shipped()["ncet-pilot"], shipped()["hunan-baixiao"]
    assert [(one["parts"], one["most"]) for one in ncet.form("area-statement")["limits"]] == [
        (["basics"], 1000),
        (["check"], 1000),
        (["plan"], 3000),
    ]
    assert [(one["parts"], one["most"]) for one in ncet.form("school-statement")["limits"]] == [
        (["basics"], 500),
        (["check"], 1000),
        (["plan", "lessons"], 2000),
    ]
    assert [(one["parts"], one["most"]) for one in hunan.form("application")["limits"]] == [
        (["conditions"], 1000),
        (["plan"], 3000),
    ]


def test_dates_and_quotas_of_the_notices() -> None:
    packs = shipped()
    assert packs["ncet-pilot"].batch("2022")["due"] == {"province": "2022-06-10", "nation": "2022-06-30"}
    assert [packs["hunan-baixiao"].batch(one)["due"]["province"] for one in "123"] == [
        "2024-06-30",
        "2024-12-30",
        "2025-06-30",
    ]
    assert packs["hunan-baixiao"].batch("1")["local"][0]["due"] == "2024-06-20"
    assert packs["smart-training"].batch("2021")["due"] == {"nation": "2021-04-20"}
    most = {one["id"]: one["most"] for one in packs["henan-experiment"].document["quotas"]}
    assert (most["areas"], most["primary"], most["middle"], most["areas-2"], most["schools-2"]) == (
        10,
        300,
        200,
        20,
        300,
    )
    assert packs["ncet-pilot"].document["quotas"][0]["most"] == 5


def test_only_hunan_gives_a_plaque() -> None:
    plaques = {
        slug
        for slug, pack in shipped().items()
        for kind in pack.document["kinds"]
        if pack.document["statuses"][kind["granted"]].get("plaque")
    }
    assert plaques == {"hunan-baixiao"}


def test_forms_that_the_text_lacks_are_marked() -> None:
    for slug, pack in shipped().items():
        marked = [form.get("unofficial", False) for form in pack.document["forms"].values()]
        assert all(marked) if slug in ("henan-experiment", "smart-training") else not any(marked)
        assert bool(pack.document.get("unofficial")) == all(marked)


def test_file_names_of_the_training_platform_to_the_character() -> None:
    pack = shipped()["smart-training"]
    places = {"province": "甘肃省", "city": "兰州市", "county": "安宁区", "school": "兰州市第一小学", "applicant": ""}
    names = {
        one["id"]: file_name(one["file"], places) for one in (*pack.document["documents"], *pack.document["bundles"])
    }
    assert file_name(pack.documents_of("area")[0]["file"], places) == "智能研修平台应用试验区申报表-甘肃省兰州市安宁区"
    assert (
        file_name(pack.documents_of("school")[0]["file"], places)
        == "智能研修平台试验校申报表-甘肃省兰州市安宁区兰州市第一小学"
    )
    assert names["province"] == "甘肃省智能研修平台应用试验区（校）申报材料"


@pytest.mark.parametrize(
    ("office", "place"),
    [("丁县教育局", "丁县"), ("甲省教育厅", "甲省"), ("甲省乙市丁县教育体育局", "丁县"), ("乙市丁县教育和体育局", "丁县"), ("丁县教育科技局", "丁县"),
     ("甲省电化教育馆", "甲省"), ("乙市教育技术中心", "乙市"), ("乙市教育科学技术研究院", "乙市"), ("乙市人民政府教育局", "乙市"), ("兰州新区教体局", "兰州新区"),
     ("丁县", "丁县"), ("教育局", "教育局"), ("甲省", "甲省")],
)  # fmt: skip
def test_the_place_that_an_office_is_named_after(office: str, place: str) -> None:
    assert place_named(office, ("甲省", "乙市")) == place


@pytest.mark.parametrize(
    ("named", "office", "same"),
    [("岳阳市", "岳阳市", True), ("岳阳市", "岳阳市教育体育局", True), ("岳阳市教育局", "岳阳市", True), ("岳阳", "岳阳市教育局", True),
     ("4306", "随便一个名字", True), ("岳阳市", "岳阳县教育局", False), ("岳阳市", "益阳市教育局", False)],
)  # fmt: skip
def test_a_local_date_finds_its_office(named: str, office: str, same: bool) -> None:
    assert same_place(named, office, "4306") is same


def test_a_name_cannot_leave_its_folder() -> None:
    assert "/" not in file_name("表-{school}", {"school": "../../a:b"})


def test_the_command_names_what_is_right() -> None:
    done = CliRunner().invoke(main, ["programmes", "check"])
    assert done.exit_code == 0 and done.output.count("✓") == 4
    assert CliRunner().invoke(main, ["programmes", "check", str(COUNTY)]).exit_code == 0
    assert "没有通知包" in CliRunner().invoke(main, ["programmes", "check", "nowhere"]).output


WRONG: list[tuple[str, Callable[[str], str], str]] = [
    ("pack.yaml", lambda text: text.replace('version: "2026.1"', "version: new"), "version"),
    ("pack.yaml", lambda text: text.replace('version: "2026.1"', 'version: "2026.1"\nregion: ["99"]'), "不是行政区划代码"),
    ("pack.yaml", lambda text: text.replace('version: "2026.1"', 'version: "2026.1"\nregion: ["4300"]'), "末尾的 00"),
    (
        "pack.yaml",
        lambda text: text.replace("forms: [application]", "forms: [applicatio]"),
        "没有 forms/applicatio.yaml",
    ),
    ("pack.yaml", lambda text: text.replace("granted: model", "granted: modell"), "statuses 里没有 modell"),
    (
        "pack.yaml",
        lambda text: text.replace("rule: twice-a-month", "rules: twice-a-month"),
        "usage 还要在 with 里写 rule",
    ),
    (
        "pack.yaml",
        lambda text: text.replace("due: {county: 2026-12-15}", "due: {county: 2026-12-15, city: 2026-12-01}"),
        "B9",
    ),
    ("pack.yaml", lambda text: text.replace("due: {county: 2026-12-15}", "due: {county: 2026-02-30}"), "2026-02-30"),
    ("pack.yaml", lambda text: text.replace('（{school}）", formats', '（{shcool}）", formats'), "不认识 {shcool}"),
    ("pack.yaml", lambda text: text.replace("most: 3", "most: three"), "应为整数"),
    ("pack.yaml", lambda text: text + "\nnotice: again\n", "键重复"),
    ("forms/application.yaml", lambda text: text.replace("parts: [story]", "parts: [storey]"), "没有“storey”这一部分"),
    (
        "forms/application.yaml",
        lambda text: text.replace("choices: subject}", "choices: subjects}"),
        "没有选项 subjects",
    ),
    ("forms/application.yaml", lambda text: text.replace("label: 课时", "label: 班级"), "列名重复：班级"),
    ("forms/application.yaml", lambda text: text.replace("most: 600", "most: 600, nonsense: 1"), "不认识的项 nonsense"),
]


@pytest.mark.parametrize(("file", "spoil", "cause"), WRONG)
def test_a_wrong_pack_is_told_file_line_and_cause(
    tmp_path: Path, file: str, spoil: Callable[[str], str], cause: str
) -> None:
    folder = tmp_path / "notice"
    shutil.copytree(COUNTY, folder)
    before = (folder / file).read_text("utf-8")
    after = spoil(before)
    assert after != before
    (folder / file).write_text(after, "utf-8")
    _pack, problems = check_folder(folder)
    assert any(cause in one.cause and one.file == file for one in problems), problems
    found = next(one for one in problems if cause in one.cause)
    changed = next(
        (
            number
            for number, (old, new) in enumerate(zip(before.split("\n"), after.split("\n"), strict=False), 1)
            if old != new
        ),
        None,
    )
    assert found.line == changed or changed is None or cause == "列名重复：班级" or abs(found.line - changed) <= 1
    done = CliRunner().invoke(main, ["programmes", "check", str(folder)])
    assert done.exit_code == 1 and f"notice/{file}:{found.line}: " in done.output


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "granted: model",
            "granted: modell",
            "请在 statuses 里加上，或改为：draft、lapsed、model、refused、returned、reviewing、withdrawn",
        ),
        ("forms: [application]", "forms: [form]", "请新建这个文件，或改为：application"),
        ('version: "2026.1"', "version: 2026.1", "应为文字，现在是 2026.1，请加引号"),
        ('version: "2026.1"', 'version: "new"', "应写成“年份.次数”，如 2026.1"),
        ("opens: 2026-11-01", "opens: 11月1日", "应写成 2026-12-15"),
        ("issuer: 丙县教育局\n", "", "缺少 issuer，请加上"),
        ("issuer: 丙县教育局", "issuer:丙县教育局", "冒号后少了空格"),
        ("appeal_days: 5", "appeal_day: 5", "不认识的项 appeal_day，请删去或改为：id、name"),
    ],
)
def test_an_error_says_what_to_do(old: str, new: str, told: str) -> None:
    texts = {path.relative_to(COUNTY).as_posix(): path.read_text("utf-8") for path in COUNTY.rglob("*.yaml")}
    assert old in texts["pack.yaml"]
    texts["pack.yaml"] = texts["pack.yaml"].replace(old, new)
    assert told in "\n".join(map(str, check_texts(texts)[1]))


N, H, A = "ncet-pilot", "hunan-baixiao", "henan-experiment"
BROKEN = [  # notice, file, what is written, what someone writes instead, what the checker says
    (H, "pack.yaml", "区县推荐中, is: waiting", "区县推荐中, is: active", "at-county 的 is 是 active"),
    (H, "pack.yaml", "已挂牌, is: active", "已挂牌, is: waiting", "确定后的状态要写 is: active"),
    (N, "pack.yaml", "rule: fortnightly", "rule: fortnightli", "没有判定规则 fortnightli，请改为：class-hours-term"),
    (N, "pack.yaml", "with: {least: 5}", "with: {least: 五}", "least 应为不小于 1 的整数，现在是 '五'"),
    (N, "pack.yaml", "with: {least: 5}", "with: {least: 5, most: 9}", "school-count 不认识 most，可用：least"),
    (H, "pack.yaml", "who: teacher", "who: teachers", "who 应为teacher 或 pupils"),
    (N, "pack.yaml", "level: province, kinds: [area], most: 5", "level: county, kinds: [area], most: 5", "area 的审核不经过 county"),
    (A, "pack.yaml", 'batches: ["1", "2026"], clause', 'batches: ["9"], clause', "没有批次 9"),
    (H, "pack.yaml", "by: [school], kind: progress", "by: [skool], kind: progress", "没有申报类别 skool"),
    (A, "pack.yaml", "with: {parts: [area.plan]}", "with: {parts: [school.plan]}", "“area”不填表单 school"),
    (A, "pack.yaml", "files: [centre]", "files: [plan]", "附件 plan 不是“area”要交的"),
    (H, "pack.yaml", "needs: 人工智能+教学实验（以智助教）, least", "needs: 人工智能教学, least", "选项里没有必选的“人工智能教学”"),
    (N, "pack.yaml", "with: {part: area-statement.teams}, text: 各学段", "with: {part: area-statement.basics}, text: 各学段", "要读 table 类的部分"),
    (N, "forms/information.yaml", "from: row.stage,", "from: row.stagee,", "里没有 stagee，请改为：e-mail"),
    (N, "forms/information.yaml", "from: contact.contact-post", "from: contact.contact-pos", "没有 contact 的 contact-pos"),
    (N, "pack.yaml", "{document: school-statement, format: docx, of: school}", "{document: school-statement, format: docx, of: skool}", "没有申报类别 skool"),
    (N, "forms/information.yaml", "table: area-statement.teams", "table: area-statement.teamz", "没有表格 area-statement.teamz，请改为：area-statement.teams"),
    (N, "forms/school-statement.yaml", "criteria: [GS-16,", "criteria: [GS-11,", "条件 GS-11 只核“area”"),
    (H, "pack.yaml", "{document: application, format: docx}, {document", "{document: summary, format: docx}, {document", "“school”不填 summary"),
    (N, "forms/area-statement.yaml", "type: choice, choices: stage", "type: choice", "是选择项，要写 choices"),
    (H, "pack.yaml", "from: 2027-09, to: 2027-12", "from: 2027-09, to: 2026-12", "早于开始"),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "file", "old", "new", "cause"), BROKEN)
def test_what_points_nowhere_is_told_with_its_line(slug: str, file: str, old: str, new: str, cause: str) -> None:
    """Names and types that only an applicant would run into, months after the notice came out."""
    texts = texts_in(SHIPPED / slug)
    before, _old, _rest = texts[file].partition(old)
    assert _old
    texts[file] = texts[file].replace(old, new, 1)
    found = [one for one in check_texts(texts)[1] if cause in one.cause]
    assert found and found[0].file == file
    lines = [one.line for one in found]  # a status is wrong where it is used, all else where it is written
    assert before.count("\n") + 1 in lines or "is: " in old or abs(lines[0] - before.count("\n") - 1) <= 2


def test_a_form_file_that_lies_in_the_folder_is_the_one_that_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "notice"
    shutil.copytree(COUNTY, folder)
    form = folder / "forms" / "application.yaml"
    text = form.read_text("utf-8")
    form.write_text(
        text
        + f"template: {{name: 表.docx, file: {'ab' * 32}, bindings: [{{at: paragraph 1, field: application.story}}]}}\n",
        "utf-8",
    )
    assert "请把表样放进 files 文件夹" in str(check_folder(folder)[1][0])
    (folder / "files").mkdir()
    (folder / "files" / "表.docx").write_bytes(b"x")
    problem = check_folder(folder)[1][0]
    assert (
        problem.line == len(text.split("\n"))
        and "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" in problem.cause
    )
    form.write_text(
        text
        + "template: {name: 表.docx, file: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881, bindings: []}\n",
        "utf-8",
    )
    assert check_folder(folder)[1] == []


def test_a_version_is_its_content() -> None:
    assert read_pack(COUNTY).digest == read_pack(COUNTY).digest != shipped()["ncet-pilot"].digest
