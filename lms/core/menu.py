"""The staff menu: each room offers its entries, the base page shows what the person may see (菜单)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, request, url_for
from flask.sansio.app import App
from flask_login import current_user

from lms.core.auth import may


@dataclass(frozen=True)
class Entry:
    """One menu entry: endpoint, lazy label, Tabler icon, roles that see it, order from left; ``shown``: whether it leads anywhere now.

    ``folded``: seldom needed, so it stands under 管理 beside the rest, unless the person has nothing else.
    """

    endpoint: str
    label: Any
    icon: str
    roles: tuple[str, ...]
    order: int
    shown: Callable[[], bool] | None = None
    folded: bool = False


def offer(app: App, *entries: Entry) -> None:
    """Add entries; call it in a blueprint's ``record_once``."""
    app.extensions.setdefault("zhike_menu", []).extend(entries)


def menu() -> list[dict[str, Any]]:
    """Entries of the signed-in person, with ``endpoint``, ``url``, ``label``, ``icon``, ``active``, ``folded``."""
    if not current_user.is_authenticated:
        return []
    entries: list[Entry] = sorted(current_app.extensions.get("zhike_menu", []), key=lambda entry: entry.order)
    seen = [one for one in entries if may(current_user, one.roles) and (one.shown is None or one.shown())]
    fold = sum(one.folded for one in seen) > 1 and not all(one.folded for one in seen)
    return [
        {
            "endpoint": entry.endpoint,
            "url": url_for(entry.endpoint),
            "label": entry.label,
            "icon": entry.icon,
            "active": _is_here(entry, entries),
            "folded": entry.folded and fold,
        }
        for entry in seen
    ]


def _is_here(entry: Entry, entries: list[Entry]) -> bool:
    """Whether the page belongs to the entry: its own page, or any page of the nearest room, if that room has one entry only."""
    here = request.endpoint or ""
    if any(other.endpoint == here for other in entries):
        return entry.endpoint == here
    rooms = [other.endpoint.rpartition(".")[0] for other in entries]
    nearest = max((room for room in rooms if here.startswith(f"{room}.")), key=len, default="")
    return rooms.count(nearest) == 1 and entry.endpoint.rpartition(".")[0] == nearest


def init_menu(app: Flask) -> None:
    """Make ``menu()`` and ``simulated`` known to templates."""
    app.jinja_env.filters["may"] = lambda account, *roles: may(account, roles)
    app.context_processor(lambda: {"menu": menu, "simulated": app.config["ZHIKE"].origin == "simulated"})
