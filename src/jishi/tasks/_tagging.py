"""One tag a unit of a text (O, B-x, I-x): what tasks that mark spans in a text share."""

from collections.abc import Sequence
from typing import Any

import numpy

from jishi.core.contracts import Batch, Features, Prediction, Row
from jishi.metrics import tags, temperature
from jishi.metrics.tags import Span
from jishi.models import tokens, units, windows
from jishi.tasks import _spans, _viterbi


def names(labels: Sequence[str]) -> list[str]:
    """The tags of some types, in the order of the columns of the logits."""
    return ["O", *(f"{prefix}-{label}" for label in labels for prefix in "BI")]


def encode(
    processor: Any, text: str, spans: Sequence[_spans.CharacterSpan] | None, labels: Sequence[str], **limits: int | None
) -> Features:
    """As `models.units.encode`, with "text"; where there are spans, "labels" (T,) names the tag of every unit's first token and
    "cut" counts spans that no units make up."""
    features = {**units.encode(processor, text, **limits), "text": text}
    if spans is not None:
        found, features["cut"] = _spans.place(features["units"], spans)
        index = {tag: number for number, tag in enumerate(names(labels))}
        named = tags.bio(found, len(features["units"]))
        features["labels"] = numpy.full(len(features["input_ids"]), tokens.IGNORED, dtype=numpy.int32)
        features["labels"][features["firsts"]] = [index.get(tag, tokens.IGNORED) for tag in named]
    return features


def arrays(features: Sequence[Features], processor: Any) -> Batch:
    """Windows stand as rows of their own, and every token has its label in the one that speaks for it."""
    long = any("windows" in row for row in features)
    batch = windows.arrays(features, processor) if long else tokens.arrays(features, processor)
    if all("labels" in row for row in features):
        labels = [part for row in features for part in windows.spread(row["labels"], row, tokens.IGNORED)]
        batch["labels"] = tokens.table(labels, tokens.IGNORED)
    return batch


def found(
    logits: numpy.ndarray,
    features: Features,
    labels: Sequence[str],
    learnt: numpy.ndarray | None = None,
    *,
    free: bool = False,
) -> tuple[list[dict[str, Any]], float]:
    """The spans that logits (T, K) tell, and the probability that all of them, and no others, are right.

    With transitions `learnt`, tags are likely as a sequence; `free`: each by itself, whatever stands before it.
    """
    logits, parts = logits[features["firsts"]], features["units"]
    if not len(logits):
        return [], 1.0
    best = logits.argmax(axis=1) if free else _viterbi.best(logits, learnt)
    shares = temperature.softmax(logits) if learnt is None else _viterbi.marginals(logits, learnt)
    sure, named = shares[numpy.arange(len(best)), best], names(labels)
    marked = [
        entity(features["text"], parts[first][0], parts[last - 1][1], label, sure[first:last].min())
        for first, last, label in tags.spans([named[tag] for tag in best])
    ]
    return marked, float(sure.prod())


def entity(text: str, start: int, end: int, label: str, score: float) -> dict[str, Any]:
    """A span as answers hold it; its score is the probability of its least sure unit."""
    return {"start": start, "end": end, "label": label, "text": text[start:end], "score": float(score)}


def spans(rows: Sequence[Row | Prediction], key: str) -> list[set[Span]]:
    """The spans that rows or answers hold under a key."""
    return [{(span["start"], span["end"], span["label"]) for span in row[key]} for row in rows]
