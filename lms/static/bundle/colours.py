"""Colours for browsers that know neither ``light-dark()`` nor ``color-mix()`` nor ``oklch()``: ``colours.py in.css house.css out.css``.

Chromium 109, the last one for Windows 7, is the oldest browser that is supported; it drops such values, and with them borders and
backgrounds. Every such value is worked out here (light theme; tokens of ``:root``, the house's own last); newer browsers take the
original from a rule of its own right behind, below ``@supports``. (Two values in one rule would not do: what holds a ``var()`` is not
dropped when it is read, but when it is used, and then nothing is left.)
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path

NEW = re.compile(r"light-dark\(|color-mix\(|oklch\(")
COMMENT = re.compile(r"/\*(?!!).*?\*/", re.DOTALL)
DRAWN = re.compile(r"oklch%28([0-9.]+)%25 ([0-9.]+) ([0-9.]+)deg%29")  # in the address of a drawing
HEAD = re.compile(r"""(?:@charset "[^"]+";)?\s*(?:/\*!.*?\*/)?\s*""", re.DOTALL)
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
NEWER = "@supports (color:light-dark(red,red)) and (color:oklch(from red l c h))"
Colour = tuple[float, float, float, float]  # oklab lightness, a, b; alpha
TRANSPARENT: Colour = (0.0, 0.0, 0.0, 0.0)
NAMED = {"transparent": TRANSPARENT}


def declarations(block: str) -> list[tuple[str, str]]:
    """Name and value of each declaration of a block; semicolons within brackets belong to the value."""
    found, depth, start = [], 0, 0
    for index, sign in enumerate(f"{block};"):
        depth += (sign == "(") - (sign == ")")
        if sign == ";" and depth == 0:
            name, colon, value = block[start:index].partition(":")
            if colon:
                found.append((name.strip(), value.strip()))
            start = index + 1
    return found


def arguments(text: str) -> list[str]:
    """What stands between the commas of the outermost level."""
    parts, depth, start = [], 0, 0
    for index, sign in enumerate(f"{text},"):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return parts


def call(text: str) -> tuple[str, str] | None:
    """Name and inside of a value that is one call."""
    match = re.fullmatch(r"([a-z-]+)\((.*)\)", text, re.DOTALL)
    return (match[1], match[2]) if match and len(arguments(match[2])) >= 1 and _closed(match[2]) else None


def _closed(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return False
    return depth == 0


def from_rgb(red: float, green: float, blue: float, alpha: float = 1.0) -> Colour:
    """sRGB (0–1) to oklab (Björn Ottosson's matrices)."""
    r, g, b = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in (red, green, blue))
    l, m, s = (  # noqa: E741 (the names of the paper)
        math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b),
        math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b),
        math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b),
    )
    return (
        0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
        1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
        0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s,
        alpha,
    )


def to_css(colour: Colour) -> str:
    """oklab to ``rgb()``, clipped to what a screen shows."""
    lightness, a, b, alpha = colour
    l, m, s = (  # noqa: E741
        (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3,
        (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3,
        (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3,
    )
    linear = (
        4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
        -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
        -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
    )
    shown = (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055 for value in (max(0.0, one) for one in linear))
    red, green, blue = (round(255 * min(1.0, value)) for value in shown)
    return f"rgb({red},{green},{blue})" if alpha >= 1 else f"rgba({red},{green},{blue},{alpha:.3g})"


class Tokens:
    """Custom properties that are known where a value stands."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)

    def text(self, value: str, depth: int = 0) -> str:
        """The value with ``var()`` replaced by what it stands for, as far as it is known."""
        call_of = call(value)
        if depth < 12 and call_of and call_of[0] == "var":
            name, *rest = arguments(call_of[1])
            known = self.values.get(name, rest[0] if rest else "")
            return self.text(known, depth + 1) if known else value
        return value

    def share(self, text: str, otherwise: float) -> float:
        """A percentage as 0–1; ``calc(var(--x,1) * 100%)`` by what is known of x, else whole."""
        if not text:
            return otherwise
        if text.endswith("%"):
            return float(text[:-1]) / 100
        factor = re.search(r"var\([^()]*(?:\([^()]*\))?[^()]*\)", text)
        number = self.text(factor[0]) if factor else "1"
        return float(number) if re.fullmatch(r"[0-9.]+", number) else 1.0

    def colour(self, value: str) -> Colour | None:
        """What a colour is, or None where it cannot be known here."""
        value = self.text(value.strip())
        if value in NAMED:
            return NAMED[value]
        if re.fullmatch(r"#[0-9a-fA-F]{3,8}", value):
            digits = value[1:] if len(value) > 5 else "".join(2 * sign for sign in value[1:])
            parts = [int(digits[at : at + 2], 16) / 255 for at in range(0, len(digits), 2)]
            return from_rgb(parts[0], parts[1], parts[2], parts[3] if len(parts) > 3 else 1.0)
        call_of = call(value)
        if call_of is None:
            return {"white": from_rgb(1, 1, 1), "black": from_rgb(0, 0, 0)}.get(value)
        name, inside = call_of
        if name == "light-dark":
            return self.colour(arguments(inside)[0])
        if name == "color-mix":
            return self.mixed(inside)
        if name == "oklch":
            return self.oklch(inside)
        if name in ("rgb", "rgba"):
            numbers = re.findall(r"[0-9.]+", self.text(inside) if inside.startswith("var") else inside)
            if "var" not in inside and len(numbers) in (3, 4):
                red, green, blue = (float(one) / 255 for one in numbers[:3])
                return from_rgb(red, green, blue, float(numbers[3]) if len(numbers) > 3 else 1.0)
        return None

    def oklch(self, inside: str) -> Colour | None:
        """``oklch(L% C Hdeg)`` and ``oklch(from X calc(l ± n) c h)``."""
        relative = re.fullmatch(r"from (.+) calc\(l ([+-]) ([0-9.]+)\) c h", inside)
        if relative:
            base = self.colour(relative[1])
            change = float(relative[2] + relative[3])
            return base and (min(1.0, max(0.0, base[0] + change)), *base[1:])
        numbers = re.fullmatch(r"([0-9.]+)% ([0-9.]+) ([0-9.]+)deg(?: ?/ ?([0-9.]+)(%?))?", inside)
        if numbers is None:
            return None
        lightness, chroma, hue = float(numbers[1]) / 100, float(numbers[2]), math.radians(float(numbers[3]))
        alpha = float(numbers[4]) / (100 if numbers[5] else 1) if numbers[4] else 1.0
        return (lightness, chroma * math.cos(hue), chroma * math.sin(hue), alpha)

    def mixed(self, inside: str) -> Colour | None:
        """``in SPACE, A p%, B q%`` in oklab with premultiplied alpha."""
        (one, first), (other, second) = (self.part(text) for text in arguments(inside)[1:3])
        a, b = self.colour(one), self.colour(other)
        share = self.share(first, 1 - self.share(second, 0.5))
        if a is None or b is None:
            return a if share >= 0.5 else b
        alpha = a[3] * share + b[3] * (1 - share)
        if alpha == 0:
            return TRANSPARENT
        lab = [(x * a[3] * share + y * b[3] * (1 - share)) / alpha for x, y in zip(a[:3], b[:3], strict=True)]
        return (lab[0], lab[1], lab[2], alpha)

    @staticmethod
    def part(text: str) -> tuple[str, str]:
        """A colour and its percentage."""
        match = re.fullmatch(r"(.+?)\s+([0-9.]+%|calc\(.*\))", text)
        return (match[1], match[2]) if match else (text, "")

    def lowered(self, value: str) -> str:
        """The value with every new call worked out; one that cannot be becomes its first ``var()``, else ``transparent``."""
        while match := NEW.search(value):
            end, depth = match.end(), 1
            while depth:
                depth += (value[end] == "(") - (value[end] == ")")
                end += 1
            text = value[match.start() : end]
            value = value[: match.start()] + self.known(text) + value[end:]
        return value

    def known(self, text: str) -> str:
        """One call worked out."""
        colour = self.colour(text)
        if colour is not None:
            return to_css(colour)
        inside = call(text)
        if inside and inside[0] == "light-dark":
            return arguments(inside[1])[0]
        if inside and inside[0] == "color-mix":
            parts = [self.part(part) for part in arguments(inside[1])[1:3]]
            share = self.share(parts[0][1], 0.5)
            return parts[0][0] if share >= 0.5 else parts[1][0]
        source = re.search(r"from (var\([\w-]+\))", text)
        return source[1] if source else "transparent"


def root_tokens(*sheets: str) -> dict[str, str]:
    """Custom properties of every ``:root`` rule, later ones last; the dark theme's left out."""
    found: dict[str, str] = {}
    for selector, block in (rule for sheet in sheets for rule in RULE.findall(sheet)):
        if any(re.fullmatch(r":root|:host|\[data-bs-theme=light\]", one.strip()) for one in selector.split(",")):
            found |= {name: value for name, value in declarations(block) if name.startswith("--")}
    return found


def drawn(match: re.Match[str]) -> str:
    """A stroke's colour as every browser knows it; the same for all."""
    colour = Tokens({}).oklch(f"{match[1]}% {match[2]} {match[3]}deg")
    assert colour
    return to_css(colour).replace("(", "%28").replace(")", "%29")


def rewrite(sheet: str, house: str) -> str:
    """The sheet with a value for old browsers before every new one."""
    head = HEAD.match(sheet)
    assert head
    sheet = DRAWN.sub(drawn, COMMENT.sub("", sheet[head.end() :]))
    root = root_tokens(sheet, COMMENT.sub("", house))
    frames = [(match.start(), match.end()) for match in re.finditer(r"@(?:-webkit-)?keyframes[^{]+\{(?:[^{}]*\{[^{}]*\})*\}", sheet)]

    def one(match: re.Match[str]) -> str:
        selector, block = match[1], match[2]
        if not NEW.search(block):
            return match[0]
        pairs = declarations(block)
        tokens = Tokens({**root, **{name: value for name, value in pairs if name.startswith("--")}})
        if selector.strip().startswith(":root"):
            tokens = Tokens({**dict(pairs), **root})
        old, new = [], []
        for name, value in pairs:
            if not NEW.search(value):
                old.append(f"{name}:{value}")
            else:
                old.append(f"{name}:{tokens.lowered(value)}")
                new.append(f"{name}:{value}")
        in_frames = any(start <= match.start() < end for start, end in frames)
        newer = f"{NEWER}{{{selector}{{{';'.join(new)}}}}}" if new and not in_frames else ""
        return f"{selector}{{{';'.join(old)}}}{newer}"

    return head[0] + RULE.sub(one, sheet)


if __name__ == "__main__":
    given, own, out = map(Path, sys.argv[1:4])
    draft = out.with_suffix(".new")
    draft.write_text(rewrite(given.read_text("utf-8"), own.read_text("utf-8")), "utf-8")
    draft.replace(out)
