"""The tokenizer of designs that write: what they read they can also say."""

from collections.abc import Iterable
from typing import Any

from jishi.core.contracts import Row
from jishi.models import subwords, tokenizer


def processor(name: str, rows: Iterable[Row] | None, pattern: str | None = None) -> Any:
    """Subwords that write every text; with a pattern, a token is what it matches, between marks of beginning and end."""
    if not pattern:
        return subwords.learn(name, rows, begins=True)
    learnt = tokenizer.train(name, rows, pattern)
    learnt.bos_token, learnt.eos_token = learnt.cls_token, learnt.sep_token
    learnt.model_input_names = ["input_ids", "attention_mask"]
    return learnt
