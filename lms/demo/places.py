"""The made-up province of the demo (示范省): its offices, schools, and how far each application has come; data only.

Five areas below two cities; one school directly under a city, one directly under the province. Nothing here exists.
"""

from __future__ import annotations

from dataclasses import dataclass

NATION, PROVINCE = "全国", "示范省"
DEMO_COUNTY = "示范区"
CITIES: dict[str, tuple[str, ...]] = {"甲州市": (DEMO_COUNTY, "东山县", "西河区"), "乙州市": ("南湾区", "北原县")}
ABOVE_DEMO = (("province", PROVINCE), ("city", "甲州市"), ("county", DEMO_COUNTY))
USERNAMES = {
    NATION: "nation", PROVINCE: "province", "甲州市": "city1", "乙州市": "city2",
    DEMO_COUNTY: "county1", "东山县": "county2", "西河区": "county3", "南湾区": "county4", "北原县": "county5",
}  # fmt: skip

# name, type, locality by the office that is directly above.
SCHOOLS: dict[str, tuple[tuple[str, str, str], ...]] = {
    DEMO_COUNTY: (
        ("示范区第一小学", "小学", "城区"),
        ("示范区第二小学", "小学", "城区"),
        ("示范区第三小学", "小学", "镇区"),
        ("示范区初级中学", "初级中学", "城区"),
        ("示范区九年一贯制学校", "九年一贯制", "镇区"),
    ),
    "东山县": (
        ("东山县第一小学", "小学", "镇区"),
        ("东山县第二小学", "小学", "镇区"),
        ("东山县石桥小学", "小学", "乡村"),
        ("东山县第一初级中学", "初级中学", "镇区"),
        ("东山县松林九年一贯制学校", "九年一贯制", "乡村"),
        ("东山县完全中学", "完全中学", "镇区"),
        ("东山县竹溪小学", "小学", "乡村"),
    ),
    "西河区": (
        ("西河区实验小学", "小学", "城区"),
        ("西河区第二小学", "小学", "城区"),
        ("西河区第三小学", "小学", "城区"),
        ("西河区第四小学", "小学", "镇区"),
        ("西河区第一中学", "完全中学", "城区"),
        ("西河区第二初级中学", "初级中学", "城区"),
        ("西河区滨河九年一贯制学校", "九年一贯制", "城区"),
        ("西河区柳湾小学", "小学", "乡村"),
    ),
    "南湾区": (
        ("南湾区实验小学", "小学", "城区"),
        ("南湾区第二小学", "小学", "城区"),
        ("南湾区港口小学", "小学", "镇区"),
        ("南湾区第一初级中学", "初级中学", "城区"),
        ("南湾区第二初级中学", "初级中学", "镇区"),
        ("南湾区高级中学", "高级中学", "城区"),
        ("南湾区海石九年一贯制学校", "九年一贯制", "镇区"),
        ("南湾区完全中学", "完全中学", "城区"),
        ("南湾区盐田小学", "小学", "乡村"),
    ),
    "北原县": (
        ("北原县第一小学", "小学", "镇区"),
        ("北原县草甸小学", "小学", "乡村"),
        ("北原县初级中学", "初级中学", "镇区"),
        ("北原县高坡九年一贯制学校", "九年一贯制", "乡村"),
        ("北原县完全中学", "完全中学", "镇区"),
    ),
    "乙州市": (("乙州市实验学校", "九年一贯制", "城区"),),
    PROVINCE: (("示范省实验中学", "完全中学", "城区"),),
}

APPLYING_AREA = DEMO_COUNTY
PLAQUE_SCHOOL = "南湾区实验小学"
LATE_SCHOOL = "西河区实验小学"


@dataclass(frozen=True)
class Case:
    """An application: whose, under which notice, and its steps, the first ``days`` before today, the others spread until yesterday.

    A step is ``submit``, ``up`` (the office that holds it recommends or grants), ``return``, ``refuse``, ``withdraw``, ``appeal``, ``plaque``
    (its plaque is entered), ``warn`` (an order to put right), or ``to:<status>`` along the notice's ladder, by its province. Without a step it is a draft.
    """

    who: str
    slug: str
    kind: str
    days: int
    steps: str = ""


NCET, HUNAN, HENAN, SMART = "ncet-pilot", "hunan-baixiao", "henan-experiment", "smart-training"
CASES: tuple[Case, ...] = (
    # 央馆试点区：五个名额，省里已推荐四个，第五个（示范区）正在申报
    Case("东山县", NCET, "area", 41, "submit up up up"),
    Case("西河区", NCET, "area", 39, "submit up up up"),
    Case("南湾区", NCET, "area", 33, "submit up up"),
    Case("北原县", NCET, "area", 30, "submit up up"),
    Case(APPLYING_AREA, NCET, "area", 12, "submit up"),
    Case("西河区实验小学", NCET, "school", 40, "submit up up up up"),
    Case("西河区第二小学", NCET, "school", 40, "submit up up up up"),
    Case("西河区第一中学", NCET, "school", 38, "submit up up up up warn"),
    Case("西河区第二初级中学", NCET, "school", 36, "submit up up up"),
    Case("东山县第一小学", NCET, "school", 37, "submit up up up"),
    Case("东山县第一初级中学", NCET, "school", 35, "submit up up return"),
    Case("南湾区港口小学", NCET, "school", 28, "submit up up"),
    Case("北原县初级中学", NCET, "school", 24, "submit up"),
    Case("示范区第一小学", NCET, "school", 20, "submit up up"),
    Case("示范区第二小学", NCET, "school", 18, "submit up"),
    Case("示范区第三小学", NCET, "school", 9, "submit"),
    Case("示范区初级中学", NCET, "school", 8, "submit return"),
    Case("示范区九年一贯制学校", NCET, "school", 6),
    # 百校千课：一所已挂牌，一所实施推进中，一所限期整改
    Case(PLAQUE_SCHOOL, HUNAN, "school", 45, "submit up up up plaque"),
    Case("示范省实验中学", HUNAN, "school", 44, "submit up to:running"),
    Case("乙州市实验学校", HUNAN, "school", 43, "submit up up warn"),
    Case("南湾区第一初级中学", HUNAN, "school", 29, "submit up up"),
    Case("南湾区海石九年一贯制学校", HUNAN, "school", 22, "submit up refuse appeal"),
    Case("东山县第二小学", HUNAN, "school", 21, "submit refuse"),
    Case("东山县完全中学", HUNAN, "school", 15, "submit up withdraw"),
    Case("西河区第三小学", HUNAN, "school", 10, "submit"),
    Case("北原县完全中学", HUNAN, "school", 5),
    # 实验区、实验校
    Case("北原县", HENAN, "area", 42, "submit up up to:model"),
    Case("乙州市", HENAN, "area", 16, "submit"),
    Case("南湾区高级中学", HENAN, "school", 42, "submit up up up warn"),
    Case("南湾区第二初级中学", HENAN, "school", 34, "submit up up up"),
    Case("北原县第一小学", HENAN, "school", 32, "submit up up up"),
    Case("北原县高坡九年一贯制学校", HENAN, "school", 17, "submit up"),
    Case("东山县石桥小学", HENAN, "school", 13, "submit up"),
    Case("东山县松林九年一贯制学校", HENAN, "school", 7, "submit"),
    Case("西河区柳湾小学", HENAN, "school", 4),
    # 智能研修平台：县直接报省
    Case("西河区", SMART, "area", 31, "submit up up"),
    Case("东山县", SMART, "area", 14, "submit up"),
    Case("南湾区完全中学", SMART, "school", 27, "submit up up"),
    Case("西河区滨河九年一贯制学校", SMART, "school", 19, "submit up"),
    Case("北原县草甸小学", SMART, "school", 11, "submit"),
    Case("南湾区第二小学", SMART, "school", 3),
)
"""``up`` of the last station grants. Schools and offices are named as in SCHOOLS and CITIES."""

# Weeks in which each of four classes (two grades of two) had its lesson; the present week is the tenth. Empty: one lesson short of the
# fortnightly rule, whatever the day.
TAUGHT: dict[str, tuple[tuple[int, ...], ...]] = {
    LATE_SCHOOL: (),
    "西河区第二小学": ((1, 3, 5, 7, 9), (2, 4, 6, 8, 9), (1, 4, 5, 7, 9), (2, 3, 6, 8, 9)),
    PLAQUE_SCHOOL: ((1, 3, 5, 7, 9), (1, 3, 5, 7, 9), (2, 4, 6, 8, 9), (2, 4, 6, 7, 9)),
    "示范区第一小学": ((1, 3, 5, 7, 9), (2, 3, 6, 8, 9), (1, 4, 6, 8, 9), (2, 4, 5, 7, 9)),
    "东山县第一初级中学": ((1, 3, 5), (2, 4), (1, 5, 7), (3,)),
}
