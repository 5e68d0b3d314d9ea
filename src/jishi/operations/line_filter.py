"""Without the lines that stand in many texts: menus, notices, headers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy
from pydantic import Field

from jishi.core.contracts import Operation, Treated, option


@dataclass(frozen=True)
class LineFilter(Operation):
    """Takes out every line that stands in more texts than so many; a text of which nothing is left is dropped."""

    surveys = True

    texts: Annotated[int, Field(ge=1)] = option(
        10, "The most texts a line may stand in.", "一行最多可出现在多少篇文本中。"
    )
    least: Annotated[int, Field(ge=1)] = option(
        8, "The fewest characters of a line that is counted.", "参与计数的行的最少字符数。"
    )

    def survey(self, texts: Sequence[str]) -> numpy.ndarray:
        found = [_key(line) for text in texts for line in {*text.split("\n")} if len(line) >= self.least]
        return numpy.asarray(found, dtype=numpy.uint64)

    def settle(self, surveys: Sequence[numpy.ndarray], count: int) -> Sequence[Any]:
        keys, times = numpy.unique(numpy.concatenate(surveys), return_counts=True)
        return [frozenset(keys[times > self.texts].tolist())] * count

    def treat(self, text: str, known: Any = None) -> Treated | None:
        if not known:
            return None
        lines = text.split("\n")
        kept = [line for line in lines if len(line) < self.least or _key(line) not in known]
        if len(kept) == len(lines):
            return None
        left = "\n".join(kept).strip("\n")
        return Treated([left] if left.strip() else [], {"repeated-line": len(lines) - len(kept)})


def _key(line: str) -> int:
    return int.from_bytes(hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
