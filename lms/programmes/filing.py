"""What is filed is kept (报送底稿): the moment an application is handed in, everything that its documents take from elsewhere."""

from __future__ import annotations

from lms.core.db import db, new_id
from lms.core.models import Organisation
from lms.programmes import papers, selfcheck
from lms.programmes.models import Application, Filing
from lms.programmes.notices import pack_of
from lms.programmes.service import parts_of, recommended


def keep(found: Application, step: int) -> Filing:
    """Keep what the application is handed in with, while it still stands as it does now; in the open write."""
    pack = pack_of(found)
    forms = [pack.form(one["form"]) for one in pack.documents_of(found.kind)]
    parts = {f"{form['form']}.{one['id']}": one for form in forms for one in form["parts"] if "collect" in one}
    office = db.session.get_one(Organisation, found.school_id).level != "school"
    kinds = {one["id"]: one.get("within") == found.kind for one in pack.document["kinds"] if office}
    below = {
        name: papers.below(found, name) if within else recommended(found, name) for name, within in kinds.items()
    }
    made = Filing(
        id=new_id(),
        school_id=found.school_id,
        application_id=found.id,
        step=step,
        editions={key: row.edition for key, row in parts_of(found).items()},
        collected={key: papers.collect(found, pack, part) for key, part in parts.items()},
        below={name: [str(one.id) for one in rows] for name, rows in below.items()},
        checks=[
            {
                "id": one.criterion["id"],
                "state": one.outcome.state,
                "figure": one.outcome.figure,
                "source": one.outcome.source,
            }
            for one in selfcheck.check(found)
        ],
        codes=papers.codes_of(found),
    )
    db.session.add(made)
    return made
