"""Compliance rules (规则包): one folder a rule with ``rule.yaml`` (data), ``rule.py`` (``TITLE``, ``Parameters``, ``judge``) and ``cases.yaml``.

A folder that cannot be read stops the process with its name; nothing is skipped.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module, resources

from lms.core.errors import NotFound
from lms.usage.judging.facts import Facts
from lms.usage.judging.packs import Policy, read_pack
from lms.usage.judging.verdicts import SchoolResult

__all__ = ["Policy", "evaluate", "policy", "read_policy", "rules"]


def rules(counts: str | None = None) -> tuple[Policy, ...]:
    """Every installed rule, by name; ``counts`` = ``lessons`` for those that judge classes by 1次 (B2, B2b)."""
    found = sorted(_policies().values(), key=lambda policy: policy.name)
    return tuple(one for one in found if counts in (None, one.counts))


def policy(name: str, counts: str | None = None) -> Policy:
    """The rule ``name`` (hyphens or underscores), one of :func:`rules`; raises NotFound (``rule``) with the names that exist."""
    known = {one.name: one for one in rules(counts)}
    found = known.get(name.replace("_", "-"))
    if found is None:
        raise NotFound("rule", f"没有规则 {name}", remedy="可用规则：" + "、".join(known), where=name)
    return found


@lru_cache(maxsize=1)
def _policies() -> dict[str, Policy]:
    found: dict[str, Policy] = {}
    for folder in sorted(resources.files("lms.usage.policies").iterdir(), key=lambda entry: entry.name):
        if not folder.is_dir() or folder.name.startswith("_"):
            continue
        one = read_policy(folder.name, folder.joinpath("rule.yaml").read_text("utf-8"))
        if one.name.replace("-", "_") != folder.name:
            raise ValueError(
                f"lms/usage/policies/{folder.name}/rule.yaml: rule {one.name} belongs in the folder of its name"
            )
        found[one.name] = one
    return found


def read_policy(folder: str, text: str) -> Policy:
    """The pack of ``folder`` from its ``rule.yaml``; raises ValueError naming file and field."""
    return read_pack(f"lms/usage/policies/{folder}/rule.yaml", text, import_module(f"lms.usage.policies.{folder}.rule"))


def evaluate(facts: Facts, rule: Policy) -> SchoolResult:
    """Judge the school of ``facts`` under ``rule``: pure, the same for records, plans, files and pages."""
    return rule.judge(facts, rule)
