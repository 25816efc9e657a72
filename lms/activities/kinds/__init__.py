"""The kinds of activity, one folder each; a broken or doubled one stops start-up (活动类型)."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from lms.activities.rules import Kind
from lms.courses.package import register_kind


def _load() -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        kind: Kind = import_module(f"{__name__}.{module.name}").KIND
        if kind.name != module.name or kind.name in kinds:
            raise RuntimeError(f"{__name__}.{module.name}: KIND.name is {kind.name!r}, it must be the folder's name")
        kinds[kind.name] = kind
        register_kind(kind.name, kind.check)
    return kinds


KINDS: dict[str, Kind] = _load()
