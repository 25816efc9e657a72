"""Reasons in the reader's language (说理由)."""

from __future__ import annotations

from flask_babel import gettext as _

from lms.usage.reasons import Reason


def say(why: Reason) -> str:
    """The sentence with its facts, words among them translated too."""
    facts = {name: _(value) if isinstance(value, str) and value else value for name, value in why.facts}
    return str(_(why.template, **facts))
