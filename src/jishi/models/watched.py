"""What the blocks of a model say while it answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from jishi.models import heads


@contextmanager
def watched(model: Any) -> Iterator[list[torch.Tensor]]:
    """While this holds, what each block answers is noted, from bottom to top."""
    seen: list[torch.Tensor] = []

    def note(_: Any, __: Any, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    hooks = [block.register_forward_hook(note) for block in heads.layers(model)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
