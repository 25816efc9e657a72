"""Publications in the calendar (公示): their last day, for the office and for everyone below it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from flask_babel import gettext as _
from sqlalchemy import select

from lms.core.db import db
from lms.core.models import Account, Organisation
from lms.programmes.calendar.rules import Deadline
from lms.programmes.calendar.service import source
from lms.programmes.selection.models import Panel, Publication
from lms.programmes.service import applications_of


@source
def publications(account: Account) -> Iterator[Deadline]:
    """The last day of each publication of one's own office or of one above."""
    own = db.session.get_one(Organisation, account.organisation_id)
    ids = [uuid.UUID(one) for one in own.path.split("/") if one]
    mine = {str(one.id) for one in applications_of(own.id)}
    query = select(Publication, Panel.slug).join(Panel, Panel.id == Publication.panel_id)
    for row, slug in db.session.execute(query.where(Publication.school_id.in_(ids))):
        title = _("公示最后一天：%(title)s", title=row.title)
        listed = row.school_id == own.id or mine & {one["application"] for one in row.rows}
        yield Deadline(f"public/{row.id}", row.ends_on, "public", title, slug, tell=(1,) if listed else ())
