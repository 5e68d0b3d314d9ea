"""Text as tokens that never straddle two units (words, single Chinese characters, marks), so that any unit can be named.

Vocabularies learnt from raw text hold pieces such as "在北" or "年3", which may cross the edge of a name. Such a token is
split at the edges; each part takes the vocabulary's own piece for it where there is one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from jishi.core import script
from jishi.core.contracts import Features
from jishi.models import tokens, windows

_WORD_START = "▁Ġ"  # how SentencePiece and byte-level BPE write the space before a word


def encode(processor: Any, text: str, *, max_length: int | None = None, stride: int | None = None) -> Features:
    """Token features of a text (see `tokens.encode`), and its units; beyond `max_length` tokens in `windows`.

    "units": (start, end) in characters of every unit; "firsts": the place of its first token (0 is the first token of
    the row). `stride` is the step from one window to the next in tokens; None: three quarters of a window.
    """
    encoded = tokens.whole(processor, text)
    ids, special = encoded.ids, encoded.special_tokens_mask
    before = next((index for index, mark in enumerate(special) if not mark), len(special))
    after = sum(special) - before
    pieces = list(split(processor, text, ids[before : len(ids) - after], encoded.offsets[before:]))
    features = tokens.describe(processor, [*ids[:before], *(token for token, _ in pieces), *ids[len(ids) - after :]])
    firsts: dict[int, int] = {}
    for index, (_, unit) in enumerate(pieces):
        if unit is not None:
            firsts.setdefault(unit, before + index)
    spans = script.units(text)
    features["units"] = [spans[unit] for unit in firsts]
    features["firsts"] = numpy.fromiter(firsts.values(), dtype=numpy.int32)
    return windows.cut(features, before, after, tokens.limit(processor, max_length), stride)


def split(
    processor: Any, text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int | None]]:
    """(token, the unit it belongs to) for every token, those that straddle units cut at the edges."""
    spans = script.units(text)
    unit = 0
    names = processor.convert_ids_to_tokens(ids)
    for token, name, (start, end) in zip(ids, names, offsets, strict=False):
        while unit < len(spans) and spans[unit][1] <= start:
            unit += 1
        last = unit
        while last < len(spans) and spans[last][0] < end:
            last += 1
        if last == unit or not name.strip(_WORD_START):
            yield token, None
        elif last == unit + 1:
            yield token, unit
        else:
            lead = name[0] if name[0] in _WORD_START else ""
            for index in range(unit, last):
                part = text[max(start, spans[index][0]) : min(end, spans[index][1])]
                yield from ((piece, index) for piece in _pieces(processor, part, lead))
                lead = ""


def _pieces(processor: Any, part: str, lead: str) -> list[int]:
    """The tokens of a part of a token: the vocabulary's piece for it, else what the tokenizer makes of it alone."""
    backend = processor.backend_tokenizer
    plain = backend.normalizer.normalize_str(part) if backend.normalizer else part
    for name in (lead + plain, plain):
        found = backend.token_to_id(name)
        if found is not None:
            return [found]
    ids = tokens.whole(processor, part, special=False).ids
    names = processor.convert_ids_to_tokens(ids)
    return [token for token, name in zip(ids, names, strict=True) if name.strip(_WORD_START)] or ids
