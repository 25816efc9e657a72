"""Install packages, pin them to classes, hand out lessons (安装、固定、取课)."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import defer

from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account
from lms.courses.archive import unpack
from lms.courses.catalogue import CatalogueRow
from lms.courses.models import CatalogueUnit, PackagePin, PackageVersion
from lms.courses.package import Package, Problem, check_course, check_folder
from lms.courses.rules import Lesson, Step, lesson_from, steps_for
from lms.roster.models import SchoolClass

MEDIA = "/packages/{hash}/{lesson}/"


def _store() -> Path:
    settings = current_app.config["ZHIKE"]
    folder: Path = settings.data_dir / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def bad_package(problems: Sequence[Problem]) -> Invalid:
    """The refusal of a package that has problems; the list goes with it."""
    return Invalid(
        "package",
        _l("课程包有 %(n)d 处问题，没有安装。", n=len(problems)),
        remedy=_l("请按列出的文件和行号修改后再试。"),
        problems=[str(problem) for problem in problems],
        where=str(problems[0]),
    )


def install_folder(actor: Account | None, school_id: uuid.UUID, folder: Path) -> PackageVersion:
    """Check and install the package at ``folder``; the same content twice gives the same row.

    Raises Invalid with every problem (file and line), Refused where the version number was used for other content.
    """
    package, problems = check_folder(folder)
    if package is None:
        raise bad_package(problems)
    return _install(actor, school_id, package)


def install_zip(actor: Account, school_id: uuid.UUID, archive: Path) -> PackageVersion:
    """Install an uploaded zip; nothing stays behind when it is refused."""
    with opened_zip(archive) as folder:
        return install_folder(actor, school_id, folder)


@contextmanager
def opened_zip(archive: Path) -> Iterator[Path]:
    """The package folder inside a zip, unpacked for the moment."""
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=_store()) as temporary:
        yield unpack(archive, Path(temporary))


def install_bundled(school_id: uuid.UUID, folder: Path, actor: Account | None = None) -> list[PackageVersion]:
    """Install every package below ``folder`` (the ones that come with the product)."""
    return [install_folder(actor, school_id, path.parent) for path in sorted(folder.glob("*/course.yaml"))]


def _install(actor: Account | None, school_id: uuid.UUID, package: Package) -> PackageVersion:
    course = package.manifest["course"]
    _keep_files(package)
    with write():
        same = db.session.scalar(
            select(PackageVersion).where(PackageVersion.school_id == school_id, PackageVersion.content_hash == package.content_hash)
        )
        if same is not None:
            return same
        used = db.session.scalar(
            select(PackageVersion.id).where(
                PackageVersion.school_id == school_id, PackageVersion.slug == course["id"], PackageVersion.version == course["version"]
            )
        )
        if used is not None:
            raise Refused(
                "version-used", _l("版本 %(v)s 已经安装过，内容却不同。", v=course["version"]), remedy=_l("请在 course.yaml 里提高 version。")
            )
        row = PackageVersion(
            id=new_id(),
            school_id=school_id,
            slug=course["id"],
            version=course["version"],
            kind=course["kind"],
            title=course["title"]["zh"],
            stage=course.get("stage", ""),
            grade=course.get("grade", 0),
            content_hash=package.content_hash,
            manifest=package.manifest,
            installed_by=actor.id if actor else None,
        )
        db.session.add(row)
        db.session.flush()
        if course["kind"] == "catalogue":
            _keep_units(school_id, row, course)
        audit(actor, "install-package", "package", row.id, school_id=school_id, slug=row.slug, version=row.version)
        return row


def _keep_files(package: Package) -> None:
    target = _store() / package.content_hash
    if target.exists():
        return
    temporary = Path(tempfile.mkdtemp(prefix=".install-", dir=_store()))
    try:
        for name in package.files:
            place = temporary / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package.folder / name, place)
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            if not target.exists():  # another installer was first: the content is the same
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _keep_units(school_id: uuid.UUID, row: PackageVersion, course: dict[str, Any]) -> None:
    old = {
        unit.code: unit
        for unit in db.session.scalars(select(CatalogueUnit).where(CatalogueUnit.school_id == school_id, CatalogueUnit.course == course["course"]))
    }
    for unit in course["units"]:
        found = old.get(unit["code"]) or CatalogueUnit(school_id=school_id, course=course["course"], code=unit["code"])
        found.package_id, found.marked = row.id, course.get("marked", "")
        found.volume, found.title, found.ordinal = unit["volume"], unit["title"], unit["ordinal"]
        db.session.add(found)


def install_catalogue(actor: Account, school_id: uuid.UUID, course: str, title: str, rows: Sequence[CatalogueRow]) -> PackageVersion:
    """Keep the catalogue of a textbook that the school owns, as read from its Excel file.

    Raises Invalid if a row still has a problem. A changed catalogue becomes the next version.
    """
    bad = [row for row in rows if row.problem]
    if bad or not rows:
        raise Invalid("catalogue-rows", _l("目录里有 %(n)d 行需要修改。", n=len(bad)), where=_l("第 %(row)d 行", row=bad[0].row) if bad else "")
    units = [{"volume": row.volume, "code": row.code, "title": row.title, "ordinal": index} for index, row in enumerate(rows, 1)]
    slug = f"catalogue-{course}"
    count = len(db.session.scalars(select(PackageVersion.id).where(PackageVersion.school_id == school_id, PackageVersion.slug == slug)).all())
    described = {
        "schema": "zhike-course/1",
        "id": slug,
        "kind": "catalogue",
        "title": {"zh": title},
        "version": f"1.{count}.0",
        "licence": "school-owned",
        "course": course,
        "units": units,
    }
    problems = check_course(described)
    if problems:
        raise bad_package(problems)
    body = json.dumps({**described, "version": ""}, ensure_ascii=False, sort_keys=True).encode()
    manifest = {"course": described, "lessons": []}
    package = Package(Path(), manifest, hashlib.sha256(body).hexdigest(), ())
    return _install(actor, school_id, package)


def installed(school_id: uuid.UUID) -> list[PackageVersion]:
    """Every installed version, newest first within a slug; without manifests."""
    query = select(PackageVersion).where(PackageVersion.school_id == school_id).options(defer(PackageVersion.manifest))
    return list(db.session.scalars(query.order_by(PackageVersion.grade, PackageVersion.slug, PackageVersion.id.desc())))


def pin(actor: Account | None, class_id: uuid.UUID, package_id: uuid.UUID) -> PackagePin:
    """Let a class follow this version; work done under an older one stays as it is."""
    with write():
        package = db.session.get(PackageVersion, package_id)
        cohort = db.session.get(SchoolClass, class_id)
        if package is None or cohort is None or package.school_id != cohort.school_id:
            raise NotFound("pin", _l("没有这个班级或课程包。"))
        if package.kind != "package":
            raise Invalid("pin-catalogue", _l("目录不能固定到班级，只有课程包可以。"))
        row = PackagePin(
            id=new_id(), school_id=cohort.school_id, class_id=class_id, slug=package.slug, package_id=package_id, pinned_by=actor.id if actor else None
        )
        db.session.add(row)
        audit(actor, "pin-package", "class", class_id, school_id=cohort.school_id, package=str(package_id))
        return row


def pinned(class_id: uuid.UUID) -> list[PackageVersion]:
    """The version of each package that the class follows now, last pinned first."""
    newest: dict[str, uuid.UUID] = {}
    for row in db.session.scalars(select(PackagePin).where(PackagePin.class_id == class_id).order_by(PackagePin.id.desc())):
        newest.setdefault(row.slug, row.package_id)
    found = {package.id: package for package in db.session.scalars(select(PackageVersion).where(PackageVersion.id.in_(newest.values())))}
    return [found[key] for key in newest.values()]


def units(school_id: uuid.UUID, course: str | None = None) -> list[CatalogueUnit]:
    """Units of the catalogues that the school holds, in order."""
    query = select(CatalogueUnit).where(CatalogueUnit.school_id == school_id)
    if course is not None:
        query = query.where(CatalogueUnit.course == course)
    return list(db.session.scalars(query.order_by(CatalogueUnit.course, CatalogueUnit.ordinal)))


def package_of(package_id: uuid.UUID) -> PackageVersion:
    """The version; raises NotFound."""
    package = db.session.get(PackageVersion, package_id)
    if package is None:
        raise NotFound("package", _l("没有这个课程包。"))
    return package


@lru_cache(maxsize=64)
def _lesson(content_hash: str, package_id: uuid.UUID, slug: str) -> Lesson:
    base = MEDIA.format(hash=content_hash, lesson=slug)
    found = lesson_from(content_hash, package_of(package_id).manifest, slug, base)
    if found is None:
        raise NotFound("lesson", _l("课程包里没有这一课。"), where=slug)
    return found


@lru_cache(maxsize=256)
def _hash_of(package_id: uuid.UUID) -> str:
    return package_of(package_id).content_hash


def lesson_of(package_id: uuid.UUID, slug: str) -> Lesson:
    """A lesson, rendered; versions are immutable, so it is kept in memory. Raises NotFound."""
    return _lesson(_hash_of(package_id), package_id, slug)


@lru_cache(maxsize=128)
def steps_of(lesson: Lesson, configuration: int) -> tuple[Step, ...]:
    """The lesson's steps for a configuration 1, 2 or 3 (GS-37)."""
    return steps_for(lesson, configuration, MEDIA.format(hash=lesson.content_hash, lesson=lesson.slug))


def media_file(content_hash: str, lesson_slug: str, name: str) -> Path:
    """A file that the lesson may serve; raises NotFound for anything that lesson.yaml does not list."""
    package = db.session.scalar(select(PackageVersion).where(PackageVersion.content_hash == content_hash))
    lesson = lesson_of(package.id, lesson_slug) if package is not None else None
    if lesson is None or name not in lesson.media:
        raise NotFound("media", _l("没有这个文件。"))
    return _store() / content_hash / "lessons" / lesson_slug / name
