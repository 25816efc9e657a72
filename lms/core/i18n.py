"""Chinese first, English second (界面语言). The source text of every string is Chinese."""

from __future__ import annotations

from functools import cache
from typing import Any

from babel import Locale
from flask import Flask, current_app, has_request_context, request
from flask_babel import Babel, Domain, get_locale
from flask_login import current_user

LOCALES = {"zh_CN": "中文", "en": "English"}
COOKIE = "zhike_locale"


def choose_locale() -> Locale:
    """The person's choice, else the cookie's, else the school's default."""
    default: str = current_app.config["ZHIKE"].default_locale
    chosen = default
    if has_request_context():
        chosen = request.cookies.get(COOKIE) or getattr(current_user, "locale", None) or default
    return _locale(chosen if chosen in LOCALES else default)


@cache
def _locale(name: str) -> Locale:
    """The parsed locale; parsing it anew would cost every request half a millisecond."""
    return Locale.parse(name)


def init_i18n(app: Flask) -> None:
    """Install Flask-Babel with the catalogues in ``lms/translations``."""
    app.config["BABEL_DEFAULT_LOCALE"] = app.config["ZHIKE"].default_locale
    app.config["BABEL_DEFAULT_TIMEZONE"] = app.config["ZHIKE"].timezone
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = "translations"
    Babel(app, locale_selector=choose_locale)
    with app.app_context():
        _keep_catalogues(app.extensions["babel"].instance.domain_instance)
    app.jinja_env.globals["get_locale"] = get_locale


def _keep_catalogues(domain: Domain) -> None:
    """Look a catalogue up by language; Flask-Babel spells the whole locale out for every string of a page."""
    load = domain.get_translations
    kept: dict[str, Any] = {}

    def get_translations() -> Any:
        locale = get_locale()
        if locale is None:
            return load()
        found = kept.get(locale.language)
        if found is None:
            found = kept[locale.language] = load()
        return found

    domain.get_translations = get_translations
