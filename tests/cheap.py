"""What every test would pay for anew, made cheap; each test still has an app and a database of its own."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import CodeType
from typing import Any

from argon2 import PasswordHasher
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import event
from werkzeug.routing import Rule

from lms.app import Zhike
from lms.core import auth
from lms.core.db import db
from lms.courses import package
from lms.courses.yaml_lines import Lines, load

HASHERS = {"password": auth._passwords, "pin": auth._pins}  # as a school has them


class CompiledTemplates(BytecodeCache):
    """Compiled templates, handed from the app of one test to that of the next."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """As Jinja asks: ``bucket.code`` stays None where nothing is kept."""
        bucket.code = self.kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """As Jinja asks."""
        self.kept[bucket.key, bucket.checksum] = bucket.code


def make_cheap() -> None:
    """A hash of a password takes microseconds; templates, addresses and courses are compiled or read once a process."""
    auth._passwords = auth._pins = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    Zhike.jinja_options = {"bytecode_cache": CompiledTemplates()}
    compile_builder = Rule._compile_builder
    kept: dict[tuple[Any, ...], Callable[..., tuple[str, str]]] = {}

    def compiled_once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (*rule._trace, append_unknown, repr(rule.defaults), *map(type, rule._converters.values()))
        if key not in kept:
            kept[key] = compile_builder(rule, append_unknown)
        return kept[key]

    Rule._compile_builder = compiled_once  # type: ignore[method-assign]
    read: dict[str, bytes] = {}

    def read_once(text: str) -> tuple[Any, Lines]:
        if text not in read:
            read[text] = pickle.dumps(load(text))
        found: tuple[Any, Lines] = pickle.loads(read[text])
        return found

    package.load = read_once


def without_fsync() -> None:
    """No test cuts the power: SQLite need not wait for the disk. Call within the app's context."""
    if db.engine.dialect.name == "sqlite":
        event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
