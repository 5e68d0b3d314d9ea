"""One JSON text as a row: an object, with nothing in it that JSON does not know."""

import json
from typing import Any, NoReturn

from jishi.core.errors import RowError
from jishi.data.sources.limits import Raw


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


DECODER = json.JSONDecoder(parse_constant=_no_constant)


def row(text: str) -> Raw:
    """The object a line holds, or a RowError that says why it holds none."""
    try:
        return checked(DECODER.decode(text))
    except (ValueError, RecursionError) as error:
        return RowError("data.bad-json", reason=getattr(error, "msg", None) or error, column=getattr(error, "colno", 1))


def checked(value: Any) -> Raw:
    """The value if it is an object."""
    return value if isinstance(value, dict) else RowError("data.not-an-object", given=type(value).__name__)
