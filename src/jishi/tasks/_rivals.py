"""The plain models that stand beside every score: what an afternoon of classical work would give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy

from jishi.core.contracts import Prediction, Row
from jishi.core.script import spaceless


@dataclass(frozen=True)
class Plain:
    """A rival: `read` makes its input of rows, `infer` predictions of its input."""

    name: str
    read: Callable[[Sequence[Row]], Any]
    infer: Callable[[Any], list[Prediction]]

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return self.infer(self.read(rows)) if len(rows) else []


def text(problem: ModuleType, rows: Sequence[Row]) -> Plain:
    """tf-idf and a linear model, of pairs also how far they overlap; the commonest answer where no term can be counted."""
    inputs = texts(rows)
    terms = vectors(inputs)
    if not any(row.get("text_pair") for row in rows):
        return fitted("tf-idf", problem, rows, texts, terms, inputs)
    try:
        terms.fit(inputs)
    except ValueError:
        return majority(problem, rows)
    read = partial(_sides, terms)
    return fitted("tf-idf, overlap", problem, rows, read, "passthrough", read(rows))


def fitted(
    name: str, problem: ModuleType, rows: Sequence[Row], read: Callable[[Sequence[Row]], Any], front: Any, inputs: Any
) -> Plain:
    """The transformer `front` with the problem's linear model; the commonest answer where it can't be fitted."""
    try:
        model, infer = problem.fit(front, inputs, [row["label"] for row in rows])
    except ValueError:  # an empty vocabulary, or one class only
        return majority(problem, rows)
    return Plain(f"{name} + {model}", read, infer)


def majority(problem: ModuleType, rows: Sequence[Row]) -> Plain:
    """The commonest answer, whatever is asked."""
    values = [row["label"] for row in rows]
    return Plain("majority", len, lambda count: [problem.commonest(values)] * count)


def _sides(terms: Any, rows: Sequence[Row]) -> Any:
    """tf-idf of each text, then their cosine, the share of either's terms that the other has, and their lengths' ratio."""
    from scipy import sparse

    first, second = (terms.transform([row.get(side) or "" for row in rows]) for side in ("text", "text_pair"))
    counts = [numpy.asarray((side > 0).sum(1), float).ravel() for side in (first, second)]
    shared = numpy.asarray((first > 0).multiply(second > 0).sum(1), float).ravel()
    less, more = numpy.minimum(*counts), numpy.maximum(*counts)
    cosine = numpy.asarray(first.multiply(second).sum(1)).ravel()
    overlap = [cosine, *(shared / numpy.maximum(count, 1) for count in counts), less / numpy.maximum(more, 1)]
    return sparse.hstack([first, second, sparse.csr_matrix(numpy.column_stack(overlap))], format="csr")


def texts(rows: Sequence[Row]) -> list[str]:
    """The text of each row, the second one on a line of its own."""
    return [f"{row['text']}\n{row['text_pair']}" if row.get("text_pair") else row["text"] for row in rows]


def vectors(inputs: Sequence[str]) -> Any:
    """tf-idf over characters (1 to 3) where nothing is put between words, else over words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    some = inputs[:1000]
    wordless = sum(len(text.split()) == 1 for text in some) > 0.9 * len(some)  # molecules, DNA: case may count there
    if wordless or spaceless("".join(some)):
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, lowercase=not wordless)
    return TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", sublinear_tf=True)
