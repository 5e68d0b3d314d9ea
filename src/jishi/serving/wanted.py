"""A request in the shape of another protocol: read within the limits, each field that can't be honoured refused by name."""

import json
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request

from jishi.core.errors import UsageError
from jishi.serving import body
from jishi.serving.limits import Limits

SHOWN = 60  # characters of a refused value


def _integer(value: Any) -> Any:
    """JSON has no integers of their own: 5.0 is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = BeforeValidator(_integer)
Count = Annotated[int, Field(ge=1), Integer]
Texts = Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]


class Wanted(BaseModel):
    """A request's fields; `idle` are those that clients know and that must ask for nothing here."""

    model_config = ConfigDict(extra="forbid", strict=True)
    idle: ClassVar[frozenset[str]] = frozenset()
    texts: ClassVar[frozenset[str]] = frozenset()  # fields in which other servers take token ids too


Shape = TypeVar("Shape", bound=Wanted)


async def read(request: Request, limits: Limits, shape: type[Shape]) -> Shape:
    """The body of a request. Raises UsageError naming the first field that is not as it may be."""
    found = await body.fields(request, limits, tuple(shape.model_fields))
    try:
        return shape.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _refusal(str(first["loc"][0]), found, shape) from None


def documented(shape: type[Wanted]) -> dict[str, Any]:
    """The body of a request, for OpenAPI."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": whole(shape.model_json_schema())}},
        }
    }


def whole(schema: dict[str, Any]) -> Any:
    """A schema with what it refers to in place: references would be looked for in the document it becomes a part of."""
    parts = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return resolved(parts[value["$ref"].rpartition("/")[2]])
        return {key: resolved(part) for key, part in value.items()}

    return resolved(schema)


def _refusal(field: str, found: dict[str, Any], shape: type[Wanted]) -> UsageError:
    if field not in found:
        return UsageError("serving.field-missing", field=field)
    if _numbers(found[field]) and field in shape.texts:
        return UsageError("serving.token-ids", field=field)
    given = json.dumps(found[field], ensure_ascii=False)
    given = given if len(given) <= SHOWN else given[:SHOWN] + "…"
    return UsageError("serving.unsupported" if field in shape.idle else "serving.bad-field", field=field, given=given)


def _numbers(value: Any) -> bool:
    """Whether it is a list of numbers, or of lists of them."""
    return isinstance(value, list) and any(isinstance(part, int) or _numbers(part) for part in value)
