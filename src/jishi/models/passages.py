"""A question with a passage that may be longer than a model reads: the passage in overlapping windows, the question before each.

Tokens never straddle two units of the passage (words, single Chinese characters, marks; see `units`), so that every answer
made of whole units can be named exactly.
"""

from collections.abc import Sequence
from typing import Any

import numpy

from jishi.core import script
from jishi.core.contracts import Batch, Features
from jishi.models import tokens, units, windows

NEVER = -100.0  # the logarithm of a probability that is none
QUESTION = 0.5  # of a window a question may take; the rest of a longer one is cut off


def encode(processor: Any, question: str, passage: str, *, max_length: int, stride: int | None = None) -> Features:
    """The tokens of both, once, and the windows over the passage.

    "input_ids" (and "token_type_ids"): `before` tokens of the question, those of the passage, `after` that end the row.
    "windows": (start, end) in tokens of the passage; "units": how many it has; "named" (N,): those that have tokens, "firsts",
    "lasts" (N,): the first and last token of each, counted in the passage. "truncated" says whether the question was cut.
    """
    length = tokens.limit(processor, max_length)
    asked = _cut(processor, question, int(QUESTION * length))
    encoded = tokens.whole(processor, asked, passage)
    before, end = _bounds(encoded.sequence_ids)
    pieces = list(units.split(processor, passage, encoded.ids[before:end], encoded.offsets[before:end]))
    ids = [*encoded.ids[:before], *(token for token, _ in pieces), *encoded.ids[end:]]
    features = tokens.describe(processor, ids)
    if "token_type_ids" in processor.model_input_names:
        kinds = [*encoded.type_ids[:before], *encoded.type_ids[before:end][:1] * len(pieces), *encoded.type_ids[end:]]
        features["token_type_ids"] = numpy.asarray(kinds, dtype=numpy.int32)
    lasts = {unit: place for place, (_, unit) in enumerate(pieces) if unit is not None}
    firsts = {unit: place for place, (_, unit) in reversed(list(enumerate(pieces))) if unit is not None}
    named = sorted(firsts)
    features["named"] = numpy.asarray(named, dtype=numpy.int32)
    features["firsts"] = numpy.asarray([firsts[unit] for unit in named], dtype=numpy.int32)
    features["lasts"] = numpy.asarray([lasts[unit] for unit in named], dtype=numpy.int32)
    features["units"] = len(script.units(passage))
    features["before"], features["after"] = before, len(encoded.ids) - end
    room = length - before - features["after"]
    features["windows"] = windows.spans(len(pieces), room, min(stride or room - room // 4, room))
    features["truncated"] = asked != question
    return features


def _bounds(parts: Sequence[int | None]) -> tuple[int, int]:
    """Where the tokens of the passage begin and end in a row; where it has none, before what ends the row."""
    inside = [place for place, part in enumerate(parts) if part == 1]
    if inside:
        return inside[0], inside[-1] + 1
    last = max((place for place, part in enumerate(parts) if part == 0), default=-1)
    return last + 1, last + 1


def _cut(processor: Any, question: str, room: int) -> str:
    """The beginning of the question that fits into so many tokens."""
    offsets = tokens.whole(processor, question, special=False).offsets
    return question if len(offsets) <= room else question[: offsets[room - 1][1]]


def width(features: Features, span: Sequence[int]) -> int:
    """The tokens of a window, the question among them."""
    return int(features["before"] + span[1] - span[0] + features["after"])


def places(features: Features, span: Sequence[int]) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """The units that stand whole in a window, and where they begin and end there, counted in tokens of the window."""
    whole = slice(numpy.searchsorted(features["firsts"], span[0]), numpy.searchsorted(features["lasts"], span[1]))
    shift = features["before"] - span[0]
    return features["named"][whole], features["firsts"][whole] + shift, features["lasts"][whole] + shift


def arrays(features: Sequence[Features], processor: Any) -> Batch:
    """The windows of all rows as one padded batch, see `tokens.arrays`.

    "starts", "ends" (W, T): where an answer may, the first token of a window (no answer) among them. "own": for each row the
    number of its units, and for each window those that it speaks for, with their first and last token in it.
    """
    batch = tokens.arrays([_window(row, span) for row in features for span in row["windows"]], processor)
    batch["starts"] = numpy.zeros(batch["input_ids"].shape, dtype=bool)
    batch["ends"] = numpy.zeros(batch["input_ids"].shape, dtype=bool)
    batch["own"], place = [], 0
    for row in features:
        parts = []
        for span, own in zip(row["windows"], windows.own(row["windows"]), strict=True):
            named, starts, ends = (part.astype(numpy.int64) for part in places(row, span))
            batch["starts"][place, starts], batch["ends"][place, ends] = True, True
            spoken = (starts >= row["before"] + own[0] - span[0]) & (starts < row["before"] + own[1] - span[0])
            parts.append((named[spoken], starts[spoken], ends[spoken]))
            place += 1
        batch["own"].append((row["units"], parts))
    batch["starts"][:, 0] = batch["ends"][:, 0] = True
    return batch


def _window(features: Features, span: Sequence[int]) -> Features:
    before, after = features["before"], features["after"]
    found: Features = {"length": width(features, span)}
    for name in ("input_ids", "token_type_ids"):
        if name in features:
            row = features[name]
            found[name] = numpy.concatenate(
                [row[:before], row[before + span[0] : before + span[1]], row[len(row) - after :]]
            )
    return found


def stitch(logs: Any, own: Sequence[tuple[int, Sequence[Any]]]) -> list[Any]:
    """Log-probabilities (W, T, 2) of starts and ends in windows, a tensor or an array, as one (1 + U, 2) a row.

    First stands no answer, as the window says it that is least sure of it; then each unit of the passage, as the window says
    it that speaks for it; `NEVER` where none does.
    """
    rows, place = [], 0
    for count, parts in own:
        size = (1 + count, 2)
        row = numpy.full(size, NEVER, logs.dtype) if isinstance(logs, numpy.ndarray) else logs.new_full(size, NEVER)
        here = logs[place : place + len(parts)]
        row[0] = here[here[:, 0].sum(-1).argmin(), 0]
        for window, (named, starts, ends) in zip(here, parts, strict=True):
            row[1 + named, 0], row[1 + named, 1] = window[starts, 0], window[ends, 1]
        rows.append(row.clip(min=NEVER))
        place += len(parts)
    return rows
