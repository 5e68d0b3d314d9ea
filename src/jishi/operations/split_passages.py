"""Passages that a model can read whole."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from jishi.core.contracts import Operation, Treated, option

_END = re.compile(r"\n+|(?<=[。！？；])|(?<=[.!?])\s+")


@dataclass(frozen=True)
class SplitPassages(Operation):
    """Cuts texts at ends of lines or sentences into passages of a length a model reads whole; longer sentences are cut too."""

    characters: Annotated[int, Field(ge=16)] = option(
        1000,
        "The most characters of a passage: some 250 tokens of English, 700 of Chinese.",
        "每段的最大字符数：英文约 250 个词元，中文约 700 个。",
    )

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        if len(text) <= self.characters:
            return None
        passages = [passage for passage in map(str.strip, self._passages(text)) if passage]
        return Treated(passages, {"passages": len(passages)})

    def _passages(self, text: str) -> Iterator[str]:
        start = end = 0
        for place in [*(match.end() for match in _END.finditer(text)), len(text)]:
            if place - start > self.characters:
                if end > start:
                    yield text[start:end]
                    start = end
                while place - start > self.characters:
                    yield text[start : start + self.characters]
                    start += self.characters
            end = place
        yield text[start:]
