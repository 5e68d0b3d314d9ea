"""Several processes train one model: each computes its share of every batch, and the sums of their gradients are one.

The result is that of a single process on the same batches, up to the rounding of sums: the gradient is that of the mean over
all targets, wherever they were computed. Rank 0 alone writes; all read.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from jishi.core.errors import TrainingError

PATIENCE = timedelta(seconds=60)  # a process that does not answer for so long is lost
BEAT = 1.0  # seconds between two signs of life of a process that the others wait for
BUCKET = 2**25  # bytes that are sent at once


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone, everything here costs nothing."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls) -> "Ranks":
        """Meet the other processes, if a launcher (torchrun, or `train.devices`) has started several."""
        on_cpu = "LOCAL_RANK" in os.environ and not torch.cuda.is_available()
        with _answered():
            state = PartialState(cpu=on_cpu, timeout=PATIENCE)
        return cls(state.process_index, state.num_processes, state.device)

    @staticmethod
    def leave() -> None:
        """Part from the others: the next `join` meets whoever is there then."""
        if dist.is_initialized():
            dist.destroy_process_group()
        PartialState._reset_state()

    def share(self, rows: Sequence[int]) -> list[int]:
        """This process's rows of a batch; rows of like length stand together, so that all have as much to do."""
        return list(rows[self.rank :: self.count])

    def add(self, gradients: Sequence[torch.Tensor], numbers: Sequence[float]) -> list[float]:
        """Sum the gradients of all processes in place, and the numbers. Raises TrainingError where one of them is lost."""
        if self.count == 1:
            return list(numbers)
        told = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        with _answered():
            dist.all_reduce(told)
            for bucket in _buckets(gradients):
                flat = _flatten_dense_tensors(bucket)
                dist.all_reduce(flat)
                for gradient, total in zip(bucket, _unflatten_dense_tensors(flat, bucket), strict=True):
                    gradient.copy_(total)
        return told.tolist()

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, in the order of their ranks."""
        found = [value] * self.count
        if self.count > 1:
            with _answered():
                dist.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            with _answered():
                dist.barrier()

    def first(self, work: Callable[[], None]) -> None:
        """Let rank 0 do what may take longer than their patience; the others wait for as long as it lives."""
        if self.count == 1:
            work()
            return
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(work) if self.rank == 0 else None
            while not self.add((), [float(done is not None and bool(wait([done], BEAT).done))])[0]:
                pass
        if done:
            done.result()

    def align(self, model: torch.nn.Module) -> None:
        """Give every process the weights and buffers of rank 0."""
        if self.count > 1:
            with _answered():
                for tensor in [*model.parameters(), *model.buffers()]:
                    sent = tensor.data.to(self.device)
                    dist.broadcast(sent, 0)
                    tensor.data.copy_(sent)


ALONE = Ranks(0, 1, torch.device("cpu"))


def local(tensor: Any) -> torch.Tensor:
    """What this process holds of a tensor: its shard, or all of it."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor  # type: ignore[no-any-return]


def is_lost(error: BaseException) -> bool:
    """Whether an error, raised by any operation of a model that is cut in shards, says that another process is lost."""
    return isinstance(error, dist.DistError) or any(name in str(error) for name in ("gloo", "NCCL"))


def lost(error: BaseException) -> TrainingError:
    """That error as a sentence."""
    return TrainingError("training.rank-lost", reason=str(error).splitlines()[0][:200])


@contextmanager
def _answered() -> Iterator[None]:
    """Raises TrainingError where another process is lost."""
    try:
        yield
    except (RuntimeError, dist.DistError) as error:
        raise lost(error) from error


def _buckets(gradients: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
    """The gradients in groups small enough to be copied without another model's worth of memory."""
    buckets: list[list[torch.Tensor]] = []
    size = BUCKET
    for gradient in gradients:
        if size + gradient.nbytes > BUCKET:
            buckets.append([])
            size = 0
        buckets[-1].append(gradient)
        size += gradient.nbytes
    return buckets
