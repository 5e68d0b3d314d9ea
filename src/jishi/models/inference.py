"""Run a task's forward over many rows: length-sorted batches, no gradients, outputs in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from jishi.core.contracts import Batch, Features, Task
from jishi.models.graph_model import Graph

if TYPE_CHECKING:
    import torch

BATCH_ROWS = 64
ONCE_MORE = 64  # tokens that a graph reads while it is asked once more
PADDING = 1 / 8  # padding to each token of a group, beyond which it is parted


def outputs(
    task: Task, model: Any, features: Sequence[Features], processor: Any, *, batch_tokens: int = 4096
) -> list[Any]:
    """One output a row, (K,) or (T, K), on the CPU in fp32. The answer of a row does not depend on its neighbours.

    They are tensors; arrays where a graph was asked in arrays, for which torch is not loaded.
    """
    order = sorted(range(len(features)), key=lambda index: features[index]["length"])
    found: list[Any] = [None] * len(features)
    training = model.training
    model.eval()
    try:
        with still(model):
            lengths = [features[index]["length"] for index in order]
            together = task.generates or not isinstance(model, Graph)  # what is written shares its steps
            for group in _groups(order, lengths, batch_tokens, padded=together):
                answers = task.forward(model, batch(task, model, [features[index] for index in group], processor))
                padded = getattr(answers, "ndim", 0) > 2
                if padded:
                    answers = _here(answers)
                for index, answer in zip(group, answers, strict=True):
                    found[index] = answer[: features[index]["length"]] if padded else _here(answer)
    finally:
        model.train(training)
    return found


def to(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on a device."""
    import torch

    return {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()}


def batch(task: Task, model: Any, features: Sequence[Features], processor: Any) -> Batch:
    """Rows as a model is asked about them: a graph in arrays where the task has such, any other in tensors on its device."""
    if isinstance(model, Graph):
        return task.arrays(features, processor)
    return to(task.collate(features, processor), model.device)


def still(model: Any) -> Any:
    """Nothing is to be learnt from what is asked meanwhile."""
    if isinstance(model, Graph):
        return nullcontext()
    import torch

    return torch.inference_mode()


def _here(answer: Any) -> Any:
    """An array as it is, a tensor in fp32 on the CPU."""
    return answer.float().cpu() if hasattr(answer, "cpu") else answer


def _groups(order: Sequence[int], lengths: Sequence[int], batch_tokens: int, *, padded: bool = True) -> list[list[int]]:
    """Consecutive groups whose padded size stays within the budget (at least one row each).

    Unless they may be `padded`, a group ends before so much of it would be padding that asking once more is quicker.
    """
    groups: list[list[int]] = []
    read = 0  # tokens of the last group
    for index, length in zip(order, lengths, strict=True):
        size = (len(groups[-1]) + 1) * length if groups else 0
        full = not groups or len(groups[-1]) >= BATCH_ROWS or size > batch_tokens
        if full or (not padded and size - read - length > max(ONCE_MORE, read * PADDING)):
            groups.append([])
            read = 0
        groups[-1].append(index)
        read += length
    return groups
