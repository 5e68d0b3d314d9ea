"""What the next token may be, and which one is taken: penalties, filters, and draws that follow from seed, prompt and step."""

import hashlib
from collections.abc import Sequence

import numpy
import torch

from jishi.models.decoding import Decoding

MOST = 100.0  # a margin is at most this, also where nothing else may be said
NEVER = float("-inf")


def allowed(scores: torch.Tensor, said: Sequence[Sequence[int]], decoding: Decoding) -> torch.Tensor:
    """Scores (R, V) with what repeats the tokens `said` in each row made less likely, or impossible."""
    if decoding.repetition_penalty == 1 and not decoding.no_repeat_ngram:
        return scores
    scores = scores.clone()
    for row, tokens in zip(scores, said, strict=True):
        if decoding.repetition_penalty != 1:
            known = torch.tensor(sorted(set(tokens)), device=row.device)
            old = row[known]
            row[known] = torch.where(old < 0, old * decoding.repetition_penalty, old / decoding.repetition_penalty)
        banned = repeats(tokens, decoding.no_repeat_ngram) if decoding.no_repeat_ngram else ()
        if banned:
            row[list(banned)] = NEVER
    return scores


def repeats(tokens: Sequence[int], size: int) -> set[int]:
    """The tokens that would end a run of `size` tokens which stands among `tokens` already."""
    lead = tuple(tokens[len(tokens) - size + 1 :])
    return {
        tokens[start + size - 1]
        for start in range(len(tokens) - size + 1)
        if tuple(tokens[start : start + size - 1]) == lead
    }


def filtered(scores: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """Scores (R, V) divided by the temperature, those below top_k and outside top_p made impossible."""
    scores = scores / decoding.temperature
    if 0 < decoding.top_k < scores.shape[1]:
        scores = scores.masked_fill(scores < scores.topk(decoding.top_k).values[:, -1:], NEVER)
    if decoding.top_p < 1:
        ordered, order = scores.sort(1, descending=True)
        before = ordered.softmax(1).cumsum(1) - ordered.softmax(1)
        outside = torch.zeros_like(scores, dtype=torch.bool).scatter(1, order, before >= decoding.top_p)
        scores = scores.masked_fill(outside, NEVER)
    return scores


def choose(
    logits: torch.Tensor, said: Sequence[Sequence[int]], keys: Sequence[int], step: int, decoding: Decoding
) -> torch.Tensor:
    """(R, 3): the token taken in each row, its log-probability under the model, and its lead over the next best.

    A draw is the best of the scores with Gumbel noise added (arXiv:1611.01144), so every method has a lead.
    """
    scores = allowed(logits, said, decoding)
    if decoding.method == "sampling":
        scores = filtered(scores, decoding)
        scores = scores + noise(keys, step, scores.shape[1]).to(scores)
    best = scores.topk(2)
    tokens = best.indices[:, :1]
    lead = (best.values[:, 0] - best.values[:, 1]).nan_to_num(MOST).clamp(max=MOST)
    return torch.cat([tokens.float(), logits.log_softmax(1).gather(1, tokens), lead[:, None]], 1)


def key(seed: int, prompt: Sequence[int]) -> int:
    """What a row's draws follow from: 64 bits of the seed and the prompt."""
    text = numpy.asarray([seed, *prompt], dtype="<i8").tobytes()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def noise(keys: Sequence[int], step: int, size: int) -> torch.Tensor:
    """Gumbel noise (R, size) that depends on a row's key and the step only: a counter through SplitMix64."""
    count = numpy.arange(step * size + 1, (step + 1) * size + 1, dtype=numpy.uint64)
    with numpy.errstate(over="ignore"):
        bits = numpy.asarray(keys, dtype=numpy.uint64)[:, None] + count * numpy.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        bits ^= bits >> numpy.uint64(31)
    uniform = ((bits >> numpy.uint64(11)).astype(float) + 0.5) / 2.0**53
    return torch.from_numpy(-numpy.log(-numpy.log(uniform)))
