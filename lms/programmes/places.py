"""Places that offices are named after (地名): what a file name, a summary table and a local date go by; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OFFICE = re.compile(
    r"(?:人民政府)?(?:现代教育|电化教育|教育|电教|教体|教科|教研|教师|文教|科教).{0,16}?"
    r"(?:局|厅|委|委员会|馆|中心|院|研究所|室|站|科|处|股)$"
)


def place_named(office: str, above: Sequence[str] = ()) -> str:
    """丁县 of 丁县教育局 and of 甲省乙市丁县教育体育局 under ``above`` = 甲省, 乙市; a name without an office in it is a place."""
    found = _OFFICE.search(office)
    name = office[: found.start()] if found and found.start() else office
    for one in above:
        name = name.removeprefix(one) or name
    return name


def same_place(named: str, office: str, code: str = "") -> bool:
    """Whether a notice that names a place, its office or its code means this office: 岳阳市, 岳阳 and 岳阳市教育局 are one, 岳阳县 is another."""
    if code and named == code:
        return True
    wanted, own = place_named(named), place_named(office)
    return wanted == own or own in (f"{wanted}{kind}" for kind in "省市州县区")
