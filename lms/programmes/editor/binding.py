"""Binding the office's own file to the fields of a form, in a draft (绑定表样)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid, NotFound
from lms.core.models import Account
from lms.programmes.editor import drafts, rewriting
from lms.programmes.layout import Filler
from lms.programmes.models import NoticeDraft
from lms.programmes.originals import files, rules
from lms.programmes.pack import Document

Bindings = list[dict[str, str]]


def form_of(row: NoticeDraft, name: str) -> tuple[Document, Document]:
    """A form of the draft and its ``pack.yaml``; raises Invalid where the text cannot be read yet."""
    pack, problems = drafts.check(row)
    if pack is None:
        raise Invalid(
            "notice-pack",
            _l("通知包有误：%(problem)s", problem=str(problems[0])),
            remedy=_l("请先在“文本”里改好，再绑定表样。"),
        )
    if name not in pack.document["forms"]:
        raise NotFound("form", _l("通知里没有这份表单。"))
    return pack.document["forms"][name], pack.document


def texts_of_criteria(document: Document) -> dict[str, str]:
    """Criteria's texts by id."""
    return {one["id"]: one["text"] for one in document["criteria"]}


def upload(actor: Account, draft_id: uuid.UUID, form: str, name: str, data: bytes) -> list[str]:
    """Take a file as the form's layout; bindings whose place it has as well stay, the others are named."""
    row = drafts.draft_of(actor, draft_id)
    described, document = form_of(row, form)
    digest, kind = files.take_in(name, data)
    if not name.lower().endswith(f".{kind}"):
        name = f"{name.rpartition('.')[0] or name}.{kind}"
    places = rules.places_in(files.look(data, kind))
    before: Bindings = described.get("template", {}).get("bindings", [])
    kept = [one for one in before if one["at"] in places]
    texts = _with_template(row, form, {"name": name[-160:], "file": digest, "bindings": kept})
    texts["pack.yaml"] = _with_format(texts["pack.yaml"], document, form, kind)
    drafts.save(actor, draft_id, texts, row.edition)
    return [one["at"] for one in before if one["at"] not in places]


def _with_template(row: NoticeDraft, form: str, template: Document | None) -> dict[str, str]:
    name = f"forms/{form}.yaml"
    return {**row.texts, name: rewriting.replace_top(row.texts[name], "template", template)}


def _with_format(text: str, document: Document, form: str, kind: str) -> str:
    """The documents made of the form come in the file's own format as well."""
    for number, one in enumerate(document["documents"]):
        if one["form"] == form and kind not in one["formats"]:
            text = rewriting.add(text, ("documents", number, "formats"), kind)
    return text


def bind(actor: Account, draft_id: uuid.UUID, form: str, at: str, put: str, field: str) -> None:
    """Say what stands at a place; it may hold one field for each of its blanks."""

    def change(bindings: Bindings) -> Bindings:
        rest = [one for one in bindings if not (one["at"] == at and _clash(one.get("put", "fill"), put))]
        return [*rest, {"at": at, "field": field, "put": put}]

    _change(actor, draft_id, form, change, at)


def _clash(old: str, new: str) -> bool:
    return not (old.startswith("blank") and new.startswith("blank")) or old == new


def unbind(actor: Account, draft_id: uuid.UUID, form: str, at: str, put: str) -> None:
    """Take a binding out."""
    _change(
        actor, draft_id, form, lambda old: [one for one in old if (one["at"], one.get("put", "fill")) != (at, put)], at
    )


def _change(actor: Account, draft_id: uuid.UUID, form: str, change: Callable[[Bindings], Bindings], at: str) -> None:
    row = drafts.draft_of(actor, draft_id)
    described, document = form_of(row, form)
    template = described.get("template")
    if template is None:
        raise NotFound("template", _l("这份表单还没有表样。"))
    data, kind = files.stored(template)
    if at not in rules.places_in(files.look(data, kind)):
        raise Invalid("template-place", _l("表样里没有“%(at)s”这个位置。", at=at), where=at)
    bindings = change(list(template["bindings"]))
    for _number, cause in rules.faults(bindings, described, texts_of_criteria(document)):
        raise Invalid("binding", _l("没有绑定：%(why)s。", why=cause), where=at)
    drafts.save(actor, draft_id, _with_template(row, form, {**template, "bindings": bindings}), row.edition)


def drop(actor: Account, draft_id: uuid.UUID, form: str) -> None:
    """The form goes back to our own layout."""
    row = drafts.draft_of(actor, draft_id)
    form_of(row, form)
    drafts.save(actor, draft_id, _with_template(row, form, None), row.edition)


def trial(row: NoticeDraft, form: str) -> tuple[str, bytes]:
    """The file filled with the fields' own names, to see where they go (试填)."""
    described, document = form_of(row, form)
    choices = document.get("choices", {})
    content: dict[str, Any] = {}
    for part in described["parts"]:
        key = f"{described['form']}.{part['id']}"
        if part["type"] == "table":
            content[key] = [{one["id"]: f"{one['label']}{number}" for one in part["columns"]} for number in (1, 2, 3)]
        elif part["type"] == "fields":
            content[key] = {one["id"]: _sample(one) for one in part["fields"]}
        elif part["type"] == "answers":
            content[key] = {one: f"【{one}】" for one in part["criteria"]}
        elif part["type"] == "choices":
            content[key] = choices.get(part["choices"], [])[:1]
        else:
            content[key] = f"【{part['heading'] or part['id']}】\n（第二段）"
    for which in ("cover", "foot"):
        content[f"{described['form']}.{which}"] = {one["id"]: _sample(one) for one in described.get(which, ())}
    names = {key: f"【{label}】" for key, label in rules.NAMES.items()}
    return f"试填-{described['template']['name']}", files.fill(described, Filler(content, names, content, {}), choices)


def _sample(field: Document) -> str:
    return "2026-01-02" if field.get("type") == "date" else f"【{field['label']}】"
