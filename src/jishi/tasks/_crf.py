"""A linear-chain conditional random field: tags are likely as a sequence, not each on its own (Lafferty et al. 2001).

Over the states of a neural encoder: arXiv:1508.01991, arXiv:1603.01360. Decoding is `_viterbi`'s.
"""

import torch

from jishi.models import tokens
from jishi.tasks._viterbi import barred


def log_likelihood(logits: torch.Tensor, targets: torch.Tensor, learnt: torch.Tensor) -> torch.Tensor:
    """The log probability (B,) of the tags (B, T), for logits (B, T, K) and transitions (K + 1, K).

    Places whose target is `IGNORED` are no part of the sequence; a row without any has the probability 1.
    """
    scores = learnt + torch.as_tensor(barred(logits.shape[2]), dtype=learnt.dtype, device=learnt.device)
    logits, targets, kept = _compact(logits, targets)
    moves = torch.cat([scores[-1][targets[:, :1]], scores[targets[:, :-1], targets[:, 1:]]], dim=1)
    said = ((logits.gather(2, targets[..., None]).squeeze(2) + moves) * kept).sum(1)
    ahead = logits[:, 0] + scores[-1]
    for place in range(1, logits.shape[1]):
        reached = (ahead[:, :, None] + scores[:-1]).logsumexp(1) + logits[:, place]
        ahead = torch.where(kept[:, place, None], reached, ahead)
    return (said - ahead.logsumexp(1)) * kept[:, 0]


def _compact(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits and targets of the places that count, moved to the front in their order, and which those are (B, N)."""
    kept = targets != tokens.IGNORED
    width = max(int(kept.sum(1).max()), 1)
    order = (~kept).int().argsort(dim=1, stable=True)[:, :width]
    kept = kept.gather(1, order)
    logits = logits.gather(1, order[..., None].expand(-1, -1, logits.shape[2]))
    return logits, targets.gather(1, order) * kept, kept
