"""Beam search with a length penalty (GNMT, arXiv:1609.08144): the best of the texts kept, and by how much.

A search ends when no text still open could beat the best complete one.
"""

from dataclasses import dataclass, field

import torch

from jishi.models import choice
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.steps import Steps


@dataclass(frozen=True)
class Text:
    """Tokens written so far, the log-probability of each, and the sum by which texts are compared."""

    tokens: tuple[int, ...] = ()
    chances: tuple[float, ...] = ()
    total: float = 0.0

    def score(self, power: float, length: int | None = None) -> float:
        """The total over the length penalty; of the length it has, or of one it may come to have."""
        return self.total / ((5 + (length or len(self.tokens))) / 6) ** power


@dataclass
class Row:
    """One prompt's search: texts still open, the two best complete ones, and at each step the lead over what was left out."""

    said: list[int]
    limit: int
    open: list[Text] = field(default_factory=lambda: [Text()])
    done: list[Text] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)

    def complete(self, text: Text, power: float) -> None:
        self.done = sorted([*self.done, text], key=lambda one: -one.score(power))[:2]

    def over(self, power: float) -> bool:
        """Whether no open text could come to beat the best complete one."""
        return not self.open or (bool(self.done) and self.done[0].score(power) >= self._hope(power))

    def _hope(self, power: float) -> float:
        """The best score an open text could come to: nothing lost, and as long as may be."""
        return max((text.score(power, self.limit) for text in self.open), default=choice.NEVER)

    def result(self, power: float) -> torch.Tensor:
        """(N, 3): token, log-probability, margin. The last margin counts what came after, and the lead over the runner-up."""
        best = self.done[0]
        rivals = [self._hope(power), *(text.score(power) for text in self.done[1:])]
        end = len(best.tokens) - 1
        last = min([choice.MOST, best.score(power) - max(rivals), *self.margins[end:]])
        return torch.tensor(
            list(zip(best.tokens, best.chances, [*self.margins[:end], last], strict=True)), dtype=torch.float32
        )


def search(steps: Steps, decoding: Decoding, ends: Ends) -> list[torch.Tensor]:
    """The best text after each prompt, (N, 3) a row: token, log-probability, margin."""
    power = decoding.length_penalty
    rows = [Row(said, min(decoding.max_new_tokens, room)) for said, room in zip(steps.said, steps.room, strict=True)]
    alive = rows
    while alive:
        chances = steps.logits().log_softmax(1)
        said = [[*row.said, *text.tokens] for row in alive for text in row.open]
        scores = choice.allowed(chances, said, decoding)
        kept: list[int] = []
        start = 0
        for row in alive:
            end = start + len(row.open)
            parents = _extend(row, scores[start:end], chances[start:end], decoding, ends)
            kept += [] if row.over(power) else [start + parent for parent in parents]
            start = end
        alive = [row for row in alive if not row.over(power)]
        if alive:
            steps.follow(kept, [text.tokens[-1] for row in alive for text in row.open])
    return [row.result(power) for row in rows]


def _extend(row: Row, scores: torch.Tensor, chances: torch.Tensor, decoding: Decoding, ends: Ends) -> list[int]:
    """One token more: the best texts of the row, complete ones set aside. Returns for each open text the one it goes on."""
    width, words = decoding.beams, scores.shape[1]
    totals = scores + torch.tensor([text.total for text in row.open], device=scores.device)[:, None]
    best = totals.flatten().topk(min(2 * width + 1, totals.numel()))
    found: list[Text] = []
    parents: list[int] = []
    last = best.values[0].item()
    for total, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        if len(found) == width or total == choice.NEVER:
            break
        last = total
        parent, token = divmod(place, words)
        old = row.open[parent]
        text = Text((*old.tokens, token), (*old.chances, chances[parent, token].item()), total)
        if ends.reached(text.tokens) or len(text.tokens) == row.limit:
            row.complete(text, decoding.length_penalty)
        else:
            found.append(text)
            parents.append(parent)
    else:
        total = choice.NEVER
    row.margins.append(min(last - total, choice.MOST))
    row.open = found
    return parents
