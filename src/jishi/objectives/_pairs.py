"""Two texts that stand together: made of one where a row has no second, and told from pairs that do not belong together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
import torch
from torch.nn import functional

from jishi.core import registry, sentences
from jishi.core.contracts import Batch, Features, Head, Loss, Modality, Row
from jishi.core.errors import RowError
from jishi.models import tokens

HEAD = Head("ForSequenceClassification", {"num_labels": 2})
APART, TOGETHER = 0, 1
Exchange = Callable[
    [str, numpy.ndarray], numpy.ndarray
]  # (name of a feature, its values a token) → those of the pair apart


def parse(raw: Mapping[str, Any], columns: Mapping[str, str]) -> Row:
    """The two texts of a row, or the two halves of its one. Raises RowError where there is nothing to cut."""
    read = registry.get(Modality, columns["text"])().read
    first = read(raw.get("text"))
    if raw.get("text_pair") not in (None, ""):
        return {"text": first, "text_pair": read(raw["text_pair"])}
    first, second = sentences.halves(first)
    if not second:
        raise RowError("objectives.no-second-text", given=first[:20])
    return {"text": first, "text_pair": second}


def encode(row: Row, processor: Any, max_length: int | None) -> Features:
    features = tokens.encode_pair(processor, row["text"], row["text_pair"], max_length=max_length)
    return {**features, "labels": TOGETHER}


def vary(features: Features, exchange: Exchange, rng: numpy.random.Generator) -> Features:
    """Half of the pairs as they are; of the others whatever the row says token by token is exchanged."""
    own = {name: value for name, value in features.items() if name not in ("other", "texts")}
    if rng.random() < 1 / 2:
        return own
    length = len(features["input_ids"])
    for name, value in own.items():
        if isinstance(value, numpy.ndarray) and len(value) == length:
            own[name] = exchange(name, value)
    return {**own, "length": len(own["input_ids"]), "labels": APART}


def collate(features: Sequence[Features], processor: Any) -> Batch:
    return {**tokens.pad(features, processor), "labels": torch.tensor([row["labels"] for row in features])}


def loss(model: Any, batch: Batch) -> Loss:
    """Cross-entropy of telling the two kinds of pair apart, the mean over the rows."""
    logits = model(**{key: value for key, value in batch.items() if key != "labels"}).logits.float()  # (B, 2)
    right = (logits.argmax(-1) == batch["labels"]).float().mean()
    return Loss(functional.cross_entropy(logits, batch["labels"]), logits, {"right": float(right)})
