"""Text: Unicode as it stands, never rewritten, so that character offsets stay true."""

import re
from dataclasses import dataclass
from typing import Any

import numpy

from jishi.core.contracts import Modality, option
from jishi.core.errors import RowError
from jishi.core.script import script, spaceless

_BROKEN = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Text(Modality):
    """A string."""

    binary = False

    max_characters: int = option(1_000_000, "Longest text accepted, in characters.", "可接受的最长文本（字符数）。")

    def read(self, value: Any) -> str:
        """The text of a row: a string or a number. Raises RowError for nothing, for NUL, and beyond the limit."""
        text = str(value) if isinstance(value, int | float) and value == value else value
        if not isinstance(text, str) or not text.strip():
            raise RowError("modalities.no-text", given=repr(value)[:40])
        if len(text) > self.max_characters:
            raise RowError("modalities.text-too-long", given=len(text), allowed=self.max_characters)
        if broken := _BROKEN.search(text):
            raise RowError("modalities.text-control", place=broken.start() + 1)
        return text

    def augment(self, raw: str, rng: numpy.random.Generator) -> str:
        """The text with one word (character, where words have no spaces) in ten dropped (arXiv:1901.11196)."""
        units = list(raw) if spaceless(raw) else re.findall(r"\S+\s*", raw)
        kept = [unit for unit, chance in zip(units, rng.random(len(units)), strict=True) if chance >= 0.1]
        return "".join(kept).strip() or raw

    def corrupt(self, raw: str, severity: float, rng: numpy.random.Generator) -> str:
        """Typing errors: the share `severity` / 2 of the characters is dropped, doubled or swapped with the next."""
        characters = list(raw)
        for place in numpy.flatnonzero(rng.random(len(characters)) < severity / 2):
            kind = rng.integers(3)
            if kind == 0:
                characters[place] = ""
            elif kind == 1:
                characters[place] *= 2
            elif place + 1 < len(characters):
                characters[place], characters[place + 1] = characters[place + 1], characters[place]
        return "".join(characters)

    def statistics(self, raw: str) -> dict[str, float | str]:
        """Length in characters, script, and the shares of digits and of capitals."""
        length = max(len(raw), 1)
        return {
            "characters": float(len(raw)),
            "script": script(raw),
            "digits": sum(map(str.isdigit, raw)) / length,
            "capitals": sum(map(str.isupper, raw)) / length,
        }
