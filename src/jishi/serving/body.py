"""Read a request's inputs: bounded while the bytes arrive, strict JSON, every refusal naming what is wrong."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from jishi.core.errors import JishiError, LimitError, ServingError, UsageError, did_you_mean
from jishi.serving.limits import Limits

FIELDS = ("inputs", "model")


async def inputs(request: Request, limits: Limits) -> tuple[list[Any], str | None]:
    """The raw rows of a request, and the name of the model it asks: `{"inputs": x}` or `{"inputs": [x, …], "model": …}`.

    x is a string or an object of columns.
    """
    found = await fields(request, limits, FIELDS)
    given, model = found.get("inputs"), found.get("model")
    if model is not None and not isinstance(model, str):
        raise UsageError("serving.bad-model", given=_kind(model))
    rows = given if isinstance(given, list) else [given]
    if not rows or given is None:
        raise UsageError("serving.no-inputs")
    if len(rows) > limits.max_items:
        raise LimitError("serving.too-many-items", given=len(rows), allowed=limits.max_items)
    for place, row in enumerate(rows):
        check(row, f"inputs[{place}]")
    return rows, model


async def fields(request: Request, limits: Limits, allowed: Sequence[str]) -> dict[str, Any]:
    """The object that a request's body is, with no other fields than those allowed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ServingError("serving.body-type", given=kind[:40] or "-")
    document = parse(await _read(request, limits))
    if not isinstance(document, dict):
        raise UsageError("serving.body-shape", given=_kind(document))
    for name in document:
        if name not in allowed:
            hint = did_you_mean(name, allowed)
            raise UsageError("serving.unknown-field", given=name[:80], hint=hint, allowed=", ".join(allowed))
    return document


async def _read(request: Request, limits: Limits) -> bytes:
    """The body's bytes, given up at the first one beyond the limit or when they come too slowly."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limits.max_body_bytes:
        raise LimitError("serving.body-too-large", allowed=limits.max_body_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.timeout_s):
            async for part in request.stream():
                size += len(part)
                if size > limits.max_body_bytes:
                    raise LimitError("serving.body-too-large", allowed=limits.max_body_bytes)
                parts.append(part)
    except TimeoutError:
        raise ServingError("serving.body-slow", allowed=limits.timeout_s) from None
    except ClientDisconnect:
        raise ServingError("serving.client-gone") from None
    return b"".join(parts)


def parse(body: bytes) -> Any:
    """What strict JSON says. Raises UsageError."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_unique)
    except JishiError:
        raise
    except (ValueError, RecursionError) as error:
        reason = str(error)[:120] if isinstance(error, ValueError) else "nested too deep"
        raise UsageError("serving.bad-json", reason=reason) from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    "".join(found).encode()  # half a surrogate pair is no text: UnicodeEncodeError is a ValueError
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def check(row: Any, where: str) -> None:
    """A row is a string, or an object whose values are plain, or lists: of choices, of passages, of turns as objects."""
    if not isinstance(row, dict):
        _plain(row, where)
        return
    for name, value in row.items():
        place = f"{where}.{name[:80]}"
        for number, part in enumerate(value if isinstance(value, list) else ()):
            for inner in part.values() if isinstance(part, dict) else [part]:
                _plain(inner, f"{place}[{number}]")
        if value is not None and not isinstance(value, list):
            _plain(value, place)


def _plain(value: Any, where: str) -> None:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise UsageError("serving.bad-input", where=where, given=_kind(value))


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
