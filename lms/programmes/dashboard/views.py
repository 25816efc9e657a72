"""Pages of the dashboard: the figures of an office, its Excel, its own map (看板)."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select
from werkzeug.wrappers import Response as BaseResponse

from lms.core.audit import audit
from lms.core.auth import current_account, require
from lms.core.blobs import name_of
from lms.core.db import db, new_id, write
from lms.core.downloads import download
from lms.core.errors import Invalid, NotFound, ZhikeError
from lms.core.models import Organisation
from lms.programmes.calendar.service import today
from lms.programmes.dashboard import maps, rules, service
from lms.programmes.models import OfficeMap
from lms.programmes.notices import packs_for
from lms.programmes.pack import Pack

bp = Blueprint("dashboard", __name__, url_prefix="/dashboard")
OFFICER = ("officer",)
LABELLED = 60  # more outlines than this carry no names


def _office() -> Organisation:
    return db.session.get_one(Organisation, current_account().organisation_id)


def _figures() -> dict[str, Any]:
    office, arguments = _office(), request.args
    given = arguments.get("notice", ""), arguments.get("batch", ""), arguments.get("kind", "")
    asked, pack = service.asked_of(current_account(), *given)
    facts = service.facts_of(office, asked)
    sizes = service.sizes_of(office)
    packs = [pack] if pack else [one for one in packs_for(office.id) if any(fact.slug == one.slug for fact in facts)]
    return {
        "office": office,
        "asked": asked,
        "pack": pack,
        "packs": packs_for(office.id),
        "facts": facts,
        "units": service.units_of(office),
        "funnel": rules.funnel(facts),
        "aims": [aim for one in packs for aim in _aims(one, facts, sizes, office)],
        "tables": rules.outcomes(facts),
        "weeks": rules.weeks(facts, today()),
    }


def _aims(pack: Pack, facts: list[rules.Fact], sizes: dict[str, int], office: Organisation) -> list[rules.Aim]:
    known = service.counted(pack.slug, office.id)
    targets = [one for one in pack.document.get("targets", ()) if rules.concerns(pack.document, one, office.level)]
    return [rules.aim(pack.document, one, facts, sizes, known) for one in targets]


@bp.get("")
@require(*OFFICER)
def show() -> str:
    """What came, from where, how far; of one notice, batch and kind if asked."""
    figures = _figures()
    show = request.args.get("show") or "came"
    if show not in rules.SHOWS:
        raise Invalid("question", _l("看不懂这个查询。"), remedy=_l("请从“看板”重新打开。"))
    tiles, rest = rules.tiles(figures["units"], figures["facts"], show)
    numbers = {key: rules.tiles(figures["units"], figures["facts"], key) for key in rules.SHOWS}
    return render_template(
        "programmes/dashboard.html",
        **figures,
        show=show,
        shows=rules.SHOWS,
        outcomes=rules.OUTCOMES,
        groups=[(name, list(found)) for name, found in groupby(tiles, key=lambda one: one.unit.group)],
        rest=rest,
        numbers=numbers,
        drawing=_drawing(active=True),
        by_unit={one.unit.id: one for one in tiles},
        labelled=len(tiles) <= LABELLED,
        arguments={key: value for key, value in request.args.items() if key in ("notice", "batch", "kind") and value},
        drafts=sum(one.submitted_on is None for one in figures["facts"]),
        came=sum(one.came for one in figures["facts"]),
    )


@bp.get("/dashboard.xlsx")
@require(*OFFICER)
def export() -> Response:
    """The same figures as a workbook."""
    from lms.programmes.dashboard.book import workbook_of  # 25 MiB of openpyxl that only an export needs

    figures, name = _figures(), _("申报看板")
    titles = [figures["office"].name, figures["pack"].title if figures["pack"] else _("全部通知"), today().isoformat()]
    keys = ("funnel", "aims", "units", "facts", "tables", "weeks")
    data = workbook_of(" · ".join(titles), *(figures[key] for key in keys))
    return download(data, f"{name}-{figures['office'].name}-{today().isoformat()}.xlsx")


# ---- the office's own map


def _map(*, active: bool) -> OfficeMap | None:
    query = select(OfficeMap).where(
        OfficeMap.school_id == current_account().organisation_id, OfficeMap.active.is_(active)
    )
    return db.session.scalar(query)


def _drawing(*, active: bool) -> maps.Drawing | None:
    row = _map(active=active)
    return maps.drawing_of(row.document) if row is not None else None


@bp.get("/map")
@require(*OFFICER)
def own_map() -> str:
    """The map in use, the one that waits to be looked at, and what of it matches."""
    return _map_page()


def _map_page(error: ZhikeError | None = None) -> str:
    units, waiting = service.units_of(_office()), _drawing(active=False)
    found = {one.unit for one in waiting.shapes} if waiting else set()
    return render_template(
        "programmes/dashboard_map.html",
        office=_office(),
        used=_map(active=True),
        row=_map(active=False),
        drawing=waiting,
        by_unit={one.id: rules.Tile(one, 0, 2) for one in units},
        matched=sum(one.id in found for one in units),
        units=units,
        missing=[one for one in units if one.id not in found],
        strangers=[one.name or "-" for one in waiting.shapes if not one.unit] if waiting else [],
        labelled=len(units) <= LABELLED,
        largest=maps.LARGEST_MB,
        error=error,
    )


@bp.post("/map")
@require(*OFFICER)
def upload() -> BaseResponse | tuple[str, int]:
    """Look at a GeoJSON file: nothing changes on the dashboard yet."""
    sent, account = request.files.get("file"), current_account()
    try:
        drawing = maps.read(sent.read() if sent else b"", service.units_of(_office()))
    except ZhikeError as refusal:
        return _map_page(refusal), refusal.status
    with write() as session:
        session.execute(
            delete(OfficeMap).where(OfficeMap.school_id == account.organisation_id, OfficeMap.active.is_(False))
        )
        name = name_of((sent.filename if sent else "") or "", "map.json")
        session.add(
            OfficeMap(
                id=new_id(), school_id=account.organisation_id, name=name, document=drawing.plain(), set_by=account.id
            )
        )
    return redirect(url_for("programmes.dashboard.own_map"))


@bp.post("/map/use")
@require(*OFFICER)
def use() -> BaseResponse:
    """Show the map that was looked at, in place of the one before."""
    account = current_account()
    with write() as session:
        row = _map(active=False)
        if row is None:
            raise NotFound("map", _l("没有等待启用的底图，请重新上传。"))
        session.execute(
            delete(OfficeMap).where(OfficeMap.school_id == account.organisation_id, OfficeMap.active.is_(True))
        )
        row.active = True
        audit(account, "office-map", "office_map", row.id, school_id=account.organisation_id)
    flash(_("底图已启用。"))
    return redirect(url_for("programmes.dashboard.show"))


@bp.post("/map/remove")
@require(*OFFICER)
def remove() -> BaseResponse:
    """Go back to the tiles, or drop what waits."""
    account, active = current_account(), request.form.get("which") == "used"
    with write() as session:
        session.execute(
            delete(OfficeMap).where(OfficeMap.school_id == account.organisation_id, OfficeMap.active.is_(active))
        )
        audit(account, "office-map-out", "office_map", str(account.organisation_id), school_id=account.organisation_id)
    flash(_("已改回方格图。") if active else _("没有启用。"))
    return redirect(url_for("programmes.dashboard.own_map"))
