"""Doctor: what this machine offers, and what stands in the way, each with its cure."""

import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from jishi.core import i18n
from jishi.core.errors import JishiError
from jishi.models import environment
from jishi.training.run import versions


def findings() -> list[dict[str, Any]]:
    """Versions, the precision that pays here, extras not installed (level "info"), cores taken by other work
    ("warning"), and every problem ("error")."""
    known = ", ".join(f"{name} {number}" for name, number in versions().items())
    found = [
        _info("cli.versions", versions=known),
        _info("cli.precision", precision=environment.precision()),
        *(
            _info("cli.extra-missing", extra=extra, libraries=", ".join(missing))
            for extra, missing in _missing().items()
        ),
    ]
    busy = environment.busy()
    warnings = [_finding("warning", busy)] if busy else []
    return found + warnings + [_finding("error", problem) for problem in environment.problems()]


def _finding(level: str, problem: JishiError) -> dict[str, Any]:
    return {"level": level, "code": problem.code, "message": str(problem)}


def _info(code: str, **values: object) -> dict[str, Any]:
    return {"level": "info", "code": code, "message": i18n.text(code, **values)}


def _missing() -> dict[str, list[str]]:
    """The extras of this package that are not (wholly) installed, with the libraries each lacks."""
    missing: dict[str, list[str]] = {}
    for requirement in requires("jishi") or []:
        match = re.match(r"([A-Za-z0-9._-]+).*extra == ['\"]([a-z]+)['\"]", requirement)
        if match:
            try:
                version(match[1])
            except PackageNotFoundError:
                missing.setdefault(match[2], []).append(match[1])
    return missing
