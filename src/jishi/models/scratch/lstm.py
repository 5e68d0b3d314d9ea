"""A recurrent language model of LSTM layers (doi:10.1162/neco.1997.9.8.1735): a text of any length, at the same cost a token.

It can be pretrained with causal-lm. At each size it has about as many weights as transformer-decoder.
"""

from typing import Any

import torch
from torch import nn

from jishi.models.scratch import _recurrent

SIZES = {  # D, H, layers
    "nano": (64, 80, 2),
    "tiny": (128, 160, 2),
    "mini": (256, 464, 2),
    "small": (512, 928, 2),
    "base": (768, 2504, 2),
}


@torch.no_grad()
def _begin(model: Any) -> None:
    """Forget gates that begin open (doi:10.1162/089976600300015015): else what stood a few tokens ago is lost at first."""
    for layer in model.modules():
        if isinstance(layer, nn.LSTM):
            layer.bias_hh_l0[layer.hidden_size : 2 * layer.hidden_size] = 1


DESIGN = _recurrent.design("lstm", SIZES, _begin)
