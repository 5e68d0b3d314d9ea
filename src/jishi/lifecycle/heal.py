"""Training of what a compressor has made small, by its task's own loss and by the model it was made of."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jishi.core import registry, spec
from jishi.core.contracts import Adaptation
from jishi.core.errors import UsageError
from jishi.core.values import Compressed
from jishi.lifecycle.judged import Judged
from jishi.lifecycle.rounds import Listener
from jishi.predictor import Predictor
from jishi.training.imitation import Imitation
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec


def heal(
    made: Compressed, taught_by: Predictor, rows: Judged, train: TrainSpec, folder: Path, listen: Listener
) -> Mapping[str, Any]:
    """Train the model that was made, in place; what is told of it. The best on validation rows is kept, where others judge.

    Raises UsageError where the task's loss can't be softened by another's, TrainingError as training does.
    """
    teaching, task, learning = made.teaching, taught_by.task, train
    if teaching and (teaching.share or teaching.states):
        if task.joint:
            raise UsageError("compress.taught-jointly", task=registry.name_of(task))
        imitation = Imitation(taught_by.model, task, teaching)
        learning = replace(train, regularize=(*train.regularize, imitation))
    loop = Loop(
        made.model, task, made.processor, learning,
        train=rows.train, validation=rows.validation, head=[],
        learning_rate=registry.get(Adaptation, "full").learning_rate, folder=folder, seed=0,
    )  # fmt: skip
    first: Mapping[str, Any] = {}
    for event in loop.events(resume=False):
        listen(event)
        if event.kind == "step" and not first:
            first = event.values
    made.model.eval()
    return {"train": spec.dump(train), "steps": loop.at.step, "first_loss": first["loss"], "loss": loop.at.losses[-1]}
