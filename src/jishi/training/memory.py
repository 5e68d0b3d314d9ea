"""How many tokens may be computed at once before memory runs out: measured on one row, not guessed from a model's name."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from jishi.core.errors import TrainingError
from jishi.training.ranks import local

SHARE = 0.8  # of the free memory that may be taken
MARGIN = 2.0  # what is kept for the backward pass is about half of what a step takes at its peak
OPTIMIZER_BYTES = 12  # gradient and AdamW's two averages of a weight that learns
CONTAINERS = (  # where a container tells its limit and its use: version 2 and version 1 of control groups
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def free(device: torch.device) -> int:
    """Bytes that may still be taken: of the device, or of this machine and the container around it."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return max(0, min([psutil.virtual_memory().available, *_left_in_container()]))


def _left_in_container() -> Iterator[int]:
    """File pages that are not in use count as free: the system gives them up when memory is asked for."""
    for folder, limit, use, cache in CONTAINERS:
        if (folder / limit).is_file() and (told := (folder / limit).read_text().strip()).isdigit():
            lines = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            yield int(told) - int((folder / use).read_text()) + int(lines.get(cache, 0))


def taken(device: torch.device) -> int:
    """Bytes this process holds now."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def room(model: nn.Module, kept: int, longest: int, device: torch.device) -> int | None:
    """Padded tokens that fit into one forward and backward pass, where a row of `longest` keeps so many bytes."""
    learning = sum(local(weight).numel() for weight in model.parameters() if weight.requires_grad)
    left = SHARE * free(device) - OPTIMIZER_BYTES * learning
    return max(1, int(left / (MARGIN * kept / longest))) if kept else None


def bytes_kept(model: nn.Module, forward: Callable[[], Any]) -> int:
    """Bytes that a forward pass keeps for the backward one: each storage once, and no weights."""
    seen: set[int] = set()
    sizes: list[int] = []

    def know(module: nn.Module, _: Any) -> None:  # only now: weights that are shared out are gathered for this call
        seen.update(local(weight).untyped_storage()._cdata for weight in module.parameters(recurse=False))

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in seen:
            seen.add(storage._cdata)
            sizes.append(storage.nbytes())
        return tensor

    for module in model.modules():
        know(module, ())
    knowing = nn.modules.module.register_module_forward_pre_hook(know)
    with knowing, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        held = forward()
    kept = sum(sizes)
    del held  # only now: while the graph lives, no storage is used again
    return kept


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """A trial: afterwards random state, buffers (running means) and gradients are what they were before."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    training = model.training
    model.train()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        model.train(training)
        model.zero_grad(set_to_none=True)
        for buffer, before in buffers:
            buffer.copy_(before)


def compute_again(model: Any) -> None:
    """Keep the inputs of each block only, and compute the rest again for the backward pass (arXiv:1604.06174)."""
    try:
        model.activation_checkpointing_enable({"use_reentrant": False})
    except (AttributeError, ValueError):  # no transformers model, or one whose blocks are not made for it
        raise TrainingError("training.no-gradient-checkpointing", given=type(model).__name__) from None


def split(rows: Sequence[int], lengths: Sequence[int], room: int | None) -> list[list[int]]:
    """The rows of a batch in as few pieces as possible, none of more than `room` padded tokens; one row is always a piece."""
    pieces: list[list[int]] = []
    longest = 0
    for row in rows:
        longest = max(longest, lengths[row])
        if pieces and (room is None or (len(pieces[-1]) + 1) * longest <= room):
            pieces[-1].append(row)
        else:
            pieces.append([row])
            longest = lengths[row]
    return pieces


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory has run out."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
