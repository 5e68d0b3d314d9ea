"""How the texts of prepared data look to a tokenizer: lengths, what is cut off, what the vocabulary lacks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy
import pyarrow

from jishi.core.contracts import Base, Objective
from jishi.data import columns, store
from jishi.data.dataset import Dataset
from jishi.data.facts import summary

MAX_ROWS = 10_000  # of each part that are measured: an even spread over the part
BATCH = 500


def measure(
    tables: Mapping[str, pyarrow.Table], objective: Objective, processor: Any, base: Base | None
) -> dict[str, Any] | None:
    """By part: lengths in tokens, the share of rows beyond the longest length the model and objective allow ("truncated", or
    "windows" where the objective reads them in several), and of unknown tokens. None where there is no tokenizer, or no text."""
    names = [column.name for column in columns.inputs(objective) if not column.modality.binary]
    if not names or not hasattr(processor, "unk_token_id"):
        return None
    limits = (getattr(objective, "max_length", None), base and base.max_length, processor.model_max_length)
    limit = int(min(value for value in limits if value))
    prefix = base.prefix if base else ""
    beyond = "windows" if objective.windows else "truncated"
    parts = {part: _part(table, names, processor, limit, prefix, beyond) for part, table in tables.items()}
    return {"model": base.name if base else None, "max_length": limit, "parts": parts}


def with_tokens(dataset: Dataset, objective: Objective, processor: Any, base: Base | None) -> Dataset:
    """The dataset, its report counting the tokens of this processor where there is one."""
    found = measure(store.tables(dataset.path), objective, processor, base)
    return replace(dataset, report={**dataset.report, "tokens": found}) if found else dataset


def _part(
    table: pyarrow.Table, names: list[str], processor: Any, limit: int, prefix: str, beyond: str
) -> dict[str, Any]:
    rows = numpy.linspace(0, table.num_rows - 1, min(table.num_rows, MAX_ROWS)).astype(numpy.int64)
    table = store.pick(table, rows)
    lengths = numpy.zeros(len(rows), dtype=numpy.int64)
    used = numpy.zeros(len(rows), dtype=numpy.int64)  # columns that hold a text
    unknown = 0
    for name in names:
        texts = [_longest(value) for value in table[name].to_pylist()] if name in table.column_names else []
        places = [place for place, text in enumerate(texts) if text is not None]
        used[places] += 1
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            ids = processor([prefix + texts[place] for place in batch], add_special_tokens=False, verbose=False)[
                "input_ids"
            ]
            lengths[batch] += [len(row) for row in ids]
            unknown += sum(row.count(processor.unk_token_id) for row in ids)
    words = int(lengths.sum())
    special = [processor.num_special_tokens_to_add(pair=pair) for pair in (False, True)]
    lengths += numpy.where(used > 1, special[1], special[0])
    return {
        **summary(lengths),
        "rows": len(rows),
        beyond: float((lengths > limit).mean()),
        "unknown": unknown / max(words, 1),
    }


def _longest(value: Any) -> str | None:
    """The text of a row, or the longest of several that are read one at a time; of a conversation, all of it."""
    several = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return max(value, key=len) if several else columns.said(value)
