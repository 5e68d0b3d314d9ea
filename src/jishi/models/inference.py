"""Run a task's forward over many rows: length-sorted batches, no gradients, outputs in the order given."""

from collections.abc import Sequence
from typing import Any

import torch

from jishi.core.contracts import Features, Task

BATCH_ROWS = 64


def outputs(
    task: Task, model: Any, features: Sequence[Features], processor: Any, *, batch_tokens: int = 4096
) -> list[torch.Tensor]:
    """One output tensor a row, (K,) or (T, K), on the CPU in fp32. The answer of a row does not depend on its neighbours."""
    order = sorted(range(len(features)), key=lambda index: features[index]["length"])
    found: list[torch.Tensor] = [torch.empty(0)] * len(features)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for group in _groups(order, [features[index]["length"] for index in order], batch_tokens):
                batch = to(task.collate([features[index] for index in group], processor), model.device)
                answers = task.forward(model, batch)
                padded = isinstance(answers, torch.Tensor) and answers.dim() > 2
                if isinstance(answers, torch.Tensor):
                    answers = answers.float().cpu()
                for index, answer in zip(group, answers, strict=True):
                    found[index] = answer[: features[index]["length"]] if padded else answer.float().cpu()
    finally:
        model.train(training)
    return found


def to(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The batch with its tensors on a device."""
    return {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()}


def _groups(order: list[int], lengths: list[int], batch_tokens: int) -> list[list[int]]:
    """Consecutive groups whose padded size stays within the budget (at least one row each)."""
    groups: list[list[int]] = []
    for index, length in zip(order, lengths, strict=True):
        full = not groups or len(groups[-1]) >= BATCH_ROWS or (len(groups[-1]) + 1) * length > batch_tokens
        if full:
            groups.append([])
        groups[-1].append(index)
    return groups
