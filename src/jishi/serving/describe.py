"""What a server tells of a model: task, columns, labels, scores and a few inputs to try."""

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from jishi.core import bundle, registry
from jishi.core.contracts import Modality
from jishi.serving.limits import Limits
from jishi.serving.values import Profile

if TYPE_CHECKING:
    from jishi.predictor import Predictor

EXAMPLES = 6
PLEASANT = 60  # characters of a good example, as JSON


def profile(predictor: "Predictor") -> Profile:
    """What is told of a model where it does not stand itself."""
    task = predictor.task
    return Profile(
        task=registry.name_of(task),
        columns=dict(task.columns),
        required=task.required(),
        learnt=task.learnt,
        answers=dict(task.answers),
        generates=task.generates,
        labels=tuple(getattr(task, "labels", ())),
        pairs=getattr(task, "pairs", ""),
        decoding=getattr(task, "decoding", None),
        calibrated=getattr(task, "temperature", 1.0) != 1.0,
        scores=dict(predictor.record.get("scores", {})),
        versions=dict(predictor.record.get("versions", {})),
        examples=examples(predictor.probes),
        fingerprint=bundle.read(predictor.path, verify=False).fingerprint if predictor.path else "",
    )


def model(profile: Profile, limits: Limits, name: str) -> dict[str, Any]:
    """The answer of `/api/v1/model`."""
    return {
        "model": name,
        "task": profile.task,
        "columns": [_column(name, modality, name in profile.required) for name, modality in profile.columns.items()],
        "labels": list(profile.labels),
        "calibrated": profile.calibrated,
        "scores": dict(profile.scores),
        "versions": dict(profile.versions),
        "examples": list(profile.examples),
        "limits": {key: getattr(limits, key) for key in ("max_items", "max_characters", "max_body_bytes")},
        "jishi": version("jishi"),
    }


def examples(probes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Inputs of a few probes, each with another answer where there are such, about a sentence long."""
    from jishi.predictor import decision

    found: dict[str, list[Mapping[str, Any]]] = {}
    for probe in sorted(probes, key=lambda probe: abs(len(json.dumps(probe["row"], ensure_ascii=False)) - PLEASANT)):
        found.setdefault(json.dumps(decision(probe["prediction"]), sort_keys=True), []).append(probe["row"])
    return [row for turn in zip_longest(*found.values()) for row in turn if row is not None][:EXAMPLES]


def _column(column: str, modality: str, required: bool) -> dict[str, Any]:
    kind = modality.rstrip("?")
    binary = registry.get(Modality, kind).binary
    return {"name": column, "modality": kind, "required": required, "binary": binary}
