"""A text with a gap, as a decoder that was pretrained to fill gaps reads it: what stands before, what stands behind, the gap.

The tokens between prefix, suffix and middle are those of arXiv:2207.14255, and each text is cut into tokens as it would be in
the whole, so that what is written fits on both sides.
"""

from collections.abc import Sequence
from typing import Any

import numpy

from jishi.core.errors import ModelError, UsageError
from jishi.models import special, tokens
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.generate import generate

MARKS = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
FRONTS = ("|", "1", "")  # what is put before a suffix: one of them makes no token with its beginning


def marks(processor: Any) -> list[int]:
    """The ids of the three tokens. Raises ModelError where the tokenizer lacks them."""
    for names in (MARKS, QWEN):
        found = [special.number(processor, name) for name in names]
        if None not in found:
            return found  # type: ignore[return-value]
    raise ModelError("models.no-middle", given=type(processor).__name__, allowed=", ".join(MARKS))


def arranged(
    begin: Sequence[int], before: Sequence[int], after: Sequence[int], processor: Any, middle: Sequence[int] = ()
) -> numpy.ndarray:
    """Tokens as prefix, suffix, middle."""
    prefix, suffix, gap = marks(processor)
    return numpy.asarray([*begin, prefix, *before, suffix, *after, gap, *middle], dtype=numpy.int32)


def fill(model: Any, processor: Any, before: str, after: str, decoding: Decoding) -> dict[str, Any]:
    """What a decoder writes between two texts: {"text", "complete"}, not complete where the tokens it may have ran out.

    Raises ModelError where the tokenizer lacks the tokens, UsageError where the texts leave no room.
    """
    kept = before.rstrip(" ")  # a space belongs to the word behind it
    front = _plain(processor, kept)
    row = numpy.asarray(processor(kept + after, verbose=False)["input_ids"])
    prompt = arranged(row[: tokens.inner(processor, row)[0]], front, _behind(processor, after), processor)
    read = getattr(model.config, "max_position_embeddings", None) or tokens.limit(processor, None)
    if len(prompt) >= read:
        raise UsageError("models.no-room-for-middle", given=len(prompt), allowed=read)
    batch = tokens.pad([tokens.describe(processor, prompt)], processor)
    ends = Ends.of(processor, decoding.stop)
    (found,) = generate(model, {name: value.to(model.device) for name, value in batch.items()}, decoding, ends)
    written = [int(token) for token in found[:, 0]]
    plain = Ends(processor, ends.ids)
    text = plain.text([*front, *written])[len(plain.text(front)) :].removeprefix(before[len(kept) :])
    for stop in decoding.stop:
        text = text.partition(stop)[0]
    return {"text": text, "complete": ends.reached(written)}


def _plain(processor: Any, text: str) -> list[int]:
    return list(processor(text, add_special_tokens=False, verbose=False)["input_ids"])


def _behind(processor: Any, text: str) -> list[int]:
    """The tokens of a text that goes on another one."""
    alone = ((_plain(processor, front), _plain(processor, front + text)) for front in FRONTS)
    return next(whole[len(front) :] for front, whole in alone if whole[: len(front)] == front)
