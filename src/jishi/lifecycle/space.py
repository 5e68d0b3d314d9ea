"""What a search may set: for each key of a spec the values it can take, or the range a number lies in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jishi.core.errors import UsageError, did_you_mean

RANGE = ("low", "high", "log", "whole")


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: Sequence[Any]

    def suggest(self, trial: Any, key: str) -> Any:
        """A value that an Optuna trial takes; what is no plain value is chosen by its place."""
        return self.values[trial.suggest_categorical(key, list(range(len(self.values))))]

    def value(self, given: Any) -> Any:
        """The value of what a trial remembers."""
        return self.values[given]

    @property
    def ends(self) -> Sequence[Any]:
        """What must be right for all of it to be."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, on a logarithmic scale where `log`, without fractions where `whole`."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Any, key: str) -> Any:
        """A value that an Optuna trial takes."""
        if self.whole:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)

    def value(self, given: Any) -> Any:
        """The value of what a trial remembers."""
        return given

    @property
    def ends(self) -> Sequence[Any]:
        """What must be right for all of it to be."""
        return [int(one) if self.whole else one for one in (self.low, self.high)]


Space = Mapping[str, Choice | Range]


def read(search: Mapping[str, Any]) -> Space:
    """The space of a spec's `search`: lists are choices, {low, high} ranges, and keys may be nested or written with dots.

    Raises UsageError with the key where one is neither.
    """
    found = dict(_leaves(search, ()))
    if not found:
        raise UsageError("tune.no-search")
    return found


def _leaves(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[str, Choice | Range]]:
    name = ".".join(keys)
    if isinstance(value, list | tuple):
        if len(value) < 2:
            raise UsageError("tune.one-value", key=name)
        yield name, Choice(tuple(value))
    elif isinstance(value, Mapping) and {"low", "high"} & value.keys():
        yield name, _range(name, value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*keys, str(key)))
    else:
        raise UsageError("tune.no-range", key=name, given=repr(value)[:60])


def _range(name: str, value: Mapping[str, Any]) -> Range:
    for key in value:
        if key not in RANGE:
            raise UsageError("tune.range-key", key=name, given=key, hint=did_you_mean(str(key), RANGE))
    low, high = value.get("low"), value.get("high")
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (low, high))
    if not numbers or not low < high or (value.get("log") and low <= 0):
        raise UsageError("tune.bad-range", key=name, low=low, high=high)
    return Range(low, high, bool(value.get("log")), bool(value.get("whole")))
