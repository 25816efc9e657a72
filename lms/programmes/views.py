"""Pages of programmes: notices and own applications, one application, its parts; the office's inbox (项目申报)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from io import BytesIO
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.audit import access
from lms.core.auth import current_account, may, require
from lms.core.db import db
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.menu import Entry, offer
from lms.core.models import Account, Organisation
from lms.core.paper import can_print
from lms.programmes import attachments, comments, drafts, notices, papers, selfcheck, service, values, workflow
from lms.programmes.calendar.views import bp as calendar_pages
from lms.programmes.comment_views import bp as comment_pages
from lms.programmes.dashboard.views import bp as dashboard_pages
from lms.programmes.dates import ZONE, day_in
from lms.programmes.editor.views import bp as editor_pages
from lms.programmes.lacks_views import bp as lack_pages
from lms.programmes.models import Application, ApplicationPart
from lms.programmes.pack import Pack
from lms.programmes.paging import Sheaf
from lms.programmes.rules import EDITABLE, Station, may_appeal, station_at, way
from lms.programmes.sealing import service as sealing
from lms.programmes.sealing.views import bp as sealing_pages
from lms.programmes.selection import behalf
from lms.programmes.selection.pages import bp as selection
from lms.programmes.years import blueprint as years

bp = Blueprint("programmes", __name__, template_folder="templates", url_prefix="/programmes")
bp.register_blueprint(comment_pages)
bp.register_blueprint(selection)
bp.register_blueprint(calendar_pages)
bp.register_blueprint(editor_pages)
bp.register_blueprint(lack_pages)
bp.register_blueprint(dashboard_pages)
bp.register_blueprint(sealing_pages)
STAFF = ("teacher", "school_admin", "officer")
ADMIN = ("school_admin", "officer")
OFFICER = ("officer",)
STATUS_COLOURS = {
    "draft": "secondary",
    "waiting": "azure",
    "returned": "orange",
    "refused": "red",
    "withdrawn": "secondary",
    "active": "green",
    "warned": "orange",
    "ended": "secondary",
}


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(state.app, Entry("programmes.index", _l("申报"), "clipboard-text", ADMIN, 60))


def _name(organisation_id: uuid.UUID | None) -> str:
    found = db.session.get(Organisation, organisation_id) if organisation_id else None
    return found.name if found else ""


def _status(found: Application) -> dict[str, str]:
    pack = notices.pack_of(found)
    return {"name": pack.status_name(found.status), "colour": STATUS_COLOURS[pack.status_is(found.status)]}


@bp.get("/")
@require(*STAFF)
def index() -> str:
    """Notices that are open, one's own applications, and for an office what came in."""
    account = current_account()
    own = db.session.get_one(Organisation, account.organisation_id)
    now = clock.now()
    packs = notices.packs_for(own.id)
    begun, officer = service.applications_of(own.id), may(account, OFFICER)
    inbox = Sheaf.of(workflow.inbox(own.id) if officer else [], request.args.get("page", 1, type=int))
    days = notices.days_for([*begun, *inbox.rows], [own])
    cards = [{"pack": pack, "offers": offers} for pack in packs if (offers := _offers(pack, own, begun, days))]
    mine, came = [_line(row, days) for row in begun], [_line(row, days) for row in inbox.rows]
    dates = [(pack, batch) for pack in packs for batch in notices.open_batches(pack, now)] if officer else []
    return render_template(
        "programmes/index.html",
        cards=cards,
        mine=mine,
        came=came,
        inbox=inbox,
        here=own,
        officer=officer,
        may_begin=may(account, ADMIN),
        dates=dates,
        packs=packs,
    )


def _offers(
    pack: Pack, own: Organisation, begun: Sequence[Application], days: notices.Days
) -> list[dict[str, Any]]:
    """Kinds and open batches that an organisation may begin, each with the day of the office that it goes to first."""
    offices = notices.above(own.id)
    known = {(row.slug, row.kind, row.batch) for row in begun}
    return [
        {
            "kind": kind,
            "batch": batch,
            "begun": (pack.slug, kind["id"], batch["id"]) in known,
            "due": notices.due_of(pack, batch["id"], stations, 0, clock.now(), days) if stations else None,
        }
        for kind in notices.kinds_for(pack, own.level)
        for stations in [way(kind, offices)]
        for batch in notices.open_batches(pack, clock.now())
    ]


def _line(found: Application, days: notices.Days | None = None) -> dict[str, Any]:
    pack = notices.pack_of(found)
    waits = pack.status_is(found.status) in (*EDITABLE, "waiting")
    due = notices.own_due(found, clock.now(), days) if waits else None
    return {
        "row": found,
        "pack": pack,
        "kind": pack.kind(found.kind)["name"],
        "batch": pack.batch(found.batch)["name"],
        "applicant": _name(found.school_id),
        "status": _status(found),
        "office": _name(found.school_id if pack.status_is(found.status) in EDITABLE else found.office_id),
        "here": found.office_id == current_account().organisation_id and pack.status_is(found.status) == "waiting",
        "due": due,
    }


@bp.post("/begin")
@require(*ADMIN)
def begin() -> BaseResponse:
    """Begin an application."""
    form = request.form
    found = service.begin(current_account(), form.get("notice", ""), form.get("kind", ""), form.get("batch", ""))
    return redirect(url_for("programmes.show", application_id=found.id))


@bp.get("/<uuid:application_id>")
@require(*STAFF)
def show(application_id: uuid.UUID) -> str:
    """One application: self-check, parts, attachments, documents, the way it went."""
    account = current_account()
    found = service.application(account, application_id)
    pack, content = notices.pack_of(found), service.content_of(found)
    own = service.speaks_for(account, found)
    if found.school_id != account.organisation_id:
        access(account, "application", "application", found.id, school_id=found.school_id)
    rows = service.parts_of(found)
    owners = _staff(found.school_id) if own else {}
    parts = [
        {
            "key": key,
            "part": pack.part(key),
            "form": pack.form(key.split(".")[0])["title"],
            "row": rows.get(key),
            "owner": _owner_name(rows.get(key), owners),
            "words": service.words_of(found, key, content),
            "filled": bool(content.get(key)) and (not isinstance(content[key], dict) or any(content[key].values())),
        }
        for key in pack.keys_of(found.kind)
    ]
    filed = service.filed_of(found)
    checks = selfcheck.lines_of(found, filed)
    return render_template(
        "programmes/application.html",
        line=_line(found),
        found=found,
        pack=pack,
        own=own,
        manages=service.manages(account, found),
        editable=own and pack.status_is(found.status) in EDITABLE,
        parts=parts,
        checks=checks,
        filed=filed,
        summary=selfcheck.summary,
        unmet=selfcheck.unmet(checks),
        lacks=workflow.lacks_of(found) if own and pack.status_is(found.status) in EDITABLE else [],
        slots=[
            {**one, "rows": [row for row in service.files_of(found) if row.slot == one["id"]]}
            for one in _slots(found, pack)
        ],
        seals={
            f"scan:{one['id']}": state for one, state in sealing.desk_of(found, papers.codes_of(found)).documents
        },
        documents=pack.documents_of(found.kind),
        bundles=pack.bundles_of(found.kind),
        steps=[
            (
                step,
                _name(step.by_office_id) or _name(found.school_id),
                _name(step.to_office_id),
                pack.status_name(step.to_status),
                workflow.verb_of(found, step),
            )
            for step in service.steps_of(found)
        ],
        came_back=workflow.came_back(found) if own else None,
        **_for_office(account, found),
        **behalf.facts_of(account, found),
        content=content,
        remarks=comments.remarks_of(account, found),
        remarks_here=comments.may_remark(account, found),
        appeals=own
        and pack.status_is(found.status) == "refused"
        and may_appeal(pack.kind(found.kind), found.refused_at, clock.now()),
        can_print=can_print(),
        local=lambda at: clock.local(at, current_app.config["ZHIKE"].timezone).strftime("%Y-%m-%d %H:%M"),
    )


def _for_office(account: Account, found: Application) -> dict[str, Any]:
    """What the page shows to an office on the way: what it may do now."""
    stations, here = notices.stations_of(found), account.organisation_id
    judges = may(account, OFFICER) and found.school_id != here
    rungs = workflow.rungs(found, db.session.get_one(Organisation, here).level) if judges else []
    return {
        "stations": stations,
        "decides": judges and found.office_id == here and notices.pack_of(found).status_is(found.status) == "waiting",
        "station": next((one for one in stations if one.office.id == here), None),
        "mend": _mend_days(found, stations),
        "today": clock.now().astimezone(ZONE).date(),
        "quotas": workflow.quotas_of(found, here) if judges else [],
        "rungs": [one for one in rungs if not workflow.has_procedure(found, one)],
        "procedures": [one["verb"] for one in rungs if workflow.has_procedure(found, one)],
        "recalls": workflow.to_recall(found, here) if judges else None,
        "recall_names": workflow.RECALLS,
        "for_good": workflow.withdraws_for_good(found),
    }


def _mend_days(found: Application, stations: Sequence[Station]) -> tuple[date, date | None] | None:
    """What :func:`notices.mend_days` proposes to the office that holds it (or whose paper is recorded)."""
    number = station_at(stations, found.office_id) if found.office_id else None
    return notices.mend_days(found, stations, number, clock.now()) if number is not None else None


def _owner_name(row: ApplicationPart | None, names: dict[uuid.UUID, str]) -> str:
    return names.get(row.owner_id, "") if row is not None and row.owner_id else ""


def _slots(found: Application, pack: Pack) -> list[dict[str, Any]]:
    scans = [
        {
            "id": f"scan:{one['id']}",
            "name": _("盖章页扫描件：%(title)s", title=pack.form(one["form"])["title"]),
            "types": attachments.SCAN_TYPES,
        }
        for one in pack.documents_of(found.kind)
        if one.get("sealed")
    ]
    return [*pack.attachments_of(found.kind), *scans]


def _staff(organisation_id: uuid.UUID) -> dict[uuid.UUID, str]:
    query = select(Account.id, Account.display_name).where(
        Account.organisation_id == organisation_id, Account.kind == "staff", Account.active.is_(True)
    )
    return {row[0]: row[1] for row in db.session.execute(query.order_by(Account.display_name))}


@bp.get("/<uuid:application_id>/parts/<key>")
@require(*STAFF)
def part(application_id: uuid.UUID, key: str) -> str:
    """Fill in one part."""
    return _part_page(application_id, key)


def _shares(widths: Sequence[int]) -> list[float]:
    return [round(100 * one / sum(widths), 1) for one in widths]


def _part_page(application_id: uuid.UUID, key: str, mine: Any = None, conflict: Refused | None = None) -> str:
    account = current_account()
    found = service.application(account, application_id)
    pack = notices.pack_of(found)
    if not service.speaks_for(account, found) or key not in pack.keys_of(found.kind):
        raise NotFound("part", _l("申报表里没有这一部分。"))
    row, described = service.parts_of(found).get(key), pack.part(key)
    value = mine if conflict else (row.value["value"] if row else values.empty(described))
    keys = pack.keys_of(found.kind)
    place = keys.index(key)
    lines = {one.criterion["id"]: one for one in selfcheck.check(found)} if described["type"] == "answers" else {}
    return render_template(
        "programmes/part.html",
        found=found,
        pack=pack,
        key=key,
        part=described,
        form=pack.form(key.split(".")[0]),
        value=value,
        row=row,
        edition=conflict.facts["edition"] if conflict else (row.edition if row else 0),
        conflict=conflict,
        writable=service.may_write(account, found, row),
        words=service.words_of(found, key),
        limit=pack.limit_of(key),
        choices=pack.document.get("choices", {}),
        lines=lines,
        proposed=drafts.filled(key, described, found),
        owner=row.owner_id if row else None,
        staff=_staff(found.school_id) if service.manages(account, found) else {},
        widths=_shares([one.get("wide", 20) for one in described.get("columns", ())]),
        collected=papers.collected_of(found, pack, key, described, service.filed_of(found))
        if "collect" in described
        else [],
        before=keys[place - 1] if place else None,
        after=keys[place + 1] if place + 1 < len(keys) else None,
        remarks=comments.remarks_of(account, found).get(key, []),
        history=service.history_of(account, application_id, key),
        local=lambda at: clock.local(at, current_app.config["ZHIKE"].timezone).strftime("%m-%d %H:%M"),
    )


@bp.post("/<uuid:application_id>/parts/<key>")
@require(*STAFF)
def save_part(application_id: uuid.UUID, key: str) -> BaseResponse | tuple[str, int]:
    """Save a part: by script (JSON) every few seconds, or by the button; what another saved meanwhile is shown beside one's own."""
    account = current_account()
    if request.is_json:
        sent = request.get_json()
        if not isinstance(sent, dict) or not isinstance(sent.get("edition"), int):
            raise Invalid("part-value", _l("没有保存：请求不完整。"), where=key)
        saved = service.save_part(account, application_id, key, sent.get("value"), sent["edition"])
        return jsonify(
            edition=saved.edition, count=saved.words.count, most=saved.words.most, standing=saved.words.standing
        )
    found = service.application(account, application_id)
    pack = notices.pack_of(found)
    if key not in pack.keys_of(found.kind):
        raise NotFound("part", _l("申报表里没有这一部分。"))
    raw = values.of_form(pack.part(key), request.form, request.form.to_dict(flat=False))
    try:
        service.save_part(account, application_id, key, raw, request.form.get("edition", 0, type=int))
    except Refused as refusal:
        if refusal.code != "conflict":
            raise
        return _part_page(application_id, key, raw, refusal), refusal.status
    flash(_("已保存。"))
    return redirect(url_for("programmes.part", application_id=application_id, key=key))


@bp.post("/<uuid:application_id>/parts/<key>/restore")
@require(*STAFF)
def restore_part(application_id: uuid.UUID, key: str) -> BaseResponse:
    """An earlier state of a part comes back; what stands now stays in the history (恢复成这一版)."""
    wanted, base = request.form.get("wanted", 0, type=int), request.form.get("edition", 0, type=int)
    service.restore_part(current_account(), application_id, key, wanted, base)
    flash(_("已恢复；之前的内容留在修改记录里。"))
    return redirect(url_for("programmes.part", application_id=application_id, key=key))


@bp.post("/<uuid:application_id>/parts/<key>/fill")
@require(*STAFF)
def fill(application_id: uuid.UUID, key: str) -> BaseResponse:
    """Take over what the system knows."""
    account = current_account()
    found = service.application(account, application_id)
    pack = notices.pack_of(found)
    if key not in pack.keys_of(found.kind):
        raise NotFound("part", _l("申报表里没有这一部分。"))
    if not service.may_write(account, found, service.parts_of(found).get(key)):
        raise NotAllowed("part", _l("您现在不能修改这一部分。"))
    proposed = drafts.filled(key, pack.part(key), found)
    if proposed is None:
        raise Refused(
            "nothing-known",
            _l("系统里没有可以带入的新内容。"),
            remedy=_l("请先排课，或在“研修成果”里登记；也可以直接填写。"),
        )
    service.save_part(account, application_id, key, proposed.rows, request.form.get("edition", 0, type=int))
    flash(_("已由%(source)s带入 %(count)s 行，可以修改。", source=proposed.source, count=proposed.changed))
    return redirect(url_for("programmes.part", application_id=application_id, key=key))


@bp.post("/<uuid:application_id>/parts/<key>/owner")
@require(*ADMIN)
def owner(application_id: uuid.UUID, key: str) -> BaseResponse:
    """Say who answers for the part."""
    chosen = request.form.get("owner", "")
    try:
        owner_id = uuid.UUID(chosen) if chosen else None
    except ValueError as error:
        raise Invalid("owner", _l("本单位没有这位教职工。"), where="owner") from error
    service.set_owner(current_account(), application_id, key, owner_id)
    return redirect(url_for("programmes.part", application_id=application_id, key=key))


@bp.post("/<uuid:application_id>/files")
@require(*ADMIN)
def add_file(application_id: uuid.UUID) -> BaseResponse:
    """Take in an attachment or a scan."""
    account, sent, slot = current_account(), request.files.get("file"), request.form.get("slot", "")
    document = slot.removeprefix("scan:")
    codes = papers.codes_of(service.application(account, application_id)) if document != slot else {}
    name, data = ((sent.filename or ""), sent.read()) if sent else ("", b"")
    attachments.add_file(account, application_id, slot, name, data, codes.get(document, ""))
    flash(_("已上传。"))
    return redirect(url_for("programmes.show", application_id=application_id) + "#files")


@bp.get("/<uuid:application_id>/files/<uuid:file_id>")
@require(*STAFF)
def get_file(application_id: uuid.UUID, file_id: uuid.UUID) -> Response:
    """Hand out an attachment, always as a download."""
    account = current_account()
    found = service.application(account, application_id)
    row = attachments.file_of(found, file_id)
    access(account, "application-file", "application", found.id, school_id=found.school_id, slot=row.slot)
    return send_file(
        BytesIO(attachments.content(row)),
        as_attachment=True,
        download_name=row.name,
        mimetype=attachments.MIME[row.type],
    )


@bp.post("/<uuid:application_id>/files/<uuid:file_id>/remove")
@require(*ADMIN)
def remove_file(application_id: uuid.UUID, file_id: uuid.UUID) -> BaseResponse:
    """Take a file out."""
    attachments.remove_file(current_account(), application_id, file_id)
    return redirect(url_for("programmes.show", application_id=application_id) + "#files")


@bp.get("/<uuid:application_id>/documents/<name>.<any(docx,xlsx,pdf):form>")
@require(*STAFF)
def document(application_id: uuid.UUID, name: str, form: str) -> Response:
    """A document in Word, Excel or PDF with the notice's file name."""
    account = current_account()
    found = service.application(account, application_id)
    access(account, "application-document", "application", found.id, school_id=found.school_id, document=name)
    file_name, data = papers.document_of(found, name, form)
    return send_file(BytesIO(data), as_attachment=True, download_name=file_name, mimetype=attachments.MIME[form])


@bp.get("/<uuid:application_id>/bundles/<name>.zip")
@require(*STAFF)
def bundle(application_id: uuid.UUID, name: str) -> Response:
    """The zip with the mandated names."""
    account = current_account()
    found = service.application(account, application_id)
    access(account, "application-bundle", "application", found.id, school_id=found.school_id, bundle=name)
    file_name, data, missing = papers.bundle_of(found, name)
    if missing and "anyway" not in request.args:
        raise Refused(
            "scans-missing",
            _l("还缺盖章页扫描件：%(names)s", names="、".join(missing)),
            remedy=_l("请打印、签字、盖章、扫描后上传；也可以在申报页选择“缺件下载”。"),
        )
    return send_file(BytesIO(data), as_attachment=True, download_name=file_name, mimetype=attachments.MIME["zip"])


@bp.post("/<uuid:application_id>/submit")
@require(*ADMIN)
def submit(application_id: uuid.UUID) -> BaseResponse:
    """Hand in."""
    found = workflow.submit(current_account(), application_id, _exception)
    return _done(application_id, _("已提交，回执号 %(receipt)s。", receipt=found.receipt))


def _exception(found: Application) -> str:
    """What a person wrote of must-criteria that are not met (:func:`selfcheck.exception_told`)."""
    lines = selfcheck.lines_of(found, service.filed_of(found))
    return selfcheck.exception_told(lines, "accept" in request.form, request.form.get("reason", ""))


def _done(application_id: uuid.UUID, message: str) -> BaseResponse:
    flash(message)
    return redirect(url_for("programmes.show", application_id=application_id))


@bp.post("/<uuid:application_id>/withdraw")
@require(*ADMIN)
def withdraw(application_id: uuid.UUID) -> BaseResponse:
    """Take back."""
    workflow.withdraw(current_account(), application_id, request.form.get("remark", ""))
    return _done(application_id, _("已撤回。"))


@bp.post("/<uuid:application_id>/appeal")
@require(*ADMIN)
def appeal(application_id: uuid.UUID) -> BaseResponse:
    """Ask the office that refused to look again."""
    workflow.appeal(current_account(), application_id, request.form.get("remark", ""))
    return _done(application_id, _("申诉已送达。"))


@bp.post("/<uuid:application_id>/act")
@require(*OFFICER)
def act(application_id: uuid.UUID) -> BaseResponse:
    """An office recommends, decides, returns or refuses."""
    account, form = current_account(), request.form
    action, remark, found = form.get("action", ""), form.get("remark", ""), service.application(account, application_id)
    if action == "recommend" and found.office_id == account.organisation_id:
        remark = "\n".join(filter(None, (remark.strip(), _exception(found))))
    workflow.act(account, application_id, action, remark, day_in(form.get("due_on")))
    flash(_("已办理。"))
    return redirect(url_for("programmes.index"))


@bp.post("/<uuid:application_id>/recall")
@require(*OFFICER)
def recall(application_id: uuid.UUID) -> BaseResponse:
    """An office takes its last step back."""
    workflow.recall(current_account(), application_id, request.form.get("remark", ""))
    return _done(application_id, _("已收回，名额已空出，申报又在本单位待办。"))


@bp.post("/<uuid:application_id>/climb")
@require(*OFFICER)
def climb(application_id: uuid.UUID) -> BaseResponse:
    """An office moves a granted status along the ladder."""
    workflow.climb(current_account(), application_id, request.form.get("to", ""), request.form.get("remark", ""))
    return _done(application_id, _("已办理。"))


@bp.post("/notices")
@require(*OFFICER)
def publish() -> BaseResponse:
    """Put a notice of one's own in force: ``pack.yaml`` and its forms, as files or as one zip."""
    row = notices.publish(
        current_account(),
        notices.texts_of([(one.filename or "", one.read()) for one in request.files.getlist("files")]),
    )
    flash(_("已发布“%(title)s”（%(version)s），下级现在可以申报。", title=row.document["title"], version=row.version))
    return redirect(url_for("programmes.index"))


@bp.get("/notices/<slug>.zip")
@require(*OFFICER)
def copy(slug: str) -> Response:
    """A notice as files, to be changed and published under a name of one's own."""
    pack = notices.pack_named(current_account().organisation_id, slug)
    return send_file(
        BytesIO(notices.as_files(pack)),
        as_attachment=True,
        download_name=f"{slug}-{pack.version}.zip",
        mimetype="application/zip",
    )


@bp.post("/dates")
@require(*OFFICER)
def set_date() -> BaseResponse:
    """An office sets its own earlier day."""
    notice, _slash, batch = request.form.get("batch", "").partition("/")
    try:
        day = date.fromisoformat(request.form.get("due_on", ""))
    except ValueError as error:
        raise Invalid("office-date", _l("请填写日期。"), where="due_on") from error
    notices.set_date(current_account(), notice, batch, day)
    flash(_("本级截止日已设为 %(day)s。", day=day.isoformat()))
    return redirect(url_for("programmes.index"))


bp.register_blueprint(years.bp)
