"""Read the tensors of a `.pth` file of the format before zip without unpickling it.

The opcodes are interpreted over plain data: dicts, lists, numbers, strings, and two calls that are recorded and never
made (an OrderedDict, a tensor's place in its storage). Anything else is refused before a weight is read.
"""

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy

from jishi.core.errors import ModelError

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
}
DICT, TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
IGNORED = {"PROTO", "FRAME", "STOP"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINFLOAT"}
MARK = object()


@dataclass(frozen=True)
class Global:
    """A name that the file mentions, as text."""

    name: str


@dataclass(frozen=True)
class View:
    """A tensor's place: which storage, its type, and offset, shape and strides in elements."""

    storage: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, numpy.ndarray[Any, Any]]:
    """The state dict, each tensor a copy of its own. Raises ModelError where the file holds anything but tensors."""
    with path.open("rb") as file:
        try:
            if _value(file) != MAGIC:
                raise ValueError("no magic number")
            for _ in ("protocol version", "platform"):
                _value(file)
            state, keys = _value(file), _value(file)
            views = {name: view for name, view in state.items() if isinstance(view, View)}
            if len(views) != len(state):
                raise ValueError(f"{len(state) - len(views)} entries")
            types = {view.storage: view.dtype for view in views.values()}
            storages = {key: _storage(file, types[key]) for key in keys}
            return {name: _tensor(storages[view.storage], view) for name, view in views.items()}
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
            raise ModelError("models.not-inert", path=path, given=f"{type(error).__name__}: {error}") from None


def _value(file: BinaryIO) -> Any:
    """One pickle as plain data."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if name in VALUES:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in STEPS:
            STEPS[name](stack, argument)
        elif name not in IGNORED:
            raise ValueError(f"the opcode {name}")
    return stack.pop()


def _since_mark(stack: list[Any]) -> list[Any]:
    start = max(index for index, value in enumerate(stack) if value is MARK)
    items = stack[start + 1 :]
    del stack[start:]
    return items


def _tuple(stack: list[Any], size: int) -> None:
    items = tuple(stack[-size:])
    del stack[-size:]
    stack.append(items)


def _append(stack: list[Any], _: Any) -> None:
    item = stack.pop()
    stack[-1].append(item)


def _extend(stack: list[Any], _: Any) -> None:
    items = _since_mark(stack)
    stack[-1].extend(items)


def _set_item(stack: list[Any], _: Any) -> None:
    key, value = stack[-2:]
    del stack[-2:]
    stack[-1][key] = value


def _set_items(stack: list[Any], _: Any) -> None:
    items = _since_mark(stack)
    stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _global(stack: list[Any], name: str) -> None:
    if name not in (DICT, TENSOR, *STORAGES):
        raise ValueError(name.replace(" ", "."))
    stack.append(Global(name))


def _storage_id(stack: list[Any], _: Any) -> None:
    """The name of a storage stays the tuple it is, once its parts are known to be plain."""
    kind, storage, key, _, _, *rest = stack.pop()
    if kind != "storage" or any(rest):
        raise ValueError("a storage of another kind")
    stack.append((key, STORAGES[storage.name]))


def _reduce(stack: list[Any], _: Any) -> None:
    arguments, call = stack.pop(), stack.pop()
    if call == Global(DICT) and not arguments:
        stack.append({})
    elif call == Global(TENSOR):
        (key, dtype), offset, shape, strides = arguments[:4]
        stack.append(View(key, dtype, offset, shape, strides))
    else:
        raise ValueError("a call")


def _build(stack: list[Any], _: Any) -> None:
    stack.pop()  # attributes of the state dict (versions of its modules): no weights


STEPS: dict[str, Callable[[list[Any], Any], None]] = {
    "MARK": lambda stack, _: stack.append(MARK),
    "EMPTY_DICT": lambda stack, _: stack.append({}),
    "EMPTY_LIST": lambda stack, _: stack.append([]),
    "EMPTY_TUPLE": lambda stack, _: stack.append(()),
    "TUPLE": lambda stack, _: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": lambda stack, _: _tuple(stack, 1),
    "TUPLE2": lambda stack, _: _tuple(stack, 2),
    "TUPLE3": lambda stack, _: _tuple(stack, 3),
    "APPEND": _append,
    "APPENDS": _extend,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "GLOBAL": _global,
    "BINPERSID": _storage_id,
    "REDUCE": _reduce,
    "BUILD": _build,
}


def _storage(file: BinaryIO, dtype: str) -> numpy.ndarray[Any, Any]:
    (count,) = struct.unpack("<q", file.read(8))
    size = count * numpy.dtype(dtype).itemsize
    data = file.read(size) if 0 <= count <= 1 << 31 else b""
    if len(data) != size:
        raise ValueError("a storage that is cut off")
    return numpy.frombuffer(data, dtype)


def _tensor(storage: numpy.ndarray[Any, Any], view: View) -> numpy.ndarray[Any, Any]:
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if min(view.offset, *view.shape, *view.strides, 0) < 0 or last >= len(storage):
        raise ValueError("a tensor outside its storage")
    strides = tuple(stride * storage.itemsize for stride in view.strides)
    return numpy.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides).copy()
