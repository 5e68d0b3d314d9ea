"""From the log-probabilities of starts and ends to the likeliest answers, and to whether there is one at all.

The probability of an answer is that its first unit starts one, times that its last unit ends it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from jishi.metrics import temperature

NEVER = -1e4  # the logarithm of a probability that is none, at any temperature
BLOCK = 4096  # starts looked at at once


@dataclass(frozen=True)
class Extract:
    """`spans` (first, last unit) with their log-probabilities `logs`, the likeliest first; of no answer; of all other spans."""

    spans: list[tuple[int, int]]
    logs: numpy.ndarray  # (n,)
    nothing: float
    rest: float

    @property
    def lead(self) -> float:
        """By how much no answer is likelier than the likeliest one, in nats."""
        return self.nothing - (float(self.logs[0]) if len(self.logs) else NEVER)

    def scores(self, count: int) -> numpy.ndarray:
        """(count + 2,) the logarithms of the likeliest spans, of no answer, and of the rest: what a temperature divides."""
        found = numpy.full(count + 2, NEVER)
        found[: len(self.logs)] = self.logs
        found[-2:] = self.nothing, self.rest
        return found


def read(output: numpy.ndarray, *, longest: int, count: int) -> Extract:
    """The `count` likeliest answers of at most `longest` units; `output` (1 + U, 2) is as `passages.stitch` makes it."""
    starts, ends = output[1:, 0], output[1:, 1]
    width = min(longest, len(ends))
    spans: list[tuple[int, int]] = []
    logs, rest = [NEVER], [NEVER]
    for first in range(0, len(starts), BLOCK):
        table = _band(starts[first : first + BLOCK], ends[first : first + BLOCK + width - 1], width)
        best = numpy.argpartition(-table, min(count, table.size) - 1, axis=None)[:count]
        for place in best:
            begin, further = divmod(int(place), width)
            if table.flat[place] > NEVER:
                spans.append((first + begin, first + begin + further))
                logs.append(float(table.flat[place]))
        table.flat[best] = NEVER
        rest.append(float(temperature.log_sum_exp(table.ravel())))
    found = numpy.asarray(logs[1:])
    order = numpy.lexsort(([span[1] for span in spans], [span[0] for span in spans], -found)) if spans else []
    rest += [float(found[place]) for place in order[count:]]
    left = float(temperature.log_sum_exp(numpy.asarray(rest)))
    kept = list(order[:count])
    return Extract([spans[place] for place in kept], found[kept], float(output[0].sum()), left)


def _band(starts: numpy.ndarray, ends: numpy.ndarray, width: int) -> numpy.ndarray:
    """(S, width) the log-probability of the answer from each start to its own unit, to the next, …"""
    padded = numpy.concatenate([ends, numpy.full(len(starts) + width - 1 - len(ends), 2 * NEVER)])
    return numpy.maximum(starts[:, None] + numpy.lib.stride_tricks.sliding_window_view(padded, width), NEVER)


def threshold(leads: Sequence[float], answered: Sequence[float], silent: Sequence[float]) -> float:
    """The lead of "no answer" up to which answering is best: `answered` and `silent` are the credits of either, by row.

    Between two rows it is in the middle; of equally good ones, the nearest to 0.
    """
    order = numpy.argsort(leads, kind="stable")
    ordered = numpy.asarray(leads, dtype=float)[order]
    gains = (numpy.asarray(answered, dtype=float) - numpy.asarray(silent, dtype=float))[order]
    totals = numpy.concatenate([[0.0], numpy.cumsum(gains)])
    edges = numpy.concatenate([[ordered[0] - 1], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1]])
    distinct = numpy.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    best = [place for place in numpy.flatnonzero(distinct) if totals[place] >= totals[distinct].max() - 1e-9]
    return float(min((edges[place] for place in best), key=abs))
