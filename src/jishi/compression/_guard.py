"""What ways that work on weights, and those that fit themselves to rows, ask of a bundle and of its rows."""

from collections.abc import Sequence
from typing import Any

from jishi.core.contracts import Row
from jishi.core.errors import UsageError
from jishi.models import adapters, graph_model

LEAST = 32  # rows that can tell what matters


def weights(predictor: Any, method: str) -> None:
    """Raises UsageError for a graph, and for an adapter apart from its base."""
    if isinstance(predictor.model, graph_model.Graph):
        raise UsageError("compress.needs-weights", path=predictor.path, method=method)
    if "base" in predictor.record:
        raise UsageError("compress.merge-first", path=predictor.path, method=method)


def plain(predictor: Any, method: str) -> None:
    """Raises UsageError as `weights` does, and where an adapter is kept beside them."""
    weights(predictor, method)
    if adapters.weights(predictor.model):
        raise UsageError("compress.adapter-stays", path=predictor.path)


def spread(rows: Sequence[Row], count: int, method: str) -> list[Row]:
    """So many of the rows, evenly spaced. Raises UsageError where they are too few to tell what matters."""
    if len(rows) < LEAST:
        raise UsageError("compress.few-rows", method=method, given=len(rows), least=LEAST)
    count = min(count, len(rows))
    return [rows[place * len(rows) // count] for place in range(count)]
