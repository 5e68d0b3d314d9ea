"""The frozen part of a backbone says the same of a row in every epoch: it is asked once, kept on disk, and played back.

While a batch is trained on, the blocks below the first that learns answer what was recorded; all else (embeddings, masks, the
blocks that learn, pooling, head) runs as ever, so that nothing need be known of the backbone.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from jishi.core.contracts import Batch, Features, Objective
from jishi.models import heads
from jishi.models.inference import to
from jishi.training.optimizer import in_modules
from jishi.training.packing import Layout

Quick = Callable[[Batch], AbstractContextManager[Layout | None]]

ROWS = 64
TRIED = 4  # rows that are played back to see whether it makes a difference
ROOM = 0.5  # the share of the free disk that may be taken
CLOSE = 1e-4  # relative difference of a loss that is still the same


class States:
    """The outputs (T, D) of the last frozen block for every row, in a file that is read as memory is."""

    def __init__(self, blocks: Sequence[nn.Module], lengths: Sequence[int]) -> None:
        self.blocks, self.lengths = blocks, lengths
        self.starts = np.zeros(len(lengths), dtype=np.int64)  # of each row, in tokens
        self.width = 0  # D
        self.table = np.empty((0, 0), np.float32)  # (all tokens, D)

    @classmethod
    def record(
        cls,
        model: Any,
        head: Sequence[str],
        objective: Objective,
        processor: Any,
        features: Sequence[Features],
        folder: Path,
        quick: Quick = lambda _: nullcontext(),
        rows: Sequence[int] | None = None,
    ) -> Self | None:
        """Ask the frozen part of every row, or of `rows`; None where nothing is frozen, rows vary by epoch, or the disk is full.

        `quick` is what a batch is asked in: the precision of the run, without padding.
        The file lies in `folder` without a name: the system takes it back when the process ends, however it ends.
        """
        if not recordable(model, head, objective) or any("windows" in row for row in features):
            return None
        blocks = frozen_blocks(model, head)
        states = cls(blocks, [row["length"] for row in features])
        order = sorted(range(len(features)) if rows is None else rows, key=lambda row: features[row]["length"])
        groups = [order[start : start + ROWS] for start in range(0, len(order), ROWS)]

        def batch(rows: Sequence[int]) -> Batch:
            return to(objective.collate([features[row] for row in rows], processor), model.device)

        training = model.training
        model.eval()
        try:
            with torch.inference_mode():
                if not states._is_same(
                    model, objective, batch(groups[-1][-TRIED:]), len(groups[-1][-TRIED:])
                ) or not states._has_room(folder):
                    return None

                def answer(rows: Sequence[int]) -> torch.Tensor:
                    asked = batch(rows)
                    with quick(asked) as layout:
                        found = states._ask(model, objective, asked)[0]
                    return layout.scatter(found) if layout else found

                states._write(((rows, answer(rows)) for rows in groups), folder)
        finally:
            model.train(training)
        return states

    def of(self, rows: Sequence[int]) -> torch.Tensor:
        """The recorded states of some rows, (B, T, D) with T the longest of them, zero behind the end of each."""
        found = torch.zeros(len(rows), max(self.lengths[row] for row in rows), self.width)
        for place, row in enumerate(rows):
            start, length = self.starts[row], self.lengths[row]
            found[place, :length] = torch.from_numpy(np.array(self.table[start : start + length]))
        return found

    @contextmanager
    def playing(self, states: torch.Tensor) -> Iterator[None]:
        """While this holds, the frozen blocks answer these states, whatever they are given."""
        states = states.to(next(self.blocks[0].parameters()).device)
        for block in self.blocks:
            block.forward = lambda *_, **__: states
        try:
            yield
        finally:
            for block in self.blocks:
                del block.forward

    def _has_room(self, folder: Path) -> bool:
        folder.mkdir(parents=True, exist_ok=True)
        return 4 * sum(self.lengths) * self.width < ROOM * shutil.disk_usage(folder).free

    def _write(self, answers: Iterable[tuple[Sequence[int], Any]], folder: Path) -> None:
        """Written first and mapped afterwards: a disk that fills up is an error then, where a map would crash."""
        end = 0
        with tempfile.TemporaryFile(dir=folder) as file:
            for rows, found in answers:
                for row, states in zip(rows, found, strict=True):
                    self.starts[row] = end
                    file.write(states[: self.lengths[row]].numpy().tobytes())
                    end += self.lengths[row]
            file.flush()
            self.table = np.memmap(file, np.float32, "r", shape=(end, self.width))

    def _ask(self, model: Any, objective: Objective, batch: Batch) -> tuple[Any, float]:
        """What the last frozen block answers for a batch, and the loss."""
        seen: list[Any] = []
        hook = self.blocks[-1].register_forward_hook(lambda _, __, output: seen.append(output))
        try:
            loss = float(objective.loss(model, batch).value)
        finally:
            hook.remove()
        return (seen[0].float().cpu() if isinstance(seen[0], torch.Tensor) else None), loss

    def _is_same(self, model: Any, objective: Objective, batch: Batch, rows: int) -> bool:
        """Whether a batch has the same loss when its states are played back: the blocks are a plain stack, a text a row."""
        states, loss = self._ask(model, objective, batch)
        if states is None or states.dim() != 3 or len(states) != rows:
            return False
        self.width = states.shape[2]
        with self.playing(states):
            played = float(objective.loss(model, batch).value)
        return abs(played - loss) <= CLOSE * max(1.0, abs(loss))


def recordable(model: Any, head: Sequence[str], objective: Objective) -> bool:
    """Whether a part is frozen, and rows are the same in every epoch."""
    return bool(frozen_blocks(model, head)) and type(objective).vary is Objective.vary


def frozen_blocks(model: Any, head: Sequence[str]) -> list[nn.Module]:
    """The backbone's blocks below the first that learns; none where anything outside of blocks and head learns."""
    blocks = heads.layers(model)
    inside = {id(weight) for block in blocks for weight in block.parameters()}
    for name, weight in model.named_parameters():
        if weight.requires_grad and id(weight) not in inside and not in_modules(name, list(head)):
            return []
    learning = (number for number, block in enumerate(blocks) if any(w.requires_grad for w in block.parameters()))
    return blocks[: next(learning, len(blocks))]
