"""MicroPython's raw REPL: short pieces of Python out, what they print in.

``03`` interrupts, ``01`` enters: ``raw REPL; CTRL-B to exit`` and ``>``. Code and ``04`` answer ``OK`` output ``04`` traceback ``04``
``>``. A ``03`` at the prompt clears the line; an empty line and ``04`` would restart the board and is never sent. There is no
checksum, and a board takes only about 64 bytes while it runs something, so commands are short and sent one by one.
Source: micropython/micropython ``shared/runtime/pyexec.c``; docs.micropython.org, "The MicroPython interactive interpreter".

What our code prints is marked by the line's first character: ``=name value`` a reading, ``+`` the command is carried out and the
next one may come, ``! v v`` a stop with the outputs read back on the board.

**Proving a stop.** The stop interrupts whatever runs, enters anew and prints its outputs as the board has them; zeros prove it.
Everything before the newest banner is void, so damage ends at the next stop or the next entering.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from labkit.codecs.events import Ack, Entered, Event, Noise, Raised, Reported, Restarted, StopProved
from labkit.codecs.scale import checked, reading
from labkit.errors import Malformed
from labkit.model import Action, Affordance, Form, Profile

INTERRUPT, ENTER, END = b"\x03", b"\x01", b"\x04"
BANNER = b"raw REPL; CTRL-B to exit\r\n>"
OPENING = b"\r" + INTERRUPT * 2 + ENTER
MAX_COMMAND = 60
MAX_PIECE = 400
_MAX_LINE = 512
_MAX_SKIPPED = 64
_KEPT = 16
_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,9})?(e-?\d{1,2})?")
_FRIENDLY = (b">>> ", b"soft reboot", b"MicroPython v")


class RawReplCodec:
    """One connection to a board with MicroPython.

    Hrefs: ``repl:`` and Python; ``{name}`` is a parameter of the profile or the property that is written. A form that reads holds an
    expression, all others statements. ``transport.program`` is sent in pieces at blank lines before the first drive; ``transport.after``
    ends every command.
    """

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        self._profile = profile
        self._parameters = parameters
        self._line = bytearray()
        self._tail = bytearray()
        self._part = "lost"
        self._skipped = 0
        self._error = b""
        self._told = False
        self._stop_due = False

    @property
    def entered(self) -> bool:
        """Whether the raw REPL has answered."""
        return self._part != "lost"

    def check(self, form: Form, own: str = "") -> None:
        """Raise Malformed when the href is no ``repl:`` code in ASCII, names what is not known, or is longer than a command may be."""
        code = self._code(form.href, {own: -100000})
        size = len(code) + len(self._profile.transport.after) + 2
        limit = MAX_COMMAND - len(f'print("={own}",)') if form.reply else MAX_PIECE if "\n" in code else MAX_COMMAND
        if size > limit:
            raise Malformed(
                f"{form.href}：命令太长（{size} 字节）", f"{form.href}: too long for a command ({size} bytes)"
            )

    def opening(self) -> bytes:
        """Interrupt twice, enter the raw REPL."""
        self._reset()
        return OPENING

    def program(self) -> tuple[bytes, ...]:
        """The device-side program as commands; raises Malformed for an unknown parameter or a piece that is too long."""
        text = "\n".join(
            line for line in self._profile.transport.program.splitlines() if not line.lstrip().startswith("#")
        )
        kept = [self._filled(piece.strip("\n"), {}) for piece in re.split(r"\n[ \t]*\n", text)]
        for piece in kept:
            if len(piece) > MAX_PIECE or not piece.isascii():
                raise Malformed(
                    f"板上程序的一段超过 {MAX_PIECE} 字节或不是 ASCII：{piece[:40]}",
                    f"a piece of the program is longer than {MAX_PIECE} bytes or not ASCII: {piece[:40]}",
                )
        return tuple(piece.encode() + END for piece in kept if piece.strip())

    def write(self, affordance: Affordance, value: float) -> bytes:
        """A command that sets the property."""
        return self.write_all({affordance: value})

    def write_all(self, values: Mapping[Affordance, float]) -> bytes:
        """One command that sets several properties; raises Malformed when a value does not fit."""
        return self._command(";".join(self._setting(item, value) for item, value in values.items()))

    def read(self, affordance: Affordance) -> bytes:
        """A command that prints the property with its name."""
        form = affordance.form("readproperty")
        if form is None:
            return b""
        code = f'print("={affordance.id}",{self._code(form.href, {})})'
        # The probe is asked before the program is there, which `after` needs.
        return code.encode() + END if affordance.id == self._profile.match.probe else self._command(code)

    def act(self, action: Action) -> tuple[tuple[int, bytes], ...]:
        """The action's commands with their delays in ms."""
        return tuple((form.after_ms, self._command(self._code(form.href, {}))) for form in action.forms)

    def stop(self, action: Action, resync: int) -> tuple[bytes, ...]:
        """Interrupt, enter, then the stop's code, which prints what proves it."""
        codes = b"".join(self._code(form.href, {}).encode() + END for form in action.forms)
        return (OPENING, codes)

    def expect_stop(self) -> None:
        """A stop is being sent: what it prints from now on counts."""
        self._stop_due = True

    def feed(self, data: bytes) -> list[Event]:
        """Take what came; anything that is not the raw REPL's is Noise, and the board's own prompt means that it has started anew."""
        events: list[Event] = []
        for byte in data:
            self._line.append(byte)
            self._tail.append(byte)
            if self._tail.endswith(BANNER):
                self._line.clear()
                self._tail.clear()
                self._part, self._skipped, self._error = "prompt", 0, b""
                events.append(Entered())
            else:
                self._take(byte, events)
        del self._tail[: -len(BANNER)]
        return events

    def _take(self, byte: int, events: list[Event]) -> None:
        if self._part == "prompt":
            self._await_ok(events)
        elif self._part == "lost":
            self._scan(events)
        elif byte == END[0]:
            self._end_part(events)
        elif byte == 0x0A or len(self._line) > _MAX_LINE:
            self._end_line(events)

    def _await_ok(self, events: list[Event]) -> None:
        """Two letters; stray bytes before them are skipped, the board's own greeting is not."""
        if self._line.endswith(b"OK"):
            stray = bytes(self._line[:-2]).strip(b"\r\n>")
            if stray:
                events.append(Noise(stray, "bytes before the board's OK"))
            self._line.clear()
            self._part, self._skipped, self._told = "out", 0, False
        elif any(word in self._line for word in _FRIENDLY):
            self._lose(events)
        elif len(self._line) > _MAX_SKIPPED:
            self._skipped += len(self._line)
            events.append(Noise(bytes(self._line[:16]), "no answer of the raw REPL"))
            del self._line[:-_KEPT]
            if self._skipped > 4 * _MAX_SKIPPED:
                self._lose(events)

    def _scan(self, events: list[Event]) -> None:
        if any(word in self._line for word in _FRIENDLY):
            self._lose(events)
        elif len(self._line) > _MAX_LINE:
            events.append(Noise(bytes(self._line[:16]), "text outside the raw REPL"))
            del self._line[:-_KEPT]

    def _lose(self, events: list[Event]) -> None:
        if self._part != "lost":
            events.append(Noise(bytes(self._line[-16:]), "the board is outside the raw REPL"))
            events.append(Restarted())
        self._reset()

    def _reset(self) -> None:
        self._line.clear()
        self._part, self._skipped, self._error = "lost", 0, b""

    def _end_line(self, events: list[Event]) -> None:
        line = bytes(self._line).rstrip(b"\r\n")
        self._line.clear()
        if self._part == "error":
            self._error = line or self._error
            return
        if any(word in line for word in _FRIENDLY):
            self._lose(events)
        elif line:
            events.extend(self._printed(line))

    def _end_part(self, events: list[Event]) -> None:
        del self._line[-1:]
        if self._line:
            self._end_line(events)
        if self._part == "out":
            self._part = "error"
        elif self._part == "error":
            text, self._error = self._error.decode("ascii", errors="replace"), b""
            self._part = "prompt"
            if text:
                events.append(Raised(text[:200]))
            if not self._told:
                events.append(Ack())

    def _printed(self, line: bytes) -> list[Event]:
        text = line.decode("ascii", errors="replace")
        if text == "+":
            self._told = True
            return [Ack()]
        if text.startswith("!"):
            return self._stopped(text, line)
        name, _, value = text[1:].partition(" ")
        affordance = self._profile.properties.get(name)
        form = affordance.form("readproperty") if affordance else None
        if not text.startswith("=") or affordance is None or form is None:
            return [Noise(line, f"the board says: {text[:80]}")]
        if form.reply == "str":
            return [Reported(affordance.id, value)]
        if not _NUMBER.fullmatch(value):
            return [Noise(line, f"{affordance.id} = {value[:40]!r} is not a number")]
        return [reading(affordance, form, float(value), line)]

    def _stopped(self, text: str, line: bytes) -> list[Event]:
        outputs = text[1:].split()
        if not outputs or any(value != "0" for value in outputs):
            return [Noise(line, f"after a stop the board still has {text[1:40]}")]
        due, self._stop_due = self._stop_due, False
        return [StopProved()] if due else []

    def _setting(self, affordance: Affordance, value: float) -> str:
        form = affordance.form("writeproperty")
        if form is None:
            raise Malformed(f"{affordance.id} 不能写", f"{affordance.id} cannot be written")
        number = checked(affordance, value)
        return self._code(form.href, {affordance.id: round(number) if affordance.type == "integer" else number})

    def _command(self, code: str) -> bytes:
        after = self._profile.transport.after
        joint = "\n" if "\n" in code else ";"
        return (f"{code}{joint}{after}" if after else code).encode() + END

    def _code(self, href: str, values: Mapping[str, float]) -> str:
        scheme, _, code = href.partition(":")
        if scheme != "repl" or not code.strip() or not code.isascii() or any(c < " " and c != "\n" for c in code):
            raise Malformed(f"{href} 应为 repl: 加 Python 代码", f"{href} should be repl: and Python code")
        return self._filled(code, values)

    def _filled(self, code: str, values: Mapping[str, float]) -> str:
        def known(match: re.Match[str]) -> str:
            value = values.get(match[1], self._parameters.get(match[1]))
            if value is None:
                raise Malformed(f"没有 {match[1]} 的值", f"there is no value for {match[1]}")
            return str(value)

        return _FIELD.sub(known, code)


CODECS = {"raw_repl": RawReplCodec}
