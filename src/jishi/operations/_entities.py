"""What a bundle for entities finds in a text, where an operation asks it."""

from collections.abc import Sequence
from functools import cache
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from jishi.core import bundle, manifest
from jishi.core.bundle import Bundle
from jishi.core.contracts import Prediction
from jishi.core.errors import UnknownName, UsageError


def files(path: str) -> Sequence[Path]:
    """What tells one bundle from another."""
    return [file for file in (Path(path) / manifest.MANIFEST,) if file.is_file()]  # `check` says what is wrong


def check(path: str, labels: Sequence[str]) -> None:
    """Raises BundleError where the bundle is damaged, UsageError where it finds no spans, or none of these labels."""
    _loaded.cache_clear()
    task = bundle.read(path).task
    if ("spans",) not in task.targets:
        raise UsageError("operations.finds-no-spans", path=path)
    for label in labels:
        if label not in task.labels:
            raise UnknownName("label", label, task.labels)


def find(path: str, text: str) -> list[Prediction]:
    """The entities of a text, in order: {"start", "end", "label", …}."""
    from jishi.models import inference

    read, model, processor = _loaded(path)
    features = [read.task.encode(read.task.parse({"text": text}, training=False), processor)]
    outputs = inference.outputs(read.task, model, features, processor)
    found: list[Prediction] = read.task.decode(outputs, features, processor)[0]["entities"]
    return found


@cache
def _loaded(path: str) -> tuple[Bundle, Any, Any]:
    import torch

    from jishi.models import load

    if parent_process():  # in a copy of a process the threads of that one are gone
        torch.set_num_threads(1)
    read = bundle.read(path, verify=False)  # `check` has
    return read, *load.trained(read)
