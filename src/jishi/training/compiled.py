"""The blocks of a backbone compiled by torch, where a trial shows that the steps to come pay for it.

Compiling takes up to a minute and makes some machines faster and others slower (on a CPU the packed blocks often win), so
nothing is taken for granted: a few steps are timed both ways (doi:10.1145/3620665.3640366).
"""

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from jishi.models import heads
from jishi.models.inference import to
from jishi.training import dropout, memory
from jishi.training.pace import peak
from jishi.training.packing import packed
from jishi.training.update import Update

LONG = 1200.0  # seconds of pure arithmetic below which the trial itself would not be paid for
TIMES = 3


def compile_blocks(model: Any) -> None:
    """Compile every block, for batches of any size."""
    for block in heads.layers(model):
        block.forward = _quiet(torch.compile(block.forward, dynamic=True))


def _quiet(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Without what the compiler's own look at the states it is given makes torch warn of."""

    def forward(*given: Any, **named: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf", UserWarning)
            return compiled(*given, **named)

    return forward


def restore(model: Any) -> None:
    """The blocks as they were."""
    for block in heads.layers(model):
        vars(block).pop("forward", None)


def pays(update: Update, rows: Sequence[int], left: int) -> bool:
    """Whether `left` steps over rows like these are done sooner compiled, compiling included. Leaves the model as it was."""
    if least(update, rows) * left < LONG:
        return False
    rows = memory.split(rows, update.lengths, update.room)[0]  # as many as memory holds
    with memory.untouched(update.model):
        with dropout.fast(update.model):
            plain = _seconds(lambda: _step(update, rows, packs=update.packs))
        compile_blocks(update.model)
        try:
            start = time.perf_counter()
            _step(update, rows, packs=False)
            cost = time.perf_counter() - start
            compiled = _seconds(lambda: _step(update, rows, packs=False))
        except torch._dynamo.exc.TorchDynamoException:  # no compiler at hand, or a block that can't be compiled
            return False
        finally:
            restore(update.model)
    return (plain - compiled) * left > cost


def least(update: Update, rows: Sequence[int]) -> float:
    """The seconds a step over these rows takes at least: six operations a token and weight of the blocks (arXiv:2001.08361)."""
    weights = sum(weight.numel() for block in heads.layers(update.model) for weight in block.parameters())
    return 6 * weights * sum(update.lengths[row] for row in rows) / peak(update.ranks.device, update.precision)


def _step(update: Update, rows: Sequence[int], *, packs: bool) -> None:
    """Forward and backward, without an update."""
    batch = to(update.make(list(rows)), update.ranks.device)
    if packs:
        with packed(update.model, batch):
            update.loss(rows, batch).value.backward()
    else:
        update.loss(rows, batch).value.backward()
    update.model.zero_grad(set_to_none=True)


def _seconds(run: Callable[[], Any]) -> float:
    """The median of a few runs, the first left out."""
    spent = []
    for _ in range(1 + TIMES):
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[1:])
