"""Hard negatives: for each pair the passages that the model itself confuses with the right one, to be trained on next."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy

from jishi.core import publish
from jishi.core.contracts import Row
from jishi.core.errors import DataError
from jishi.data.columns import canonical
from jishi.data.rows import read
from jishi.lifecycle.search import embed
from jishi.predictor import Predictor
from jishi.retrieval import nearest

DEEP = 50  # passages looked at for each query


def mine(path: Path, data: Path, out: Path, *, count: int = 1, margin: float = 0.05) -> dict[str, int]:
    """Write the pairs of a file with "negative", one row a negative; those that have none stay as they are, and are counted.

    A passage within `margin` of the right one's cosine (a share) may be right unsaid: it is no negative.
    """
    predictor = Predictor.load(path)
    rows = [predictor.task.parse(canonical(raw, predictor.task.aliases)) for _, raw in read(data)]
    if not rows or any(row.get("passage") is None and row.get("text_pair") is None for row in rows):
        raise DataError("retrieval.no-passages", path=data)
    found = negatives(predictor, rows, count=count, margin=margin)
    lines: list[dict[str, Any]] = []
    for row, texts in zip(rows, found, strict=True):
        given = {name: value for name, value in row.items() if value is not None}
        lines += [{**given, "negative": text} for text in texts] or [given]
    publish.write_text(out, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return {"rows": len(rows), "negatives": sum(map(len, found)), "without": sum(not texts for texts in found)}


def negatives(predictor: Predictor, rows: Sequence[Row], *, count: int, margin: float) -> list[list[str]]:
    """For each pair the hardest wrong passages of all rows; what stands beside an equal query is right too."""
    first, second = ("query", "passage") if rows[0].get("passage") is not None else ("text", "text_pair")
    passages = list(dict.fromkeys(row[second] for row in rows))
    place = {text: index for index, text in enumerate(passages)}
    right: dict[str, set[int]] = {}
    for row in rows:
        right.setdefault(row[first], set()).add(place[row[second]])
    queries = list(right)
    asked, held = (
        embed(predictor, queries, first),
        embed(predictor, passages, "passage" if second == "passage" else "text"),
    )
    nearby = dict(zip(queries, zip(asked, nearest.Exact(held).find(asked, DEEP), strict=True), strict=True))
    chosen = []
    for row in rows:
        vector, candidates = nearby[row[first]]
        own = float(numpy.dot(vector, held[place[row[second]]]))
        places = nearest.hard(candidates, list(right[row[first]]), own, margin=margin, count=count)
        chosen.append([passages[index] for index in places])
    return chosen
