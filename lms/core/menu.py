"""The staff menu: each room offers its entries, the base page shows what the person may see (菜单)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, request, url_for
from flask.sansio.app import App
from flask_login import current_user

from lms.core.auth import may


@dataclass(frozen=True)
class Entry:
    """One menu entry: endpoint, lazy label, Tabler icon, roles that see it, order from left."""

    endpoint: str
    label: Any
    icon: str
    roles: tuple[str, ...]
    order: int


def offer(app: App, *entries: Entry) -> None:
    """Add entries; call it in a blueprint's ``record_once``."""
    app.extensions.setdefault("zhike_menu", []).extend(entries)


def menu() -> list[dict[str, Any]]:
    """Entries of the signed-in person, with ``url``, ``label``, ``icon``, ``active``."""
    if not current_user.is_authenticated:
        return []
    entries: list[Entry] = sorted(current_app.extensions.get("zhike_menu", []), key=lambda entry: entry.order)
    return [
        {
            "url": url_for(entry.endpoint),
            "label": entry.label,
            "icon": entry.icon,
            "active": (request.endpoint or "").split(".")[0] == entry.endpoint.split(".")[0],
        }
        for entry in entries
        if may(current_user, entry.roles)
    ]


def init_menu(app: Flask) -> None:
    """Make ``menu()`` and ``simulated`` known to templates."""
    app.jinja_env.filters["may"] = lambda account, *roles: may(account, roles)
    app.context_processor(lambda: {"menu": menu, "simulated": app.config["ZHIKE"].origin == "simulated"})
