"""Choices: several texts, of which one is to be chosen."""

import json
from dataclasses import dataclass
from typing import Any

import numpy

from jishi.core import registry
from jishi.core.contracts import Modality, option
from jishi.core.errors import RowError


@dataclass(frozen=True)
class Choices(Modality):
    """A list of texts, or one written as JSON."""

    binary = False

    most: int = option(100, "Most choices accepted.", "可接受的最多选项数。")

    @property
    def _text(self) -> Modality:
        return registry.get(Modality, "text")()

    def read(self, value: Any) -> list[str]:
        """The texts of a row, two at least. Raises RowError."""
        found = _parsed(value)
        if not isinstance(found, list | tuple) or not 2 <= len(found) <= self.most:
            raise RowError("modalities.no-choices", given=repr(value)[:80], allowed=self.most)
        return [self._text.read(text) for text in found]

    def augment(self, raw: list[str], rng: numpy.random.Generator) -> list[str]:
        return [self._text.augment(text, rng) for text in raw]

    def corrupt(self, raw: list[str], severity: float, rng: numpy.random.Generator) -> list[str]:
        return [self._text.corrupt(text, severity, rng) for text in raw]

    def statistics(self, raw: list[str]) -> dict[str, float | str]:
        """How many there are, and their mean length in characters."""
        return {"count": float(len(raw)), "characters": sum(map(len, raw)) / len(raw)}


def _parsed(value: Any) -> Any:
    """A cell of a CSV file holds the list as JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
