"""The part every accepted row ends in: as given, split off, refused for a label that training never shows, or left out."""

from collections.abc import Sequence

import numpy

from jishi.core.errors import DataError, RowError
from jishi.data import split
from jishi.data.intake import Accepted
from jishi.data.ledger import Ledger
from jishi.data.spec import PARTS, DataSpec

NOWHERE = -1
TRAIN = PARTS.index("train")


def allot(accepted: Accepted, ledger: Ledger, spec: DataSpec, known: Sequence[str] = ()) -> numpy.ndarray:
    """A place in PARTS for every row, or NOWHERE; (rows,) int8. Closes the ledger.

    Raises DataError where the training rows and the labels `known` beforehand are one class only, or a held-out row has a
    label that is among neither (`on_bad_row: skip` refuses such rows instead).
    """
    owners, strata = accepted.column("parts"), accepted.column("strata")
    _split(accepted, owners, strata, spec)
    if accepted.single:
        _check_labels(accepted, ledger, owners, known, skip=spec.on_bad_row == "skip")
    for place, part in enumerate(PARTS):
        count = getattr(spec, f"{part}_rows")
        rows = numpy.flatnonzero(owners == place)
        if count is not None and len(rows):
            chosen = split.sample(accepted.column("inputs")[rows], strata[rows], count, spec.seed)
            owners[numpy.delete(rows, chosen)] = NOWHERE
            ledger.cut[f"{part}_rows"] = len(rows) - len(chosen)
    for place, part in enumerate(PARTS):
        ledger.accepted[part] = int((owners == place).sum())
    return owners


def _split(accepted: Accepted, owners: numpy.ndarray, strata: numpy.ndarray, spec: DataSpec) -> None:
    """Set aside the parts that were not given; their shares are shares of the training file."""
    wanted = [0.0 if (owners == place).any() else fraction for place, fraction in enumerate(spec.split)]
    if not any(wanted):
        return
    train = numpy.flatnonzero(owners == TRAIN)
    fractions = [1 - sum(wanted), *wanted[1:]]
    groups = strata[train] if spec.stratify else numpy.zeros(len(train), dtype=strata.dtype)
    owners[train] = split.assign(accepted.column("inputs")[train], groups, fractions, spec.seed)


def _check_labels(
    accepted: Accepted, ledger: Ledger, owners: numpy.ndarray, known: Sequence[str], *, skip: bool
) -> None:
    strata = accepted.column("strata")
    names = {number: ", ".join(labels) for labels, number in accepted.names.items()}
    shown = set(numpy.unique(strata[owners == TRAIN]).tolist()) | {
        accepted.names.get((label,), NOWHERE) for label in known
    }
    if len(shown) == 1:
        raise DataError("data.one-class", given=names[shown.pop()], rows=int((owners == TRAIN).sum()))
    for number in sorted(names.keys() - shown):
        rows = numpy.flatnonzero(strata == number)
        where = accepted.firsts[number]
        values = {"part": PARTS[owners[rows[0]]], "where": where, "given": names[number], "rows": len(rows)}
        if not skip:
            raise DataError("data.label-not-in-train", **values)
        for _ in rows:
            ledger.refuse(values["part"], RowError("data.label-not-in-train", **values))
        owners[rows] = NOWHERE
