"""An average of the weights over the steps, which is steadier than the last of them and takes their place at the end.

It lies in buffers of the model while it trains, so that a checkpoint holds it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

Kind = Literal["ema", "swa"]
DECAY = 0.999  # of a moving average, once a few thousand steps are done
WARMUP = 10  # steps in which it hardly looks back
BEGIN = 0.75  # the share of training after which an equal average begins
NAME = "average"


class Averages:
    """Of all that learns, and of running statistics: moving ("ema": arXiv:1803.05407 compares both), or equal over the last
    quarter of the steps ("swa")."""

    def __init__(self, model: Any, kind: Kind, steps: int) -> None:
        self.model, self.kind, self.steps = model, kind, steps
        learning = [weight for weight in model.parameters() if weight.requires_grad]
        running = [buffer for buffer in model.buffers() if buffer.is_floating_point() and buffer.numel()]
        self.weights = [*learning, *running]
        for place, weight in enumerate(self.weights):
            model.register_buffer(f"{NAME}_{place}", weight.detach().clone(), persistent=False)
        device = next(iter(self.weights)).device
        model.register_buffer(f"{NAME}_count", torch.zeros(1, dtype=torch.long, device=device), persistent=False)

    @property
    def own(self) -> list[torch.Tensor]:
        return [self.model.get_buffer(f"{NAME}_{place}") for place in range(len(self.weights))]

    @property
    def count(self) -> torch.Tensor:
        """How many steps it is made of."""
        found: torch.Tensor = self.model.get_buffer(f"{NAME}_count")
        return found

    @torch.no_grad()
    def take(self, step: int) -> None:
        """Go on with the weights after a step, counted from 1."""
        if self.kind == "swa" and step <= BEGIN * self.steps:
            return
        done = int(self.count)
        share = 1 / (done + 1) if self.kind == "swa" or not done else 1 - min(DECAY, (1 + done) / (WARMUP + done))
        torch._foreach_lerp_(self.own, [weight.detach() for weight in self.weights], share)
        self.count.add_(1)

    @contextmanager
    def used(self) -> Iterator[None]:
        """While this holds, the model is the average, where it is made of any step."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def settle(self) -> None:
        """End as the average, where it is made of any step."""
        self._swap()
        for place in range(len(self.weights)):
            delattr(self.model, f"{NAME}_{place}")
        delattr(self.model, f"{NAME}_count")

    @torch.no_grad()
    def _swap(self) -> None:
        if int(self.count):
            for weight, average in zip(self.weights, self.own, strict=True):
                held = weight.detach().clone()
                weight.copy_(average)
                average.copy_(held)
