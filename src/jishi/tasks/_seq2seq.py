"""A text is read and another written: what translation and summarization have in common."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy
import torch

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Modality, Prediction, Row, Written
from jishi.core.errors import RowError
from jishi.models import seq2seq, tokens
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.generate import generate
from jishi.models.generate import stream as pieces
from jishi.tasks import _written

Names = tuple[tuple[str, str], ...]  # what rows may call the text read and the text written; the first pair is our own


class Writer(Protocol):
    """What these functions need of a task."""

    max_length: int | None
    prefix: str | None
    decoding: Decoding


def parse(raw: Mapping[str, Any], names: Names, *, training: bool) -> Row:
    """The two texts under our own names; without `training` only the one that is read. Raises RowError."""
    column, target = names[0]
    if not training:
        given = next((raw[name] for name, _ in names if raw.get(name) is not None), None)
        return {column: _read(given, "tasks.text-missing", column)}
    whole = next((pair for pair in names if all(_holds(raw.get(name)) for name in pair)), None)
    half = next((pair for pair in names if raw.get(pair[0]) is not None), names[0])
    source, written = (raw.get(name) for name in whole or half)
    return {
        column: _read(source, "tasks.text-missing", column),
        target: _read(written, "tasks.reference-missing", target),
    }


def _holds(value: Any) -> bool:
    return value is not None and bool(str(value).strip())


def _read(value: Any, code: str, column: str) -> str:
    """The text of a value; passages in a list stand one under the other."""
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        value = "\n".join(value)
    if not _holds(value):
        raise RowError(code, given=repr(value)[:40], allowed=column)
    text: str = registry.get(Modality, "text")().read(value)
    return text


def settled(task: Writer, base: Base) -> dict[str, Any]:
    """What the base says, where the task does not. Raises UsageError for decoding options that do not fit."""
    task.decoding.check()
    limit = min(task.max_length or base.max_length, base.max_length)
    decoding = replace(task.decoding, max_new_tokens=min(task.decoding.max_new_tokens, base.max_length))
    return {"max_length": limit, "prefix": base.prefix if task.prefix is None else task.prefix, "decoding": decoding}


def encode(task: Writer, source: str, written: str | None, processor: Any) -> Features:
    """The tokens read, and as "labels" those to be written. A text to be written that is cut has no end: none is learnt."""
    features = tokens.encode(processor, (task.prefix or "") + source, max_length=task.max_length)
    if written is None:
        return features
    ids, end, room = _target(processor, written), processor.eos_token_id, task.decoding.max_new_tokens
    if end is not None and ids[-1:] != [end]:
        ids.append(end)
    return {
        **features,
        "labels": numpy.asarray(ids[:room], dtype=numpy.int32),
        "length": features["length"] + min(len(ids), room),  # what the row costs
        "truncated": features["truncated"] or len(ids) > room,
    }


def _target(processor: Any, text: str) -> list[int]:
    return list(processor(text_target=text, verbose=False)["input_ids"])


def forward(task: Writer, model: Any, batch: Batch) -> list[torch.Tensor]:
    """What is written for each row, up to the end token: (N, 3), see `models.generate`. Stop strings cut it in `decode`."""
    asked = {name: batch[name] for name in ("input_ids", "attention_mask")}
    return generate(model, asked, task.decoding, Ends(None, _end_ids(model)))


def stream(task: Writer, model: Any, features: Features, processor: Any) -> Generator[str, None, Written]:
    """What is written for one row, piece by piece."""
    batch = seq2seq.collate([features], processor)
    asked = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}
    return pieces(model, asked, task.decoding, Ends(processor, _end_ids(model), task.decoding.stop))


def _end_ids(model: Any) -> frozenset[int]:
    end = model.config.eos_token_id
    return frozenset(end if isinstance(end, list) else [end])


def decode(task: Writer, outputs: Sequence[Any], processor: Any) -> list[Prediction]:
    """The text, the mean log-probability of its tokens, and whether it came to an end before the tokens it may have."""
    ends = Ends.of(processor, task.decoding.stop)
    return [_written.prediction(row, ends) for row in outputs]
