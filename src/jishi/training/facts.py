"""What a run is, told before its first step."""

from pathlib import Path
from typing import Any

from jishi.models.parameters import parameters


def facts(loop: Any, resumed: Path | None, damaged: list[Path]) -> dict[str, Any]:
    """Rows, size and settings of a training loop, and the checkpoint it goes on from; `damaged` ones were passed over."""
    counted, learning = parameters(loop.model), [one for one in loop.model.parameters() if one.requires_grad]
    return {
        "steps": loop.steps,
        "rows": len(loop.features),
        "tokens": sum(loop.features.lengths),
        "unlabelled_rows": len(loop.unlabelled.features) if loop.unlabelled else 0,
        "validation_rows": len(loop.held_out or ()),
        "precision": loop.precision,
        "threads": loop.at.threads,
        "compiled": loop.at.compiled,
        "device": str(loop.device),
        "parameters": counted.whole,
        "inner_parameters": counted.inner,
        "trainable_parameters": sum(one.numel() for one in learning),
        "flops_per_token": round(loop.flops),
        "unknown": loop.features.unknown,
        "truncated": loop.features.truncated,
        "cut": loop.features.cut,
        "augment": loop.varied,
        "resumed_from": str(resumed) if resumed else None,
        "damaged": [str(path) for path in damaged],
    }
