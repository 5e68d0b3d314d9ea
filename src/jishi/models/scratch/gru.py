"""A recurrent language model of gated recurrent units (arXiv:1406.1078): an LSTM's way with one state instead of two.

It can be pretrained with causal-lm. At each size it has about as many weights as transformer-decoder.
"""

from jishi.models.scratch import _recurrent

SIZES = {  # D, H, layers
    "nano": (64, 96, 2),
    "tiny": (128, 184, 2),
    "mini": (256, 536, 2),
    "small": (512, 1072, 2),
    "base": (768, 2904, 2),
}
DESIGN = _recurrent.design("gru", SIZES)
