"""What a compressed bundle has to keep to: milliseconds, bytes and memory, as `jishi benchmark` measures them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt

from jishi.core.contracts import option

MIB = 2**20
MEASURED = {
    "latency_ms": ("p50", 1),
    "bytes_mb": ("bytes", MIB),
    "memory_mb": ("memory", MIB),
}  # goal → figure, its unit


@dataclass(frozen=True)
class Goal:
    """What the bundle is to keep to; of those that do, the one with the best score is written."""

    latency_ms: Annotated[float, Gt(0)] | None = option(
        None, "Milliseconds that one row asked alone may take (median).", "单条提问的延迟上限（毫秒，中位数）。"
    )
    bytes_mb: Annotated[float, Gt(0)] | None = option(
        None, "MiB that its folder may take.", "模型包目录的大小上限（MiB）。"
    )
    memory_mb: Annotated[float, Gt(0)] | None = option(
        None,
        "MiB of memory that the process that answers may take at its peak.",
        "作答进程的内存峰值上限（MiB）。",
    )
    rounds: Annotated[int, Ge(1)] = option(
        3, "Turns in which all are measured; the median counts.", "轮流测量的轮数，取中位数。"
    )

    def named(self) -> dict[str, float]:
        """The goals that are set."""
        return {name: value for name in MEASURED if (value := getattr(self, name)) is not None}

    def excess(self, measured: Mapping[str, Any]) -> float:
        """The largest share of a goal that is used: 1 and less keeps to all. 0 where none is set."""
        shares = [measured[MEASURED[name][0]] / (MEASURED[name][1] * value) for name, value in self.named().items()]
        return max(shares, default=0.0)
