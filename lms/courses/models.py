"""Tables of the courses room: installed versions, pins, catalogue units."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow, append_only


class PackageVersion(SchoolRow, Base):
    """One immutable version of a course package or catalogue (课程包版本), named by its content hash.

    Its files lie in ``<data_dir>/packages/<content_hash>/``; ``manifest`` is the checked content of the yaml files (course, lessons,
    steps, activities), so that pages need no disk. ``kind``: package | catalogue. Personal data: none.
    """

    __tablename__ = "package_version"
    __table_args__ = (UniqueConstraint("school_id", "content_hash"), Index("ix_package_version_slug", "school_id", "slug"))
    slug: Mapped[str] = mapped_column(String(60))
    version: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(12))
    title: Mapped[str] = mapped_column(String(120))
    stage: Mapped[str] = mapped_column(String(8), default="")
    grade: Mapped[int] = mapped_column(default=0)
    content_hash: Mapped[str] = mapped_column(String(64))
    manifest: Mapped[dict[str, Any]]
    installed_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


append_only("package_version")


class PackagePin(SchoolRow, Base):
    """A class follows one version (固定版本); the newest row of a class and slug holds, work of older ones stays. Personal data: none."""

    __tablename__ = "package_pin"
    __table_args__ = (Index("ix_package_pin_school_class", "school_id", "class_id"),)
    class_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("school_class.id"))
    slug: Mapped[str] = mapped_column(String(60))
    package_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("package_version.id"))
    pinned_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


append_only("package_pin")


class CatalogueUnit(SchoolRow, Base):
    """A unit (课) of a textbook's catalogue that the school owns (教材目录). Personal data: none.

    ``course``: which course a rule asks for, e.g. ``ncet``; demo catalogues use ``demo-ncet`` and ``marked`` 示范.
    """

    __tablename__ = "catalogue_unit"
    __table_args__ = (UniqueConstraint("school_id", "course", "code"),)
    package_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("package_version.id"))
    course: Mapped[str] = mapped_column(String(24))
    volume: Mapped[str] = mapped_column(String(24))
    code: Mapped[str] = mapped_column(String(32))
    title: Mapped[str] = mapped_column(String(120))
    ordinal: Mapped[int]
    marked: Mapped[str] = mapped_column(String(8), default="")
