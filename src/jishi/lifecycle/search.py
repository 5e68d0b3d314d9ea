"""Search: passages with the vectors a bundle gives them, found by words, by vectors or by both, and read again by a reranker."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy

from jishi.core import bundle, registry
from jishi.core.errors import BundleError, DataError, RowError, UnknownName, UsageError
from jishi.data.rows import read
from jishi.predictor import Predictor
from jishi.retrieval import nearest
from jishi.retrieval.bm25 import Words
from jishi.retrieval.found import Found, fuse
from jishi.retrieval.index import Index

By = Literal["hybrid", "vectors", "words"]
Side = Literal["text", "query", "passage"]
POOL = 50  # passages of each search that are fused, or read again
PAIR = {"text", "text_pair"}  # what a reranker reads
PASSAGE = ("passage", "text", "answer")  # columns a passage is looked for in


def embed(predictor: Predictor, texts: Iterable[str], side: Side = "text") -> numpy.ndarray:
    """The unit vectors (N, D) fp32 of texts; `side` says with which prefix. Raises BundleError where the bundle gives none."""
    if side not in get_args(Side):
        raise UnknownName("side", side, get_args(Side))
    if not set(get_args(Side)) <= set(predictor.task.columns):
        raise BundleError("retrieval.no-vectors", path=predictor.path, given=registry.name_of(predictor.task))
    found = predictor.outputs([{side: text} for text in texts])
    return numpy.stack([numpy.asarray(row[0]) for row in found]) if found else numpy.zeros((0, 0), numpy.float32)


class Searcher:
    """An index ready to be asked."""

    def __init__(self, index: Index, predictor: Predictor, *, approximate: bool = False) -> None:
        self.index, self.predictor = index, predictor
        self.vectors = (nearest.Graph if approximate else nearest.Exact)(index.vectors)
        self._words: Words | None = None

    @classmethod
    def load(cls, path: str | Path, bundle_path: str | Path | None = None, *, approximate: bool = False) -> Self:
        """The index of a folder with the bundle that made it. Raises BundleError where the bundle is another."""
        index = Index.read(Path(path))
        place = Path(bundle_path or index.record["bundle"])
        found, expected = bundle.read(place, verify=False).fingerprint, index.record["fingerprint"]
        if found != expected:
            raise BundleError(
                "retrieval.other-bundle", path=path, bundle=place, expected=expected[:12], given=found[:12]
            )
        return cls(index, Predictor.load(place), approximate=approximate)

    def find(self, queries: Sequence[str], k: int, by: By | None = None) -> list[Found]:
        """For each query the (place, score) of the k best passages; `by` defaults to what did best for this index, or hybrid."""
        by = by or self.index.record.get("judged", {}).get("by", "hybrid")
        if k < 1:
            raise UsageError("retrieval.bad-k", given=k)
        if by not in get_args(By):
            raise UnknownName("search", by, get_args(By))
        rankings = []
        if by != "words":
            vectors = embed(self.predictor, queries, self.index.record["sides"][0])
            rankings.append(self.vectors.find(vectors, k if by == "vectors" else max(k, POOL)))
        if by != "vectors":
            self._words = self._words or Words(self.index.texts)
            rankings.append(self._words.find(queries, k if by == "words" else max(k, POOL)))
        return rankings[0] if len(rankings) == 1 else [fuse(pair, k) for pair in zip(*rankings, strict=True)]

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        by: By | None = None,
        reranker: Predictor | None = None,
        label: str | None = None,
    ) -> list[list[dict[str, Any]]]:
        """For each query the k best passages: {"text", "score", "row"}, the best first.

        A `reranker` (a bundle for pairs of texts) reads the first 50 with the query; `label` is the one that means yes.
        """
        found = self.find(queries, max(k, POOL) if reranker else k, by)
        if reranker:
            found = rerank(reranker, queries, found, self.index.texts, label)
        return [
            [
                {"text": self.index.texts[place], "score": score, "row": self.index.rows[place]}
                for place, score in one[:k]
            ]
            for one in found
        ]


def build(path: Path, data: Path, column: str | None = None, *, alike: bool = False) -> Searcher:
    """The rows of a file as an index; of equal texts the first, the others are counted. `alike`: queries are of the same kind."""
    predictor = Predictor.load(path)
    given = list(_passages(data, column))
    rows: dict[str, Mapping[str, Any]] = {}
    for text, row in given:
        rows.setdefault(text, row)
    if not rows:
        raise DataError("retrieval.no-passages", path=data)
    record = {
        "bundle": str(Path(path).resolve()),
        "fingerprint": bundle.read(path, verify=False).fingerprint,
        "sides": ["text", "text"] if alike else ["query", "passage"],
        "source": str(data),
        "repeated": len(given) - len(rows),
    }
    return Searcher(
        Index(list(rows.values()), list(rows), embed(predictor, rows, record["sides"][1]), record), predictor
    )


def rerank(
    reranker: Predictor, queries: Sequence[str], found: Sequence[Found], texts: Sequence[str], label: str | None
) -> list[Found]:
    """The passages found, in the order of what a model that reads query and passage together says."""
    if not set(reranker.task.columns) >= PAIR:
        raise BundleError("retrieval.no-pair", path=reranker.path)
    pairs = [
        {"text": query, "text_pair": texts[place]}
        for query, one in zip(queries, found, strict=True)
        for place, _ in one
    ]
    scores = iter([_say(answer, label) for answer in reranker.predict(pairs)])
    scored = [[(place, next(scores)) for place, _ in one] for one in found]
    return [sorted(one, key=lambda entry: -entry[1]) for one in scored]


def _say(answer: Mapping[str, Any], label: str | None) -> float:
    """One number of a prediction: how well the passage fits."""
    for key in ("value", "similarity"):
        if key in answer:
            return float(answer[key])
    scores = answer.get("scores", {})
    if label not in scores:
        raise UsageError("retrieval.which-label", allowed=", ".join(scores))
    return float(scores[label])


def _passages(path: Path, column: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for where, row in read(path):
        name = column or next((name for name in PASSAGE if row.get(name)), PASSAGE[0])
        text = row.get(name)
        if not isinstance(text, str) or not text.strip():
            raise RowError("retrieval.no-column", where=where, column=name, allowed=", ".join(map(str, row)))
        yield text, row
