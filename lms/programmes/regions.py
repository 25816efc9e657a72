"""Whom a notice is for by place (适用地区): division codes (GB/T 2260) or names of offices; pure.

An organisation whose place nobody has told, by an office's code or by the name of its province, is not shut out: it sees the notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PROVINCES = {
    "北京": "11", "天津": "12", "河北": "13", "山西": "14", "内蒙古": "15", "辽宁": "21", "吉林": "22", "黑龙江": "23", "上海": "31", "江苏": "32",
    "浙江": "33", "安徽": "34", "福建": "35", "江西": "36", "山东": "37", "河南": "41", "湖北": "42", "湖南": "43", "广东": "44", "广西": "45",
    "海南": "46", "重庆": "50", "四川": "51", "贵州": "52", "云南": "53", "西藏": "54", "陕西": "61", "甘肃": "62", "青海": "63", "宁夏": "64",
    "新疆": "65", "台湾": "71", "香港": "81", "澳门": "82",
}  # fmt: skip
CODES = frozenset(PROVINCES.values())


@dataclass(frozen=True)
class Place:
    """An organisation on the way up: ``code``: division code of an office, "" where there is none."""

    level: str
    name: str
    code: str = ""


def concerns(region: Sequence[str], places: Sequence[Place]) -> bool:
    """Whether a notice for ``region`` (none: for all) concerns the organisation whose ``places`` these are, itself included.

    A code takes in what lies in it and the offices above it; a name takes in the office and what stands below it.
    """
    if not region or any(one.name in region for one in places):
        return True
    codes = list(_codes(places))
    wanted = [one for one in region if one.isdigit()]
    if not codes:
        return bool(wanted)
    return any(code.startswith(one) or one.startswith(code) for one in wanted for code in [max(codes, key=len)])


def _codes(places: Sequence[Place]) -> Iterator[str]:
    for one in places:
        if one.level == "school":
            continue  # its code is no division's
        if one.level == "province" and (known := next((name for name in PROVINCES if one.name.startswith(name)), "")):
            yield PROVINCES[known]
        if one.code.isdigit() and one.code[:2] in CODES:
            yield _short(one.code)


def _short(code: str) -> str:
    """430000 → 43, 430600 → 4306."""
    code = code[:6]
    return code[:2] if code[2:] in ("", "0000") else code[:4] if code[4:] in ("", "00") else code


def region_problems(region: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Place and cause of each entry that names no region."""
    for number, one in enumerate(region):
        if one.isdigit() and (len(one) not in (2, 4, 6) or one[:2] not in CODES):
            yield number, f"“{one}”不是行政区划代码：写 2、4 或 6 位，如 43（湖南省）、4306（岳阳市）"
        elif one.isdigit() and len(one) > 2 and one.endswith("00"):
            yield number, f"“{one}”末尾的 00 请去掉：{_short(one)}"
