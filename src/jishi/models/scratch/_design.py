"""What a design trained from scratch says of itself, and the folder that lists the designs."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from jishi.core.contracts import Row


@dataclass(frozen=True)
class Design:
    """A network before it has learnt anything."""

    modality: str  # what its processor reads
    pooling: str  # how its states become one vector
    config: Callable[[str, Any], Any]  # (size, processor) → the transformers configuration
    # (design's name, training rows, pattern of a token) → tokenizer or image processor
    processor: Callable[[str, Iterable[Row] | None, str | None], Any]
    learns: bool  # whether the processor is made from the training rows
    max_length: int = 512  # tokens it can read
    begin: Callable[[Any], None] = lambda _: None  # what is done to the fresh weights of a model


@cache
def names() -> tuple[str, ...]:
    """Every design."""
    package = importlib.import_module(__package__)
    return tuple(
        sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(package.__path__) if info.name[0] != "_")
    )


def get(name: str) -> Design:
    """The design of a name; importing its file registers its classes with transformers."""
    return importlib.import_module(f"{__package__}.{name.replace('-', '_')}").DESIGN
