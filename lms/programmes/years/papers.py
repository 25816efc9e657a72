"""Papers of the years after (导出): a report, the norm with its coverage, the risk register, the usage summary, and the inspection pack (zip)."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from flask import current_app

from lms.core.db import db
from lms.core.errors import NotFound
from lms.core.models import Organisation
from lms.core.paper import can_print
from lms.programmes.layout import SIMULATED, Block, Paper, Table, in_chinese
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.papers import as_docx, as_pdf
from lms.programmes.selfcheck import check
from lms.programmes.sheets import as_xlsx
from lms.programmes.teaching import today
from lms.programmes.years import norms
from lms.programmes.years.figures import figures_of
from lms.programmes.years.models import EthicsNorm
from lms.programmes.years.rules import LEVELS, Coverage, risk_level
from lms.programmes.years.service import ReportPage, granted_on, owed_by, report_page

OWN_FORM = "本系统自拟格式（非官方表样），以主管部门下发的表为准"
RENDER = {"docx": as_docx, "pdf": as_pdf, "xlsx": as_xlsx}


def _marks() -> list[Block]:
    simulated = current_app.config["ZHIKE"].origin == "simulated"
    return [*([Block("mark", SIMULATED)] if simulated else []), Block("note", OWN_FORM)]


def _figures(rows: Sequence[tuple[str, str, str]]) -> Table:
    return Table("系统数据", ("项目", "数据", "来源"), tuple(rows), (30, 80, 46))


def report_paper(found: Application, page: ReportPage) -> Paper:
    """A report: text, then each figure with its source, and what the school says to it."""
    name = db.session.get_one(Organisation, found.school_id).name
    title = page.row.title if page.row is not None and page.row.title else str(page.report["name"])
    blocks = [
        *_marks(),
        Block("title", f"{title}（{page.period.name}）"),
        Block("text", f"单位：{name}　　项目：{pack_of(found).title}"),
        Block("heading", "一、总体情况"),
        *(Block("text", line) for line in (page.row.text if page.row else "").split("\n")),
        Block("heading", "二、数据" + ("与说明" if page.is_assessment else "")),
    ]
    if page.is_assessment:
        rows = tuple((one.label, one.value, page.texts.get(one.key, ""), one.source) for one in page.figures)
        blocks.append(
            Block("table", table=Table("数据与说明", ("项目", "系统数据", "学校说明", "来源"), rows, (24, 46, 56, 30)))
        )
    else:
        blocks.append(Block("table", table=_figures([(one.label, one.value, one.source) for one in page.figures])))
    sent = page.row.submitted_at.date().isoformat() if page.row is not None and page.row.submitted_at else ""
    blocks += [Block("text", ""), Block("foot", f"单位（公章）：{name}"), Block("foot", f"日期：{in_chinese(sent)}")]
    return Paper(f"{name}{title}（{page.period.name}）", tuple(blocks))


def norm_paper(norm: EthicsNorm) -> Paper:
    """The norm in force with its coverage."""
    org = db.session.get_one(Organisation, norm.school_id)
    name = org.name
    lines = norm.text.split("\n")
    rows = [("教职工（系统内知悉）", *_counts(norms.staff_coverage(norm.school_id)))]
    if org.level == "school":
        rows.append(("监护人（纸质签收）", *_counts(norms.pupil_coverage(norm.school_id))))
    blocks = [
        *([Block("mark", SIMULATED)] if current_app.config["ZHIKE"].origin == "simulated" else []),
        Block("title", lines[0]),
        Block("text", f"{name}　第 {norm.number} 版　{in_chinese(norm.created_at.date().isoformat())}"),
        *(Block("heading" if line[:2] in _HEADS else "text", line) for line in lines[1:] if line.strip()),
        Block("heading", f"知悉情况（{in_chinese(today().isoformat())}）"),
        Block(
            "table",
            table=Table(
                "知悉情况", ("对象", "总数", "知悉（同意）", "不同意", "未答复", "比例"), tuple(rows), (46, 20, 26, 20, 22, 22)
            ),
        ),
    ]
    return Paper(f"{name}人工智能教育伦理规范", tuple(blocks))


_HEADS = tuple(f"{one}、" for one in "一二三四五六七八九十")


def _counts(one: Coverage) -> tuple[str, ...]:
    share = "–" if one.percent is None else f"{one.percent}%"
    return str(one.of), str(one.yes), str(one.no), str(one.waiting), share


def risk_paper(school: Organisation, year: int) -> Paper:
    """The risk register of a year; also as Excel."""
    rows = tuple(
        (str(number), one.risk, LEVELS[one.likelihood], LEVELS[one.severity], LEVELS[risk_level(one.likelihood, one.severity)],
         one.measure, one.owner, one.reviewed_on.isoformat() if one.reviewed_on else "")
        for number, one in enumerate(norms.risks_of(school.id, year), 1)
    )  # fmt: skip
    columns = ("序号", "风险", "可能性", "严重程度", "等级", "应对措施", "责任人", "复核日期")
    title = f"{school.name}人工智能教育风险清单（{year}年）"
    table = Table("风险清单", columns, rows, (10, 50, 16, 18, 14, 70, 26, 26))
    return Paper(title, (*_marks(), Block("title", title), Block("table", table=table)), wide=True)


def summary_paper(found: Application) -> Paper:
    """What was done since the grant: figures with sources, the notice's criteria as they stand, what is owed."""
    name, granted = db.session.get_one(Organisation, found.school_id).name, granted_on(found)
    pack = pack_of(found)
    first = granted or today()
    figures = [(one.label, one.value, one.source) for one in figures_of(found, first, today())]
    checks = tuple(
        (line.criterion["text"], line.state_name, line.outcome.figure, line.outcome.source) for line in check(found)
    )
    owed = tuple(
        (str(one.report["name"]), one.period.name, one.period.due.isoformat(), one.state_name)
        for one in owed_by(found)
        if one.state != "later"
    )
    title = f"{name}实施情况摘要"
    blocks = (
        *_marks(),
        Block("title", title),
        Block("text", f"项目：{pack.title}"),
        Block(
            "text",
            f"状态：{pack.status_name(found.status)}；列入日期：{in_chinese(first.isoformat())}；制表：{in_chinese(today().isoformat())}",
        ),
        Block("heading", "一、系统数据"),
        Block("table", table=_figures(figures)),
        Block("heading", "二、条件核对"),
        Block("table", table=Table("条件核对", ("条件", "结果", "数据", "来源"), checks, (66, 18, 46, 26))),
        Block("heading", "三、应交材料"),
        Block("table", table=Table("应交材料", ("材料", "时段", "截止", "状态"), owed, (66, 34, 30, 26))),
    )
    return Paper(title, blocks)


README = """迎检材料（督导、随机抽查用）

{files}
所有数据由系统按当日记录生成，来源写在每一项旁边；“学校说明”由学校填写。
开课证据可以独立核验：在“开课证据”页下载本学期证据包，用其中的 verify.py 核验。
监护人签收的纸质回执由学校保存，本材料只有数字，不含学生姓名。
"""


def inspection_pack(found: Application) -> tuple[str, bytes]:
    """Name and bytes of the zip: norm with coverage, risk register, self-assessments that were handed in, usage summary; Word, and PDF where the server can."""
    school = db.session.get_one(Organisation, found.school_id)
    papers: list[tuple[str, Paper]] = []
    norm = norms.norm_of(school.id)
    if norm is not None:
        papers.append(("1-人工智能教育伦理规范及知悉情况", norm_paper(norm)))
    papers += [(f"2-风险清单-{year}年", risk_paper(school, year)) for year in norms.risk_years(school.id)[:2]]
    for one in owed_by(found):
        if one.report.get("kind") in ("self-assessment", "risk-register", "acceptance") and one.state == "done":
            page = report_page(found, one.report["id"], one.period.id)
            papers.append((f"3-{one.report['name']}-{one.period.name}".replace("/", "_"), report_paper(found, page)))
    papers.append(("4-实施情况摘要", summary_paper(found)))
    stream, names = BytesIO(), []
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, paper in papers:
            for form in ("docx", "pdf") if can_print() else ("docx",):
                archive.writestr(f"{name}.{form}", RENDER[form](paper))
                names.append(f"{name}.{form}")
        missing = [] if norm is not None else ["（还没有发布人工智能伦理规范）"]
        missing += [] if norms.risk_years(school.id) else ["（还没有风险清单）"]
        archive.writestr("说明.txt", README.format(files="".join(f"{one}\n" for one in (*names, *missing))))
    return f"迎检材料-{school.name}-{today().isoformat()}.zip", stream.getvalue()


def rendered(paper: Paper, form: str) -> bytes:
    """A paper as ``docx``, ``pdf`` or ``xlsx``; NotFound for anything else."""
    make: Any = RENDER.get(form)
    if make is None:
        raise NotFound("document", "没有这种格式。")
    data: bytes = make(paper)
    return data
