"""What is found out before the first step, from passes that leave the model as it was: memory, padding, operations a token."""

from collections.abc import Callable
from dataclasses import dataclass

from jishi.core.contracts import Batch, Loss
from jishi.models.inference import to
from jishi.training import memory
from jishi.training.pace import counted
from jishi.training.packing import packable
from jishi.training.update import Update


@dataclass(frozen=True)
class Survey:
    """Of one update; `make` gives the batch of some rows, as validation sees them."""

    update: Update
    make: Callable[[list[int]], Batch]

    def room(self) -> int | None:
        """Padded tokens that memory has room for now; from one row, the longest, seen twice."""
        rows, model = [self._by_length()[-1]] * 2, self.update.model
        try:
            with memory.untouched(model):
                kept = memory.bytes_kept(model, lambda: self.trial(rows))
            return memory.room(model, kept, 2 * self.update.lengths[rows[0]], self.update.ranks.device)
        except (RuntimeError, MemoryError) as error:
            self._is_short(error)
            return 1  # row by row; a step tells where even that is too much

    def packs(self) -> bool:
        """Whether padding can be left out: tried on the shortest row beside the longest. On a GPU padded kernels are faster."""
        device, order = self.update.ranks.device, self._by_length()
        if device.type != "cpu":
            return False
        return packable(self.update.model, self.update.objective, to(self.make([order[0], order[-1]]), device))

    def flops(self) -> float:
        """Operations a token asks for, forward and backward; from one row, of middling length, seen twice. 0 if not known."""
        order = self._by_length()
        rows = [order[len(order) // 2]] * 2
        try:
            with memory.untouched(self.update.model):
                return counted(lambda: self.trial(rows).value.backward()) / (2 * self.update.lengths[rows[0]])
        except (RuntimeError, MemoryError) as error:
            self._is_short(error)
            return 0.0

    def trial(self, rows: list[int]) -> Loss:
        return self.update.loss(rows, to(self.make(rows), self.update.ranks.device))

    def _by_length(self) -> list[int]:
        lengths = self.update.lengths
        return sorted(range(len(lengths)), key=lengths.__getitem__)

    def _is_short(self, error: Exception) -> None:
        """Raises any error but that memory has run out; with shards that too, for the others wait for this very pass."""
        if self.update.shards or not memory.is_exhausted(error):
            raise error
