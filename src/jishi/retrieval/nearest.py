"""Passages by their vectors: all of them compared, or a graph walked (HNSW, arXiv:1603.09320) where there are very many."""

from collections.abc import Sequence
from typing import Any

import numpy

from jishi.core.errors import MissingExtra
from jishi.retrieval.found import Found, best

CHUNK = 256  # queries compared at once
LINKS, BREADTH = 32, 128  # of the graph


class Exact:
    """Every vector (N, D) is compared."""

    def __init__(self, vectors: numpy.ndarray) -> None:
        self.vectors = numpy.ascontiguousarray(vectors, dtype=numpy.float32)

    def find(self, queries: numpy.ndarray, k: int) -> list[Found]:
        """For each query vector (Q, D) the (place, product) of its k nearest, the nearest first."""
        found: list[Found] = []
        for start in range(0, len(queries), CHUNK):
            table = numpy.asarray(queries[start : start + CHUNK], dtype=numpy.float32) @ self.vectors.T
            found += [best(row, k) for row in table]
        return found


class Graph:
    """The nearest by a graph of neighbours, made when it is opened: a few may be missed, and a search takes log(N) steps."""

    def __init__(self, vectors: numpy.ndarray) -> None:
        try:
            import faiss
        except ModuleNotFoundError as missing:
            raise MissingExtra("faiss-cpu", "retrieval") from missing
        self._index: Any = faiss.IndexHNSWFlat(int(vectors.shape[1]), LINKS, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = BREADTH
        self._index.add(numpy.ascontiguousarray(vectors, dtype=numpy.float32))

    def find(self, queries: numpy.ndarray, k: int) -> list[Found]:
        """As `Exact.find`, nearly."""
        self._index.hnsw.efSearch = max(BREADTH, k)
        scores, places = self._index.search(numpy.ascontiguousarray(queries, dtype=numpy.float32), k)
        return [
            [(int(place), float(score)) for place, score in zip(row, values, strict=True) if place >= 0]
            for row, values in zip(places, scores, strict=True)
        ]


def hard(found: Found, right: Sequence[int], score: float, *, margin: float, count: int) -> list[int]:
    """Of the passages found for a query the first `count` that are wrong: none of the right ones, and none whose product
    comes within `margin` (a share) of that of the right one, which may be right unsaid (arXiv:2407.15831)."""
    ceiling = score - margin * abs(score)
    return [place for place, value in found if place not in right and value <= ceiling][:count]
