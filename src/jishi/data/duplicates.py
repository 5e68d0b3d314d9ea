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
    places = [(part, row) for part, marks in parts.items() for row in range(len(marks.inputs))]
    pairs = numpy.unique(numpy.stack([inputs, wholes]), axis=1)
    values, counts = numpy.unique(pairs[0], return_counts=True)
    bad = numpy.isin(inputs, values[counts > 1])
    samples = [
        [places[row] for row in numpy.flatnonzero(inputs == value)[:2]] for value in values[counts > 1][:SAMPLES]
    ]
    return {"rows": int(bad.sum()), "samples": samples}
