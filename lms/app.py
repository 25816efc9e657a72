"""The app factory: settings, core, then every feature room (应用工厂)."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from flask import Flask, has_request_context, request

from lms.config import Settings, get_settings, kept_secret
from lms.core.auth import init_auth
from lms.core.db import init_db
from lms.core.i18n import init_i18n
from lms.core.menu import init_menu
from lms.core.web import init_web

FEATURES = ("core", "notices", "roster", "register", "courses", "usage", "labs", "activities", "teaching", "region", "programmes")


class Zhike(Flask):
    """Flask that remembers the addresses every page repeats: those of static files and of pages without parameters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._addresses: dict[tuple[str, str, str], str] = {}

    def url_for(self, /, endpoint: str, **values: Any) -> str:
        """As Flask's own."""
        kept = (not values and not endpoint.startswith(".")) or (endpoint == "static" and list(values) == ["filename"])
        if not kept or not has_request_context():
            return super().url_for(endpoint, **values)
        key = (request.script_root, endpoint, values.get("filename", ""))
        found = self._addresses.get(key)
        if found is None:
            found = self._addresses[key] = super().url_for(endpoint, **values)
        return found


def load_models() -> None:
    """Make every table known."""
    for feature in FEATURES:
        import_module(f"lms.{feature}.models")


@lru_cache(maxsize=1)
def shared_app(settings: Settings) -> Flask:
    """The app of this process and of those forked from it; made once."""
    return create_app(settings)


def create_app(settings: Settings | None = None, *, testing: bool = False) -> Flask:
    """Make the Flask app. Every feature folder gives ``models`` and, where it speaks, a blueprint ``views.bp``.

    Raises at once if a feature is broken; nothing is skipped silently.
    """
    settings = settings or get_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    app = Zhike("lms", template_folder="templates", static_folder="static")
    app.testing = testing
    app.config["ZHIKE"] = settings
    app.config["SECRET_KEY"] = settings.secret_key or kept_secret(settings.data_dir / "keys" / "session")
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_mb * 1024 * 1024
    load_models()
    init_db(app)
    init_i18n(app)
    init_auth(app)
    init_web(app)
    init_menu(app)
    for feature in FEATURES:
        app.register_blueprint(import_module(f"lms.{feature}.views").bp)
    app.register_blueprint(import_module("lms.first_run").bp)
    return app
