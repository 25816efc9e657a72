"""Tables of programmes: notices as they stood, applications, what was written in them, and their way upward."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core import clock
from lms.core.db import Base, SchoolRow, append_only, new_id


class NoticeVersion(Base):
    """A version of a notice, kept for the applications that began with it; append-only (通知版本).

    ``school_id``: the office that wrote it in the browser, None for a pack that ships. ``document``: the whole pack. Personal data: none.
    """

    __tablename__ = "notice_version"
    __table_args__ = (UniqueConstraint("slug", "digest"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    slug: Mapped[str] = mapped_column(String(40))
    version: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    document: Mapped[dict[str, Any]]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


append_only("notice_version")


class Application(SchoolRow, Base):
    """An application of an organisation under a notice (申报). ``school_id``: the applicant, a school or an office.

    ``kind``, ``batch``, ``status``: ids of the pack. ``office_id``: where it lies while it waits. ``refused_by``: whom an appeal goes to.
    ``stages``: stages that take part. ``filled_by_id``: the office that fills it in for an applicant without an account (代填).
    ``edition`` rises with every step. Personal data: who began it; programme end + 3 years.
    """

    __tablename__ = "application"
    __table_args__ = (
        UniqueConstraint("school_id", "slug", "kind", "batch"),
        Index("ix_application_office", "office_id", "status"),
    )
    notice_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("notice_version.id"))
    slug: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))
    batch: Mapped[str] = mapped_column(String(40))
    stages: Mapped[list[str]] = mapped_column(default=list)
    status: Mapped[str] = mapped_column(String(40))
    office_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    refused_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    refused_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime | None]
    receipt: Mapped[str] = mapped_column(String(16), default="")
    filled_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    edition: Mapped[int] = mapped_column(default=0)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class ApplicationPart(SchoolRow, Base):
    """What stands in one part of an application now (申报内容). ``key``: ``form.part``; ``value``: {"value": …}; ``edition`` rises with each save.

    Personal data: names and telephones of contacts and teachers as the form asks, by whom written; programme end + 3 years.
    """

    __tablename__ = "application_part"
    __table_args__ = (UniqueConstraint("school_id", "application_id", "key"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"), index=True)
    key: Mapped[str] = mapped_column(String(84))
    value: Mapped[dict[str, Any]]
    edition: Mapped[int] = mapped_column(default=1)
    owner_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    saved_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    saved_at: Mapped[datetime] = mapped_column(default=clock.now)


class ApplicationEdit(SchoolRow, Base):
    """A saved state of a part, for history and merging; append-only (修改记录).

    Personal data: as :class:`ApplicationPart`; programme end + 3 years.
    """

    __tablename__ = "application_edit"
    __table_args__ = (UniqueConstraint("school_id", "application_id", "key", "edition"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"), index=True)
    key: Mapped[str] = mapped_column(String(84))
    edition: Mapped[int]
    value: Mapped[dict[str, Any]]
    saved_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


append_only("application_edit")


class ApplicationFile(SchoolRow, Base):
    """An attachment or a scan of stamped pages (附件、盖章扫描件); its bytes lie in the data folder under their SHA-256.

    ``slot``: attachment id of the pack, or ``scan:<document>``; ``code``: of what that document said then. ``removed_at``: taken out, kept in the journal.
    Personal data: as the paper holds; programme end + 3 years.
    """

    __tablename__ = "application_file"
    __table_args__ = (Index("ix_application_file_application", "application_id", "slot"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"))
    slot: Mapped[str] = mapped_column(String(60))
    name: Mapped[str] = mapped_column(String(160))
    type: Mapped[str] = mapped_column(String(8))
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    code: Mapped[str] = mapped_column(String(16), default="")
    added_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    removed_at: Mapped[datetime | None]


class ApplicationStep(SchoolRow, Base):
    """A step of an application on its way: who sent it where, with what remark; append-only (流转记录).

    ``by_office_id``: the office that acted, None for the applicant; ``to_office_id``: who may see it from now on; ``due_on``: of a return, the
    day until which the applicant may put it right (补正期限).
    Personal data: who acted; programme end + 3 years.
    """

    __tablename__ = "application_step"
    __table_args__ = (
        UniqueConstraint("school_id", "application_id", "number"),
        Index("ix_application_step_to_office", "to_office_id", "application_id"),
    )
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"), index=True)
    number: Mapped[int]
    action: Mapped[str] = mapped_column(String(16))
    from_status: Mapped[str] = mapped_column(String(40))
    to_status: Mapped[str] = mapped_column(String(40))
    by_office_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    to_office_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    remark: Mapped[str] = mapped_column(Text, default="")
    due_on: Mapped[date | None]
    by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


append_only("application_step")


class Filing(SchoolRow, Base):
    """What an application was handed in with (报送底稿), so that its documents stay as they were sealed; append-only.

    ``step``: number of the submission; ``editions``: of its parts; ``collected``: rows of its summary tables by part; ``below``: ids of the
    applications in them, by kind; ``checks``: {id, state, figure, source}; ``codes``: content codes of
    its documents. Personal data: as the tables hold; programme end + 3 years.
    """

    __tablename__ = "application_filing"
    __table_args__ = (UniqueConstraint("school_id", "application_id", "step"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"), index=True)
    step: Mapped[int]
    editions: Mapped[dict[str, Any]]
    collected: Mapped[dict[str, Any]]
    below: Mapped[dict[str, Any]]
    checks: Mapped[list[Any]]
    codes: Mapped[dict[str, Any]]


append_only("application_filing")


class OfficeDate(SchoolRow, Base):
    """An office's own earlier day for a batch (本级截止日). ``school_id``: the office. Personal data: who set it."""

    __tablename__ = "office_date"
    __table_args__ = (UniqueConstraint("school_id", "slug", "batch"),)
    slug: Mapped[str] = mapped_column(String(40))
    batch: Mapped[str] = mapped_column(String(40))
    due_on: Mapped[date]
    set_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class PartComment(SchoolRow, Base):
    """A remark on a part of an application (批注). ``office_id``: the office that wrote it, None for a colleague; ``edition``: what it was said of.

    Personal data: who wrote and who settled it; programme end + 3 years.
    """

    __tablename__ = "part_comment"
    __table_args__ = (Index("ix_part_comment_application", "application_id", "key"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"))
    key: Mapped[str] = mapped_column(String(84))
    edition: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    office_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class NoticeDraft(SchoolRow, Base):
    """A notice that an office is writing (通知草稿). ``texts``: its files by name; ``edition`` rises with each save; ``published_id``: its newest version.

    Personal data: who saved it; until it is thrown away.
    """

    __tablename__ = "notice_draft"
    texts: Mapped[dict[str, Any]]
    edition: Mapped[int] = mapped_column(default=1)
    saved_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    saved_at: Mapped[datetime] = mapped_column(default=clock.now)
    published_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("notice_version.id"))
    removed_at: Mapped[datetime | None]


class ScanUpload(SchoolRow, Base):
    """Scans of stamped pages that were handed over to be read (盖章页扫描件). ``files``: {name, type, sha256}; ``faults``: {name, cause} of those unreadable.

    ``state``: waiting | done | failed. Personal data: who uploaded it; the files as the papers hold; programme end + 3 years.
    """

    __tablename__ = "scan_upload"
    __table_args__ = (Index("ix_scan_upload_application", "application_id"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"))
    files: Mapped[list[Any]]
    faults: Mapped[list[Any]] = mapped_column(default=list)
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    uploaded_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class ScanPage(SchoolRow, Base):
    """A scanned page: what its code, or a person (``by_hand``), says it is (扫描页). ``document`` "": not known yet; ``code``: of the content printed.

    ``page``: from 1, 0 where the code does not say; ``sha256``: of its JPEG. Personal data: signatures and names on the page; programme end + 3 years.
    """

    __tablename__ = "scan_page"
    __table_args__ = (
        UniqueConstraint("school_id", "upload_id", "number"),
        Index("ix_scan_page_application", "application_id"),
    )
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"))
    upload_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("scan_upload.id"))
    number: Mapped[int]
    name: Mapped[str] = mapped_column(String(160))
    sha256: Mapped[str] = mapped_column(String(64))
    width: Mapped[int]
    height: Mapped[int]
    told: Mapped[str] = mapped_column(String(120), default="")
    document: Mapped[str] = mapped_column(String(40), default="")
    page: Mapped[int] = mapped_column(default=0)
    pages: Mapped[int] = mapped_column(default=0)
    code: Mapped[str] = mapped_column(String(16), default="")
    by_hand: Mapped[bool] = mapped_column(default=False)
    removed_at: Mapped[datetime | None]


class OfficeMap(SchoolRow, Base):
    """An office's own map for its dashboard (底图), made from the GeoJSON that it uploaded. ``school_id``: the office.

    ``active``: the one that is shown; the other one waits to be looked at. ``document``: see dashboard.maps.Drawing. Personal data: who set it.
    """

    __tablename__ = "office_map"
    __table_args__ = (UniqueConstraint("school_id", "active"),)
    active: Mapped[bool] = mapped_column(default=False)
    name: Mapped[str] = mapped_column(String(160))
    document: Mapped[dict[str, Any]]
    set_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


from lms.programmes.selection import models as selection  # noqa: E402, F401  (its tables belong to this room)
from lms.programmes.years import models as years  # noqa: E402, F401  (its tables belong to this room)
