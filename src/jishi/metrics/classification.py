"""Scores of answers that are labels: one a row, or a set a row. What divides by nothing is zero."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy

Answer = str | Collection[str]  # one label, or a set of them


def per_class(
    truth: Sequence[Answer], given: Sequence[Answer], labels: Iterable[str] = ()
) -> list[dict[str, float | str]]:
    """Precision, recall, F1 and support of every class: `labels` in their order, then any other that occurs, sorted."""
    hits: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    support: Counter[str] = Counter()
    for expected, answer in zip(truth, given, strict=True):
        right, said = _labels(expected), _labels(answer)
        support.update(right)
        answered.update(said)
        hits.update(right & said)
    listed = list(dict.fromkeys(labels))
    listed += sorted((support.keys() | answered.keys()) - set(listed))
    return [
        {
            "label": label,
            "precision": ratio(hits[label], answered[label]),
            "recall": ratio(hits[label], support[label]),
            "f1": ratio(2 * hits[label], answered[label] + support[label]),
            "support": support[label],
        }
        for label in listed
    ]


def confusion(truth: Sequence[str], given: Sequence[str], labels: Sequence[str]) -> numpy.ndarray:
    """Counts (K, K): rows are the true class, columns the answer. Labels outside `labels` are not counted."""
    place = {label: index for index, label in enumerate(labels)}
    counts = numpy.zeros((len(labels), len(labels)), dtype=int)
    for expected, answer in zip(truth, given, strict=True):
        if expected in place and answer in place:
            counts[place[expected], place[answer]] += 1
    return counts


def single_label(truth: Sequence[str], given: Sequence[str]) -> dict[str, float]:
    """Accuracy, macro F1 and F1 weighted by support, over the classes that occur in truth or answers."""
    if not truth:
        return {"accuracy": 0.0, "macro_f1": 0.0, "weighted_f1": 0.0}
    places = {label: place for place, label in enumerate(sorted({*truth, *given}))}
    expected, answered = (numpy.fromiter(map(places.__getitem__, side), int, len(side)) for side in (truth, given))
    counted = (expected[expected == answered], expected, answered)
    hits, support, answers = (numpy.bincount(side, minlength=len(places)) for side in counted)
    f1 = 2 * hits / (support + answers)
    return {
        "accuracy": ratio(hits.sum(), len(truth)),
        "macro_f1": float(f1.mean()),
        "weighted_f1": float(f1 @ support / len(truth)),
    }


def multi_label(truth: Sequence[Collection[str]], given: Sequence[Collection[str]]) -> dict[str, float]:
    """Micro and macro F1 over the labels, and the share of rows whose whole set is right."""
    pairs = [(set(expected), set(answer)) for expected, answer in zip(truth, given, strict=True)]
    table = per_class(truth, given)
    return {
        "micro_f1": ratio(2 * sum(len(a & b) for a, b in pairs), sum(len(a) + len(b) for a, b in pairs)),
        "macro_f1": float(numpy.mean([row["f1"] for row in table])) if table else 0.0,
        "subset_accuracy": ratio(sum(a == b for a, b in pairs), len(pairs)),
    }


def overlap(truth: Collection[object], given: Collection[object]) -> float:
    """F1 of two sets; 1 where both are empty."""
    right, said = set(truth), set(given)
    return ratio(2 * len(right & said), len(right) + len(said)) if right or said else 1.0


def ratio(part: float, whole: float) -> float:
    """part / whole, 0 where there is no whole."""
    return float(part / whole) if whole else 0.0


def _labels(answer: Answer) -> set[str]:
    return {answer} if isinstance(answer, str) else set(answer)
