"""Pickled ground truth, read without running anything it names.

Python's unpickler calls whatever a file tells it to, and allocates whatever a file claims to hold.
Here `pickletools` decodes the opcodes, and this machine knows only those that put data together;
the few names numpy writes are understood by `pickle_numpy`, and nothing is ever imported or called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from lorgnette.errors import InvalidDataset, UnsafeFile
from training.data.public.pickle_numpy import Name, Unfinished, built, named, reduced

MAX_PICKLE_BYTES = 256 * 1024**2
"""The largest published ground truth is some 50 MB; the machine holds it in memory whole."""

_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_TEXTS = {"STRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_BYTES = {"BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_LITERALS = frozenset(_NUMBERS | _TEXTS | _BYTES)
_CONSTANTS: Mapping[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: Mapping[str, Callable[[], object]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
_IGNORED = frozenset({"PROTO", "FRAME"})
_MARK = object()


def load_pickle(path: Path) -> object:
    """The data in a pickle: None, bool, int, float, str, bytes, list, tuple, dict, numeric arrays.

    Raises `UnsafeFile` when the file would do anything but hold such data, `InvalidDataset` when
    it cannot be read, ends early or is larger than `MAX_PICKLE_BYTES`.
    """
    try:
        size = path.stat().st_size
        if size > MAX_PICKLE_BYTES:
            raise InvalidDataset(
                f"{path} has {size:,} bytes, more than the {MAX_PICKLE_BYTES:,} any ground truth "
                "has: is it the right file?"
            )
        content = path.read_bytes()
    except OSError as error:
        raise InvalidDataset(
            f"cannot read {path}: {error.strerror}; `lorgnette data get` fetches it"
        ) from error
    return parse_pickle(content, origin=str(path))


def parse_pickle(content: bytes, *, origin: str) -> object:
    """The same of a pickle in memory. origin: what to call it in an error."""
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            machine.step(opcode.name, argument)
        return machine.result()
    except UnsafeFile as error:
        raise UnsafeFile(
            f"{origin} is not plain data ({error}): it was not loaded; fetch the ground truth "
            "again from its publisher"
        ) from error
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InvalidDataset(f"{origin} is not a whole pickle ({error}): fetch it again") from error


class _Machine:
    """A stack and a memo, as in `pickletools`' description of the format."""

    def __init__(self) -> None:
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        # Tuples with a name in them are arguments of a call, and never data.
        self._arguments: dict[int, tuple[object, ...]] = {}
        self._acts: Mapping[str, Callable[[], None]] = {
            "MARK": lambda: self._stack.append(_MARK),
            "LIST": lambda: self._stack.append(self._data(self._to_mark())),
            "TUPLE": lambda: self._tuple(self._to_mark()),
            "TUPLE1": lambda: self._tuple(self._popped(1)),
            "TUPLE2": lambda: self._tuple(self._popped(2)),
            "TUPLE3": lambda: self._tuple(self._popped(3)),
            "DICT": lambda: self._stack.append(self._filled({}, self._to_mark())),
            "APPEND": lambda: self._append([self._pop()]),
            "APPENDS": lambda: self._append(self._to_mark()),
            "SETITEM": lambda: self._set_items(self._popped(2)),
            "SETITEMS": lambda: self._set_items(self._to_mark()),
            "MEMOIZE": lambda: self._put(len(self._memo)),
            "STACK_GLOBAL": self._stack_global,
            "REDUCE": self._reduce,
            "BUILD": self._build,
            "POP": lambda: _discard(self._stack.pop()),
            "STOP": lambda: None,
        }

    def step(self, name: str, argument: object) -> None:
        """Carry out one opcode. Raises `UnsafeFile` for one that could do more than hold data."""
        if name in _LITERALS:
            self._stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._put(_number(argument))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[_number(argument)])
        elif name == "GLOBAL":
            self._stack.append(named(*str(argument).split(" ", 1)))
        elif name in self._acts:
            self._acts[name]()
        elif name not in _IGNORED:
            raise UnsafeFile(f"it uses the opcode {name}")

    def result(self) -> object:
        """What the whole pickle stands for."""
        (only,) = self._data(self._popped(len(self._stack)))
        return only

    def _pop(self) -> object:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value was expected")
        return value

    def _popped(self, count: int) -> list[object]:
        return [self._pop() for _ in range(count)][::-1]

    def _tuple(self, values: list[object]) -> None:
        made = tuple(values)
        if not all(map(self._is_data, values)):
            self._arguments[id(made)] = made
        self._stack.append(made)

    def _is_data(self, value: object) -> bool:
        is_word = isinstance(value, Name | Unfinished | np.dtype)
        return not is_word and id(value) not in self._arguments

    def _data(self, values: list[object]) -> list[object]:
        if not all(map(self._is_data, values)):
            raise UnsafeFile("it holds a name where data belongs")
        return values

    def _to_mark(self) -> list[object]:
        last = len(self._stack) - 1
        while self._stack[last] is not _MARK:
            last -= 1
            if last < 0:
                raise ValueError("a mark is missing")
        values = self._stack[last + 1 :]
        del self._stack[last:]
        return values

    def _put(self, number: int) -> None:
        top = self._stack[-1]
        if isinstance(top, Unfinished):
            top.numbers.append(number)
        self._memo[number] = top

    def _append(self, values: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise UnsafeFile(f"it appends to a {type(target).__name__}")
        target.extend(self._data(values))

    def _set_items(self, values: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise UnsafeFile(f"it sets items of a {type(target).__name__}")
        self._filled(target, values)

    def _filled(self, target: dict[object, object], values: list[object]) -> dict[object, object]:
        for key, value in zip(values[::2], self._data(values[1::2]), strict=True):
            # The hash of a deeply nested tuple would overflow the interpreter's own stack.
            if not isinstance(key, str | int | bytes):
                raise UnsafeFile(f"it uses a {type(key).__name__} as a key")
            target[key] = value
        return target

    def _stack_global(self) -> None:
        module, name = self._popped(2)
        self._stack.append(named(str(module), str(name)))

    def _reduce(self) -> None:
        callee, arguments = self._popped(2)
        if not isinstance(callee, Name) or not isinstance(arguments, tuple):
            raise UnsafeFile(f"it calls a {type(callee).__name__}")
        self._stack.append(reduced(callee, arguments))

    def _build(self) -> None:
        target, state = self._popped(2)
        if not isinstance(target, Unfinished):
            raise UnsafeFile(f"it sets the state of a {type(target).__name__}")
        whole = built(target, state)
        for number in target.numbers:
            self._memo[number] = whole
        self._stack.append(whole)


def _number(argument: object) -> int:
    if not isinstance(argument, int):
        raise ValueError(f"{argument!r} is no place in the memo")
    return argument


def _discard(_: object) -> None:
    """The value on top was not wanted."""
