"""The selection of an office: experts without conflicts, scores by page and by Excel, a third expert, ranking, decision, publication, plaque."""

from __future__ import annotations

import re
import threading
from datetime import date
from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import load_workbook
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, AuditEntry, Organisation, RoleGrant
from lms.core.paper import can_print
from lms.notices.models import Notice
from lms.programmes import service as programmes
from lms.programmes import workflow
from lms.programmes.models import Application
from lms.programmes.selection import experts, outcome, rules, scoring, service
from lms.programmes.selection.models import Expert, Panel, Review
from lms.programmes.years import inspections
from tests.factories import token
from tests.programmes import places as make
from tests.programmes.test_pages import door

Tree = dict[str, Organisation]
EXPERTS = (("张甲", "某大学"), ("王乙", "某研究院"), ("李丙", "乙市实验小学"))


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def handed(admin: Account, slug: str = "hunan-baixiao", kind: str = "school") -> Application:
    found = programmes.begin(admin, slug, kind, "2026")
    make.fill_in(admin, found)
    return workflow.submit(admin, found.id)


class Scene:
    """The city decides on three schools directly below it, with three experts, of whom one is of an applicant."""

    def __init__(self, tree: Tree) -> None:
        self.city = tree["city"]
        self.officer = make.person(self.city)
        self.schools = [tree["city-school"], make.school("乙市二小", self.city), make.school("乙市三小", self.city)]
        self.found = [handed(make.person(one)) for one in self.schools]
        self.panel = service.open_panel(self.officer, "hunan-baixiao", "school", "2026")
        self.experts = [experts.save_expert(self.officer, {"name": name, "unit": unit}) for name, unit in EXPERTS]
        service.engage(self.officer, self.panel.id, [one.id for one in self.experts])

    def account(self, expert: Expert) -> Account:
        experts.open_account(self.officer, expert.id)
        db.session.expire_all()
        account = db.session.get_one(Account, expert.account_id)
        with write() as session:
            kept = session.get_one(Account, account.id)
            kept.must_change, kept.password_hash = False, self.officer.password_hash
        return account

    def review(self, place: int, expert: int) -> Review:
        query = select(Review).where(Review.application_id == self.found[place].id, Review.expert_id == self.experts[expert].id)
        return db.session.scalars(query).one()


def points(panel: Panel, share: float, comment: str = "可行") -> dict[str, str]:
    return {f"score.{one['id']}": str(round(one["most"] * share, 1)) for one in panel.sheet} | {"comment": comment}


def test_from_the_draw_to_the_plaque(tree: Tree) -> None:
    scene = Scene(tree)
    made = service.draw(scene.officer, scene.panel.id, "2026-11-24 福彩")
    pairs = {(one, expert) for one, expert in made.pairs}
    assert len(pairs) == 6 and not made.short and scene.panel.seed == "2026-11-24 福彩"
    assert (scene.found[0].id, scene.experts[2].id) not in pairs  # he works there
    with pytest.raises(Refused, match="conflict-of-interest"):
        service.assign(scene.officer, scene.panel.id, scene.found[0].id, scene.experts[2].id)
    accounts = {one.id: scene.account(one) for one in scene.experts}
    shares = {0: 0.9, 1: 0.8, 2: 0.8}
    for number, found in enumerate(scene.found):
        for review in [one for one in service.reviews_of(scene.panel) if one.application_id == found.id]:
            scoring.save(accounts[review.expert_id], review.id, points(scene.panel, shares[number]), hand_in=True)
    lines = service.ranking(scene.panel)
    assert [(one.place.number, str(one.place.score), one.place.tied) for one in lines] == [(1, "90.00", False), (2, "80.00", True), (2, "80.00", True)]
    assert service.progress(scene.panel) == (6, 6)
    told = db.session.scalars(select(Notice).where(Notice.account_id == scene.officer.id, Notice.key.startswith(f"panel/{scene.panel.id}/complete"))).all()
    assert len(told) == 1
    with pytest.raises(Refused, match="sheet-used"):
        service.set_panel(scene.officer, scene.panel.id, [{"id": "x", "name": "别的", "most": 100}], "mean", 15, 2)
    service.decide(scene.officer, scene.panel.id, [one.found.id for one in lines[:2]], "recommend", "同意")
    with pytest.raises(Invalid, match="remark"):
        service.decide(scene.officer, scene.panel.id, [lines[2].found.id], "refuse", "")
    service.decide(scene.officer, scene.panel.id, [lines[2].found.id], "refuse", "名额有限")
    form = {"title": "乙市拟推荐名单的公示", "starts_on": "2026-11-25", "ends_on": "2026-12-01", "contact": "周老师", "phone": "0731-1234567", "text": "现予公示。"}
    published = outcome.publish(scene.officer, scene.panel.id, form)
    assert [row["name"] for row in published.rows] == [one.name for one in lines[:2]]
    for line in lines[:2]:
        workflow.act(make.person(tree["province"]), line.found.id, "recommend")
    db.session.expire_all()
    province = make.person(tree["province"])
    assert [name for _found, name in outcome.without_plaque(tree["province"].id)] == sorted(one.name for one in lines[:2])
    plaque = outcome.give_plaque(province, lines[0].found.id, "HN-2026-001", outcome.day_in("2026-12-10", "x"), "甲教通〔2026〕8号")
    with pytest.raises(Invalid, match="number"):
        outcome.give_plaque(province, lines[1].found.id, "HN-2026-001", outcome.day_in("2026-12-10", "x"), "")
    with pytest.raises(Refused, match="plaque"):
        outcome.give_plaque(scene.officer, lines[1].found.id, "X-1", outcome.day_in("2026-12-10", "x"), "")
    name, letter = outcome.letter_docx(plaque)
    text = "\n".join(one.text for one in _document(letter).paragraphs)
    assert lines[0].name in name and "HN-2026-001" in text and "甲教通〔2026〕8号" in text and "予以挂牌" in text
    outcome.withdraw_plaque(province, plaque.id, "登记有误", clock.now().date())
    assert len(outcome.without_plaque(tree["province"].id)) == 2
    journal = set(db.session.scalars(select(AuditEntry.action)))
    assert {"open-panel", "engage-experts", "draw-experts", "hand-in-scores", "decide-panel", "publish-list", "give-plaque", "withdraw-plaque"} <= journal


def _document(data: bytes) -> object:
    from docx import Document

    return Document(BytesIO(data))


def test_publications_show_no_scores_in_any_form(tree: Tree) -> None:
    scene = Scene(tree)
    service.assign(scene.officer, scene.panel.id, scene.found[1].id, scene.experts[0].id)
    scoring.save(scene.account(scene.experts[0]), scene.review(1, 0).id, points(scene.panel, 0.77), hand_in=True)
    service.decide(scene.officer, scene.panel.id, [scene.found[1].id], "recommend", "")
    made = outcome.publish(scene.officer, scene.panel.id, {"title": "公示", "starts_on": "2026-11-25", "ends_on": "2026-12-01", "contact": "周", "phone": "1"})
    document = _document(outcome.publication_docx(made))
    text = "\n".join(one.text for one in document.paragraphs) + str([[cell.text for cell in row.cells] for row in document.tables[0].rows])  # type: ignore[attr-defined]  # docx's own
    assert "2026年11月25日至2026年12月1日" in text and "乙市二小" in text and "77" not in text
    sheet = load_workbook(BytesIO(outcome.publication_xlsx(made))).worksheets[0]
    cells = [[cell for cell in row if cell is not None] for row in sheet.iter_rows(values_only=True)]
    assert ["序号", "单位", "类别", "学段"] in cells and ["1", "乙市二小", "实验校", "小学"] in cells
    with pytest.raises(Invalid, match="ends_on"):
        outcome.publish(scene.officer, scene.panel.id, {"title": "公示", "starts_on": "2026-12-02", "ends_on": "2026-12-01", "contact": "周", "phone": "1"})


def test_a_wide_divergence_proposes_a_third_expert_once(tree: Tree) -> None:
    scene = Scene(tree)
    for number, share in ((0, 0.9), (1, 0.6)):
        service.assign(scene.officer, scene.panel.id, scene.found[1].id, scene.experts[number].id)
        scoring.save(scene.account(scene.experts[number]), scene.review(1, number).id, points(scene.panel, share), hand_in=True)
    line = next(one for one in service.ranking(scene.panel) if one.found.id == scene.found[1].id)
    assert line.wide and line.third == scene.experts[2].id
    review = service.assign(scene.officer, scene.panel.id, line.found.id, line.third, third=True)
    assert review.third
    line = next(one for one in service.ranking(scene.panel) if one.found.id == scene.found[1].id)
    assert not line.wide and line.third is None  # he has been asked
    scoring.save(scene.account(scene.experts[2]), review.id, points(scene.panel, 0.6), hand_in=True)
    line = service.ranking(scene.panel)[0]
    assert str(line.place.score) == "70.00"


def test_scores_come_back_by_excel_after_a_dry_run(tree: Tree) -> None:
    scene = Scene(tree)
    for place in (0, 1, 2):
        service.assign(scene.officer, scene.panel.id, scene.found[place].id, scene.experts[0].id)
    _name, data = scoring.sheet_for(scene.officer, scene.panel.id, scene.experts[0].id)
    book = load_workbook(BytesIO(data))
    sheet = book.worksheets[0]
    head = next(row[0].row for row in sheet.iter_rows() if row[0].value == scoring.CODE)
    assert [cell.value for cell in sheet[head]] == [*scoring.HEAD, "条件与基础（0–25）", "组织与队伍（0–20）", "实施方案（0–30）", "预期成效（0–15）", "示范辐射（0–10）", "评语"]
    for row, values in ((head + 1, (25, 20, "30", 14.5, 10)), (head + 2, (26, 20, 30, 15, 10))):
        for column, value in enumerate(values, 4):
            sheet.cell(row, column).value = value
    long = "评" * 900
    sheet.cell(head + 1, 9).value = long

    def sent() -> bytes:
        stream = BytesIO()
        book.save(stream)
        return stream.getvalue()

    rows = scoring.read_sheet(scene.officer, scene.panel.id, scene.experts[0].id, sent(), "a.xlsx")
    assert [one.state for one in rows] == ["ok", "problem", "skip"] and "0 到 25" in rows[1].text and rows[0].total == 99.5
    with pytest.raises(Invalid, match="sheet-rows"):
        scoring.take_in(scene.officer, scene.panel.id, scene.experts[0].id, sent(), "a.xlsx")
    assert service.progress(scene.panel)[0] == 0  # nothing by halves
    sheet.cell(head + 2, 4).value = 20
    assert scoring.take_in(scene.officer, scene.panel.id, scene.experts[0].id, sent(), "a.xlsx") == 2
    kept = [one for one in service.reviews_of(scene.panel) if one.state == "handed"]
    assert {one.source for one in kept} == {"excel"} and long in {one.comment for one in kept}
    assert [one.state for one in scoring.read_sheet(scene.officer, scene.panel.id, scene.experts[0].id, sent(), "a.xlsx")] == ["same", "same", "skip"]
    rows = scoring.read_sheet(scene.officer, scene.panel.id, scene.experts[1].id, sent(), "a.xlsx")
    assert {one.state for one in rows} == {"problem"}  # another's sheet
    sheet.cell(head, 4).value = "别的"
    with pytest.raises(Invalid, match="sheet-columns"):
        scoring.read_sheet(scene.officer, scene.panel.id, scene.experts[0].id, sent(), "a.xlsx")
    with pytest.raises(Invalid):
        scoring.read_sheet(scene.officer, scene.panel.id, scene.experts[0].id, b"nothing", "a.xlsx")
    lines = service.ranking(scene.panel)
    ranked = load_workbook(BytesIO(outcome.ranking_book(scene.panel, lines, {one.id: one.name for one in scene.experts})))
    cells = list(ranked["排序"].iter_rows(values_only=True))
    assert cells[3][:5] == ("名次", "申报单位", "学段", "城乡", "平均分") and cells[4][0] == 1 and cells[4][4] == 99.5
    assert any(row[1] == "张甲" and row[-1] == long for row in ranked["明细"].iter_rows(values_only=True))


def test_what_an_expert_may_and_may_not(tree: Tree) -> None:
    scene = Scene(tree)
    service.assign(scene.officer, scene.panel.id, scene.found[1].id, scene.experts[0].id)
    first, second = scene.account(scene.experts[0]), scene.account(scene.experts[1])
    review = scene.review(1, 0)
    kept = scoring.save(first, review.id, {"score.base": "99", "score.team": "12", "comment": "草稿"})
    assert kept.total is None and "0 到 25" in kept.problems[0] and review.scores["team"] == 12.0
    with pytest.raises(Invalid, match="scores"):
        scoring.save(first, review.id, {"score.base": "20"}, hand_in=True)
    with pytest.raises(NotFound):
        scoring.save(second, review.id, points(scene.panel, 0.5))
    with pytest.raises(NotFound):
        programmes.application(first, scene.found[1].id)  # the room of applications is closed to experts
    for call in (lambda: service.ranking(service.panel(first, scene.panel.id)), lambda: service.draw(first, scene.panel.id)):
        with pytest.raises(NotAllowed):
            call()
    scoring.save(first, review.id, points(scene.panel, 0.5), hand_in=True)
    with pytest.raises(Refused, match="review-closed"):
        scoring.save(first, review.id, points(scene.panel, 1.0))
    service.undo_review(scene.officer, review.id, back=True)
    with pytest.raises(Invalid, match="reason"):
        scoring.decline(first, review.id, " ")
    scoring.decline(first, review.id, "曾任该校校长")
    with pytest.raises(NotFound):
        scoring.task(first, review.id)
    with pytest.raises(Refused, match="conflict-of-interest"):
        service.assign(scene.officer, scene.panel.id, scene.found[1].id, scene.experts[0].id)
    assert experts.declare(second, "乙市三小\n乙市三小、别的单位") == 2
    assert service.conflicts_of(scene.panel)[scene.found[2].id][scene.experts[1].id] == ["declared"]


def test_an_account_that_is_more_than_an_expert_keeps_its_password(tree: Tree) -> None:
    officer, colleague = make.person(tree["city"]), make.person(tree["city"], "sec_admin")
    with write() as session:
        session.add(RoleGrant(account_id=colleague.id, role="expert", organisation_id=tree["city"].id))
    db.session.expire_all()
    row = experts.save_expert(officer, {"name": "同事", "unit": "乙市教科院", "username": colleague.username})
    assert row.account_id == colleague.id
    with pytest.raises(Refused, match="account"):
        experts.open_account(officer, row.id)
    with pytest.raises(Invalid, match="username"):
        experts.save_expert(officer, {"name": "别人", "unit": "x", "username": officer.username})  # no expert


def test_experts_read_what_the_notice_asks_for_only(app: Flask, tree: Tree) -> None:
    from lms.programmes import attachments

    scene = Scene(tree)
    service.assign(scene.officer, scene.panel.id, scene.found[1].id, scene.experts[0].id)
    found = scene.found[1]
    with write() as session:
        file = attachments.ApplicationFile(
            school_id=found.school_id, application_id=found.id, slot="original", name="原件.pdf", type="pdf", size=1, sha256="0" * 64
        )
        session.add(file)
    client = door(app, scene.account(scene.experts[0]))
    page = client.get(f"/programmes/selection/reviews/{scene.review(1, 0).id}")
    assert "附件.pdf" in page.text and "原件.pdf" not in page.text
    assert client.get(f"/programmes/selection/reviews/{scene.review(1, 0).id}/files/{file.id}").status_code == 404


def test_another_office_sees_nothing(tree: Tree) -> None:
    scene = Scene(tree)
    stranger = make.person(make.organisation("city", "戊市", tree["province"]))
    for call in (
        lambda: service.panel(stranger, scene.panel.id),
        lambda: experts.expert_here(stranger, scene.experts[0].id),
        lambda: scoring.sheet_for(stranger, scene.panel.id, scene.experts[0].id),
        lambda: outcome.publish(stranger, scene.panel.id, {}),
    ):
        with pytest.raises(NotFound):
            call()
    assert service.applications_of(service.open_panel(stranger, "hunan-baixiao", "school", "2026")) == []
    with pytest.raises(NotFound):
        service.open_panel(make.person(tree["county"]), "hunan-baixiao", "city", "2026")


def test_many_at_once_are_all_or_none(tree: Tree) -> None:
    province = tree["province"]
    officer = make.person(province)
    found = [handed(make.person(make.organisation("county", f"县{number}", province)), "ncet-pilot", "area") for number in range(6)]
    panel = service.open_panel(officer, "ncet-pilot", "area", "2026")
    quota = service.quotas_of(panel)[0]
    assert (quota.used, quota.most) == (0, 5)
    with pytest.raises(Refused, match="quota"):
        service.decide(officer, panel.id, [one.id for one in found], "recommend", "")
    db.session.expire_all()
    assert {one.office_id for one in found} == {province.id} and service.quotas_of(panel)[0].used == 0
    assert service.decide(officer, panel.id, [one.id for one in found[:5]], "recommend", "") == 5
    workflow.recall(officer, found[0].id, "换一份")
    assert service.decide(officer, panel.id, [found[5].id], "recommend", "") == 1


def test_two_officers_draw_at_once(app: Flask, tree: Tree) -> None:
    scene = Scene(tree)
    ids, panel_id, gate, broken = [scene.officer.id, make.person(scene.city).id], scene.panel.id, threading.Barrier(2), []

    def run(account_id: object) -> None:
        with app.app_context():
            gate.wait(60)
            try:
                service.draw(db.session.get_one(Account, account_id), panel_id)
            except Exception as error:  # noqa: BLE001  (handed to the test below)
                broken.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(one,)) for one in ids]
    for one in threads:
        one.start()
    for one in threads:
        one.join(120)
    assert not broken
    db.session.rollback()
    db.session.expire_all()
    reviews = service.reviews_of(db.session.get_one(Panel, panel_id))
    assert len(reviews) == 6 == len({(one.application_id, one.expert_id) for one in reviews})


def test_undo_of_the_draw_leaves_what_was_begun(tree: Tree) -> None:
    scene = Scene(tree)
    service.draw(scene.officer, scene.panel.id)
    begun = service.reviews_of(scene.panel)[0]
    expert = next(one for one in scene.experts if one.id == begun.expert_id)
    scoring.save(scene.account(expert), begun.id, {"comment": "看过一半"})
    assert service.undo_draw(scene.officer, scene.panel.id) == 5
    assert [one.id for one in service.reviews_of(scene.panel)] == [begun.id]
    with pytest.raises(Refused, match="expert-busy"):
        service.engage(scene.officer, scene.panel.id, [])
    service.undo_review(scene.officer, begun.id)
    service.engage(scene.officer, scene.panel.id, [])
    assert service.panel_experts(scene.panel) == []
    with pytest.raises(Refused, match="no-experts"):
        service.draw(scene.officer, scene.panel.id)


def addresses(scene: Scene, review: Review, publication: object, plaque: object) -> list[tuple[str, str, dict[str, str]]]:
    """Every page of an office in the selection."""
    base, panel, expert = "/programmes/selection", f"/programmes/selection/panels/{scene.panel.id}", scene.experts[0].id
    where = f"{base}/missing/hunan-baixiao/school/2026"
    return [
        ("GET", f"{base}/", {}), ("POST", f"{base}/panels", {"notice": "hunan-baixiao", "kind": "school", "batch": "2026"}), ("GET", panel, {}),
        ("GET", f"{panel}/sheet", {}), ("POST", f"{panel}/sheet", {}), ("POST", f"{panel}/experts", {}), ("POST", f"{panel}/assign", {}), ("POST", f"{panel}/draw", {}),
        ("POST", f"{panel}/undo-draw", {}), ("POST", f"{base}/assignments/{review.id}/undo", {}), ("GET", f"{panel}/ranking", {}), ("GET", f"{panel}/ranking.xlsx", {}),
        ("POST", f"{panel}/thirds", {}), ("POST", f"{panel}/decide", {"chosen": str(scene.found[1].id), "action": "recommend"}),
        ("POST", f"{panel}/recall", {"application": str(scene.found[1].id), "remark": "x"}), ("GET", f"{panel}/experts/{expert}/sheet.xlsx", {}),
        ("POST", f"{panel}/experts/{expert}/sheet", {}), ("POST", f"{panel}/experts/{expert}/sheet/confirm", {}), ("GET", f"{base}/experts", {}),
        ("POST", f"{panel}/experts/{expert}/materials", {}), ("GET", f"{panel}/experts/{expert}/materials.zip", {}),
        ("POST", f"{base}/experts", {"name": "x", "unit": "y"}), ("POST", f"{base}/experts/{expert}", {"name": "x", "unit": "y"}), ("POST", f"{base}/experts/{expert}/account", {}),
        ("POST", f"{base}/experts/{expert}/remove", {}), ("GET", f"{panel}/publications", {}), ("POST", f"{panel}/publications", {}),
        ("GET", f"{base}/publications/{publication}.docx", {}), ("GET", f"{base}/plaques", {}), ("POST", f"{base}/plaques", {}), ("GET", f"{base}/plaques.xlsx", {}),
        ("POST", f"{base}/plaques/{plaque}/withdraw", {"reason": "x"}), ("GET", f"{base}/plaques/{plaque}/letter.docx", {}), ("GET", where, {}), ("GET", f"{where}.xlsx", {}),
        ("POST", where, {}), ("GET", f"{base}/behalf", {}), ("POST", f"{base}/behalf", {"organisation": str(scene.schools[1].id)}), ("POST", f"{base}/behalf/organisations", {}),
        ("GET", f"{base}/behalf/{scene.found[1].id}", {}), ("POST", f"{base}/behalf/{scene.found[1].id}", {}), ("GET", f"{base}/behalf/{scene.found[1].id}/files/{review.id}", {}),
        ("POST", f"{base}/behalf/{scene.found[1].id}/files/{review.id}", {}), ("POST", f"{base}/behalf/{scene.found[1].id}/hand-over", {}),
        ("POST", f"{base}/recorded/{scene.found[1].id}", {}),
    ]  # fmt: skip


def own_addresses(review: Review, panel: Panel, file: object) -> list[tuple[str, str, dict[str, str]]]:
    """Every page of an expert."""
    base = "/programmes/selection/reviews"
    return [
        ("GET", base, {}), ("POST", f"{base}/declare", {"avoid": ""}), ("GET", f"{base}/{review.id}", {}), ("POST", f"{base}/{review.id}", {"comment": "x"}),
        ("GET", f"{base}/{review.id}.pdf", {}), ("GET", f"{base}/{review.id}/files/{file}", {}), ("GET", f"{base}/panels/{panel.id}/sheet.xlsx", {}),
        ("POST", f"{base}/{review.id}/decline", {"reason": "x"}),
    ]  # fmt: skip


def _status(client: FlaskClient, csrf: str, method: str, path: str, data: dict[str, str]) -> int:
    return client.open(path, method=method, data={**data, "csrf_token": csrf} if method == "POST" else None).status_code


def test_every_route_for_every_role_here_and_elsewhere(app: Flask, tree: Tree) -> None:
    scene = Scene(tree)
    service.assign(scene.officer, scene.panel.id, scene.found[1].id, scene.experts[0].id)
    service.assign(scene.officer, scene.panel.id, scene.found[2].id, scene.experts[1].id)
    service.decide(scene.officer, scene.panel.id, [scene.found[0].id], "recommend", "")
    made = outcome.publish(scene.officer, scene.panel.id, {"title": "公示", "starts_on": "2026-11-25", "ends_on": "2026-12-01", "contact": "周", "phone": "1"})
    province = make.person(tree["province"])
    workflow.act(province, scene.found[0].id, "recommend")
    plaque = outcome.give_plaque(province, scene.found[0].id, "P-1", outcome.day_in("2026-12-10", "x"), "")
    file = programmes.files_of(scene.found[1])[0]
    mine, other = scene.review(1, 0), scene.review(2, 1)
    offices = addresses(scene, mine, made.id, plaque.id)
    own = own_addresses(mine, scene.panel, file.id)
    listed = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("programmes.selection.") and not rule.endpoint.endswith("static")]
    methods = sum(len({"GET", "POST"} & (rule.methods or set())) for rule in listed)
    assert methods == len(offices) + len(own)
    expert, second = scene.account(scene.experts[0]), scene.account(scene.experts[1])
    closed = [make.person(scene.schools[1]), make.person(tree["school"], "teacher"), make.person(scene.city, "audit_admin"), expert]
    for one in closed:
        client = door(app, one)
        csrf = token(client, "/me")
        for method, path, data in offices:
            allowed = {403, 404} | ({409, 422} if "/recorded/" in path and one is closed[0] else set())  # the applicant may record, but not now
            assert _status(client, csrf, method, path, data) in allowed, (one.username, method, path)
    foreign = door(app, make.person(make.organisation("city", "戊市", tree["province"])))
    csrf = token(foreign, "/me")
    general = ("/", "/panels", "/experts", "/plaques", "/plaques.xlsx", "/behalf", "/organisations", "/2026", "/2026.xlsx")
    for method, path, data in offices:
        wanted = {200, 302, 404, 422} if path.endswith(general) and str(scene.panel.id) not in path else {404, 422}
        assert _status(foreign, csrf, method, path, data) in wanted, (method, path)
        assert "乙市二小".encode() not in foreign.get(path).data
    stranger = door(app, second)
    csrf = token(stranger, "/me")
    for method, path, data in own[2:6] + own[7:]:
        assert _status(stranger, csrf, method, path, data) == 404, path
    for account in (scene.officer, closed[0]):
        client = door(app, account)
        csrf = token(client, "/me")
        assert {_status(client, csrf, *one) for one in own} == {403}
    nobody = app.test_client()
    assert {nobody.open(path, method=method).status_code for method, path, _data in [*offices, *own]} <= {302, 400, 401}
    assert db.session.get_one(Review, mine.id).state == "open" and db.session.get_one(Review, other.id).state == "open"
    client = door(app, expert)
    csrf = token(client, "/me")
    for method, path, data in own:
        wanted = {200, 302} if not path.endswith(".pdf") or can_print() else {409}
        assert _status(client, csrf, method, path, data) in wanted, path
    officer = door(app, scene.officer)
    assert {officer.get(path).status_code for method, path, _data in offices if method == "GET"} <= {200, 404, 409}
    for page in ("/", f"/panels/{scene.panel.id}", f"/panels/{scene.panel.id}/sheet", f"/panels/{scene.panel.id}/ranking", "/experts", "/plaques", "/behalf"):
        assert officer.get(f"/programmes/selection{page}").status_code == 200
    seen = db.session.scalars(select(AuditEntry.action).where(AuditEntry.actor_id == expert.id)).all()
    assert {"access:review", "access:application-file", "access:score-sheet"} <= set(seen)


def test_the_pages_work_without_a_script(app: Flask, tree: Tree) -> None:
    scene = Scene(tree)
    office = door(app, scene.officer)
    base = f"/programmes/selection/panels/{scene.panel.id}"
    csrf = token(office, base)
    page = office.get(base)
    assert "乙市二小" in page.text and "就职于申报单位" in page.text
    items = {f"id.{place}": one["id"] for place, one in enumerate(scene.panel.sheet)} | {"name.0": "甲", "most.0": "60", "hint.0": "", "name.1": "乙", "most.1": "40"}
    office.post(f"{base}/sheet", data={"csrf_token": csrf, **items, "rule": "median", "threshold": "20", "each": "1"})
    db.session.expire_all()
    assert [(one["name"], one["most"]) for one in scene.panel.sheet] == [("甲", 60), ("乙", 40)] and scene.panel.rule == "median"
    office.post(f"{base}/assign", data={"csrf_token": csrf, "application": str(scene.found[1].id), "expert": str(scene.experts[0].id)})
    sheet = office.get(f"{base}/experts/{scene.experts[0].id}/sheet.xlsx")
    book = load_workbook(BytesIO(sheet.data))
    rows = book.worksheets[0]
    rows.cell(rows.max_row, 4).value, rows.cell(rows.max_row, 5).value = 50, 30
    stream = BytesIO()
    book.save(stream)
    page = office.post(f"{base}/experts/{scene.experts[0].id}/sheet", data={"csrf_token": csrf, "file": (BytesIO(stream.getvalue()), "评分.xlsx")})
    found = re.search(r'name="token" value="([^"]+)"', page.text)
    assert found and "可以导入" in page.text
    office.post(f"{base}/experts/{scene.experts[0].id}/sheet/confirm", data={"csrf_token": csrf, "token": found[1]})
    ranking = office.get(f"{base}/ranking")
    assert "80.00" in ranking.text and "仅供评审委员会" in ranking.text
    assert office.post(f"{base}/experts/{scene.experts[1].id}/sheet/confirm", data={"csrf_token": csrf, "token": found[1]}).status_code == 409
    assert "80.00" not in office.get(f"{base}/ranking?locality=乡村").text


def test_the_dossier_has_marks(app: Flask, tree: Tree) -> None:
    from lms.programmes.selection.dossier import OWN, SYSTEM, dossier_of

    found = handed(make.person(tree["city-school"]))
    made = dossier_of(found)
    marks = {claim.title: (claim.mark, claim.grade) for section in made.sections for claim in section.claims}
    lessons = next(value for title, value in marks.items() if title.startswith("HN-15"))
    assert lessons[0] == SYSTEM
    assert next(value for title, value in marks.items() if title.startswith("HN-14"))[0] == OWN
    assert marks["实施方案"] == (OWN, "")
    shown = str([claim.rows for section in made.sections for claim in section.claims])
    assert "（略）" in shown and "13800000000" not in shown  # telephones are no business of experts


def test_lessons_are_told_with_their_grade_of_evidence(app: Flask, fixed_clock: clock.FixedClock) -> None:
    from datetime import date

    from lms.programmes.selection.dossier import grades_of
    from lms.usage import service as usage
    from tests import factories
    from tests.usage.makers import at, closed_lesson

    school = factories.make_school()
    cohort = factories.make_class(school)
    teacher, pupils = factories.make_teacher(school, cohort), factories.make_pupils(school, cohort, 2)
    account = db.session.get_one(Account, teacher.account_id)
    fixed_clock.at = at(date(2026, 11, 24), 3)
    assert grades_of(school.id) == "本学期还没有开课记录"
    for day, more in ((date(2026, 11, 10), {}), (date(2026, 11, 17), {"manual": True})):
        fixed_clock.at = at(day, 3)
        usage.record_lesson(closed_lesson(cohort, teacher, pupils, day, **more), account)
    fixed_clock.at = at(date(2026, 11, 24), 3)
    assert grades_of(school.id) == "证据等级 A 0 课次、B 1 课次、C 1 课次"  # the first was not anchored outside within a day
    assert grades_of(account.id) == ""


def test_a_sheet_may_come_with_the_notice() -> None:
    from pathlib import Path

    from lms.programmes.pack import SHIPPED, check_texts

    texts = {one.relative_to(SHIPPED / "hunan-baixiao").as_posix(): one.read_text("utf-8") for one in Path(SHIPPED / "hunan-baixiao").rglob("*.yaml")}
    scoring_part = "\nscoring:\n  - {kinds: [school], items: [{id: a, name: 条件, most: 60}, {id: b, name: 方案, most: 40}]}\n"
    pack, problems = check_texts({**texts, "pack.yaml": texts["pack.yaml"] + scoring_part})
    assert problems == [] and pack is not None and rules.most_of(pack.document["scoring"][0]["items"]) == 100
    _pack, problems = check_texts({**texts, "pack.yaml": texts["pack.yaml"] + scoring_part.replace("[school]", "[college]").replace("id: b", "id: a")})
    assert {"college" in str(one) or "重复" in str(one) for one in problems} == {True} and len(problems) == 2


def test_scores_stay_once_the_office_has_decided(tree: Tree) -> None:
    """Points are what a decision rests on: nobody wipes them afterwards; a 回避 after handing in keeps them, marked."""
    scene = Scene(tree)
    for number in (1, 2):
        service.assign(scene.officer, scene.panel.id, scene.found[number].id, scene.experts[0].id)
        scoring.save(scene.account(scene.experts[0]), scene.review(number, 0).id, points(scene.panel, 0.8), hand_in=True)
    account = scene.account(scene.experts[0])
    decided, late = scene.review(1, 0), scene.review(2, 0)
    service.decide(scene.officer, scene.panel.id, [scene.found[1].id], "recommend", "")
    with pytest.raises(Refused, match="decided"):
        service.undo_review(scene.officer, decided.id, back=True)
    with pytest.raises(Refused, match="decided"):
        scoring.decline(account, decided.id, "想起来了")
    assert decided.state == "handed" and len(decided.scores) == len(scene.panel.sheet)
    scoring.decline(account, late.id, "曾任该校校长")
    line = next(one for one in service.ranking(scene.panel) if one.found.id == scene.found[2].id)
    assert line.recused == (late,) and late.scores and line.place.score is None and line.reviews == ()


def test_a_plaque_is_called_in_when_its_status_ends(app: Flask, tree: Tree) -> None:
    admin, province = make.person(tree["school"]), make.person(tree["province"])
    found = programmes.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    for level in ("county", "city"):
        workflow.act(make.person(tree[level]), found.id, "recommend")
    workflow.act(province, found.id, "recommend")
    row = outcome.give_plaque(province, found.id, "HN-1", date(2026, 11, 20), "")
    assert outcome.state_of(row, found) == "在用"
    inspections.order(province, found.id, "没有开课", date(2026, 12, 24))
    assert outcome.state_of(row, found) == "在用"  # a warned school keeps it
    inspections.exit_(province, found.id, "弄虚作假")
    told = select(Notice).where(Notice.account_id == province.id, Notice.key == f"plaque/{row.id}/back")
    assert outcome.state_of(row, found) == "应收回（已摘牌）" and db.session.scalars(told).one().ended_at is None
    assert "1 块牌应收回" in door(app, province).get("/programmes/selection/plaques").text
    with pytest.raises(Invalid, match="taken_on"):
        outcome.withdraw_plaque(province, row.id, "摘牌", date(2026, 11, 25))
    outcome.withdraw_plaque(province, row.id, "摘牌", date(2026, 11, 24))
    assert outcome.state_of(row, found) == "已收回（2026-11-24）：摘牌" and db.session.scalars(told).one().ended_at is not None
    cells = [cell for line in load_workbook(BytesIO(outcome.register_book(tree["province"].id))).active.values for cell in line]
    assert "已收回（2026-11-24）：摘牌" in cells


def test_many_are_refused_only_after_a_second_look(app: Flask, tree: Tree) -> None:
    scene = Scene(tree)
    client, address = door(app, scene.officer), f"/programmes/selection/panels/{scene.panel.id}"
    ids = [str(one.id) for one in scene.found[1:3]]
    form = {"csrf_token": token(client, f"{address}/ranking"), "action": "refuse", "chosen": ids, "remark": "名额有限"}
    asked = client.post(f"{address}/decide", data=form).text
    assert "乙市二小" in asked and "确认不予推荐 2 份" in asked and "名额有限" in asked
    db.session.expire_all()
    assert all(one.office_id == scene.officer.organisation_id for one in scene.found[1:3])
    client.post(f"{address}/decide", data={**form, "sure": "1"})
    db.session.expire_all()
    assert [one.status for one in scene.found[1:3]] == ["refused", "refused"]
    assert "收回不予推荐" in client.get(f"{address}/ranking").text
