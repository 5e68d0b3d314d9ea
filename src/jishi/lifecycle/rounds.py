"""The training of a loop, told to all who listen; and, where rows without labels are given some on the way, one after another.

Each round stands in a run folder of its own, the last in that of the run: one that was cut off goes on from its checkpoints, and
those that had ended are read back from theirs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jishi.core import publish, registry
from jishi.core.errors import TrainingError
from jishi.lifecycle import progress, queue, self_training, semi_supervised
from jishi.lifecycle.footprint import resident_bytes
from jishi.lifecycle.semi_supervised import UnlabelledSpec
from jishi.training.loop import Event, Loop
from jishi.training.run import ROUNDS, Run

Listener = Callable[[Event], None]
LEDGER = "unlabelled.json"
LABELLED = "labelled.jsonl"  # the rows that a round has labelled, in its folder


@dataclass(frozen=True)
class Trained:
    """A loop that has ended, its figures and its events, and what is told of rows without labels."""

    loop: Loop
    facts: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    told: Mapping[str, Any]


def place(unlabelled: UnlabelledSpec | None, folder: Path, number: int = 0) -> Path:
    """Where a training of a run stands: the last in the folder of the run itself."""
    last = unlabelled.method.rounds if unlabelled else 0
    return folder if number == last else folder / ROUNDS / str(number)


def train(
    unlabelled: UnlabelledSpec | None,
    begun: Any,
    run: Run,
    listen: Listener,
    watch: Callable[[Loop], None],
    *,
    resume: bool,
) -> Trained | None:
    """Train as begun, and again as often as there are rounds: what is best on the validation rows; None where interrupted.

    Raises TrainingError where rows without labels have taught nothing.
    """
    if begun.others:
        listen(Event("unlabelled", 0, begun.others.counts))
    if unlabelled and unlabelled.method.rounds:
        return _rounds(unlabelled, begun, run, listen, watch, resume=resume)
    watch(begun.loop)
    facts = once(begun.loop, run, listen, resume=resume)
    if facts is None:
        return None
    events, told = run.events(), {}
    if unlabelled:
        if not any(event.get("accepted_share") for event in events):
            method = unlabelled.method
            names = {"method": registry.name_of(method), "threshold": getattr(method, "threshold", "–")}
            raise TrainingError("training.unlabelled-idle", **names)
        told = {"unlabelled": dict(begun.others.counts)}
        run.write(LEDGER, told)
    return Trained(begun.loop, facts, events, told)


def _rounds(
    unlabelled: UnlabelledSpec, begun: Any, run: Run, listen: Listener, watch: Callable[[Loop], None], *, resume: bool
) -> Trained | None:
    """Train; label the rows that the model is sure of; train the base again on those too. Of equals the later is kept."""
    method, loop = unlabelled.method, begun.loop
    told: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    found: list[Trained] = []
    for number in range(method.rounds + 1):
        own = Run(place(unlabelled, run.folder, number))
        own.folder.mkdir(parents=True, exist_ok=True)
        watch(loop)
        facts = once(loop, own, listen, resume=resume)
        if facts is None:
            return None
        judged = self_training.judge(loop.model, begun.task, begun.processor, begun.data.validation)
        told.append({"score": judged.score})
        found = [max([Trained(loop, facts, own.events(), {"kept": number, "score": judged.score}), *found], key=_score)]
        if number < method.rounds:
            labelled, said = self_training.label(method, judged, begun.data.train, begun.others.rows)
            told[-1] |= {name: value for name, value in said.items() if name != "labels"}
            labels.append(said["labels"])
            publish.write_text(own.folder / LABELLED, "".join(map(queue.line, labelled)))
            listen(Event("round", number + 1, {"rows": len(labelled), **said}))
            rows = semi_supervised.together(begun.data.train, labelled)
            stop, loop = loop.stop, begun.again(rows, place(unlabelled, run.folder, number + 1))
            loop.stop = stop
    ledger = {"unlabelled": {**begun.others.counts, "kept": found[0].told["kept"], "rounds": told, "labels": labels}}
    run.write(LEDGER, ledger)
    return replace(found[0], told=ledger)


def _score(trained: Trained) -> float:
    score: float = trained.told["score"]
    return score


def once(
    loop: Loop, run: Run, listen: Listener, *, resume: bool, add: Callable[[Iterator[Event]], Iterator[Event]] = iter
) -> dict[str, Any] | None:
    """Run the loop to its end; None where it was interrupted. `add` hands its events on, with others between them."""
    facts: dict[str, Any] = {}
    with progress.Page(run, getattr(loop.objective, "metric", "")) as page:
        for event in add(loop.events(resume=resume)):
            run.log(event.kind, event.step, event.values)
            page.hear(event)
            listen(event)
            if event.kind == "start":
                names = ("parameters", "inner_parameters", "trainable_parameters", "flops_per_token")
                facts = {name: event.values[name] for name in (*names, "precision", "threads", "device")}
            if event.kind == "interrupted":
                return None
    return {
        **facts, "steps": loop.at.step, "best_step": loop.at.best_step,
        "training_seconds": loop.at.seconds, "training_memory": resident_bytes(),
    }  # fmt: skip
