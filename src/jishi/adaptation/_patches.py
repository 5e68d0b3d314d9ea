"""Learnt patches behind those of a picture (visual prompt tuning, "shallow", arXiv:2203.12119)."""

import math
from typing import Any

import torch
from torch import nn


class Patches(nn.Module):
    """The patches (N, D), drawn as the paper draws them. The blocks read them; the reader says nothing of them."""

    def __init__(self, count: int, pixels: int, width: int) -> None:
        super().__init__()
        reach = math.sqrt(6 / (pixels + width))
        self.words = nn.Parameter(torch.empty(count, width).uniform_(-reach, reach))

    def embed(self, embeddings: nn.Module, given: Any, said: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """What is read of pictures (B, 1 + P, D), and the patches behind it: places were told before."""
        return torch.cat([said, self.words.to(said.dtype).expand(len(said), -1, -1)], 1)

    def behind(self, reader: Any, given: Any, said: Any) -> Any:  # noqa: ARG002
        """The states of the picture alone."""
        said.last_hidden_state = said.last_hidden_state[:, : -len(self.words)]
        return said


def among(reader: Any, count: int) -> Patches | None:
    """Fresh patches in a reader of pictures; None where it reads no row of patches behind one that means the whole."""
    embeddings = getattr(reader, "embeddings", None)
    cut = next((one for one in embeddings.modules() if isinstance(one, nn.Conv2d)), None) if embeddings else None
    if cut is None or getattr(embeddings, "cls_token", None) is None:
        return None
    pixels = cut.in_channels * cut.kernel_size[0] * cut.kernel_size[-1]
    patches = Patches(count, pixels, cut.out_channels)
    embeddings.register_forward_hook(patches.embed)
    reader.register_forward_hook(patches.behind)
    return patches
