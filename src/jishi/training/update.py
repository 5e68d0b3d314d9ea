"""One optimizer step: forward and backward over a window of batches, in pieces that fit into memory, then the update."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from jishi.core.contracts import Batch, Loss, Objective, Regularization
from jishi.core.errors import TrainingError
from jishi.models.inference import to
from jishi.training import guards, joint, memory, random_state
from jishi.training.consistency import Consistency
from jishi.training.feed import Piece
from jishi.training.packing import Layout, packed
from jishi.training.ranks import Ranks
from jishi.training.shard import Shards
from jishi.training.states import States
from jishi.training.used_rows import UsedRows


@dataclass
class Update:
    """What a step needs. `make` gives the batch of some rows."""

    model: Any
    objective: Objective
    optimizer: torch.optim.Optimizer
    make: Callable[[list[int]], Batch]
    lengths: Sequence[int]
    ranks: Ranks
    precision: str
    max_grad_norm: float
    used: UsedRows | None = None
    shards: Shards | None = None
    states: States | None = None
    packs: bool = False  # whether the blocks skip the padding
    room: int | None = None  # padded tokens computed at once
    ask: Callable[[Batch], Loss] = field(init=False)
    regularize: Sequence[Regularization | Consistency] = ()
    after: Callable[[int], None] = lambda _: None  # told of each step that is done, while its gradients stand

    def __post_init__(self) -> None:
        self.ask = partial(self.objective.loss, self.model)
        for one in self.regularize:
            self.ask = partial(one.loss, self.model, ask=self.ask)

    def step(self, pieces: Sequence[Piece], number: int) -> dict[str, Any]:
        """The step `number`: one that does not fit is done again in smaller pieces, with the same random numbers.

        The gradient is that of the mean over all targets of the window, however it is cut. Raises TrainingError.
        """
        random = random_state.read()
        while True:
            try:
                value, weight, parts = self._accumulate(pieces)
                break
            except (RuntimeError, MemoryError) as error:
                waited_for = self.shards or (
                    self.objective.joint and self.ranks.count > 1
                )  # by others, in this very pass
                if waited_for or not memory.is_exhausted(error):
                    raise
            self.model.zero_grad(set_to_none=True)  # an embedding with used rows is not in the optimizer
            pieces = self._smaller(pieces)
            random_state.put(random)
        return {**self._update(value, weight, number), **parts}

    def loss(self, rows: Sequence[int], batch: Batch) -> Loss:
        """The forward pass of some rows, in the precision of the run, with the frozen part played back where it was recorded."""
        with self.ready(rows):
            return self.ask(batch)

    @contextmanager
    def ready(self, rows: Sequence[int]) -> Iterator[None]:
        """While this holds, a forward pass of some rows is computed as `loss` says."""
        with self.states.playing(self.states.of(rows)) if self.states else nullcontext(), self._autocast():
            yield

    @contextmanager
    def quick(self, batch: Batch) -> Iterator[Layout | None]:
        """While this holds, a pass over this batch without gradients is computed as a step computes it."""
        with packed(self.model, batch) if self.packs else nullcontext() as layout, self._autocast():
            yield layout

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _accumulate(self, pieces: Sequence[Piece]) -> tuple[float, float, dict[str, float]]:
        """Add up the gradient of the summed loss; that sum, the number of targets, and the parts to log."""
        if self.objective.joint and (len(pieces) > 1 or self.ranks.count > 1):
            return joint.accumulate(self, pieces)
        most = max(self.ranks.gather(len(pieces))) if self.shards else 0
        value = weight = 0.0
        parts: dict[str, float] = {}
        for rows, batch in pieces:
            batch = to(batch, self.ranks.device)
            with packed(self.model, batch) if self.packs else nullcontext():  # the way back may compute blocks again
                loss = self.loss(rows, batch)
                share = loss.weight(len(rows))
                (loss.value * share).backward()
            value += float(loss.value.detach()) * share
            weight += share
            for name, part in loss.parts.items():
                parts[name] = parts.get(name, 0.0) + part * share
        self._idle(most - len(pieces))
        return value, weight, {name: part / (weight or 1.0) for name, part in parts.items()}

    def _idle(self, passes: int) -> None:
        """Gather and sum shards as often as the process with the most pieces: one short row that weighs nothing."""
        for _ in range(passes):
            row = min(range(len(self.lengths)), key=self.lengths.__getitem__)
            self.model.eval()  # no random number is drawn, no running mean moved
            (self.loss([row], to(self.make([row]), self.ranks.device)).value * 0).backward()
            self.model.train()

    def _update(self, value: float, count: float, number: int) -> dict[str, float]:
        """Add up all processes, scale the gradient to the mean, hold it to the norm allowed, and let the optimizer step."""
        if self.used:
            self.used.gather()
        cut = self.shards.gather() if self.shards else []
        learning = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        if self.ranks.count > 1:
            for weight in learning:
                if weight.grad is None:  # a process without rows must add as many numbers as the others
                    weight.grad = torch.zeros_like(weight)
        summed = {id(gradient) for gradient in cut}
        whole = [weight.grad for weight in learning if weight.grad is not None and id(weight.grad) not in summed]
        squares = float(torch.nn.utils.get_total_norm(cut)) ** 2
        value, count, squares = self.ranks.add(whole, [value, count, squares])
        count = max(count, 1.0)
        guards.check_loss([value / count], number)
        norm = math.hypot(float(torch.nn.utils.get_total_norm(whole)), math.sqrt(squares)) / count
        guards.check_gradient(norm, number)
        self._scaled_step([*whole, *cut], min(1.0, self.max_grad_norm / (norm + 1e-6)) / count)
        self.after(number)
        self.optimizer.zero_grad(set_to_none=True)
        if self.used:
            self.used.write()
        return {"loss": value / count, "grad_norm": norm, "targets": count}

    def _scaled_step(self, gradients: list[torch.Tensor], factor: float) -> None:
        """The optimizer's step by gradients times a factor; a fused one multiplies them on its own pass over them."""
        if isinstance(self.optimizer, torch.optim.AdamW):
            self.optimizer.grad_scale = torch.tensor(1 / factor, device=self.ranks.device)  # type: ignore[attr-defined]
        else:
            torch._foreach_mul_(gradients, factor)
        self.optimizer.step()

    def _smaller(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The same rows in pieces of half the size. Raises TrainingError where a piece is one row already."""
        rows = [row for piece, _ in pieces for row in piece]
        largest = max((piece for piece, _ in pieces), key=lambda piece: len(piece) * self._longest(piece))
        if len(largest) == 1:
            raise TrainingError("training.memory-short", tokens=self._longest(largest))
        self.room = len(largest) * self._longest(largest) // 2
        return [(piece, self.make(piece)) for piece in memory.split(rows, self.lengths, self.room)]

    def _longest(self, rows: Sequence[int]) -> int:
        return max(self.lengths[row] for row in rows)
