"""A graph in the place of a model: called as the model it was made from. It needs no torch where it is asked in arrays.

What stands beside it is read as it was written: the tokenizer by the class that its folder names, the configuration when it is
asked for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy

from jishi.core.bundle import Bundle
from jishi.models import processors
from jishi.models.folder import GRAPH, READER

PLACES = "places"  # an input of a graph that is one step of a decoder, see `memory`
EXTRA = "export"  # what a graph is made and asked with
ONLY = "jishi.runtime"  # in what a graph says of itself: the one runtime that answers as was recorded

Run = Callable[[Mapping[str, numpy.ndarray]], Sequence[numpy.ndarray]]


@dataclass(eq=False)
class Graph:
    """A graph that `run` works out; it can't learn. `inputs` are its names with their shapes, None where a size is free.
    A step that writes of a text has a `reader`.

    It answers in tensors where it is asked in tensors, else in arrays.
    """

    folder: Path
    inputs: Mapping[str, Sequence[int | None]]
    outputs: Sequence[str]
    run: Run
    reader: "Graph | None" = None
    training = False
    device = "cpu"

    @cached_property
    def config(self) -> Any:
        """The configuration of the model it was made from. Raises ModelError."""
        from jishi.models import load

        return load.described(self.folder)

    def __call__(self, **given: Any) -> Any:
        if PLACES in self.inputs:
            from jishi.models import memory

            before = given.get("past_key_values")
            if self.reader is not None and before is None:
                text = {name: given[name].numpy() for name in self.reader.inputs}
                before = memory.read(self.reader._said(text))
            asked = memory.asked(self.inputs, {**given, "past_key_values": before})
            said, kept = memory.told(self._said(asked), before)
            return SimpleNamespace(**_tensors(said), past_key_values=kept)
        said = self._said({name: numpy.asarray(given[name]) for name in self.inputs})
        plain = all(isinstance(given[name], numpy.ndarray) for name in self.inputs)
        return SimpleNamespace(**(said if plain else _tensors(said)))

    def _said(self, given: Mapping[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
        return dict(zip(self.outputs, self.run(given), strict=True))

    def modules(self) -> Iterator[Any]:
        """As a model's: there is no layer in it to be changed."""
        return iter(())

    def eval(self) -> "Graph":
        """As a model's: nothing in it is for training alone."""
        return self

    def train(self, mode: bool = True) -> "Graph":  # noqa: ARG002
        """As a model's."""
        return self


def opened(folder: Path, open_file: Callable[[Path], tuple[Mapping[str, Any], Sequence[str], Run]]) -> Graph:
    """What answers of a folder, whose files a runtime opens: what goes in, what comes out, and how that is worked out."""
    reader = Graph(folder, *open_file(folder / READER)) if (folder / READER).is_file() else None
    return Graph(folder, *open_file(folder / GRAPH), reader)


def answering(
    read: Bundle, open_file: Callable[[Path], tuple[Mapping[str, Any], Sequence[str], Run]]
) -> tuple[Graph, Any]:
    """As `opened`, and what the graph is asked through, which is read meanwhile. Raises ModelError."""
    with ThreadPoolExecutor(1) as beside:
        model = beside.submit(opened, read.path, open_file)
        processor = processors.of_graph(read)
        return model.result(), processor


def _tensors(said: Mapping[str, numpy.ndarray]) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(value) for name, value in said.items()}
