"""A map from an office's own GeoJSON file (底图): checked, matched with its counties, drawn as paths; pure.

RFC 7946: a FeatureCollection of polygons in longitude and latitude. Only outlines and names are taken over; nothing of it is shown as it came.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.programmes.dashboard.rules import Unit

LARGEST_MB, MOST_SHAPES, MOST_POINTS = 10, 3000, 600_000
WIDTH, HIGHEST, STEP = 1000, 1400, 2  # units of the drawing; points nearer than STEP to the last one are left out
NAMES = ("name", "NAME", "名称", "XZQMC", "fullname")
CODES = ("adcode", "code", "ADCODE", "区划代码", "XZQDM", "id")
_SUFFIX = re.compile(r"(?<=..)(特别行政区|自治[区州县旗]|地区|林区|新区|[省市区县旗盟])$")
Ring = list[tuple[float, float]]


@dataclass(frozen=True)
class Shape:
    """An outline: the unit's id ("" where none matches), the name in the file, its path, and where its label stands."""

    unit: str
    name: str
    path: str
    x: int
    y: int


@dataclass(frozen=True)
class Drawing:
    """The whole map, ``width`` × ``height`` units."""

    width: int
    height: int
    shapes: tuple[Shape, ...]

    def plain(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)


def drawing_of(document: dict[str, Any]) -> Drawing:
    """The map as it was stored."""
    shapes = tuple(Shape(**one) for one in document["shapes"])
    return Drawing(document["width"], document["height"], shapes)


def read(data: bytes, units: Sequence[Unit]) -> Drawing:
    """Check the file and draw it; raises Invalid saying what is wrong and where."""
    rows = _features(data)
    points = [point for _properties, rings in rows for ring in rings for point in ring]
    if len(points) > MOST_POINTS:
        raise _wrong(_l("地图太细：%(points)s 个点，最多 %(most)s 个。", points=len(points), most=MOST_POINTS))
    west, east = min(x for x, _y in points), max(x for x, _y in points)
    south, north = min(y for _x, y in points), max(y for _x, y in points)
    narrow = math.cos(math.radians((south + north) / 2))
    scale = min(WIDTH / max(1e-6, (east - west) * narrow), HIGHEST / max(1e-6, north - south))

    def place(point: tuple[float, float]) -> tuple[int, int]:
        return round((point[0] - west) * narrow * scale), round((north - point[1]) * scale)

    found = _matched([properties for properties, _rings in rows], units)
    shapes = []
    for (properties, rings), unit in zip(rows, found, strict=True):
        drawn = [[place(point) for point in ring] for ring in rings]
        path = "".join(_path(ring) for ring in drawn)
        largest = max(drawn, key=_extent)
        xs, ys = [x for x, _y in largest], [y for _x, y in largest]
        shapes.append(Shape(unit, _text(properties, NAMES), path, (min(xs) + max(xs)) // 2, (min(ys) + max(ys)) // 2))
    size = place((east, south))
    return Drawing(max(1, size[0]), max(1, size[1]), tuple(shapes))


def _wrong(message: Any) -> Invalid:
    return Invalid(
        "map-file",
        message,
        remedy=_l("请上传 GeoJSON（.json、.geojson），坐标为经纬度，每个区县一个面。"),
        where="file",
    )


def _features(data: bytes) -> list[tuple[dict[str, Any], list[Ring]]]:
    if not data:
        raise Invalid("file", _l("请选择文件。"), where="file")
    if len(data) > LARGEST_MB * 1_000_000:
        raise _wrong(_l("文件 %(size)s MB，超过 %(largest)s MB。", size=round(len(data) / 1e6, 1), largest=LARGEST_MB))
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _wrong(_l("这不是 GeoJSON 文件。")) from error
    rows = (
        document.get("features") if isinstance(document, dict) and document.get("type") == "FeatureCollection" else None
    )
    if not isinstance(rows, list) or not rows:
        raise _wrong(_l("文件里没有 FeatureCollection。"))
    if len(rows) > MOST_SHAPES:
        raise _wrong(_l("有 %(count)s 个图形，最多 %(most)s 个。", count=len(rows), most=MOST_SHAPES))
    found = []
    for number, row in enumerate(rows, 1):
        properties = row.get("properties") if isinstance(row, dict) else None
        rings = list(_rings(row.get("geometry") if isinstance(row, dict) else None, number))
        found.append((properties if isinstance(properties, dict) else {}, rings))
    return found


def _rings(geometry: Any, number: int) -> Iterator[Ring]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise _wrong(_l("第 %(number)s 个图形不是面（Polygon、MultiPolygon）。", number=number))
    try:
        polygons = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
        rings = [[(float(point[0]), float(point[1])) for point in ring] for polygon in polygons for ring in polygon]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _wrong(_l("第 %(number)s 个图形的坐标读不懂。", number=number)) from error
    for ring in rings:
        if len(ring) < 3 or not all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in ring):
            raise _wrong(_l("第 %(number)s 个图形的坐标不是经纬度。", number=number))
    if not rings:
        raise _wrong(_l("第 %(number)s 个图形没有坐标。", number=number))
    yield from rings


def _text(properties: dict[str, Any], keys: Sequence[str]) -> str:
    return next((str(properties[key]).strip()[:40] for key in keys if properties.get(key) not in (None, "")), "")


def short(name: str) -> str:
    """A place's name without 市、区、县 …, which maps and offices write differently."""
    return _SUFFIX.sub("", name)


def _matched(rows: Sequence[dict[str, Any]], units: Sequence[Unit]) -> list[str]:
    """Unit id of each feature: by division code, by full name, then by short name where that is told apart on both sides."""
    codes = {one.code: one.id for one in units if one.code}
    found = [codes.get(_text(row, CODES), "") for row in rows]
    for naming in (str, short):
        names = [naming(_text(row, NAMES)) for row in rows]
        there, here = Counter(name for name, unit in zip(names, found, strict=True) if not unit), Counter[str]()
        free = [one for one in units if one.id not in found]
        here.update(naming(one.name) for one in free)
        known = {naming(one.name): one.id for one in free}
        found = [
            unit or (known.get(name, "") if name and there[name] == 1 and here[name] == 1 else "")
            for name, unit in zip(names, found, strict=True)
        ]
    return found


def _extent(ring: Sequence[tuple[int, int]]) -> int:
    xs, ys = [x for x, _y in ring], [y for _x, y in ring]
    return (max(xs) - min(xs)) * (max(ys) - min(ys))


def _path(ring: Sequence[tuple[int, int]]) -> str:
    kept = [ring[0]]
    for point in ring[1:]:
        if abs(point[0] - kept[-1][0]) + abs(point[1] - kept[-1][1]) >= STEP:
            kept.append(point)
    return "M" + "L".join(f"{x} {y}" for x, y in kept) + "Z"
