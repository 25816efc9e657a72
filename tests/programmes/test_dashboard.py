"""The dashboard's figures, what it may tell apart, its Excel, and the office's own map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import load_workbook

from lms.core import clock
from lms.core.errors import Invalid
from lms.core.models import Account, Organisation
from lms.programmes import service, workflow
from lms.programmes.dashboard import maps, rules
from lms.programmes.dashboard.rules import OUTCOMES, Fact, Unit
from tests import factories
from tests.programmes import places as make

TODAY = date(2026, 11, 24)
CHAIN = ("county", "city", "province")
DRAFT = Fact("n", "school", "draft", "draft", "甲校", ("p", "c", "k1", "s"), ("primary", "junior"), "城区", CHAIN, frozenset(), None, False, False)
AT_CITY = replace(DRAFT, meaning="waiting", levels=frozenset({"county", "city"}), submitted_on=date(2026, 11, 3), came=True)
PLAQUE = replace(
    AT_CITY, meaning="active", levels=frozenset(CHAIN), granted=True, path=("p", "c", "k2", "s2"), locality="乡村", stages=("primary",), submitted_on=TODAY
)
UNITS = [Unit("k1", "东山县", "990101", "甲州市"), Unit("k2", "西河区", "990102", "甲州市"), Unit("k3", "南湾区", "", "乙州市")]
Tree = dict[str, Organisation]


def test_a_funnel_never_widens_and_counts_drafts_only_in_sum() -> None:
    bars = rules.funnel([DRAFT, AT_CITY, PLAQUE])
    assert [(one.key, one.number) for one in bars] == [("draft", 3), ("submit", 2), ("county", 2), ("city", 1), ("grant", 1)]
    assert [one.percent for one in bars] == [100, 67, 67, 33, 33]
    direct = replace(PLAQUE, levels=frozenset({"province"}))  # directly under the province: it skipped what it lacks
    assert [one.number for one in rules.funnel([direct])] == [1, 1, 1, 1, 1]
    assert rules.funnel([]) == [rules.Bar("draft", OUT["draft"], 0, 0), rules.Bar("submit", OUT["submit"], 0, 0), rules.Bar("grant", OUT["grant"], 0, 0)]


OUT = rules.FUNNEL_NAMES


def test_places_stages_and_weeks_count_what_came() -> None:
    facts = [DRAFT, AT_CITY, PLAQUE, replace(PLAQUE, path=("p", "x"), locality="城区"), replace(AT_CITY, came=False)]
    tiles, rest = rules.tiles(UNITS, facts, "came")
    assert [(one.unit.name, one.number, one.shade) for one in tiles] == [("东山县", 1, 5), ("西河区", 1, 5), ("南湾区", 0, 0)] and rest == 1
    assert [one.number for one in rules.tiles(UNITS, facts, "granted")[0]] == [0, 1, 0]
    by_stage, by_place = rules.outcomes(facts)
    assert {row.name: row.total for row in by_stage} == {"小学": 3, "初中": 1, "高中": 0}
    assert {row.name: row.total for row in by_place} == {"城区": 2, "镇区": 0, "乡村": 1}
    assert by_stage[0].numbers[list(OUTCOMES).index("active")] == 2
    weeks = rules.weeks(facts, TODAY)
    assert len(weeks) == 16 and (weeks[-1].key, weeks[-1].number, weeks[-4].number) == ("2026-11-23", 2, 1)
    assert [rules.shade(number, 10) for number in (0, 1, 2, 3, 10)] == [0, 1, 1, 2, 5]


@pytest.mark.parametrize(
    ("target", "number", "actual"),
    [({"id": "schools", "name": "实验校", "number": 100}, 100, 1), ({"id": "schools", "name": "每区试点校", "number": 5}, 10, 1),
     ({"id": "areas", "name": "每省试点区", "number": 5}, 15, 2), ({"id": "cases", "name": "课例", "number": 1000}, 1000, 7),
     ({"id": "model-schools-2026", "name": "示范校", "number": 20}, 20, 0), ({"id": "training", "name": "每年培训教师", "number": 9}, 9, None)],
)  # fmt: skip
def test_targets(target: dict[str, Any], number: int, actual: int | None) -> None:
    area = replace(PLAQUE, kind="area", stages=(), locality="")
    facts = [AT_CITY, PLAQUE, area, replace(area, path=("p", "c", "k1")), replace(PLAQUE, meaning="ended"), replace(PLAQUE, slug="other")]
    found = rules.aim({"notice": "n", "title": "某通知"}, target, facts, {"province": 3}, {"cases": 7})
    assert (found.number, found.actual) == (number, actual)


def square(x: float, y: float) -> list[list[list[float]]]:
    return [[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1], [x, y]]]


def collection(*features: tuple[dict[str, Any], Any]) -> bytes:
    rows = [{"type": "Feature", "properties": one, "geometry": geometry} for one, geometry in features]
    return json.dumps({"type": "FeatureCollection", "features": rows}).encode()


def polygon(x: float, y: float = 30) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": square(x, y)}


def test_a_map_is_matched_by_code_by_name_and_by_short_name() -> None:
    data = collection(
        ({"adcode": 990101, "name": "旧名县"}, polygon(100)), ({"name": "西河区"}, polygon(101)), ({"name": "南湾"}, polygon(102)),
        ({"name": "邻县"}, {"type": "MultiPolygon", "coordinates": [square(103, 30), square(103, 32)]}),
    )  # fmt: skip
    drawing = maps.read(data, UNITS)
    assert [one.unit for one in drawing.shapes] == ["k1", "k2", "k3", ""]
    assert drawing.shapes[3].path.count("M") == 2 and drawing.width <= 1000 and drawing.height <= 1400
    assert maps.drawing_of(json.loads(json.dumps(drawing.plain()))) == drawing
    twice = maps.read(collection(({"name": "南湾"}, polygon(100)), ({"name": "南湾"}, polygon(101))), UNITS)
    assert [one.unit for one in twice.shapes] == ["", ""]  # nobody can tell which
    assert maps.short("市中区") == "市中" and maps.short("某某自治县") == "某某" and maps.short("城区") == "城区"


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"type": "FeatureCollection", "features": []}', collection(({}, None)), collection(({}, {"type": "Point", "coordinates": [1, 2]})),
     collection(({}, {"type": "Polygon", "coordinates": [[[500000, 30], [1, 2], [3, 4]]]})), collection(({}, {"type": "Polygon", "coordinates": [[1, 2]]})),
     collection(({}, {"type": "Polygon", "coordinates": [[["a", 2], [1, 2], [3, 4]]]})), collection(({}, {"type": "Polygon", "coordinates": []})),
     b"[" * 5000, b" " * (maps.LARGEST_MB * 1_000_000 + 1)],
)  # fmt: skip
def test_what_is_no_map_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        maps.read(data, UNITS)


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def door(app: Flask, account: Account) -> FlaskClient:
    client = app.test_client()
    data = {"username": account.username, "password": factories.PASSWORD, "csrf_token": factories.token(client)}
    assert client.post("/sign-in", data=data).status_code == 302
    return client


def cells(data: bytes, sheet: str) -> list[Sequence[Any]]:
    return list(load_workbook(BytesIO(data), read_only=True)[sheet].iter_rows(values_only=True))


def test_each_office_tells_apart_only_what_came_to_it(app: Flask, tree: Tree) -> None:
    other = make.organisation("county", "丁县", tree["city"])
    drafting, waiting, handed = make.school("未交小学", tree["county"]), make.school("在县小学", other), make.school("到市小学", tree["county"])
    for place, up in ((drafting, None), (waiting, 0), (handed, 1)):
        admin = make.person(place)
        found = service.begin(admin, "hunan-baixiao", "school", "2026")
        if up is not None:
            make.fill_in(admin, found)
            workflow.submit(admin, found.id)
        if up:
            workflow.act(make.person(tree["county"]), found.id, "recommend")
    seen = {}
    for level in ("county", "city", "province", "nation"):
        client = door(app, make.person(tree[level]))
        page = client.get("/programmes/dashboard?notice=hunan-baixiao")
        assert page.status_code == 200
        for name in ("未交小学", "在县小学"):
            assert (name in page.text) is (level == "county" and name == "未交小学")  # a tile of its own, without a number
        data = client.get("/programmes/dashboard/dashboard.xlsx?notice=hunan-baixiao").data
        lines = [row[0] for row in cells(data, "收到的申报")[2:]]
        steps = {row[0]: row[1] for row in cells(data, "进度")[2:]}
        seen[level] = lines, steps["已开始填写"], steps["已提交"]
    assert seen == {
        "county": (["到市小学"], 2, 1), "city": (["到市小学"], 3, 2), "province": ([], 3, 2), "nation": ([], 3, 2),
    }  # fmt: skip


def test_an_own_map_is_looked_at_first(app: Flask, tree: Tree) -> None:
    client = door(app, make.person(tree["city"]))
    assert "本地区还没有申报" in client.get("/programmes/dashboard").text
    service.begin(make.person(tree["school"]), "hunan-baixiao", "school", "2026")
    assert 'class="tile shade-0' in client.get("/programmes/dashboard").text

    def post(path: str, **data: Any) -> Any:
        csrf = factories.token(client, "/programmes/dashboard/map")
        return client.post(f"/programmes/dashboard/map{path}", data={**data, "csrf_token": csrf}, follow_redirects=True)

    assert post("", file=(BytesIO(b"{}"), "x.json")).status_code == 422
    assert post("/use").status_code == 404
    data = collection(({"name": "丙县"}, polygon(100)), ({"name": "<b>邻"}, polygon(101)))
    page = post("", file=(BytesIO(data), "底图.json")).text
    assert "对上 1 / 1" in page and "&lt;b&gt;邻" in page and "<b>邻" not in page
    assert "own-map" not in client.get("/programmes/dashboard").text
    assert "own-map" in post("/use").text and "own-map" in client.get("/programmes/dashboard").text
    post("", file=(BytesIO(data), "另一张.json"))
    post("/remove", which="waiting")
    assert "own-map" in client.get("/programmes/dashboard").text
    post("/remove", which="used")
    assert "own-map" not in client.get("/programmes/dashboard").text


def test_only_officers_open_it(app: Flask, tree: Tree) -> None:
    paths = ("", "/dashboard.xlsx", "/map")
    for account in (make.person(tree["school"]), make.person(tree["school"], "teacher"), make.person(tree["county"], "expert")):
        client = door(app, account)
        assert {client.get(f"/programmes/dashboard{path}").status_code for path in paths} == {403}
        csrf = factories.token(client, "/me")
        posts = [client.post(f"/programmes/dashboard/map{path}", data={"csrf_token": csrf}) for path in ("", "/use", "/remove")]
        assert {one.status_code for one in posts} == {403}
    client = door(app, make.person(tree["county"]))
    for wrong in ("notice=x", "notice=hunan-baixiao&batch=x", "notice=hunan-baixiao&kind=x", "show=x"):
        assert client.get(f"/programmes/dashboard?{wrong}").status_code == 422
    assert app.test_client().get("/programmes/dashboard").status_code in (302, 401)
