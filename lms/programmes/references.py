"""What a notice's parts say of one another (通知包的相互引用): every name points at something that is there and fits; pure.

Each finding names the file, the path in it and the cause in Chinese: what is found here would else be an error page months later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lms.programmes import measures
from lms.programmes.dates import LEVELS
from lms.usage import policies

Document = dict[str, Any]
Path = tuple[str | int, ...]
Finding = tuple[str, Path, str]
PLACES = ("province", "city", "county", "school", "applicant", "office", "year")
NAMES = (*PLACES, "county-full")
PACK = "pack.yaml"
_MEANINGS = {
    "chain": (("waiting",), "审核中的状态要写 is: waiting，否则上级办不了"),
    "granted": (("active",), "确定后的状态要写 is: active"),
    "ladder": (("active", "warned", "ended"), "状态变更只在 is: active、warned、ended 的状态之间"),
}


def problems(pack: Document, forms: Mapping[str, Document]) -> Iterator[Finding]:
    """Everything in the notice that points nowhere, or at what cannot serve."""
    yield from _statuses(pack)
    yield from _levels(pack)
    yield from _criteria(pack, forms)
    for name, form in forms.items():
        for path, cause in _form(name, form, pack, forms):
            yield f"forms/{name}.yaml", path, cause
    yield from _papers(pack, forms)


def _or(known: Iterable[str]) -> str:
    names = "、".join(list(known)[:12])
    return f"，请改为：{names}" if names else ""


def _kinds_with(pack: Document, form: str) -> list[str]:
    return [one["id"] for one in pack["kinds"] if form in one["forms"]]


def _forms_of(pack: Document, kind: str) -> list[str]:
    return next((list(one["forms"]) for one in pack["kinds"] if one["id"] == kind), [])


def _parts_of(form: Document) -> dict[str, Document]:
    """Parts of a form by id; cover and foot are parts of fields."""
    ends = {
        name: {"type": "fields", "fields": [one for one in form[name] if not one.get("by_hand")]}
        for name in ("cover", "foot")
        if name in form
    }
    return ends | {part["id"]: part for part in form["parts"]}


def _part(forms: Mapping[str, Document], key: str) -> Document | None:
    form, _dot, name = key.partition(".")
    return _parts_of(forms[form]).get(name) if form in forms else None


def _names_in(part: Document) -> set[str]:
    """Fields, columns, criteria of a part; ``all`` of a list of choices."""
    if part["type"] == "choices":
        return {"all"}
    return {one["id"] for one in (*part.get("fields", ()), *part.get("columns", ()))} | set(part.get("criteria", ()))


def _statuses(pack: Document) -> Iterator[Finding]:
    """Where an application waits, what it is when it is granted, and what the ladder moves between."""
    known = pack["statuses"]
    for number, kind in enumerate(pack["kinds"]):
        used: list[tuple[Path, str, str]] = [
            (("chain", place, "status"), step["status"], "chain") for place, step in enumerate(kind["chain"])
        ]
        used.append((("granted",), kind["granted"], "granted"))
        for place, step in enumerate(kind.get("ladder", ())):
            used += [(("ladder", place), name, "ladder") for name in (*step["from"], step["to"])]
        for path, name, use in used:
            wanted, why = _MEANINGS[use]
            if name in known and known[name]["is"] not in wanted:
                yield PACK, ("kinds", number, *path), f"{name} 的 is 是 {known[name]['is']}：{why}"
        top = max(LEVELS.index(step["level"]) for step in kind["chain"])
        for place, level in enumerate(kind["applicant"]):
            if LEVELS.index(level) >= top:
                yield (
                    PACK,
                    ("kinds", number, "applicant", place),
                    f"chain 里没有 {level} 以上的层级，{level} 的申报无处可送",
                )


def _levels(pack: Document) -> Iterator[Finding]:
    """Quotas, dates and reports name levels, batches and kinds that there are."""
    chains = {one["id"]: [step["level"] for step in one["chain"]] for one in pack["kinds"]}
    everywhere = {level for levels in chains.values() for level in levels}
    batches = [one["id"] for one in pack["batches"]]
    for number, quota in enumerate(pack.get("quotas", ())):
        at: Path = ("quotas", number)
        for name in quota["kinds"]:
            if name in chains and quota["level"] not in chains[name]:
                yield (
                    PACK,
                    (*at, "level"),
                    f"{name} 的审核不经过 {quota['level']}，这个名额永远用不上{_or(chains[name])}",
                )
        for place, name in enumerate(quota.get("batches", ())):
            if name not in batches:
                yield PACK, (*at, "batches", place), f"没有批次 {name}{_or(batches)}"
    for number, batch in enumerate(pack["batches"]):
        for level in batch["due"]:
            if level not in everywhere:
                yield PACK, ("batches", number, "due", level), f"没有哪一类申报经过 {level}{_or(sorted(everywhere))}"
        for place, one in enumerate(batch.get("local", ())):
            if one["level"] not in everywhere:
                yield (
                    PACK,
                    ("batches", number, "local", place, "level"),
                    f"没有哪一类申报经过 {one['level']}{_or(sorted(everywhere))}",
                )
    for number, report in enumerate(pack.get("reports", ())):
        for place, name in enumerate(report.get("by", ())):
            if name not in chains:
                yield PACK, ("reports", number, "by", place), f"没有申报类别 {name}{_or(chains)}"
    for number, phase in enumerate(pack.get("phases", ())):
        if phase["from"] > phase["to"]:
            yield PACK, ("phases", number, "to"), f"阶段结束 {phase['to']} 早于开始 {phase['from']}"


def _criteria(pack: Document, forms: Mapping[str, Document]) -> Iterator[Finding]:
    """What a criterion is measured by: its parameters' types and names, read from forms and attachments of its own kinds."""
    attachments = {one["id"]: one["kinds"] for one in pack.get("attachments", ())}
    for number, row in enumerate(pack["criteria"]):
        given = row.get("with", {})
        at: Path = ("criteria", number, "with")
        for name, cause in measures.wrong(row["measure"], given):
            yield PACK, (*at, name) if name else ("criteria", number, "measure"), cause
        if row["measure"] not in measures.MEASURES:
            continue
        if "rule" in given and given["rule"] not in (known := [one.name for one in policies.rules()]):
            yield PACK, (*at, "rule"), f"没有判定规则 {given['rule']}{_or(known)}"
        for name, keys in (("part", [given["part"]] if "part" in given else []), ("parts", _listed(given, "parts"))):
            for key in keys:
                yield from ((PACK, (*at, name), cause) for cause in _part_faults(str(key), row, pack, forms))
        for name, slots in (("files", _listed(given, "files")), ("evidence", row.get("evidence", ()))):
            for slot in slots:
                path: Path = (*at, name) if name == "files" else ("criteria", number, name)
                if slot not in attachments:
                    yield PACK, path, f"没有附件 {slot}，请在 attachments 里加上，或改为：{'、'.join(attachments)}"
                elif missing := set(row["kinds"]) - set(attachments[slot]):
                    yield PACK, path, f"附件 {slot} 不是“{'、'.join(sorted(missing))}”要交的，请在它的 kinds 里加上"


def _listed(given: Mapping[str, Any], name: str) -> list[Any]:
    return list(given[name]) if isinstance(given.get(name), list) else []


def _part_faults(key: str, row: Document, pack: Document, forms: Mapping[str, Document]) -> Iterator[str]:
    """What is wrong with a part that a criterion reads."""
    part = _part(forms, key)
    if part is None:
        yield f"表单里没有“{key}”这一部分{_or(f'{form}.{one}' for form in forms for one in _parts_of(forms[form]))}"
        return
    form = key.partition(".")[0]
    for kind in row["kinds"]:
        if form not in _forms_of(pack, kind):
            yield f"“{kind}”不填表单 {form}{_or(_forms_of(pack, kind))}"
    kind_wanted, names = measures.READS.get(row["measure"], ("", frozenset()))
    given = row.get("with", {})
    if kind_wanted and part["type"] != kind_wanted:
        yield f"“{key}”是 {part['type']} 类，{row['measure']} 要读 {kind_wanted} 类的部分"
    elif missing := {str(given.get(one[1:], "")) if one.startswith("=") else one for one in names} - _names_in(part):
        yield f"“{key}”里没有 {'、'.join(sorted(missing))}"
    elif row["measure"] == "themes":
        yield from _theme_faults(given, pack.get("choices", {}).get(part.get("choices", ""), ()))


def _theme_faults(given: Mapping[str, Any], choices: Sequence[str]) -> Iterator[str]:
    if given.get("needs") not in choices:
        yield f"选项里没有必选的“{given.get('needs')}”{_or(choices)}"


def _form(name: str, form: Document, pack: Document, forms: Mapping[str, Document]) -> Iterator[tuple[Path, str]]:
    kinds = _kinds_with(pack, name)
    criteria = {one["id"]: one["kinds"] for one in pack["criteria"]}
    ends = [(end, form[end]) for end in ("cover", "foot") if end in form]
    for path, rows in [
        *(((end,), rows) for end, rows in ends),
        *((("parts", n, "fields"), one.get("fields", ())) for n, one in enumerate(form["parts"])),
    ]:
        for place, field in enumerate(rows):
            if "from" in field and field["from"] not in NAMES:
                yield (*path, place, "from"), f"不认识 {field['from']}，可用：{'、'.join(NAMES)}"
    for number, part in enumerate(form["parts"]):
        at: Path = ("parts", number)
        for key in ("fields", "columns"):
            for place, one in enumerate(part.get(key, ())):
                if one.get("type") in ("choice", "choices") and "choices" not in one:
                    yield (*at, key, place), f"“{one['label']}”是选择项，要写 choices"
        for place, one in enumerate(part.get("criteria", ())):
            if one in criteria and not set(criteria[one]) & set(kinds):
                yield (
                    (*at, "criteria", place),
                    f"条件 {one} 只核“{'、'.join(criteria[one])}”，这张表由“{'、'.join(kinds)}”填写",
                )
        if "themes" in part:
            for cause in _theme_faults(part["themes"], pack.get("choices", {}).get(part.get("choices", ""), ())):
                yield (*at, "themes"), cause
        least, most = part.get("rows", {}).get("least", 0), part.get("rows", {}).get("most", 10**6)
        if least > most:
            yield (*at, "rows"), f"至少 {least} 行多于至多 {most} 行"
        if "collect" in part:
            yield from (((*at, *path), cause) for path, cause in _collected(part, pack, forms))


def _collected(part: Document, pack: Document, forms: Mapping[str, Document]) -> Iterator[tuple[Path, str]]:
    """A summary table: of kinds that there are, its columns from parts and fields that those write."""
    asked = part["collect"]
    known = [one["id"] for one in pack["kinds"]]
    lost = [name for name in ("kind", "below") if name in asked and asked[name] not in known]
    for name in lost:
        yield ("collect", name), f"没有申报类别 {asked[name]}{_or(known)}"
    if lost:
        return
    table = _part(forms, asked["table"]) if "table" in asked else None
    if "table" in asked and (
        table is None or table["type"] != "table" or asked["table"].split(".")[0] not in _forms_of(pack, asked["kind"])
    ):
        yield (
            ("collect", "table"),
            f"“{asked['kind']}”没有表格 {asked['table']}{_or(_tables(pack, forms, asked['kind']))}",
        )
        return
    readers = [asked[name] for name in ("kind", "below") if name in asked]
    for place, column in enumerate(part.get("columns", ())):
        source, dot, field = column.get("from", "").partition(".")
        at: Path = ("columns", place, "from")
        told = f"“{column['label']}”不知道从哪里汇总（from: {column.get('from', '')}）"
        if not dot and source not in (*NAMES, "head", "number", "stages"):
            yield at, f"{told}，可用：{'、'.join((*NAMES, 'head', 'number', 'stages'))}，或“部分.字段”"
        elif source == "row" and (table is None or field not in _names_in(table)):
            yield (
                at,
                f"{told}：{asked.get('table') or '没有写 collect.table'} 里没有 {field}{_or(sorted(_names_in(table)) if table else ())}",
            )
        elif dot and source != "row":
            for kind in readers:
                parts = [
                    one
                    for form in _forms_of(pack, kind)
                    if form in forms and (one := _parts_of(forms[form]).get(source))
                ]
                if not any(field in _names_in(one) for one in parts):
                    yield (
                        at,
                        f"{told}：“{kind}”填的表里没有 {source} 的 {field}{_or(sorted(set().union(*map(_names_in, parts))))}",
                    )
                    break


def _tables(pack: Document, forms: Mapping[str, Document], kind: str) -> list[str]:
    return [
        f"{form}.{part['id']}"
        for form in _forms_of(pack, kind)
        if form in forms
        for part in forms[form]["parts"]
        if part["type"] == "table" and "collect" not in part
    ]


def _papers(pack: Document, forms: Mapping[str, Document]) -> Iterator[Finding]:
    """Documents are of forms that somebody fills in; zips hold documents of the kind that they are asked of."""
    kinds = {one["id"]: one["name"] for one in pack["kinds"]}
    documents = {one["id"]: one for one in pack["documents"]}
    for number, row in enumerate(pack["documents"]):
        if row["form"] in forms and not _kinds_with(pack, row["form"]):
            yield PACK, ("documents", number, "form"), f"没有哪一类申报填写 {row['form']}，请写进某一类的 forms"
    for number, row in enumerate(pack["bundles"]):
        for place, one in enumerate(row["contains"]):
            at: Path = ("bundles", number, "contains", place)
            of, document = one.get("of", row["kind"]), documents.get(one["document"])
            if of not in kinds:
                yield PACK, (*at, "of"), f"没有申报类别 {of}{_or(kinds)}"
            elif document is not None and document["form"] not in _forms_of(pack, of):
                yield (
                    PACK,
                    (*at, "document"),
                    f"“{of}”不填 {document['form']}，没有文件 {one['document']}：请改 of 或 document",
                )
            if document is not None and one["format"] == "scan" and not document.get("sealed"):
                yield PACK, (*at, "format"), f"{one['document']} 没有写 sealed，不会有盖章页扫描件"
    for name, form in forms.items():
        added = form.get("append")
        if added and (added["kind"] not in kinds or added["form"] not in forms or "append" in forms[added["form"]]):
            yield (
                f"forms/{name}.yaml",
                ("append",),
                f"append 要写已有的类别和表单（{added['kind']}、{added['form']}），后附的表单不能再有后附",
            )
