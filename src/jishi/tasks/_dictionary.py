"""The plain rival of tasks that mark spans: what the training rows have marked, known by heart."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jishi.core.contracts import Prediction, Row
from jishi.core.script import units
from jishi.tasks._tagging import entity


@dataclass(frozen=True)
class Dictionary:
    """The longest match with a span of the training rows, with the type it mostly had.

    A surface that is more often no span than one is left out.
    """

    known: Mapping[str, tuple[str, float]]  # surface → type, and its share of the surface's spans
    longest: int  # in units
    name: str = "dictionary"

    @classmethod
    def of(cls, rows: Sequence[Row], key: str = "spans") -> "Dictionary":
        counts: dict[str, Counter[str]] = {}
        for row in rows:
            for span in row[key]:
                counts.setdefault(row["text"][span["start"] : span["end"]], Counter())[span["label"]] += 1
        known = {
            surface: (types.most_common(1)[0][0], max(types.values()) / types.total())
            for surface, types in counts.items()
        }
        rival = cls(known, max((len(units(surface)) for surface in known), default=0))
        found = Counter(span["text"] for row in rows for span in rival.find(row["text"]))
        kept = {surface: type_ for surface, type_ in known.items() if 2 * counts[surface].total() >= found[surface]}
        return replace(rival, known=kept)

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return [{"entities": self.find(row["text"])} for row in rows]

    def find(self, text: str) -> list[dict[str, Any]]:
        found, parts, first = [], units(text), 0
        while first < len(parts):
            start, last = parts[first][0], min(first + self.longest, len(parts))
            while last > first and text[start : parts[last - 1][1]] not in self.known:
                last -= 1
            if last > first:
                found.append(entity(text, start, parts[last - 1][1], *self.known[text[start : parts[last - 1][1]]]))
            first = max(last, first + 1)
        return found
