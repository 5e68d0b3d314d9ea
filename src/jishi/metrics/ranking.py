"""How good a ranking is: how far up the right ones stand (Järvelin & Kekäläinen 2002; Voorhees 1999)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy

CUTS = (1, 5, 10)  # recall@k
DEPTH = 10  # nDCG@10
CHUNK = 512  # queries compared at once


def ranking(places: Sequence[Sequence[float]], totals: Sequence[int] | None = None) -> dict[str, float]:
    """MRR, recall@1/5/10 and nDCG@10, the means over queries; 0 to 1.

    `places` are those of the right ones found for each query, from 1; `totals` how many there are to find (default: one).
    """
    totals = totals or [1] * len(places)
    pairs = list(zip(places, totals, strict=True))
    return {
        "mrr": _mean([1 / min(found) if len(found) else 0.0 for found in places]),
        **{f"recall@{k}": _mean([recall(found, total, k) for found, total in pairs]) for k in CUTS},
        f"ndcg@{DEPTH}": _mean([ndcg(found, total, DEPTH) for found, total in pairs]),
    }


def recall(places: Sequence[float], total: int, k: int) -> float:
    """The share of the right ones that stand among the first k."""
    return sum(place <= k for place in places) / total if total else 0.0


def ndcg(places: Sequence[float], total: int, k: int) -> float:
    """What the places within the first k are worth, 1 / log2(1 + place) each, beside those of the best order."""
    best = sum(1 / numpy.log2(1 + place) for place in range(1, min(total, k) + 1))
    return float(sum(1 / numpy.log2(1 + place) for place in places if place <= k) / best) if best else 0.0


def places(queries: Any, passages: Any, query_keys: Sequence[str], passage_keys: Sequence[str]) -> list[float]:
    """For each pair i the place of passage i among all that query i is held against, by the product of their vectors.

    `queries` and `passages` are (N, D), dense or sparse. Equal passages count once, and other passages that stand beside an
    equal query are right too, so they are left out; equal products share the mean of their places.
    """
    first: Mapping[str, int] = {key: index for index, key in reversed(list(enumerate(passage_keys)))}
    kept = sorted(first.values())  # the first of equal passages
    column = {passage_keys[index]: place for place, index in enumerate(kept)}
    own = [column[key] for key in passage_keys]
    right: dict[str, set[int]] = {}
    for key, place in zip(query_keys, own, strict=True):
        right.setdefault(key, set()).add(place)
    pool = passages[kept].T
    found: list[float] = []
    for start in range(0, len(own), CHUNK):
        product = queries[start : start + CHUNK] @ pool
        table = product.toarray() if hasattr(product, "toarray") else numpy.asarray(product)
        for index, row in enumerate(table, start):
            others = numpy.ones(len(row), dtype=bool)
            others[list(right[query_keys[index]])] = False
            rivals, mine = row[others], row[own[index]]
            found.append(float(1 + (rivals > mine).sum() + (rivals == mine).sum() / 2))
    return found


def _mean(values: Sequence[float]) -> float:
    return float(numpy.mean(values)) if len(values) else 0.0
