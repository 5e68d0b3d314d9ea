"""The part every accepted row ends in: as given, split off, refused for a label that training never shows, or left out."""

import numpy

from jishi.core.errors import DataError, RowError
from jishi.data import split
from jishi.data.intake import Accepted
from jishi.data.ledger import Ledger
from jishi.data.spec import PARTS, DataSpec

NOWHERE = -1
TRAIN = PARTS.index("train")


def allot(accepted: Accepted, ledger: Ledger, spec: DataSpec) -> numpy.ndarray:
    """A place in PARTS for every row, or NOWHERE; (rows,) int8. Closes the ledger.

    Raises DataError where training has one class only, or a held-out row has a label that training lacks (`on_bad_row:
    skip` refuses such rows instead).
    """
    owners, strata = accepted.column("parts"), accepted.column("strata")
    _split(accepted, owners, strata, spec)
    if accepted.single:
        _check_labels(accepted, ledger, owners, strata, spec.on_bad_row == "skip")
    if spec.train_rows is not None:
        train = numpy.flatnonzero(owners == TRAIN)
        chosen = split.sample(accepted.column("inputs")[train], strata[train], spec.train_rows, spec.seed)
        owners[numpy.delete(train, chosen)] = NOWHERE
        ledger.cut["train_rows"] = len(train) - len(chosen)
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


def _check_labels(accepted: Accepted, ledger: Ledger, owners: numpy.ndarray, strata: numpy.ndarray, skip: bool) -> None:
    names = {number: ", ".join(labels) for labels, number in accepted.names.items()}
    known = numpy.unique(strata[owners == TRAIN])
    if len(known) == 1:
        raise DataError("data.one-class", given=names[int(known[0])], rows=int((owners == TRAIN).sum()))
    unseen = ~numpy.isin(strata, known)
    for number in numpy.unique(strata[unseen]).tolist():
        rows = numpy.flatnonzero(strata == number)
        part = PARTS[owners[rows[0]]]
        if not skip:
            raise DataError("data.label-not-in-train", part=part, given=names[number], rows=len(rows))
        for _ in rows:
            ledger.refuse(part, RowError("data.label-not-in-train", part=part, given=names[number], rows=len(rows)))
        owners[rows] = NOWHERE
