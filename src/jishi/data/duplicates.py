"""Equal inputs: within a part, across parts (a leak from training into the test), and with different labels (a conflict)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy

SAMPLES = 10


@dataclass(frozen=True)
class Marks:
    """The rows of one part as hashes: of their inputs, and of all they say; each (rows,) uint64."""

    inputs: numpy.ndarray
    wholes: numpy.ndarray


def find(parts: Mapping[str, Marks]) -> dict[str, Any]:
    """Rows beyond the first of their kind `within` each part; rows of the later part that also stand in the earlier one,
    `across` ("train/test"); places as [part, row], rows from 0."""
    within = {part: len(marks.inputs) - len(numpy.unique(marks.inputs)) for part, marks in parts.items()}
    across: dict[str, int] = {}
    samples: list[list[tuple[str, int]]] = []
    for (first, earlier), (second, later) in combinations(parts.items(), 2):
        places = numpy.flatnonzero(numpy.isin(later.inputs, earlier.inputs))
        across[f"{first}/{second}"] = len(places)
        for place in places[: max(SAMPLES - len(samples), 0)].tolist():
            twin = int(numpy.flatnonzero(earlier.inputs == later.inputs[place])[0])
            samples.append([(first, twin), (second, place)])
    return {"within": within, "across": across, "samples": samples}


def conflicts(parts: Mapping[str, Marks]) -> dict[str, Any]:
    """Rows whose input also stands somewhere with another target."""
    inputs = numpy.concatenate([marks.inputs for marks in parts.values()])
    wholes = numpy.concatenate([marks.wholes for marks in parts.values()])
    order = numpy.lexsort((wholes, inputs))
    same_input = inputs[order][1:] == inputs[order][:-1]
    values = numpy.unique(inputs[order][1:][same_input & (wholes[order][1:] != wholes[order][:-1])])
    samples = []
    for value in values[:SAMPLES]:
        rows = numpy.flatnonzero(inputs == value)
        other = rows[wholes[rows] != wholes[rows[0]]][0]
        samples.append([_place(parts, int(row)) for row in (rows[0], other)])
    return {"rows": int(numpy.isin(inputs, values).sum()), "samples": samples}


def _place(parts: Mapping[str, Marks], row: int) -> tuple[str, int]:
    """The part and place of a row counted through all parts."""
    for part, marks in parts.items():
        if row < len(marks.inputs):
            return part, row
        row -= len(marks.inputs)
    raise IndexError(row)
