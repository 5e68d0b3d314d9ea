"""The account of every row that was read: accepted into a part, refused for a reason, or cut by a limit."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from jishi.core.errors import RowError

SAMPLES = 5  # refused rows shown for each reason


@dataclass
class Ledger:
    """`read` equals all that is accepted, refused and cut together."""

    read: int = 0
    accepted: Counter[str] = field(default_factory=Counter)  # part → rows
    refused: Counter[str] = field(default_factory=Counter)  # code of the reason → rows
    cut: Counter[str] = field(default_factory=Counter)  # name of the limit → rows
    mended: Counter[str] = field(default_factory=Counter)  # how → rows read that were put right by a stated rule
    samples: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, where: str, reason: RowError) -> None:
        """Count a bad row; the first few of each reason are kept with their place."""
        self.refused[reason.code] += 1
        if self.refused[reason.code] <= SAMPLES:
            self.samples.append({"where": where, "code": reason.code, "reason": str(reason)})

    def to_dict(self) -> dict[str, Any]:
        counts = {name: dict(sorted(getattr(self, name).items())) for name in ("accepted", "refused", "cut", "mended")}
        return {"read": self.read, **counts, "samples": self.samples}
