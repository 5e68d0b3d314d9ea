"""Attention over packed rows: rows of like length stand in one block, and few, large blocks are computed, forward and backward.

What torch offers on a CPU computes each length alone and is slow on the way back. Here the weights are kept, so the way back is
four products and a softmax; that costs rows · heads · length² numbers, which is why longer rows than `LONGEST` are left to torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from jishi.training import dropout

LONGEST = 512  # tokens; the weights of longer rows would take more memory than they save time
STEPS = 8  # block lengths in each power of two


@dataclass(frozen=True)
class Block:
    """Some rows, padded to one length: their part of the whole, and what is added to scores (rows · heads, 1, length)."""

    start: int
    rows: int  # rows · heads
    length: int
    bias: torch.Tensor | None  # −∞ where a row has no token; None where all are full

    def of(self, states: torch.Tensor) -> torch.Tensor:
        """Its part (rows · heads, length, D) of states (M, D)."""
        return states[self.start : self.start + self.rows * self.length].view(self.rows, self.length, -1)


@dataclass(frozen=True)
class Blocks:
    """How the tokens of H heads lie in blocks: `inside` (M,) takes them there, `outside` (tokens · H,) back.

    M is the number of places in all blocks.
    """

    each: Sequence[Block]
    inside: torch.Tensor
    outside: torch.Tensor

    @classmethod
    def of(cls, lengths: torch.Tensor, heads: int) -> Self:
        """Blocks of rows that lie one after the other, their lengths ascending."""
        starts, each, inside, outside, place = lengths.cumsum(0) - lengths, [], [], [], 0
        head = torch.arange(heads)
        padded = torch.tensor([padded_length(length) for length in lengths.tolist()])
        for length in padded.unique().tolist():
            mine = (padded == length).nonzero()[:, 0]
            token = torch.arange(length)
            real = token < lengths[mine, None]  # (rows, L)
            tokens = starts[mine, None] + torch.minimum(token, lengths[mine, None] - 1)
            inside.append((tokens[:, None] * heads + head[:, None]).flatten())  # (rows, H, L)
            places = torch.arange(len(mine) * heads * length).view(len(mine), heads, length) + place
            outside.append(places.transpose(1, 2)[real].flatten())  # (tokens, H), as the rows lie
            bias = torch.zeros(real.shape).masked_fill_(~real, -torch.inf)[:, None].repeat_interleave(heads, 0)
            each.append(Block(place, len(mine) * heads, length, None if bool(real.all()) else bias))
            place += len(inside[-1])
        return cls(each, torch.cat(inside), torch.cat(outside))


def padded_length(length: int) -> int:
    """The next of `STEPS` lengths in each power of two, a multiple of eight."""
    step = max(8, 2 ** (max(length, 1).bit_length() - 1) // STEPS)
    return -(-length // step) * step


class Attention(torch.autograd.Function):
    """softmax(query keyᵀ · scaling) value within each row, dropout on the weights: (N, H, D) each, and so is the answer.

    Where N is more than the rows hold, the answer ends in zeros.
    """

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
        blocks: Blocks, scaling: float, causal: bool, rate: float,
    ) -> torch.Tensor:  # fmt: skip
        inner = [one.flatten(0, 1).index_select(0, blocks.inside) for one in (query, key, value)]
        masks = dropout.masks(query, [block.rows * block.length**2 for block in blocks.each], rate) if rate else ()
        answer, kept = torch.empty_like(inner[2]), []
        for number, block in enumerate(blocks.each):
            q, k, v = (block.of(one) for one in inner)
            weights = _scores(q, k, block, scaling, causal).softmax(-1)
            kept.append(weights)
            seen = weights * masks[number].view_as(weights) if rate else weights
            torch.bmm(seen, v, out=block.of(answer))
        ctx.save_for_backward(*inner, *kept, *masks)
        ctx.given = blocks, scaling, len(kept)
        return _outside(answer, blocks, query)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        blocks, scaling, count = ctx.given
        query, key, value, *kept = ctx.saved_tensors
        weights, masks = kept[:count], kept[count:]
        errors = torch.zeros_like(value)  # no gradient comes back where a block is padded
        errors.index_copy_(0, blocks.outside, gradient.flatten(0, 1)[: len(blocks.outside)].to(value.dtype))
        found = [torch.empty_like(one) for one in (query, key, value)]
        for number, block in enumerate(blocks.each):
            q, k, v, error = (block.of(one) for one in (query, key, value, errors))
            into = [block.of(one) for one in found]
            mask = masks[number].view_as(weights[number]) if masks else None
            seen = weights[number] if mask is None else weights[number] * mask
            torch.bmm(seen.mT, error, out=into[2])
            errors_ = error @ v.mT
            errors_ = errors_ if mask is None else errors_.mul_(mask)
            errors_ = torch._softmax_backward_data(errors_, weights[number], -1, errors_.dtype).mul_(scaling)
            torch.bmm(errors_, k, out=into[0])
            torch.bmm(errors_.mT, q, out=into[1])
        return *(_outside(one, blocks, gradient) for one in found), None, None, None, None


def _scores(query: torch.Tensor, key: torch.Tensor, block: Block, scaling: float, causal: bool) -> torch.Tensor:
    """(rows · heads, L, L), −∞ where a token may not look."""
    if block.bias is None:
        scores = (query @ key.mT).mul_(scaling)
    else:
        scores = torch.baddbmm(block.bias.to(query.dtype), query, key.mT, alpha=scaling)
    if causal:
        scores += torch.full((block.length, block.length), -torch.inf, dtype=scores.dtype).triu_(1)
    return scores


def _outside(states: torch.Tensor, blocks: Blocks, like: torch.Tensor) -> torch.Tensor:
    """States (M, D) of the blocks as (N, H, D)."""
    answer = states.new_empty(like.shape[0] * like.shape[1], states.shape[1])
    torch.index_select(states, 0, blocks.outside, out=answer[: len(blocks.outside)])
    answer[len(blocks.outside) :] = 0
    return answer.view(*like.shape[:2], -1)
