"""A long list page by page (分页); pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

SIZE = 100
T = TypeVar("T")


@dataclass(frozen=True)
class Sheaf(Generic[T]):
    """One page of a list: its ``rows``, its number from 1, how many ``pages`` and rows in ``all``."""

    rows: list[T]
    page: int
    pages: int
    all: int

    @classmethod
    def of(cls, rows: Sequence[T], page: int, size: int = SIZE) -> Sheaf[T]:
        """The page ``page`` of the rows; the nearest there is."""
        pages = max(1, -(-len(rows) // size))
        page = min(max(1, page), pages)
        return cls(list(rows[(page - 1) * size : page * size]), page, pages, len(rows))
