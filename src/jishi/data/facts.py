"""What prepared data are like: sizes, labels, lengths, duplicates, conflicts. Plain JSON; `report` puts it in words."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy
import pyarrow
import pyarrow.compute

from jishi.core.contracts import Objective
from jishi.data import columns, duplicates, near_duplicates, store
from jishi.data.duplicates import Marks
from jishi.data.intake import Accepted
from jishi.data.near_duplicates import Texts
from jishi.data.spec import PARTS

EXCERPT = 60


def build(
    tables: Mapping[str, pyarrow.Table], accepted: Accepted, owners: numpy.ndarray, objective: Objective, seed: int
) -> dict[str, Any]:
    """The report of the parts, tokens aside; `accepted` and `owners` tell what is known of each row and where it went."""
    chosen = {part: owners == PARTS.index(part) for part in tables}
    names = ("inputs", "wholes", "strata", "empty", "copied")
    inputs, wholes, strata, empty, copied = map(accepted.column, names)
    writes = getattr(objective, "generates", False)
    marks = {part: Marks(inputs[rows], wholes[rows]) for part, rows in chosen.items()}
    labels = {part: _label_counts(accepted, strata[rows]) for part, rows in chosen.items()}
    texts = _text_columns(tables, objective)
    return {
        "rows": {part: table.num_rows for part, table in tables.items()},
        "labels": labels,
        "missing_in_train": sorted({label for counts in labels.values() for label in counts} - labels["train"].keys()),
        "missing_in_part": {
            part: lacking for part, found in labels.items() if (lacking := sorted(labels["train"].keys() - found))
        },
        "optional": _optional(tables, objective),
        "characters": {part: summary(_characters(table)) for part, table in texts.items()},
        "empty": {part: int(empty[rows].sum()) for part, rows in chosen.items()},
        "copied": {part: int(copied[rows].sum()) for part, rows in chosen.items()} if writes else {},
        "duplicates": _shown(duplicates.find(marks), texts),
        "conflicts": _shown(duplicates.conflicts(marks), texts),
        "near_duplicates": _shown(near_duplicates.find(_compared(texts, marks, seed)), texts) if texts else None,
    }


def summary(values: numpy.ndarray) -> dict[str, float]:
    """Least, median, 95th percentile, largest and mean."""
    least, median, high, largest = numpy.quantile(values, [0, 0.5, 0.95, 1]).tolist()
    return {"min": least, "median": median, "p95": high, "max": largest, "mean": round(float(numpy.mean(values)), 1)}


def _label_counts(accepted: Accepted, strata: numpy.ndarray) -> dict[str, int]:
    """Rows that show each label, the most frequent first."""
    rows = numpy.bincount(strata, minlength=len(accepted.names))
    counts: Counter[str] = Counter()
    for labels, number in accepted.names.items():
        counts.update(dict.fromkeys(labels, int(rows[number])))
    return {label: count for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count}


def _optional(tables: Mapping[str, pyarrow.Table], objective: Objective) -> dict[str, dict[str, int]]:
    """Column → part → rows that have it, for every optional column that some rows have."""
    names = [name for name, modality in objective.columns.items() if modality.endswith("?")]
    held = [name for name in names if name in tables["train"].column_names]
    return {name: {part: len(table[name]) - table[name].null_count for part, table in tables.items()} for name in held}


def _text_columns(tables: Mapping[str, pyarrow.Table], objective: Objective) -> dict[str, pyarrow.Table]:
    """Every part's columns of text, several texts as one; nothing where the rows have none."""
    names = [column.name for column in columns.inputs(objective) if not column.modality.binary]
    schema = tables["train"].schema
    held = [name for name in names if name in schema.names and not pyarrow.types.is_null(schema.field(name).type)]
    return (
        {part: pyarrow.table({name: _texts(table[name]) for name in held}) for part, table in tables.items()}
        if held
        else {}
    )


def _texts(column: pyarrow.ChunkedArray) -> Any:
    """A column of texts, or of several texts a row."""
    if pyarrow.types.is_string(column.type):
        return column
    return pyarrow.array([columns.said(value) for value in column.to_pylist()], pyarrow.string())


def _joined(rows: pyarrow.Table | pyarrow.RecordBatch) -> Any:
    """The texts of each row, one under the other."""
    return pyarrow.compute.binary_join_element_wise(*rows.columns, "\n", null_handling="skip")


def _characters(table: pyarrow.Table) -> numpy.ndarray:
    lengths = [pyarrow.compute.utf8_length(_joined(batch)).to_numpy() for batch in table.to_batches()]
    return numpy.concatenate(lengths)


def _compared(texts: Mapping[str, pyarrow.Table], marks: Mapping[str, Marks], seed: int) -> dict[str, Texts]:
    chosen = {part: near_duplicates.choose(marks[part].inputs, seed) for part in texts}
    return {
        part: Texts(rows, marks[part].inputs[rows], _joined(store.pick(texts[part], rows)).to_pylist())
        for part, rows in chosen.items()
    }


def _shown(found: dict[str, Any], texts: Mapping[str, pyarrow.Table]) -> dict[str, Any]:
    """The samples with places a reader can look up ("test[3]") and how the texts begin."""
    shown = []
    for places in found["samples"]:
        excerpts = [_joined(texts[part].slice(row, 1))[0].as_py()[:EXCERPT] for part, row in places if part in texts]
        shown.append({"rows": [f"{part}[{row}]" for part, row in places], "texts": excerpts})
    return {**found, "samples": shown}
