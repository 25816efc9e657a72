"""One tree of refusals; raised early, turned into HTTP once, in ``core.web`` (错误)."""

from __future__ import annotations

from typing import Any


class ZhikeError(Exception):
    """A refusal that tells the person what is wrong and what to do.

    ``code`` is a stable reason code, ``message`` the sentence (lazy string), ``clause`` the clause it
    rests on, ``remedy`` what to do next, ``where`` the field, row or file concerned.
    """

    status = 400

    def __init__(
        self, code: str, message: Any, *, remedy: Any = "", clause: str = "", where: str = "", **facts: Any
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.clause = clause
        self.where = where
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Invalid(ZhikeError):
    """What was sent cannot be read or is out of range (输入有误)."""

    status = 422


class NotAllowed(ZhikeError):
    """The person may not do this (没有权限)."""

    status = 403


class NotFound(ZhikeError):
    """There is no such thing, or it is not the person's to see (找不到)."""

    status = 404


class Refused(ZhikeError):
    """It cannot be done now, in this state (现在不能)."""

    status = 409


class TooMany(ZhikeError):
    """Too many tries; wait or ask the teacher (次数过多)."""

    status = 429
