"""Which search finds most in an index: words, vectors or both, held to queries whose passages are known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from jishi.core.errors import DataError
from jishi.data.columns import canonical
from jishi.data.rows import read
from jishi.lifecycle.search import By, Searcher
from jishi.metrics.ranking import ranking
from jishi.retrieval.found import Found
from jishi.retrieval.index import Index

DEEP = 100  # passages looked at for each query
METRIC = "ndcg@10"  # decides


def settled(searcher: Searcher, queries: Path) -> Index:
    """The index, which from now on knows how each search does on a file of pairs, and takes the best where none is asked for.

    Its record has "judged": {"by": the best, "queries", "left_out", "scores": {search: {metric: value}}}. A pair whose
    passage is not in the index is left out and counted. Raises DataError where none is in it.
    """
    sides = ("query", "passage") if searcher.index.record["sides"][1] == "passage" else ("text", "text_pair")
    place = {text: index for index, text in enumerate(searcher.index.texts)}
    right: dict[str, set[int]] = {}
    left_out = 0
    for _, raw in read(queries):
        row = searcher.predictor.task.parse(canonical(raw, searcher.predictor.task.aliases))
        query, passage = (row[side] for side in sides)
        if query is not None and passage in place:
            right.setdefault(query, set()).add(place[passage])
        else:
            left_out += 1
    if not right:
        raise DataError("retrieval.nothing-known", path=queries, columns=" + ".join(sides))
    scores = {by: judged(searcher.find(list(right), DEEP, by), list(right.values())) for by in get_args(By)}
    best = max(scores, key=lambda by: scores[by][METRIC])
    told = {"by": best, "queries": len(right), "left_out": left_out, "scores": scores}
    return replace(searcher.index, record={**searcher.index.record, "judged": told})


def judged(found: Sequence[Found], right: Sequence[set[int]]) -> dict[str, float]:
    """nDCG@10, MRR and recall@k of what was found for each query, beside the places that are right."""
    places = [
        [rank for rank, (place, _) in enumerate(one, 1) if place in own] for one, own in zip(found, right, strict=True)
    ]
    return ranking(places, [len(own) for own in right])
