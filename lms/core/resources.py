"""Data that ships with the program: inside the wheel, or at the top of a checkout (随附数据)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def bundled(name: str) -> Path:
    """The folder ``name`` (e.g. ``courses``) that came with the program.

    In the wheel it lies in ``lms/bundled``; in a checkout it is the top folder. Raises FileNotFoundError where there is neither.
    """
    package = Path(str(files("lms")))
    for folder in (package / "bundled" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{name}: neither in the package nor beside it")
