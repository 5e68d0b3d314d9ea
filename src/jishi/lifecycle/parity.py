"""Do two bundles answer alike? Every step between training and service is held to this, and nothing beyond it is published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy

from jishi.core.contracts import Prediction
from jishi.core.errors import BundleError
from jishi.predictor import Predictor, decision, numbers

EXACT = 1e-5  # how far a score may move (relative above 1) where nothing but rounding may change
SHOWN = 5  # rows whose answers changed, in a sentence


@dataclass(frozen=True)
class Difference:
    """What changed on the same rows: how many were asked, `places` of those decided otherwise, how far scores moved."""

    rows: int
    places: Sequence[int]
    largest: float
    mean: float

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rows": self.rows, "flips": len(self.places), "max_difference": self.largest, "mean_difference": self.mean,
        }  # fmt: skip


def difference(before: Sequence[Prediction], after: Sequence[Prediction]) -> Difference:
    """Of answers to the same rows: a tie that falls the other way, all scores the same but for rounding, is no other decision."""
    places, moved = [], []
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        pairs = list(numbers(old)), list(numbers(new))
        apart = (
            [abs(one - other) / max(1.0, abs(one)) for one, other in zip(*pairs, strict=True)]
            if len(pairs[0]) == len(pairs[1])
            else None
        )
        moved.append(apart or [])
        rounding = apart and not numpy.max(apart) > EXACT
        if decision(old) != decision(new) and not rounding:
            places.append(place)
    flat = list(chain.from_iterable(moved)) or [0.0]
    return Difference(len(moved), places, float(numpy.max(flat)), float(numpy.mean(flat)))


def probed(before: Predictor, after: Predictor) -> Difference:
    """On the probes of the first, which both answer anew."""
    rows = [before.from_json(probe["row"]) for probe in before.probes]
    return difference(before.predict(rows), after.predict(rows))


def same(name: str, *found: Difference) -> None:
    """Raises BundleError where more than rounding has changed."""
    for one in found:
        if one.places or not one.largest <= EXACT:
            raise BundleError(
                "compress.not-same", method=name, rows=one.rows, flips=len(one.places), which=_which(one),
                given=f"{one.largest:.2g}", allowed=f"{EXACT:g}",
            )  # fmt: skip


def near(name: str, judged: Difference, metric: str, pair: Mapping[str, float], tolerance: float) -> None:
    """Raises BundleError where the score that decides has fallen by more than the tolerance, or is none."""
    if not pair["before"] - pair["after"] <= tolerance:
        raise BundleError(
            "compress.loses", method=name, metric=metric, before=f"{pair['before']:.4g}", after=f"{pair['after']:.4g}",
            allowed=tolerance, rows=judged.rows, flips=len(judged.places), which=_which(judged),
        )  # fmt: skip


def _which(found: Difference) -> str:
    """The first rows decided otherwise, counted from 1."""
    rows = ", ".join(str(place + 1) for place in found.places[:SHOWN])
    return (rows + (", …" if len(found.places) > SHOWN else "")) or "–"
