"""The plain models that stand beside every score: what an afternoon of classical work would give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

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
    """tf-idf and a linear model; the commonest answer where no term can be counted."""
    inputs = texts(rows)
    return fitted("tf-idf", problem, rows, texts, vectors(inputs), inputs)


def fitted(
    name: str, problem: ModuleType, rows: Sequence[Row], read: Callable[[Sequence[Row]], Any], front: Any, inputs: Any
) -> Plain:
    """The transformer `front` with the problem's linear model; the commonest answer where it can't be fitted."""
    values = [row["label"] for row in rows]
    try:
        model, infer = problem.fit(front, inputs, values)
    except ValueError:  # an empty vocabulary, or one class only
        return Plain("majority", len, lambda count: [problem.commonest(values)] * count)
    return Plain(f"{name} + {model}", read, infer)


def texts(rows: Sequence[Row]) -> list[str]:
    """The text of each row, the second one on a line of its own."""
    return [f"{row['text']}\n{row['text_pair']}" if row.get("text_pair") else row["text"] for row in rows]


def vectors(inputs: Sequence[str]) -> Any:
    """tf-idf over characters (1 to 3) where the script has no spaces, else over words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if spaceless("".join(inputs[:1000])):
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    return TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", sublinear_tf=True)
