"""Special tokens of an objective's own: they stand for what a row hides, or say where its parts begin."""

from collections.abc import Sequence
from typing import Any


def give(processor: Any, names: Sequence[str]) -> Any:
    """The tokenizer, with those of the special tokens that it lacks behind all others."""
    lacking = [name for name in names if number(processor, name) is None]
    if lacking:
        processor.add_special_tokens({"extra_special_tokens": lacking}, replace_extra_special_tokens=False)
    return processor


def number(processor: Any, name: str) -> int | None:
    """The id of a special token; None where the tokenizer lacks it."""
    found: int | None = processor.convert_tokens_to_ids(name)
    return None if found == processor.unk_token_id else found
