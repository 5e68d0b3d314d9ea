"""Judge a model on held-out features during training: the objective's loss, and a task's own scores."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from jishi.core.contracts import Objective, Prediction, Row, Task
from jishi.metrics import language_model
from jishi.models.inference import to
from jishi.training.batching import epoch_batches
from jishi.training.features import Encoded
from jishi.training.feed import varied

BATCH_ROWS = 64


def validate(
    objective: Objective, model: Any, processor: Any, features: Encoded, rows: Sequence[Row], *, seed: int
) -> dict[str, float]:
    """`loss` (mean over targets), its parts, and for a task every metric of its `score`. Leaves the model in the mode it was in.

    Where the features tell what characters their targets stand for, `bits_per_character` is beside the loss. A task that
    generates is judged by the loss alone.
    """
    training = model.training
    answers = isinstance(objective, Task) and not objective.generates
    model.eval()
    totals: dict[str, float] = defaultdict(float)
    targets = characters = 0.0
    predictions: list[Prediction] = [{}] * len(features)
    related = isinstance(objective, Task) and type(objective).relate is not Task.relate
    kept: list[Any] = [None] * len(features)
    try:
        with torch.inference_mode():
            for group in epoch_batches(features.lengths, batch_size=BATCH_ROWS, batch_tokens=8192, seed=seed, epoch=0):
                batch_features = [
                    varied(objective, features, index, processor, [seed, index], training=False) for index in group
                ]
                loss = objective.loss(model, to(objective.collate(batch_features, processor), model.device))
                weight = loss.weight(len(group))
                targets += weight
                characters += sum(row.get("characters", 0) for row in batch_features)
                for name, value in {"loss": float(loss.value), **loss.parts}.items():
                    totals[name] += value * weight
                if isinstance(objective, Task) and answers:
                    outputs = [output.float().cpu() for output in loss.outputs]
                    found = objective.decode(outputs, batch_features, processor)
                    for index, prediction, output in zip(group, found, outputs, strict=True):
                        predictions[index], kept[index] = prediction, output if related else None
    finally:
        model.train(training)
    if isinstance(objective, Task) and answers and related:
        predictions = objective.relate(predictions, kept, rows)
    scores = {name: total / max(targets, 1) for name, total in totals.items()}
    if characters:
        scores["bits_per_character"] = language_model.bits_per_character(totals["loss"], characters)
    return {**scores, **objective.score(predictions, rows)} if isinstance(objective, Task) and answers else scores
