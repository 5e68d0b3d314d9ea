"""Tokenizers that several designs learn from the training rows."""

from collections.abc import Iterable
from typing import Any

from jishi.core.contracts import Row
from jishi.core.errors import ModelError
from jishi.models import subwords, tokenizer


def writing(name: str, rows: Iterable[Row] | None, pattern: str | None = None) -> Any:
    """Subwords that write every text; with a pattern, a token is what it matches, between marks of beginning and end."""
    if not pattern:
        return subwords.learn(name, rows, begins=True)
    learnt = tokenizer.train(name, rows, pattern)
    learnt.bos_token, learnt.eos_token = learnt.cls_token, learnt.sep_token
    learnt.model_input_names = ["input_ids", "attention_mask"]
    return learnt


def rewriting(name: str, rows: Iterable[Row] | None, pattern: str | None = None) -> Any:
    """Subwords for a model that reads a text and writes another. Raises ModelError for a pattern."""
    if pattern:
        raise ModelError("models.no-pattern", name=name)
    return subwords.learn(name, rows)
