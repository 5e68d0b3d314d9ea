"""Every refusal in one shape: {"error": {"code", "kind", "message", "values"}}, in the language the client reads.

Where another protocol is spoken, in that protocol's shape (`dialects`).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from jishi.core import i18n
from jishi.core.errors import DataError, JishiError, LimitError, ServingError, UsageError
from jishi.serving import dialects

# The client is gone before its answer: nobody reads this status, but the metrics count it.
GONE = 499
STATUS: Mapping[str, int] = {
    "label.not-open": 409,
    "label.nothing-back": 409,
    "label.other-origin": 403,
    "serving.bad-host": 421,
    "serving.body-slow": 408,
    "serving.body-type": 415,
    "serving.busy": 503,
    "serving.child-died": 503,
    "serving.child-stuck": 503,
    "serving.client-gone": GONE,
    "serving.method": 405,
    "serving.model-refused": 503,
    "serving.not-found": 404,
    "serving.not-ready": 503,
    "serving.rate": 429,
    "serving.timeout": 504,
    "serving.too-many-streams": 503,
    "serving.unauthorized": 401,
    "serving.unknown-model": 404,
}


def status(error: JishiError) -> int:
    """The HTTP status that says what kind of error it is."""
    if isinstance(error, LimitError):
        return 413
    return STATUS.get(error.code, 422 if isinstance(error, UsageError | DataError) else 500)


def response(error: JishiError, path: str = "") -> JSONResponse:
    """The error as a response to a request of a path, with the headers its status asks for."""
    headers = {"connection": "close"} if status(error) in (408, 413) else {}
    if "retry_after" in error.values:
        headers["retry-after"] = str(math.ceil(float(str(error.values["retry_after"]))))
    if status(error) == 401:
        headers["www-authenticate"] = "Bearer"
    body, code = dialects.told(error, status(error), path)
    return JSONResponse({"error": body}, code, headers)


def install(app: FastAPI, count: Callable[[str], None]) -> None:
    """Answer every JishiError, and the framework's own 404 and 405, in our shape; `count` hears their codes."""

    async def ours(request: Request, error: Any) -> JSONResponse:
        count(error.code)
        return response(error, request.url.path)

    async def theirs(request: Request, error: Any) -> JSONResponse:
        code = "serving.method" if error.status_code == 405 else "serving.not-found"
        count(code)
        answer = response(ServingError(code, method=request.method, path=request.url.path[:80]), request.url.path)
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(JishiError, ours)
    app.add_exception_handler(HTTPException, theirs)


def language(accept: str) -> str | None:
    """The best of our languages in an Accept-Language header, None where it names neither."""
    best: tuple[float, str | None] = (0.0, None)
    for part in accept.split(",")[:20]:
        tag, _, parameters = part.strip().partition(";")
        _, _, weight = parameters.partition("q=")
        name = tag.strip().lower()[:2]
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        if name in i18n.LANGUAGES and quality > best[0]:
            best = (quality, name)
    return best[1]
