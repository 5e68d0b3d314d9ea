"""How fast training goes: rows and tokens a second, time lost waiting for data, and the share of the machine's arithmetic used.

That share is the model FLOP utilisation (MFU, arXiv:2204.02311): operations the model needs for the real tokens, against what
large matrix products reach on this machine, measured beside it. Padding and bookkeeping lower it.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from jishi.training import memory

SIZE = 1024  # rows of the square matrices whose product tells the peak
TIMES = 3


@dataclass
class Pace:
    """The clock of a run: `start`, then for every step `fed` when its data are there and `told` when it is done."""

    device: torch.device
    flops: float  # of one token, forward and backward
    peak: float  # a second
    spent: float = 0.0
    done: int = 0
    begun: float = 0.0
    ready: float = 0.0

    def start(self) -> None:
        """A step begins: its data are asked for."""
        self.begun = time.monotonic()

    def fed(self) -> None:
        """The data are there."""
        self.ready = time.monotonic()

    def told(self, step: Mapping[str, Any], left: int) -> dict[str, float]:
        """The figures of the step that is done now, and the seconds that the steps `left` will take at this pace."""
        rows, tokens = step["rows"], step["tokens"]
        seconds = max(time.monotonic() - self.begun, 1e-9)
        self.spent, self.done = self.spent + seconds, self.done + 1
        return {
            "tokens_per_second": tokens / seconds,
            "samples_per_second": rows / seconds,
            "data_wait": (self.ready - self.begun) / seconds,
            "mfu": tokens * self.flops / seconds / self.peak,
            "memory": memory.taken(self.device),
            "remaining": left * self.spent / self.done,
        }


def counted(run: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products, convolutions and attention in what `run` does."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def peak(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of large matrix products, measured here and now with the threads now set."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left = torch.ones(SIZE, SIZE, dtype=dtype, device=device)
    spent = []
    for _ in range(1 + TIMES):  # the first also builds the kernel
        start = time.perf_counter()
        left @ left
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent.append(time.perf_counter() - start)
    return 2 * SIZE**3 / statistics.median(spent[1:])
