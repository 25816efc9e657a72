"""Data that comes with the product: course packages (随产品发布的数据)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def bundled(name: str) -> Path:
    """Folder ``name`` (e.g. ``courses``) of the wheel, or of the checkout.

    Raises FileNotFoundError where neither has it.
    """
    inside = Path(str(files("lms"))) / "bundled" / name
    if inside.is_dir():
        return inside
    beside = Path(str(files("lms"))).parent / name
    if beside.is_dir():
        return beside
    raise FileNotFoundError(name)
