"""PyTorch, which the model was trained with."""

from dataclasses import dataclass
from typing import Any

from jishi.core.bundle import Bundle
from jishi.core.contracts import Runtime


@dataclass(frozen=True)
class Torch(Runtime):
    """The model itself, in fp32."""

    reads = "*model*.safetensors"  # whole, in parts, or what was learnt beside a base

    def open(self, read: Bundle, shared: Any = None) -> tuple[Any, Any]:
        from jishi.models import load

        return load.trained(read, shared)
