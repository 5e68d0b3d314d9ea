"""Every error a user can meet, as one tree.

    JishiError                 exit  what went wrong
    ├── UsageError               2   the command or the spec is not valid
    │   ├── UnknownName          2   a name that no registry holds ("did you mean")
    │   └── MissingExtra         2   an optional library is not installed
    ├── DataError                1   the data can't be read, or are not fit for the task
    │   └── RowError             1   one row was refused, with its file and line
    ├── ModelError               1   a base model can't be found, loaded or adapted
    ├── BundleError              1   a bundle is damaged, or its answers are not those recorded
    ├── TrainingError            1   training can't go on, or has learnt nothing
    ├── LimitError               1   something is larger than its limit
    └── ServingError             1   a server can't start or can't answer

The sentence comes from the catalogue (`i18n`): what was given, what is allowed, what to do next.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jishi.core import i18n


class JishiError(Exception):
    """The root: a catalogue `code` and the values its sentence names."""

    exit_code = 1

    def __init__(self, code: str, **values: object) -> None:
        self.code = code
        self.values = values
        super().__init__(code, values)

    def __str__(self) -> str:
        return i18n.text(self.code, **self.values)

    def __reduce__(self) -> tuple[object, ...]:  # one process hands it to another whole
        return _again, (type(self), self.code, self.values)

    def to_dict(self) -> dict[str, object]:
        """The error as JSON, the same in the terminal's `--json` and over HTTP."""
        plain = {
            key: value if isinstance(value, str | int | float | bool | None) else str(value)
            for key, value in self.values.items()
        }
        return {"code": self.code, "kind": type(self).__name__, "message": str(self), "values": plain}


class UsageError(JishiError):
    exit_code = 2


class UnknownName(UsageError):
    """A name that is not in `allowed`; the nearest one is suggested."""

    def __init__(self, kind: str, given: str, allowed: Iterable[str]) -> None:
        names = sorted(allowed)
        super().__init__(
            "core.unknown-name", kind=kind, given=given, hint=did_you_mean(given, names), allowed=", ".join(names)
        )


class MissingExtra(UsageError):
    """An optional library is missing; `extra` is what to install."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__("core.missing-extra", library=library, extra=extra)


class DataError(JishiError):
    pass


class RowError(DataError):
    """One row is refused. Raise it with a reason; the reader adds `where` (file:line)."""


class ModelError(JishiError):
    pass


class BundleError(JishiError):
    pass


class TrainingError(JishiError):
    pass


class LimitError(JishiError):
    pass


class ServingError(JishiError):
    pass


def read(told: Mapping[str, Any]) -> JishiError:
    """The error that `to_dict` of another process told."""
    return _again(
        next(kind for kind in _kinds(JishiError) if kind.__name__ == told["kind"]), told["code"], told["values"]
    )


def _kinds(root: type[JishiError]) -> Iterator[type[JishiError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


def _again(cls: type[JishiError], code: str, values: dict[str, object]) -> JishiError:
    error = cls.__new__(cls)
    JishiError.__init__(error, code, **values)
    return error


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """A sentence naming the nearest of `names`, or nothing."""
    near = difflib.get_close_matches(given, list(names), n=1, cutoff=0.6)
    return i18n.text("core.did-you-mean", near=near[0]) if near else ""
