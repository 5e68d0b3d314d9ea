"""One trial of a search: a fine-tuning judged on the validation rows, in this process or in one of its own."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jishi.core import document, spec
from jishi.core.errors import DataError, JishiError
from jishi.lifecycle import alone, finetune, latency
from jishi.lifecycle.finetune import FinetuneSpec
from jishi.predictor import Predictor
from jishi.training.loop import Loop

STUDY = "jishi"  # the name of the one study that a file holds


@dataclass(frozen=True)
class Judged:
    """The best score on the validation rows, None where the trial was given up or stopped; its metric; with `timed`, the
    milliseconds an answer takes."""

    metric: str
    score: float | None = None
    latency: float = 0.0
    stopped: bool = False


def judge(
    wanted: FinetuneSpec, folder: Path, trial: Any = None, *, timed: bool = False, watch: Callable[[Loop], None] = lambda _: None
) -> Judged:  # fmt: skip
    """Train as asked, and keep nothing of it. An Optuna `trial` is told each validation, and may give up.

    Raises DataError where there are no validation rows, and whatever keeps the settings from training.
    """
    given_up = False
    try:
        begun = finetune.start(wanted, folder, untuned=False)
        loop, metric = begun.loop, begun.task.metric
        if loop.held_out is None:
            raise DataError("tune.no-validation", path=begun.data.report.get("path", wanted.out))
        watch(loop)
        for event in loop.events(resume=False):
            if event.kind == "validation" and trial is not None:
                trial.report(event.values.get(metric, -event.values["loss"]), event.step)
                if event.step < loop.steps and trial.should_prune():
                    loop.stop = given_up = True
        if given_up or loop.stop:
            return Judged(metric, stopped=not given_up)
        return Judged(metric, loop.at.best, _latency(begun) if timed else 0.0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _latency(begun: finetune.Begun) -> float:
    predictor = Predictor(begun.adapt.merge(begun.loop.model), begun.task, begun.processor, {})
    return latency.milliseconds(predictor.predict, begun.data.validation or ())


def work(piece: Mapping[str, Any]) -> dict[str, Any]:
    """As `judge`, of plain values: {"metric", "score"}, or {"reason": why these settings don't train}.

    `piece` holds the "spec", the "folder" to work in, the "place" that relative paths are read from, and where the trial may be
    given up the "study", a file, and its "trial", a number.
    """
    os.chdir(piece["place"])
    try:
        wanted = spec.build(FinetuneSpec, document.Document(dict(piece["spec"]), "finetune"))
        found = judge(wanted, Path(piece["folder"]), _trial(piece))
    except JishiError as error:
        return {"reason": str(error)}
    return {"metric": found.metric, "score": found.score}


def _trial(piece: Mapping[str, Any]) -> Any:
    """The trial as this process tells of it; None where it is not to be given up."""
    if not piece["study"]:
        return None
    import optuna

    study = optuna.load_study(study_name=STUDY, storage=piece["study"], pruner=pruner(prunes=True))
    found = next(one for one in study.get_trials(deepcopy=False) if one.number == piece["trial"])
    return optuna.trial.Trial(study, found._trial_id)


def pruner(*, prunes: bool) -> Any:
    """What says whether a trial is given up, the same in every process (Hyperband, arXiv:1603.06560)."""
    import optuna

    return optuna.pruners.HyperbandPruner(min_resource=1) if prunes else optuna.pruners.NopPruner()


class Here:
    """Processes of this machine, one for each trial that runs; what one of them comes to ends no other."""

    def __init__(self, processes: int, handle: SimpleNamespace) -> None:
        self.processes, self._handle = processes, handle

    def submit(self, piece: Mapping[str, Any]) -> Callable[[], dict[str, Any]]:
        """Begin when the answer is waited for; {"failed"} where `handle.stop` was set meanwhile."""

        def wait() -> dict[str, Any]:
            found = alone.ask(__name__, dict(piece), until=lambda: self._handle.stop)
            return {"reason": found["failed"]} if "failed" in found and not self._handle.stop else found

        return wait


if __name__ == "__main__":
    alone.answer(work)
