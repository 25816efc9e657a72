"""A notice as data: read, check, freeze (通知包). Every problem names file, line and cause; pure."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from lms.courses.yaml_lines import Lines, YamlProblem, load
from lms.programmes import references
from lms.programmes.dates import LEVELS, day_of
from lms.programmes.originals import rules as originals
from lms.programmes.references import PLACES
from lms.programmes.regions import region_problems

SHIPPED = Path(str(files("lms.programmes") / "packs"))
EXAMPLE = Path(str(files("lms.programmes") / "example"))  # the smallest notice, made up: what one begins with
_PLACE = re.compile(r"\{([^{}]*)\}")
_FORBIDDEN_IN_NAMES = re.compile(r'[\\/:*?"<>|]')
Document = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """What is wrong, in which file, on which line (from 1)."""

    file: str
    line: int
    cause: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.cause}"


class BadPack(ValueError):
    """The pack cannot be used; ``problems`` say why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Pack:
    """A checked notice. ``document`` is ``pack.yaml`` with the forms under ``forms``, as plain data."""

    document: Document

    @property
    def slug(self) -> str:
        """Name of the notice, e.g. ``ncet-pilot``."""
        return str(self.document["notice"])

    @property
    def version(self) -> str:
        """Version of the pack; an application keeps the one it began with."""
        return str(self.document["version"])

    @property
    def title(self) -> str:
        """Title of the notice."""
        return str(self.document["title"])

    @property
    def text(self) -> str:
        """Canonical JSON: what the digest is taken of and what is stored."""
        return json.dumps(self.document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def kind(self, name: str) -> Document:
        """A kind of application by id; KeyError where there is none."""
        return _by_id(self.document["kinds"], name)

    def batch(self, name: str) -> Document:
        """A batch by id."""
        return _by_id(self.document["batches"], name)

    def form(self, name: str) -> Document:
        """A form by id."""
        found: Document = self.document["forms"][name]
        return found

    def part(self, key: str) -> Document:
        """A part by ``form.part``; ``form.cover`` and ``form.foot`` are parts of fields."""
        form, name = key.split(".", 1)
        if name in ("cover", "foot"):
            return {"id": name, "heading": "", "type": "fields", "fields": fillable(self.form(form).get(name, ()))}
        return _by_id(self.form(form)["parts"], name)

    def keys_of(self, kind: str) -> tuple[str, ...]:
        """Keys of everything an application of this kind fills in, in the order of its forms."""
        found: list[str] = []
        for name in self.kind(kind)["forms"]:
            form = self.form(name)
            found += [f"{name}.cover"] if fillable(form.get("cover", ())) else []
            found += [f"{name}.{part['id']}" for part in form["parts"]]
            found += [f"{name}.foot"] if fillable(form.get("foot", ())) else []
        return tuple(found)

    def limit_of(self, key: str) -> Document | None:
        """The word limit that the part stands under (its parts may share it)."""
        form, name = key.split(".", 1)
        return next((one for one in self.form(form).get("limits", ()) if name in one["parts"]), None)

    def criteria_of(self, kind: str) -> list[Document]:
        """Criteria that the kind is checked against."""
        return [one for one in self.document["criteria"] if kind in one["kinds"]]

    def criterion(self, name: str) -> Document:
        """A criterion by id."""
        return _by_id(self.document["criteria"], name)

    def attachments_of(self, kind: str) -> list[Document]:
        """Attachments that the kind may or must hand in."""
        return [one for one in self.document.get("attachments", ()) if kind in one["kinds"]]

    def documents_of(self, kind: str) -> list[Document]:
        """Documents made of the kind's forms."""
        return [one for one in self.document["documents"] if one["form"] in self.kind(kind)["forms"]]

    def bundles_of(self, kind: str) -> list[Document]:
        """Zip files that the kind hands in."""
        return [one for one in self.document["bundles"] if one["kind"] == kind]

    def status_is(self, status: str) -> str:
        """What a status means to the workflow: draft | waiting | returned | refused | withdrawn | active | warned | ended."""
        return str(self.document["statuses"][status]["is"])

    def status_name(self, status: str) -> str:
        """What a status is called."""
        return str(self.document["statuses"][status]["name"])

    def status(self, meaning: str) -> str:
        """The notice's own status of that meaning (the first)."""
        statuses: Document = self.document["statuses"]
        return next(name for name, one in statuses.items() if one["is"] == meaning)

    def choices(self, name: str) -> list[str]:
        """A list of choices."""
        return list(self.document.get("choices", {}).get(name, ()))


def fillable(fields: Sequence[Document]) -> list[Document]:
    """Fields that are typed; seals and signatures are made by hand on paper."""
    return [one for one in fields if not one.get("by_hand")]


def _by_id(rows: Sequence[Document], name: str) -> Document:
    for row in rows:
        if row["id"] == name:
            return row
    raise KeyError(name)


def read_pack(folder: Path) -> Pack:
    """The pack in a folder; raises BadPack."""
    pack, problems = check_folder(folder)
    if pack is None or problems:
        raise BadPack(problems)
    return pack


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, Pack]:
    """Packs that come with the program, by name; raises BadPack: a broken one stops start-up."""
    found = [read_pack(path.parent) for path in sorted(SHIPPED.glob("*/pack.yaml"))]
    return {one.slug: one for one in found}


def check_folder(folder: Path) -> tuple[Pack | None, list[Problem]]:
    """Read and check a folder: the pack, None where it cannot be read, and every problem."""
    if not (folder / "pack.yaml").is_file():
        return None, [Problem("pack.yaml", 1, "没有这个文件：通知包的文件夹里要有 pack.yaml 和 forms 文件夹")]
    pack, problems = check_texts(texts_in(folder))
    if pack is not None:
        problems += _file_problems(folder, pack)
    return pack, problems


def _file_problems(folder: Path, pack: Pack) -> Iterator[Problem]:
    """The office's own files lie in ``files/`` and are those that the forms name."""
    for name, form in pack.document["forms"].items():
        template = form.get("template")
        if template is None:
            continue
        lines = load((folder / "forms" / f"{name}.yaml").read_text("utf-8"))[1]
        path = folder / "files" / template["name"]
        if not path.is_file():
            yield Problem(
                f"forms/{name}.yaml",
                lines[("template", "name")],
                f"没有 files/{template['name']}：请把表样放进 files 文件夹",
            )
        elif (digest := hashlib.sha256(path.read_bytes()).hexdigest()) != template["file"]:
            yield Problem(
                f"forms/{name}.yaml",
                lines[("template", "file")],
                f"files/{template['name']} 的 SHA-256 是 {digest}，请写在 file 里",
            )


def texts_in(folder: Path) -> dict[str, str]:
    """Texts of a pack's folder by their names in it."""
    paths = [folder / "pack.yaml", *sorted(folder.glob("forms/*.yaml"))]
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in paths}


def check_texts(texts: Mapping[str, str]) -> tuple[Pack | None, list[Problem]]:
    """As :func:`check_folder`, for texts by file name."""
    problems: list[Problem] = []
    read: dict[str, tuple[Any, Lines]] = {}
    for name, text in texts.items():
        try:
            read[name] = load(text)
        except YamlProblem as error:
            problems.append(Problem(name, error.line, _yaml_said(error.message)))
            continue
        problems += _by_schema(name, *read[name])
    if "pack.yaml" not in texts:
        problems.append(Problem("pack.yaml", 1, "缺少这个文件"))
    if problems:
        return None, problems
    document, lines = read["pack.yaml"]
    forms: dict[str, Any] = {}
    for name, (form, form_lines) in read.items():
        if name == "pack.yaml":
            continue
        if f"forms/{form['form']}.yaml" != name:
            problems.append(Problem(name, form_lines[("form",)], f"文件名应为 forms/{form['form']}.yaml"))
        forms[form["form"]] = form
        problems += [Problem(name, _line(form_lines, path), cause) for path, cause in _form_problems(form, document)]
    problems += [Problem("pack.yaml", _line(lines, path), cause) for path, cause in _pack_problems(document, forms)]
    problems += [
        Problem(name, _line(read[name][1] if name in read else {}, path), cause)
        for name, path, cause in references.problems(document, forms)
    ]
    return Pack(document | {"forms": forms}), problems


def _yaml_said(message: str) -> str:
    """A mistake of writing with what it mostly is: the parser's own words are English."""
    hint = "：多半是缩进不齐、冒号后少了空格，或引号、括号不成对；请看这一行和上一行"
    return message + hint if message.startswith("YAML 写法有误") else message


def _by_schema(name: str, document: Any, lines: Lines) -> Iterator[Problem]:
    for error in sorted(
        _validator("pack" if name == "pack.yaml" else "form").iter_errors(document),
        key=lambda one: list(map(str, one.path)),
    ):
        path = tuple(error.absolute_path)
        yield Problem(name, _line(lines, path), f"{'.'.join(map(str, path)) or '文件'}：{_said(error)}")


_TYPES = {
    "string": "文字",
    "integer": "整数",
    "array": "列表（方括号，或一行一个短横）",
    "object": "一组“键: 值”",
    "boolean": "true 或 false",
}
_SHAPES = {"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$": "只用字母、数字和短横，最多 40 个字符", "^[0-9]{4}\\.[0-9]+$": "写成“年份.次数”，如 2026.1",
           "^[0-9]{4}-[0-9]{2}-[0-9]{2}$": "写成 2026-12-15", "^[0-9]{4}-[0-9]{2}$": "写成 2026-12", "\\.(docx|xlsx)$": "以 .docx 或 .xlsx 结尾",
           "^[0-9a-f]{64}$": "写文件的 SHA-256（64 个小写十六进制数字）"}  # fmt: skip


def _said(error: Any) -> str:
    value, wanted = error.instance, error.validator_value
    if error.validator == "required":
        return "缺少 " + "、".join(one for one in wanted if one not in value) + "，请加上"
    if error.validator == "additionalProperties" and isinstance(value, dict):
        known = error.schema.get("properties", {})
        return (
            "不认识的项 "
            + "、".join(str(one) for one in value if one not in known)
            + f"，请删去或改为：{'、'.join(known)}"
        )
    if error.validator == "type":
        quoted = "，请加引号" if wanted == "string" and isinstance(value, int | float) else ""
        return f"应为{_TYPES.get(str(wanted), wanted)}，现在是 {value!r}{quoted}"[:300]
    if error.validator == "pattern":
        return f"应{_SHAPES.get(str(wanted), f'符合 {wanted}')}，现在是 {value!r}"[:300]
    words = {"enum": "应为其中之一：{0}", "minimum": "不能小于 {0}", "maximum": "不能大于 {0}", "minItems": "至少要有 {0} 项",
             "minLength": "至少 {0} 个字符", "minProperties": "至少要有 {0} 项"}  # fmt: skip
    shown = "、".join(map(str, wanted)) if isinstance(wanted, list) else wanted
    return (
        f"{words[error.validator].format(shown)}，现在是 {value!r}"[:300]
        if error.validator in words
        else str(error.message)[:300]
    )


def _or(known: Iterable[str], otherwise: str = "") -> str:
    """What to write instead: one of those that there are, or to add it."""
    names = "、".join(list(known)[:12])
    return "".join(
        (f"，请{otherwise}" if otherwise else "", f"{'，或' if otherwise else '，请'}改为：{names}" if names else "")
    )


@lru_cache(maxsize=2)
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        json.loads((Path(str(files("lms.programmes"))) / "schemas" / f"{name}.json").read_text("utf-8"))
    )


def _line(lines: Lines, path: tuple[str | int, ...]) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


Finding = tuple[tuple[str | int, ...], str]


def _twice(rows: Sequence[Document], path: tuple[str | int, ...], key: str = "id") -> Iterator[Finding]:
    seen: set[str] = set()
    for number, row in enumerate(rows):
        if row[key] in seen:
            yield (*path, number, key), f"{key} 重复：{row[key]}"
        seen.add(row[key])


def _form_problems(form: Document, pack: Document) -> Iterator[Finding]:
    yield from _twice(form["parts"], ("parts",))
    names = {part["id"] for part in form["parts"]}
    for number, limit in enumerate(form.get("limits", ())):
        for one in limit["parts"]:
            if one not in names:
                yield ("limits", number, "parts"), f"没有“{one}”这一部分{_or(sorted(names))}"
    texts = {one["id"]: one["text"] for one in pack["criteria"]}
    for number, cause in originals.faults(form.get("template", {}).get("bindings", ()), form, texts):
        yield ("template", "bindings", number), cause
    for number, part in enumerate(form["parts"]):
        at: tuple[str | int, ...] = ("parts", number)
        needed = {"fields": "fields", "table": "columns", "answers": "criteria", "choices": "choices"}.get(part["type"])
        if needed and needed not in part:
            yield at, f"{part['type']} 类的部分要有 {needed}"
        if part["id"] in ("cover", "foot"):
            yield (*at, "id"), "cover 和 foot 是封面和表尾的名字，请换一个"
        for key in ("fields", "columns"):
            yield from _twice(part.get(key, ()), (*at, key))
            for column, one in enumerate(part.get(key, ())):
                if "choices" in one and one["choices"] not in pack.get("choices", {}):
                    yield (
                        (*at, key, column, "choices"),
                        f"pack.yaml 里没有选项 {one['choices']}{_or(pack.get('choices', {}), '在 choices 里加上')}",
                    )
        for column, label in enumerate(one["label"] for one in part.get("columns", ())):
            if [one["label"] for one in part["columns"]].index(label) != column:
                yield (*at, "columns", column, "label"), f"列名重复：{label}"
        if part["type"] == "choices" and part.get("choices") not in pack.get("choices", {}):
            yield (
                (*at, "choices"),
                f"pack.yaml 里没有选项 {part.get('choices')}{_or(pack.get('choices', {}), '在 choices 里加上')}",
            )
        for place, name in enumerate(part.get("criteria", ())):
            if all(name != one["id"] for one in pack["criteria"]):
                yield (
                    (*at, "criteria", place),
                    f"pack.yaml 里没有条件 {name}{_or(one['id'] for one in pack['criteria'])}",
                )


def _pack_problems(pack: Document, forms: Mapping[str, Document]) -> Iterator[Finding]:
    for key in (
        "kinds",
        "batches",
        "quotas",
        "criteria",
        "attachments",
        "documents",
        "bundles",
        "phases",
        "reports",
        "targets",
    ):
        yield from _twice(pack.get(key, ()), (key,))
    for number, cause in region_problems(pack.get("region", ())):
        yield ("region", number), cause
    statuses = pack["statuses"]
    for meaning in ("draft", "returned", "refused", "withdrawn"):
        if sum(one["is"] == meaning for one in statuses.values()) != 1:
            yield ("statuses",), f"应恰有一个 is: {meaning} 的状态"
    yield from _kind_problems(pack, forms, set(statuses))
    yield from _date_problems(pack)
    kinds = {one["id"] for one in pack["kinds"]}
    for key in ("quotas", "criteria", "attachments", "scoring"):
        for number, row in enumerate(pack.get(key, ())):
            for place, name in enumerate(row["kinds"]):
                if name not in kinds:
                    yield (key, number, "kinds", place), f"没有申报类别 {name}{_or(sorted(kinds))}"
    for number, row in enumerate(pack.get("scoring", ())):
        yield from _twice(row["items"], ("scoring", number, "items"))
    yield from _paper_problems(pack, forms, kinds)


def _kind_problems(pack: Document, forms: Mapping[str, Document], statuses: set[str]) -> Iterator[Finding]:
    for number, kind in enumerate(pack["kinds"]):
        at: tuple[str | int, ...] = ("kinds", number)
        for place, name in enumerate(kind["forms"]):
            if name not in forms:
                yield (*at, "forms", place), f"没有 forms/{name}.yaml{_or(sorted(forms), '新建这个文件')}"
        levels = [LEVELS.index(step["level"]) for step in kind["chain"]]
        if levels != sorted(set(levels)):
            yield (*at, "chain"), "审核层级应由低到高，每级一次"
        named = [(("chain", place, "status"), step["status"]) for place, step in enumerate(kind["chain"])] + [
            (("granted",), kind["granted"])
        ]
        for place, step in enumerate(kind.get("ladder", ())):
            named += [(("ladder", place, "to"), step["to"])] + [
                (("ladder", place, "from"), one) for one in step["from"]
            ]
        for where, name in named:
            if name not in statuses:
                yield (*at, *where), f"statuses 里没有 {name}{_or(sorted(statuses), '在 statuses 里加上')}"
        if kind.get("within") and all(kind["within"] != one["id"] for one in pack["kinds"]):
            yield (*at, "within"), f"没有申报类别 {kind['within']}"


def _date_problems(pack: Document) -> Iterator[Finding]:
    """B9: dates exist; a lower level's is never later than a higher one's; a local date only earlier."""
    for number, batch in enumerate(pack["batches"]):
        at: tuple[str | int, ...] = ("batches", number)
        due = {}
        for level, text in batch["due"].items():
            try:
                due[level] = day_of(text)
            except ValueError:
                yield (*at, "due", level), f"没有 {text} 这一天"
        known = [(level, due[level]) for level in LEVELS if level in due]
        for (low, earlier), (high, later) in itertools.pairwise(known):
            if earlier > later:
                yield (
                    (*at, "due", low),
                    f"{low} 的截止日 {earlier} 晚于上级 {high} 的 {later}（B9：只能提前，不能推后）",
                )
        for place, one in enumerate(batch.get("local", ())):
            try:
                day = day_of(one["due"])
            except ValueError:
                yield (*at, "local", place, "due"), f"没有 {one['due']} 这一天"
                continue
            above = [limit for level, limit in known if LEVELS.index(level) >= LEVELS.index(one["level"])]
            if above and day > min(above):
                yield (
                    (*at, "local", place, "due"),
                    f"{one['office']} 的截止日 {day} 晚于 {min(above)}（B9：只能提前，不能推后）",
                )


def _paper_problems(pack: Document, forms: Mapping[str, Document], kinds: set[str]) -> Iterator[Finding]:
    documents = {one["id"]: one for one in pack["documents"]}
    for number, row in enumerate(pack["documents"]):
        if row["form"] not in forms:
            yield ("documents", number, "form"), f"没有 forms/{row['form']}.yaml{_or(sorted(forms), '新建这个文件')}"
        elif (
            "template" in forms[row["form"]]
            and (kind := forms[row["form"]]["template"]["name"][-4:]) not in row["formats"]
        ):
            yield ("documents", number, "formats"), f"表样是 {kind}，formats 里要有 {kind}"
        yield from _name_problems(row["file"], ("documents", number, "file"))
    for number, row in enumerate(pack["bundles"]):
        if row["kind"] not in kinds:
            yield ("bundles", number, "kind"), f"没有申报类别 {row['kind']}"
        yield from _name_problems(row["file"], ("bundles", number, "file"))
        for place, one in enumerate(row["contains"]):
            found = documents.get(one["document"])
            if found is None:
                yield (
                    ("bundles", number, "contains", place, "document"),
                    f"没有文件 {one['document']}{_or(documents, '在 documents 里加上')}",
                )
            elif one["format"] not in (*found["formats"], "scan"):
                yield ("bundles", number, "contains", place, "format"), f"{one['document']} 没有 {one['format']} 格式"


def _name_problems(pattern: str, at: tuple[str | int, ...]) -> Iterator[Finding]:
    for name in _PLACE.findall(pattern):
        if name not in PLACES:
            yield at, f"文件名里不认识 {{{name}}}，可用：{'、'.join(PLACES)}"
    if _FORBIDDEN_IN_NAMES.search(_PLACE.sub("", pattern)):
        yield at, '文件名里不能有 \\ / : * ? " < > |'


def file_name(pattern: str, places: Mapping[str, str]) -> str:
    """A file name from its pattern; what the applicant's names must not hold becomes ``_``."""
    return _FORBIDDEN_IN_NAMES.sub("_", _PLACE.sub(lambda found: places.get(found[1], ""), pattern)).strip()
