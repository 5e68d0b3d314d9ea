"""Scores of entities: right where start, end and label all are. What stands outside every entity has no part in it."""

from collections import Counter
from collections.abc import Collection, Sequence

from jishi.metrics.classification import ratio
from jishi.metrics.tags import Span


def entities(truth: Sequence[Collection[Span]], given: Sequence[Collection[Span]]) -> dict[str, float]:
    """Micro precision, recall and F1 over all entities of all rows, and the mean F1 of the types that occur."""
    table = per_type(truth, given)
    right = sum(len(set(a) & set(b)) for a, b in zip(truth, given, strict=True))
    said, wanted = sum(len(set(row)) for row in given), sum(len(set(row)) for row in truth)
    return {
        "precision": ratio(right, said),
        "recall": ratio(right, wanted),
        "f1": ratio(2 * right, said + wanted),
        "macro_f1": ratio(sum(row["f1"] for row in table), len(table)),
    }


def per_type(
    truth: Sequence[Collection[Span]], given: Sequence[Collection[Span]], labels: Sequence[str] = ()
) -> list[dict[str, float | str]]:
    """Precision, recall, F1 and support of every type: `labels` in their order, then any other that occurs, sorted."""
    right = _types(set(a) & set(b) for a, b in zip(truth, given, strict=True))
    said, wanted = _types(map(set, given)), _types(map(set, truth))
    listed = list(dict.fromkeys(labels))
    listed += sorted((said.keys() | wanted.keys()) - set(listed))
    return [
        {
            "label": label,
            "precision": ratio(right[label], said[label]),
            "recall": ratio(right[label], wanted[label]),
            "f1": ratio(2 * right[label], said[label] + wanted[label]),
            "support": wanted[label],
        }
        for label in listed
    ]


KINDS = ("right", "boundary", "type", "both", "missed", "spurious")


def partial(truth: Sequence[Collection[Span]], given: Sequence[Collection[Span]]) -> dict[str, int]:
    """What became of every entity, as in MUC-5 and SemEval-2013 task 9: each one true is held against one given at most.

    right; boundary: its type, overlapping, other edges; type: its edges, another type; both: overlapping, all else
    wrong; missed: nothing overlaps it; spurious: given, and overlaps nothing that is left.
    """
    counts = dict.fromkeys(KINDS, 0)
    for wanted, said in zip(truth, given, strict=True):
        left, found = set(wanted), set(said)
        for (kind, _), one, other in sorted((_apart(a, b), a, b) for a in left for b in found if _shared(a, b)):
            if one in left and other in found:
                counts[KINDS[kind]] += 1
                left.remove(one)
                found.remove(other)
        counts["missed"] += len(left)
        counts["spurious"] += len(found)
    return counts


def _shared(one: Span, other: Span) -> int:
    """Characters that both hold."""
    return max(min(one[1], other[1]) - max(one[0], other[0]), 0)


def _apart(one: Span, other: Span) -> tuple[int, int]:
    """The place in `KINDS` of what parts two entities that overlap, and how little they share: the nearest come first."""
    edges, types = one[:2] != other[:2], one[2] != other[2]
    kind = {(False, False): 0, (True, False): 1, (False, True): 2, (True, True): 3}[edges, types]
    return kind, -_shared(one, other)


def _types(rows: object) -> Counter[str]:
    return Counter(label for row in rows for _, _, label in row)  # type: ignore[attr-defined]
