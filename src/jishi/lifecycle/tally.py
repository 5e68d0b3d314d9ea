"""The account of a corpus: at every step how many texts stayed, were changed or dropped, why, and how some looked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from jishi.core.contracts import Treated
from jishi.core.errors import DataError

SAMPLES = 3  # for each reason
SHOWN = 200  # characters of a sample


@dataclass
class Tally:
    """Of one step; `seen` is all that `kept`, `changed` and `dropped` add up to, and `given` is what goes on to the next."""

    seen: int = 0
    kept: int = 0
    changed: int = 0
    dropped: int = 0
    given: int = 0
    characters: list[int] = field(default_factory=lambda: [0, 0])  # before and after
    reasons: Counter[str] = field(default_factory=Counter)  # how often each was met
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, where: str, text: str, treated: Treated | None, *, discreet: bool = False) -> None:
        """Count what was made of a text; where it is `discreet`, samples show the outcome only."""
        self.seen += 1
        self.characters[0] += len(text)
        if treated is None:
            self.kept += 1
            self.given += 1
            self.characters[1] += len(text)
            return
        self.changed += bool(treated.texts)
        self.dropped += not treated.texts
        self.given += len(treated.texts)
        self.characters[1] += sum(map(len, treated.texts))
        self.reasons.update(treated.reasons)
        for reason in treated.reasons:
            sample = shown(text, treated.texts)
            self._show(reason, {"where": where, **({"after": sample["after"]} if discreet else sample)})

    def refuse(self, where: str, code: str, reason: str) -> None:
        """Count a row that could not be read as a text."""
        self.seen += 1
        self.dropped += 1
        self.reasons[code] += 1
        self._show(code, {"where": where, "reason": reason})

    def nothing(self, path: str) -> DataError:
        """Why no text was read from there: the first row that was refused says it best."""
        if not self.reasons:
            return DataError("data.no-rows", path=path)
        first = next(iter(self.samples.values()))[0]
        return DataError("data.no-row-a-text", path=path, given=self.seen, reasons=self.commonest(), **first)

    def commonest(self) -> str:
        """The reasons met most often, with how often."""
        return ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common(3)) or "–"

    def merge(self, other: Self) -> None:
        """Add what came after."""
        for name in ("seen", "kept", "changed", "dropped", "given"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.characters = [before + after for before, after in zip(self.characters, other.characters, strict=True)]
        self.reasons.update(other.reasons)
        for reason, samples in other.samples.items():
            for sample in samples:
                self._show(reason, sample)

    def to_dict(self) -> dict[str, Any]:
        reasons = dict(sorted(self.reasons.items()))
        counts = {name: getattr(self, name) for name in ("seen", "kept", "changed", "dropped", "given", "characters")}
        return {**counts, "reasons": reasons, "samples": dict(sorted(self.samples.items()))}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What `to_dict` told."""
        return cls(**{**told, "reasons": Counter(told["reasons"])})

    def _show(self, reason: str, sample: dict[str, Any]) -> None:
        found = self.samples.setdefault(reason, [])
        if len(found) < SAMPLES:
            found.append(sample)


def shown(before: str, after: Sequence[str]) -> dict[str, str]:
    """A text before and after, from shortly before the first difference on."""
    whole = "\n".join(after)
    if not after:
        return {"before": before[:SHOWN], "after": ""}
    first = next((at for at, (old, new) in enumerate(zip(before, whole, strict=False)) if old != new), 0)
    start = max(0, first - SHOWN // 4)
    return {"before": before[start : start + SHOWN], "after": whole[start : start + SHOWN]}
