"""Text as token features, and features as one padded batch: the same for every task and objective that reads text.

torch is loaded where a batch of tensors is made and no sooner: what a graph answers needs none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy
from tokenizers import Tokenizer

from jishi.core.contracts import Batch, Features
from jishi.models import truncation
from jishi.models.plain_tokenizer import PlainTokenizer

if TYPE_CHECKING:
    import torch

IGNORED = -100  # the target of a position that has none; torch's losses skip it
LONGEST_FIRST = "longest_first"  # of two texts the longer one is cut


@dataclass(frozen=True)
class Encoding:
    """What is read of the encoding of a row; `overflowing` says whether text was cut off, `sequence_ids` of which text a token
    is."""

    ids: Sequence[int]
    type_ids: Sequence[int]
    overflowing: bool
    sequence_ids: Sequence[int | None] = ()


def encode(processor: Any, text: str, pair: str | None = None, *, max_length: int | None = None) -> Features:
    """The token ids of a text (and a second one), cut at `max_length` tokens.

    Features: "input_ids" (T,), "token_type_ids" where the tokenizer has them, "length" in tokens, "truncated" whether
    text was cut off, "unknown" the share of tokens that stand for what the vocabulary lacks.
    """
    return _features(processor, _encoding(processor, text, pair, limit(processor, max_length)))


def encode_pair(processor: Any, first: str, second: str, *, max_length: int | None = None) -> Features:
    """The features of two texts, and "texts": where the tokens of the first begin and end, and those of the second."""
    encoding = _encoding(processor, first, second, limit(processor, max_length))
    sequences = [-1 if number is None else number for number in encoding.sequence_ids]
    found = [numpy.flatnonzero(numpy.equal(sequences, number)) for number in (0, 1)]
    places = [(int(some[0]), int(some[-1]) + 1) if len(some) else (0, 0) for some in found]
    return {**_features(processor, encoding), "texts": numpy.asarray(places, dtype=numpy.int32).reshape(-1)}


def _features(processor: Any, encoding: Any) -> Features:
    features = describe(processor, encoding.ids)
    if "token_type_ids" in processor.model_input_names:
        features["token_type_ids"] = numpy.asarray(encoding.type_ids, dtype=numpy.int32)
    features["truncated"] = bool(encoding.overflowing)
    return features


def _encoding(processor: Any, text: str, pair: str | None, length: int) -> Any:
    """What calling the processor comes to. Its backend is asked directly: the call takes longer than a short text does."""
    if not direct(processor):
        encoded = processor(text, pair, truncation=True, max_length=length, verbose=False)
        cut = bool(encoded.encodings and encoded.encodings[0].overflowing)
        sequences = encoded.sequence_ids() if encoded.encodings else ()
        return Encoding(encoded["input_ids"], encoded.get("token_type_ids", []), cut, sequences)
    long = len(text) + len(pair or "") > truncation.LONG * length
    if long and (pair or isinstance(processor.backend_tokenizer, Tokenizer)):  # others cut one text themselves
        found, cut = truncation.encode(
            _set(processor, None), [text, pair] if pair else [text], length, processor.truncation_side
        )
        return Encoding(found.ids, found.type_ids, cut, found.sequence_ids)
    backend = _set(processor, length)
    return backend.encode(text, pair) if pair else backend.encode(text)


def whole(processor: Any, text: str, pair: str | None = None, *, special: bool = True) -> Any:
    """All of a text (and a second one), as `tokenizers` encodes it, with the offsets of its tokens; nothing is cut off.

    Only fast tokenizers can tell. Without `special`, no tokens are put around the text.
    """
    if not direct(processor):
        return processor(text, pair, add_special_tokens=special, verbose=False).encodings[0]
    return _set(processor, None).encode_batch([text if pair is None else (text, pair)], add_special_tokens=special)[0]


def direct(processor: Any) -> bool:
    """Whether asking its backend comes to what asking the processor does: it is fast, and has no call of its own."""
    if isinstance(processor, PlainTokenizer):
        return True
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

    return bool(processor.is_fast and type(processor)._encode_plus is TokenizersBackend._encode_plus)


def _set(processor: Any, length: int | None) -> Any:
    """The backend, set to cut texts at so many tokens, or not at all, and to pad nothing."""
    backend = processor.backend_tokenizer
    known = backend.truncation
    if length is None:
        if known is not None:
            backend.no_truncation()
    else:
        wanted = {"max_length": length, "stride": 0, "strategy": LONGEST_FIRST, "direction": processor.truncation_side}
        if known is None or any(known.get(name) != value for name, value in wanted.items()):
            backend.enable_truncation(**wanted)
    if backend.padding is not None:
        backend.no_padding()
    if backend.encode_special_tokens != processor.split_special_tokens:
        backend.encode_special_tokens = processor.split_special_tokens
    return backend


def describe(processor: Any, ids: Sequence[int]) -> Features:
    """The features that ids alone tell."""
    array = numpy.asarray(ids, dtype=numpy.int32)
    unknown = processor.unk_token_id
    share = 0.0 if unknown is None or not len(array) else float(numpy.mean(array == unknown))
    return {"input_ids": array, "length": len(array), "truncated": False, "unknown": share}


def limit(processor: Any, max_length: int | None) -> int:
    """The most tokens a row may have: what is asked, and no more than the tokenizer's model can read."""
    known = min(int(processor.model_max_length), 1_000_000)  # tokenizers without a limit say 10^30
    return min(max_length, known) if max_length else known


def inner(processor: Any, ids: numpy.ndarray) -> tuple[int, int]:
    """(start, end) of the text in a row of tokens, between the special ones around it; an unknown token is of the text."""
    marks = (getattr(processor, f"{name}_token_id") for name in ("bos", "eos", "cls", "sep", "pad"))
    text = numpy.flatnonzero(~numpy.isin(ids, [mark for mark in marks if mark is not None]))
    return (int(text[0]), int(text[-1]) + 1) if len(text) else (0, 0)


def pad(features: Sequence[Features], processor: Any) -> Batch:
    """As `arrays`, in tensors."""
    return tensors(arrays(features, processor))


def arrays(features: Sequence[Features], processor: Any) -> Batch:
    """ "input_ids", "attention_mask" and "token_type_ids" where present, (B, T) int64 with T the longest row."""
    batch = {"input_ids": table([row["input_ids"] for row in features], processor.pad_token_id or 0)}
    lengths = numpy.asarray([row["length"] for row in features])
    batch["attention_mask"] = (numpy.arange(batch["input_ids"].shape[1]) < lengths[:, None]).astype(numpy.int64)
    if any("token_type_ids" in row for row in features):
        batch["token_type_ids"] = table([row.get("token_type_ids", ()) for row in features], 0)
    return batch


def tensors(batch: Batch) -> Batch:
    """A batch with tensors in the place of its arrays, whose memory they share."""
    import torch

    return {
        name: torch.from_numpy(value) if isinstance(value, numpy.ndarray) else value for name, value in batch.items()
    }


def stack(rows: Iterable[Sequence[int] | numpy.ndarray], fill: int) -> torch.Tensor:
    """As `table`, a tensor."""
    import torch

    return torch.from_numpy(table(rows, fill))


def table(rows: Iterable[Sequence[int] | numpy.ndarray], fill: int) -> numpy.ndarray:
    """Rows of different lengths as one (B, T) int64 array, `fill` behind the end of each."""
    rows = list(rows)
    found = numpy.full((len(rows), max(map(len, rows))), fill, dtype=numpy.int64)
    for place, row in zip(found, rows, strict=True):
        place[: len(row)] = row
    return found
