"""What a server tells of its model: name, task, columns, labels, scores and a few inputs to try."""

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

from jishi.core import bundle, registry
from jishi.core.contracts import Modality
from jishi.predictor import Predictor, decision
from jishi.serving.limits import Limits

EXAMPLES = 6
PLEASANT = 60  # characters of a good example, as JSON


def called(path: Path) -> str:
    """What a bundle is called where nobody named it: as its run."""
    folder = path.resolve()
    return folder.parent.name if folder.name == "bundle" else folder.name


def name(path: Path | None, given: str) -> str:
    """A model's name and the first digits of its bundle's identity: `reviews@3f2a91c04b7e`."""
    return f"{given}@{bundle.read(path, verify=False).fingerprint[:12]}" if path else given


def model(predictor: Predictor, limits: Limits, name: str) -> dict[str, Any]:
    """The answer of `/api/v1/model`."""
    task = predictor.task
    return {
        "model": name,
        "task": registry.name_of(task),
        "columns": [_column(name, modality, name in task.required()) for name, modality in task.columns.items()],
        "labels": list(getattr(task, "labels", ())),
        "calibrated": getattr(task, "temperature", 1.0) != 1.0,
        "scores": dict(predictor.record.get("scores", {})),
        "versions": dict(predictor.record.get("versions", {})),
        "examples": examples(predictor.probes),
        "limits": {key: getattr(limits, key) for key in ("max_items", "max_characters", "max_body_bytes")},
        "jishi": version("jishi"),
    }


def examples(probes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Inputs of a few probes, each with another answer where there are such, about a sentence long."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for probe in sorted(probes, key=lambda probe: abs(len(json.dumps(probe["row"], ensure_ascii=False)) - PLEASANT)):
        found.setdefault(json.dumps(decision(probe["prediction"]), sort_keys=True), []).append(probe["row"])
    return [row for turn in zip_longest(*found.values()) for row in turn if row is not None][:EXAMPLES]


def _column(column: str, modality: str, required: bool) -> dict[str, Any]:
    kind = modality.rstrip("?")
    binary = registry.get(Modality, kind).binary
    return {"name": column, "modality": kind, "required": required, "binary": binary}
