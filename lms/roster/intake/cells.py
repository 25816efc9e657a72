"""A sheet as plain rows of cells (单元格); pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Cell:
    """A cell as text; ``kind``: text | number | date | bool | formula (without a stored result) | error | empty."""

    text: str = ""
    kind: str = "empty"


EMPTY: Final = Cell()


@dataclass(frozen=True)
class Row:
    """A row with its number in the sheet (from 1)."""

    number: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Sheet:
    """A sheet that is not empty."""

    name: str
    hidden: bool
    rows: tuple[Row, ...]
