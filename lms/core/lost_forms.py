"""A form that came too late (过期的表单): the session is over, what was typed is not.

The token of a form names, signed, the account that it was made for. A late form of a known account is shown again with its texts: sign in (in
another tab), go on, send it with a fresh token. Only the account that opened the form may; forms with secrets are not shown.
"""

from __future__ import annotations

import re
import secrets
import uuid

from flask import current_app, render_template, request, session
from flask_login import current_user
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from lms.core.auth import signed_in
from lms.core.models import Account

FIELD = "csrf_token"
KEPT_S = 7 * 86400
LONGEST = 500_000
MOST_FIELDS = 1000
LONG = 40
SECRETS = re.compile(r"pass|pin$|secret|token|again|^old$|^code$", re.IGNORECASE)


def mark(account: Account) -> None:
    """Have the tokens of this session's forms name the account; flask_wtf signs what stands here."""
    session[FIELD] = f"{account.id.hex}.{secrets.token_hex(20)}"


def rescued() -> Response | None:
    """The page that shows a late form again; None where it must not, or where nothing was typed."""
    form = request.form
    if request.method != "POST" or request.accept_mimetypes.best == "application/json":
        return None
    author = _author(form.get(FIELD, ""))
    fields = [(name, text) for name, text in form.items(multi=True) if name != FIELD]
    if author is None or not any(text.strip() for _name, text in fields) or any(SECRETS.search(name) for name, _text in fields):
        return None
    if len(fields) > MOST_FIELDS or sum(len(text) for _name, text in fields) > LONGEST:
        return None
    here = current_user.id if current_user.is_authenticated else None
    page = render_template(
        "core/lost_form.html",
        fields=fields,
        long=LONG,
        author=author,
        is_author=here == author.id,
        is_somebody=here is not None,
        stale=form[FIELD],
        target=request.full_path.rstrip("?"),
        multipart=request.mimetype == "multipart/form-data",
        files=[one.filename for one in request.files.values() if one.filename],
    )
    return Response(page, 400, mimetype="text/html")


def _author(token: str) -> Account | None:
    """Whom the form was made for; None for a token that is not ours, older than a week, or of nobody."""
    signer = URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt="wtf-csrf-token")  # as flask_wtf signs it
    try:
        account = signed_in(uuid.UUID(hex=str(signer.loads(token, max_age=KEPT_S)).partition(".")[0]))
    except (BadData, ValueError):
        return None
    return account if account is not None and account.active else None
