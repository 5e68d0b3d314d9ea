"""Passages by the words they share with a query (BM25, Robertson & Zaragoza 2009), Chinese cut into words by jieba."""

import re
from collections.abc import Sequence
from typing import Any

import numpy

from jishi.core.errors import MissingExtra
from jishi.core.words import jieba, runs
from jishi.retrieval.found import Found, best

_WORD = re.compile(r"\w+")


class Words:
    """BM25 (Lucene's form, k1 1.5, b 0.75) over some passages."""

    def __init__(self, passages: Sequence[str]) -> None:
        try:
            import bm25s
        except ModuleNotFoundError as missing:
            raise MissingExtra("bm25s", "retrieval") from missing
        self.count = len(passages)
        cut = [words(text) for text in passages]
        self._index: Any = bm25s.BM25() if any(cut) else None  # no word at all: nothing to find
        if self._index:
            self._index.index(cut, show_progress=False)

    def find(self, queries: Sequence[str], k: int) -> list[Found]:
        """For each query (place, score) of the k best passages that share a word with it, the best first."""
        return [self._find(words(query), k) for query in queries]

    def _find(self, query: list[str], k: int) -> Found:
        known = [word for word in query if self._index and word in self._index.vocab_dict]
        if not known:
            return []
        scores = numpy.asarray(self._index.get_scores(known), dtype=float)
        return [(place, score) for place, score in best(scores, k) if score > 0]


def words(text: str) -> list[str]:
    """The words of a text, small letters."""

    def cut(run: str) -> list[str]:
        return [word for word in jieba("retrieval").cut_for_search(run) if _WORD.search(word)]

    return [word for _, found in runs(text.lower(), cut, _WORD.findall) for word in found]
