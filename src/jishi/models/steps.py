"""A model that writes, one token at a time: keys and values of what was read are kept, an encoder reads once.

Rows may be dropped, doubled and reordered between steps; what a row is given does not depend on its neighbours.
"""

import inspect
from collections.abc import Container
from typing import Any

import torch
from torch.nn import functional

from jishi.core.contracts import Batch
from jishi.models import memory
from jishi.models.cross_entropy import whole
from jishi.models.graph_model import Graph

ENDLESS = 2**31
PLACE = "position_ids"  # where each token stands, for models that are told


class Steps:
    """The rows of a batch of prompts ("input_ids", "attention_mask", right-padded), each about to be gone on with.

    A decoder goes on with its prompt; an encoder-decoder reads it and begins with its start token.
    """

    def __init__(self, model: Any, batch: Batch) -> None:
        self.model = model
        self.takes = taken(model)
        self.fixed: dict[str, Any] = {}
        self.cache: Any = None
        ids, mask = batch["input_ids"], batch["attention_mask"]
        self.prompts = [row[kept].tolist() for row, kept in zip(ids, mask.bool(), strict=True)]
        if model.config.is_encoder_decoder:
            self.fixed = {"input_ids": ids, "attention_mask": mask}
            if not isinstance(model, Graph):  # which reads when it is asked first
                self.fixed["states"] = whole(model).get_encoder()(**self.fixed).last_hidden_state
            self.ids = ids.new_full((len(ids), 1), model.config.decoder_start_token_id)
            self.said = [row.tolist() for row in self.ids]
            self.room = [ENDLESS] * len(ids)
        else:
            self.ids, self.mask = left(ids, mask)
            self.positions = (self.mask.cumsum(1) - 1).clamp(min=0)
            self.said = [list(row) for row in self.prompts]
            read = getattr(model.config, "max_position_embeddings", None) or ENDLESS
            self.room = [max(read - len(row) + 1, 1) for row in self.prompts]  # the last token written is never read

    def logits(self) -> torch.Tensor:
        """What may come next, (rows, V) in fp32."""
        if self.fixed:
            given = {**self.fixed, "decoder_input_ids": self.ids}
            if "states" in given:
                given["encoder_outputs"] = (given.pop("states"),)
        else:
            more = {PLACE: self.positions, "logits_to_keep": 1}
            given = {"input_ids": self.ids, "attention_mask": self.mask}
            given |= {name: value for name, value in more.items() if name in self.takes}
        found = self.model(**given, past_key_values=self.cache, use_cache=True)
        self.cache = found.past_key_values
        return found.logits[:, -1].float()  # type: ignore[no-any-return]

    def follow(self, rows: list[int], tokens: list[int]) -> None:
        """Go on with these rows, each with the token written in it; a row may be named more than once, or not at all."""
        if rows != list(range(len(self.ids))):
            self._keep(torch.tensor(rows, device=self.ids.device))
        self.ids = torch.tensor(tokens, device=self.ids.device)[:, None]
        if not self.fixed:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], 1)
            self.positions = self.positions[:, -1:] + 1

    def joins(self, other: "Steps") -> bool:
        """Whether both may go on as one: each row's place is told, and no more than keys and values was kept of it."""
        return all(
            PLACE in one.takes and memory.is_plain(one.cache) and one.model is self.model for one in (self, other)
        )

    def join(self, other: "Steps") -> None:
        """Go on with the rows of another as well, behind one's own; both have been told what follows."""
        wide = max(self.mask.shape[1], other.mask.shape[1])
        self.cache = memory.joined(self.cache, other.cache, [wide - one.mask.shape[1] for one in (self, other)])
        self.mask = torch.cat([functional.pad(one.mask, (wide - one.mask.shape[1], 0)) for one in (self, other)])
        self.positions = torch.cat([self.positions[:, -1:], other.positions[:, -1:]])
        self.ids = torch.cat([self.ids, other.ids])

    def _keep(self, rows: torch.Tensor) -> None:
        self.cache.batch_select_indices(rows)
        if self.fixed:
            self.fixed = {name: value[rows] for name, value in self.fixed.items()}
        else:
            self.mask, self.positions = self.mask[rows], self.positions[rows]
            unread = int(self.mask.any(0).long().argmax())  # on the left of all rows that are left
            if unread and memory.is_plain(self.cache):
                self.mask = self.mask[:, unread:]
                memory.cut(self.cache, unread)


def taken(model: Any) -> Container[str]:
    """The names of what a model may be given."""
    return model.inputs if isinstance(model, Graph) else inspect.signature(whole(model).forward).parameters


def left(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded rows (B, T) padded on the left instead, so that all end together."""
    order = mask.long().argsort(dim=1, stable=True)  # padding first, tokens in their order
    return ids.gather(1, order), mask.gather(1, order)
