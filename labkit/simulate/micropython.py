"""A small part of MicroPython, carried out step by step: what simulated boards run.

Statements: import, def, global, return, assignment (names, tuples, subscripts), augmented assignment, expression, if, while, for,
break, continue, pass, try. Expressions: constants, names, operators, comparisons, and/or/not, calls, attributes, subscripts, tuples,
lists, conditional expressions. Anything else is a SyntaxError, as an unknown word would be. Every step yields, so that the board can
let time pass, interrupt, or give up an endless loop; a call of the board that waits gives a `Wait`.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field

MAX_DEPTH = 20
MAX_SIZE = 10_000
Steps = Generator[None, None, object]
_PYTHON_ERRORS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, MemoryError)
_BINARY: Mapping[type[ast.operator], Callable[..., object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_UNARY: Mapping[type[ast.unaryop], Callable[..., object]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_COMPARE: Mapping[type[ast.cmpop], Callable[..., object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Thrown(Exception):
    """An exception of the board's own program, e.g. ``KeyboardInterrupt``."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(f"{name}: {text}" if text else name)
        self.name = name


class _Return(Exception):
    def __init__(self, value: object) -> None:
        self.value = value


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


@dataclass(frozen=True)
class Wait:
    """A call of the board that takes until ``over`` says so; then it gives ``value()``."""

    over: Callable[[], bool]
    value: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Thing:
    """A module or object of the board: what its names give."""

    names: Mapping[str, object]


@dataclass
class Function:
    """A function of the program."""

    node: ast.FunctionDef
    machine: Machine


@dataclass
class Machine:
    """The board's interpreter: its modules, its global names."""

    modules: Mapping[str, Mapping[str, object]]
    builtins: Mapping[str, object]
    names: dict[str, object] = field(default_factory=dict)
    depth: int = 0

    def run(self, source: str) -> Steps:
        """Carry out a piece of source; raises Thrown."""
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Thrown("SyntaxError", "invalid syntax") from error
        try:
            yield from self._block(tree.body, None)
        except RecursionError as error:
            raise Thrown("RuntimeError", "maximum recursion depth exceeded") from error
        except (_Return, _Break, _Continue) as error:
            raise Thrown("SyntaxError", "outside function or loop") from error
        return None

    def call(self, function: object, *arguments: object) -> Steps:
        """Call a function of the program or of the board."""
        if callable(function):
            result = _guarded(lambda: function(*arguments))
            while isinstance(result, Wait) and not result.over():
                yield
            return result.value() if isinstance(result, Wait) else result
        if not isinstance(function, Function):
            raise Thrown("TypeError", "object isn't callable")
        names = [argument.arg for argument in function.node.args.args]
        if len(names) != len(arguments):
            raise Thrown("TypeError", f"function takes {len(names)} positional arguments")
        if self.depth >= MAX_DEPTH:
            raise Thrown("RuntimeError", "maximum recursion depth exceeded")
        self.depth += 1
        try:
            yield from self._block(function.node.body, dict(zip(names, arguments, strict=True)))
        except _Return as given:
            return given.value
        finally:
            self.depth -= 1
        return None

    def _block(self, body: Iterable[ast.stmt], local: dict[str, object] | None) -> Steps:
        for statement in body:
            yield
            yield from self._statement(statement, local)
        return None

    def _statement(self, node: ast.stmt, local: dict[str, object] | None) -> Steps:
        match node:
            case ast.Expr():
                yield from self._value(node.value, local)
            case ast.Assign(targets=[target]):
                self._store(target, (yield from self._value(node.value, local)), local)
            case ast.AugAssign(target=ast.Name(id=name)):
                old = self._lookup(name, local)
                new = yield from self._value(node.value, local)
                self._store(ast.Name(name), _binary(node.op, old, new), local)
            case ast.If():
                chosen = node.body if (yield from self._value(node.test, local)) else node.orelse
                yield from self._block(chosen, local)
            case ast.While():
                yield from self._while(node, local)
            case ast.For():
                yield from self._for(node, local)
            case ast.Try():
                yield from self._try(node, local)
            case ast.Return():
                raise _Return((yield from self._value(node.value, local)) if node.value else None)
            case ast.Break():
                raise _Break
            case ast.Continue():
                raise _Continue
            case _:
                self._declare(node, local)
        return None

    def _declare(self, node: ast.stmt, local: dict[str, object] | None) -> None:
        match node:
            case ast.FunctionDef(
                args=ast.arguments(posonlyargs=[], vararg=None, kwonlyargs=[], kwarg=None, defaults=[])
            ):
                self._store(ast.Name(node.name), Function(node, self), local)
            case ast.Global():
                if local is not None:
                    local.setdefault("global", set())
                    names = local["global"]
                    assert isinstance(names, set)
                    names.update(node.names)
            case ast.Import():
                for alias in node.names:
                    self._store(ast.Name(alias.asname or alias.name), Thing(self._module(alias.name)), local)
            case ast.ImportFrom():
                self._import_from(node, local)
            case ast.Pass():
                pass
            case _:
                raise Thrown("SyntaxError", f"{type(node).__name__} is not simulated")

    def _import_from(self, node: ast.ImportFrom, local: dict[str, object] | None) -> None:
        module = self._module(node.module or "")
        for alias in node.names:
            if alias.name == "*":
                (self.names if local is None else local).update(module)
            elif alias.name in module:
                self._store(ast.Name(alias.asname or alias.name), module[alias.name], local)
            else:
                raise Thrown("ImportError", f"cannot import name {alias.name}")

    def _module(self, name: str) -> Mapping[str, object]:
        if name not in self.modules:
            raise Thrown("ImportError", f"no module named '{name}'")
        return self.modules[name]

    def _while(self, node: ast.While, local: dict[str, object] | None) -> Steps:
        while (yield from self._value(node.test, local)):
            yield
            try:
                yield from self._block(node.body, local)
            except _Break:
                return None
            except _Continue:
                continue
        return None

    def _for(self, node: ast.For, local: dict[str, object] | None) -> Steps:
        items = yield from self._value(node.iter, local)
        if not isinstance(items, (list, tuple, range, str)):
            raise Thrown("TypeError", "object isn't iterable")
        for item in items:
            yield
            self._store(node.target, item, local)
            try:
                yield from self._block(node.body, local)
            except _Break:
                return None
            except _Continue:
                continue
        return None

    def _try(self, node: ast.Try, local: dict[str, object] | None) -> Steps:
        try:
            yield from self._block(node.body, local)
        except Thrown as thrown:
            handler = next((h for h in node.handlers if _catches(h, thrown.name)), None)
            if handler is None:
                yield from self._block(node.finalbody, local)
                raise
            yield from self._block(handler.body, local)
        yield from self._block(node.finalbody, local)
        return None

    def _value(self, node: ast.expr, local: dict[str, object] | None) -> Steps:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self._lookup(node.id, local)
            case ast.BinOp():
                left = yield from self._value(node.left, local)
                return _binary(node.op, left, (yield from self._value(node.right, local)))
            case ast.UnaryOp() if type(node.op) in _UNARY:
                operand = yield from self._value(node.operand, local)
                return _guarded(lambda: _UNARY[type(node.op)](operand))
            case ast.BoolOp():
                return (yield from self._either(node, local))
            case ast.Compare(ops=[compare], comparators=[other]) if type(compare) in _COMPARE:
                left = yield from self._value(node.left, local)
                right = yield from self._value(other, local)
                return _guarded(lambda: _COMPARE[type(compare)](left, right))
            case ast.Call():
                return (yield from self._call(node, local))
            case ast.Attribute():
                return _attribute((yield from self._value(node.value, local)), node.attr)
            case ast.Subscript():
                whole = yield from self._value(node.value, local)
                key = yield from self._value(node.slice, local)
                return _guarded(lambda: whole[key])  # type: ignore[index]  # a TypeError becomes the program's
            case ast.Tuple() | ast.List():
                items = []
                for item in node.elts:
                    items.append((yield from self._value(item, local)))
                return tuple(items) if isinstance(node, ast.Tuple) else items
            case ast.IfExp():
                chosen = node.body if (yield from self._value(node.test, local)) else node.orelse
                return (yield from self._value(chosen, local))
        raise Thrown("SyntaxError", f"{type(node).__name__} is not simulated")

    def _either(self, node: ast.BoolOp, local: dict[str, object] | None) -> Steps:
        value: object = None
        for part in node.values:
            value = yield from self._value(part, local)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _call(self, node: ast.Call, local: dict[str, object] | None) -> Steps:
        function = yield from self._value(node.func, local)
        arguments = []
        for argument in node.args:
            arguments.append((yield from self._value(argument, local)))
        named = {}
        for keyword in node.keywords:
            named[keyword.arg or ""] = yield from self._value(keyword.value, local)
        if named:
            if not callable(function):
                raise Thrown("TypeError", "function doesn't take keyword arguments")
            return _guarded(lambda: function(*arguments, **named))
        return (yield from self.call(function, *arguments))

    def _lookup(self, name: str, local: dict[str, object] | None) -> object:
        if local is not None and name in local and name != "global":
            return local[name]
        for names in (self.names, self.builtins):
            if name in names:
                return names[name]
        raise Thrown("NameError", f"name '{name}' isn't defined")

    def _store(self, target: ast.expr, value: object, local: dict[str, object] | None) -> None:
        match target:
            case ast.Name(id=name):
                shared = local.get("global", set()) if local is not None else set()
                assert isinstance(shared, set)
                (self.names if local is None or name in shared else local)[name] = value
            case ast.Tuple(elts=targets) if isinstance(value, (list, tuple)) and len(value) == len(targets):
                for part, item in zip(targets, value, strict=True):
                    self._store(part, item, local)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant() | ast.Name() as key):
                whole = self._lookup(name, local)
                index = self._lookup(key.id, local) if isinstance(key, ast.Name) else key.value
                if not isinstance(whole, list) or not isinstance(index, int) or not -len(whole) <= index < len(whole):
                    raise Thrown("IndexError", "index out of range")
                whole[index] = value
            case _:
                raise Thrown("SyntaxError", "can't assign to expression")


def _catches(handler: ast.ExceptHandler, name: str) -> bool:
    """As in Python: a bare ``except`` catches everything, ``except Exception`` all but KeyboardInterrupt."""
    match handler.type:
        case None:
            return True
        case ast.Name(id=wanted):
            return wanted == name or (wanted == "Exception" and name != "KeyboardInterrupt")
    return False


def _binary(kind: ast.operator, left: object, right: object) -> object:
    if type(kind) not in _BINARY:
        raise Thrown("SyntaxError", "operator is not simulated")
    if isinstance(kind, ast.Mult) and not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
        raise Thrown("MemoryError", "memory allocation failed")
    value = _guarded(lambda: _BINARY[type(kind)](left, right))
    if (isinstance(value, int) and value.bit_length() > 64) or (
        isinstance(value, (str, list, tuple)) and len(value) > MAX_SIZE
    ):
        raise Thrown("MemoryError", "memory allocation failed")
    return value


def _attribute(whole: object, name: str) -> object:
    if isinstance(whole, Thing) and name in whole.names:
        return whole.names[name]
    raise Thrown("AttributeError", f"no attribute '{name}'")


def _guarded(act: Callable[[], object]) -> object:
    """Errors of Python become the program's."""
    try:
        return act()
    except _PYTHON_ERRORS as error:
        raise Thrown(type(error).__name__, str(error)) from error
