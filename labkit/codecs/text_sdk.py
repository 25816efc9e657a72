"""What the codecs of text kits share: hrefs that hold the command itself, values put in, words taken out. Pure.

``text:robot battery ?`` is a command; ``{name}`` in it is a parameter of the profile, the property that is written, or one of the
two speeds of the drive, ``{name:d}`` the same as a whole number; ``#2`` at the end takes the third word of the answer.
``push:chassis attitude#2`` is a value of what the kit tells by itself.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.codecs.events import Event, Lacking, Noise, Reported
from labkit.codecs.kit_end import Acted, Heard, Phrases, Said, Wanted, Written
from labkit.codecs.scale import checked, reading
from labkit.errors import Malformed
from labkit.model import Action, Affordance, Form, Profile, Value

MAX_COMMAND = 128
_HREF = re.compile(r"(text|push):([!-\"$-:<-~]+(?: [!-\"$-:<-~]+)*)(?:#(\d))?")
_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)(:d)?\}")
_REFUSALS = ("error", "fail", "unknown", "false", "out")


@dataclass(frozen=True)
class Href:
    """A checked href: ``kind`` text or push, the words, and which word of the answer is meant (None = all)."""

    kind: str
    words: str
    word: int | None

    @classmethod
    def read(cls, href: str) -> Href:
        """Raise Malformed when it is none."""
        match = _HREF.fullmatch(href)
        if match is None or len(href) > MAX_COMMAND:
            raise Malformed(
                f"{href} 应为 text: 或 push: 加命令，不含 ;，词间一个空格",
                f"{href} should be text: or push: and words with one space between them, without ;",
            )
        return cls(match[1], match[2], int(match[3]) if match[3] else None)


class TextForms:
    """The commands of one profile."""

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        self.profile = profile
        self._parameters = parameters
        drive = profile.drive
        self._speeds: tuple[str, ...] = (drive.linear, drive.angular) if drive and drive.model == "twist" else ()

    def check(self, form: Form, own: str) -> None:
        """Raise Malformed when the href is none, or names what has no value."""
        href = Href.read(form.href)
        values: dict[str, float | str] = {own: 0}
        if own in self._speeds:
            values |= dict.fromkeys(self._speeds, 0)
        self.fill(href, values)

    def fill(self, href: Href, values: Mapping[str, float | str]) -> str:
        """The command with its values; raises Malformed where one is missing."""

        def put(match: re.Match[str]) -> str:
            value = values.get(match[1], self._parameters.get(match[1]))
            if value is None:
                raise Malformed(f"{href.words}：没有 {match[1]} 的值", f"{href.words}: no value for {match[1]}")
            if isinstance(value, str):
                return value
            return str(round(value)) if match[2] else _decimal(value)

        return _FIELD.sub(put, href.words)

    def act(self, action: Action) -> tuple[tuple[int, str], ...]:
        """An action's commands with their delays in ms."""
        return tuple((form.after_ms, self.fill(Href.read(form.href), {})) for form in action.forms)

    def write(self, affordance: Affordance, value: float | str) -> str:
        """The command that sets a property; raises Malformed when the value does not fit the property."""
        form = affordance.form("writeproperty")
        if form is None:
            raise Malformed(f"{affordance.id} 不能写", f"{affordance.id} cannot be written")
        return self.fill(Href.read(form.href), {affordance.id: _wire(affordance, form, value)})

    def drive(self, linear_x: float, angular_z: float) -> str:
        """Both speeds (m/s, rad/s, left turn positive) in one command; raises Malformed outside the properties' ranges."""
        values: dict[str, float | str] = {}
        for name, value in zip(self._speeds, (linear_x, angular_z), strict=True):
            affordance = self.profile.properties[name]
            form = affordance.form("writeproperty")
            if form is None:
                raise Malformed(f"{name} 不能写", f"{name} cannot be written")
            values[name] = _wire(affordance, form, value)
        return self.fill(Href.read(self._drive_form().href), values)

    def query(self, affordance: Affordance) -> tuple[str, Form] | None:
        """The command that asks for a property; None where the kit tells it by itself."""
        form = affordance.form("readproperty")
        return None if form is None else (self.fill(Href.read(form.href), {}), form)

    def pushed(self) -> tuple[tuple[Affordance, Form, Href], ...]:
        """What the kit tells by itself."""
        found = ((item, item.form("observeproperty")) for item in self.profile.properties.values())
        return tuple((item, form, Href.read(form.href)) for item, form in found if form is not None)

    def _drive_form(self) -> Form:
        form = self.profile.properties[self._speeds[0]].form("writeproperty")
        assert form is not None
        return form


class TextCodec(ABC):
    """One connection to a kit that is spoken to in lines of text."""

    numbers_from = 0

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        self._forms = TextForms(profile, parameters)
        self._profile = profile

    def check(self, form: Form, own: str = "") -> None:
        """Raise Malformed when the href is no command, or names what has no value."""
        self._forms.check(form, own)

    def opening(self) -> bytes:
        """The SDK mode, then what the profile's ``opening`` action asks for."""
        action = self._profile.actions.get("opening")
        commands = [command for _, command in self._forms.act(action)] if action else []
        return b"".join(self._send(command) for command in ("command", *commands))

    def write(self, affordance: Affordance, value: float | str) -> bytes:
        """Set a property; raises Malformed outside its range."""
        return self._send(self._forms.write(affordance, value))

    def drive(self, linear_x: float, angular_z: float) -> bytes:
        """Both speeds (m/s, rad/s) in one command; raises Malformed outside the profile's ranges."""
        return self._send(self._forms.drive(linear_x, angular_z))

    def read(self, affordance: Affordance) -> bytes:
        """Ask for a property; the probe enters the SDK mode first, for the kit may not be in it."""
        query = self._forms.query(affordance)
        if query is None:
            return b""
        first = self.opening() if affordance.id == self._profile.match.probe else b""
        return first + self._send(query[0], (affordance, query[1]))

    def act(self, action: Action) -> tuple[tuple[int, bytes], ...]:
        """The action's commands with their delays in ms."""
        return tuple((after_ms, self._send(command)) for after_ms, command in self._forms.act(action))

    @abstractmethod
    def _send(self, command: str, asked: tuple[Affordance, Form] | None = None) -> bytes:
        """One command on the wire; ``asked`` is the property that its answer tells."""

    @abstractmethod
    def stop(self, action: Action, resync: int) -> tuple[bytes, ...]:
        """The stop as chunks; the guard puts a fresh number for each ``{n}`` where ``numbers_from`` is not 0."""

    @abstractmethod
    def expect_stop(self, first: int = 0, count: int = 0, again: bool = False) -> None:
        """A stop is being sent, with ``count`` numbers from ``first`` where stops are numbered; ``again``: the same one."""

    @abstractmethod
    def feed(self, data: bytes) -> list[Event]:
        """Take what came from the command port."""

    @abstractmethod
    def push(self, datagram: bytes) -> list[Event]:
        """Take one datagram of what the kit tells by itself."""


class TextEnd(ABC):
    """The kit's end of a text protocol, for its simulator: nothing is obeyed or told before ``command``, a strange word is refused."""

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        self._profile = profile
        self._phrases = Phrases(profile, parameters, "text")
        self._forms = TextForms(profile, parameters)
        self.listening = False

    @abstractmethod
    def hear(self, data: bytes) -> list[Heard]:
        """Take bytes from the PC: a piece of the stream, or one datagram; damage is refused, never an exception."""

    @abstractmethod
    def push(self, values: Mapping[str, Value], speed_mps: float) -> bytes:
        """One datagram of what the kit tells by itself: each pushed property's value, and how fast it moves (some protocols say it)."""

    def meaning(self, command: str, answer: Callable[[str], bytes]) -> list[Heard]:
        """What one command asks for; ``answer`` puts words on the wire."""
        ok, error = answer("ok"), answer("error")
        if command == "command":
            self.listening = True
            return [Said(ok)]
        if not self.listening:
            return []
        if name := self._phrases.acts(command):
            return [Acted(name, ok)]
        if name := self._phrases.reads(command):
            item = self._profile.properties[name]
            return [Wanted(name, lambda value: answer(self._told(item, value)), error)]
        values = self._phrases.sets(command)
        if not values:
            return [Said(error)]
        written = [Written(name, self._unscaled(name, raw)) for name, raw in values.items()]
        return [*written, Said(ok)]

    def _told(self, item: Affordance, value: Value) -> str:
        form = item.form("readproperty")
        assert form
        return "0 " * (Href.read(form.href).word or 0) + wire_text(form, value)

    def _unscaled(self, name: str, raw: float | str) -> float | str:
        form = self._profile.properties[name].form("writeproperty")
        return raw if isinstance(raw, str) or form is None else raw * form.factor + form.offset


def refused(answer: str) -> bool:
    """Whether an answer says that the kit does not do it."""
    words = answer.lower().split()
    return bool(words) and (words[0].rstrip(":") in _REFUSALS or words[-1] == "error")


def answered(affordance: Affordance, form: Form, answer: str) -> Reported | Lacking | Noise:
    """What an answer to a query says about its property."""
    raw = answer.encode()
    if refused(answer):
        return Lacking(affordance.id, answer)
    word = Href.read(form.href).word
    words = answer.split()
    if word is not None and word >= len(words):
        return Noise(raw, f"{affordance.id}: an answer without its word {word}")
    text = answer if word is None else words[word]
    if form.reply == "str":
        return Reported(affordance.id, text)
    try:
        number = float(text)
    except ValueError:
        return Noise(raw, f"{affordance.id} answered with text")
    return reading(affordance, form, number, raw)


def wire_text(form: Form, value: Value) -> str:
    """A property's value as the kit writes it."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _decimal((value - form.offset) / form.factor)
    return str(value)


def _wire(affordance: Affordance, form: Form, value: float | str) -> float | str:
    if affordance.enum:
        if value not in affordance.enum:
            raise Malformed(
                f"{affordance.title.zh} 应为 {'、'.join(affordance.enum)} 之一",
                f"{affordance.id} should be one of {', '.join(affordance.enum)}",
            )
        return value
    if isinstance(value, str):
        raise Malformed(f"{affordance.id} 应为数", f"{affordance.id} should be a number")
    return (checked(affordance, value) - form.offset) / form.factor


def _decimal(value: float) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
