"""An embedding of which only the rows that the training data use take part in the optimizer.

Any other row's gradient is zero in every step, so AdamW would move it by weight decay alone; here it stays as it came, words
that training never saw keep their meaning, and a step costs what the used rows cost: of a large vocabulary, a few per cent.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from jishi.core.contracts import Features, Objective

SHARE = 0.5  # of the rows at most; where most are used there is little to gain


class UsedRows:
    """`part` (N, D) are the used rows as a parameter of their own, which stands in for the table in the optimizer."""

    def __init__(self, table: nn.Embedding, used: torch.Tensor) -> None:
        self.table, self.used = table, used.to(table.weight.device)
        self.place = torch.full((len(table.weight),), -1, device=self.used.device)
        self.place[self.used] = torch.arange(len(used), device=self.used.device)
        self.part = nn.Parameter(table.weight.detach()[self.used])
        table.sparse = True  # the gradient comes as the rows of a batch, not as a table of zeros

    def to(self, device: torch.device) -> None:
        """Move to where the rest of the model is computed."""
        self.table.to(device)
        self.used, self.place = self.used.to(device), self.place.to(device)
        self.part.data = self.part.data.to(device)

    def read(self) -> None:
        """Take the rows from the table, after weights were put back into it."""
        self.part.data.copy_(self.table.weight.detach()[self.used])

    def gather(self) -> None:
        """Hand the table's gradient to the part."""
        gradient, self.table.weight.grad = self.table.weight.grad, None
        if gradient is not None:
            places = self.place[gradient._indices()[0]]
            self.part.grad = torch.zeros_like(self.part).index_add_(0, places, gradient._values())

    def write(self) -> None:
        """Put the rows into the table, after a step."""
        with torch.no_grad():
            self.table.weight.index_copy_(0, self.used, self.part)


def used_rows(
    model: Any,
    objective: Objective,
    processor: Any,
    features: Sequence[Features],
    augmented: Iterable[Features] | None = (),
) -> UsedRows | None:
    """The input embedding's used rows, by the rows as they are and as they are `augmented`; None where it does not learn, is
    shared with a head, or any row may come up."""
    if augmented is None or "input_ids" not in features[0] or not hasattr(model, "get_input_embeddings"):
        return None
    table = model.get_input_embeddings()
    if not isinstance(table, nn.Embedding) or table.max_norm is not None or table.scale_grad_by_freq:
        return None
    weight = table.weight
    holders = sum(one is weight for _, one in model.named_parameters(remove_duplicate=False))
    varies = type(objective).vary is not Objective.vary
    if not weight.requires_grad or holders != 1 or varies:
        return None
    seen = np.zeros(len(weight), dtype=bool)
    for row in chain(features, augmented):
        seen[row["input_ids"]] = True
    seen[processor.pad_token_id or 0] = True
    used = np.flatnonzero(seen)
    return UsedRows(table, torch.from_numpy(used)) if len(used) < SHARE * len(weight) else None
