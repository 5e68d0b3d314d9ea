"""One model measured on some rows, in a process of its own."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy
import torch

from jishi.core import spec
from jishi.core.contracts import Batch, Prediction, Row
from jishi.core.document import Document
from jishi.lifecycle import alone, finetune, latency
from jishi.lifecycle.finetune import Begun, FinetuneSpec
from jishi.lifecycle.footprint import resident_bytes
from jishi.metrics.transferability import logme
from jishi.models import inference, tokens
from jishi.models.parameters import parameters
from jishi.predictor import Predictor
from jishi.training import fit_head

# probe: a linear head is fitted on the states; train: the spec is trained; answer: it is asked as it is
How = Literal["probe", "train", "answer"]
SHARES = (8, 4, 2)  # of the rows are 1 / … learnt from, for a learning curve
FEW = 10  # rows that a curve begins with: fewer tell of chance alone
MEAN = "mean"
STATES = 5000  # whose evidence is worked out


def ask(wanted: FinetuneSpec, how: How, limits: Mapping[str, float], *, cpu: bool = False) -> dict[str, Any]:
    """What `measure` finds, in another process; {"failed": why} where it came to no end."""
    given = {"finetune": spec.dump(wanted), "how": how, "limits": dict(limits)}
    return alone.ask(__name__, given, {"CUDA_VISIBLE_DEVICES": ""} if cpu else {})


def measure(wanted: FinetuneSpec, how: How, limits: Mapping[str, float]) -> dict[str, Any]:
    """What there is to know of a model on the rows of a spec. Raises JishiError.

    {"milliseconds" an answer takes, "asking" (seconds of all rows at that pace), "memory", "bytes" of the weights,
    "parameters", "pooling", "tokens" (of the training rows), "beyond"}; and, where it keeps within the `limits` (of those, by
    name), {"score", "predictions" of the validation rows, "seconds" of learning and answering}, of a probe also {"curve"
    [(rows, score)], "logme"}.
    """
    begun = finetune.start(wanted, Path(wanted.out), untuned=False)
    if how == "probe" and not fit_head.is_linear(begun.loop.model, begun.loop.head):  # a layer comes between
        averaged = replace(wanted.model, pooling=MEAN)
        begun = finetune.start(replace(wanted, model=averaged), Path(wanted.out), untuned=False)
    predictor = Predictor(begun.loop.model, begun.task, begun.processor, {})
    rows: Sequence[Row] = begun.data.validation or ()
    weights, counted = begun.loop.model.parameters(), begun.data.report.get("tokens")
    milliseconds = latency.milliseconds(predictor.predict, rows)
    found = {
        "milliseconds": milliseconds,
        "asking": milliseconds / 1000 * (len(begun.data.train) + len(rows)),
        "memory": resident_bytes(),
        "bytes": sum(one.numel() * one.element_size() for one in weights),
        "parameters": parameters(begun.loop.model).whole,
        "pooling": begun.base.pooling,
        "tokens": counted and counted["parts"]["train"],
    }
    found["beyond"] = [name for name, limit in limits.items() if found[name] > limit]
    if found["beyond"]:
        return found
    clock = time.monotonic()
    if how == "probe":
        judged = _probe(begun)
    else:
        if how == "train":
            deque(begun.loop.events(resume=False), maxlen=0)
            predictor = Predictor(begun.adapt.merge(begun.loop.model), begun.task, begun.processor, {})
        judged = {"predictions": list(predictor.examine(rows))}
    score = begun.task.score(judged["predictions"], rows)[begun.task.metric]
    return {**found, **judged, "score": score, "seconds": time.monotonic() - clock}


def _probe(begun: Begun) -> dict[str, Any]:
    """Fit the head on more and more of the rows. Texts that are read in windows have no curve."""
    loop, task, rows = begun.loop, begun.task, begun.data.validation or ()
    head = fit_head.linear(loop.model, loop.head)
    ask = (loop.model, head, task, begun.processor)
    learnt = list(fit_head.states(*ask, loop.features, loop.update.quick))
    found: dict[str, Any] = {"logme": _evidence(learnt), "curve": []}
    if "rows" not in learnt[0]:
        fit_head.fit(head, task, learnt, seed=loop.seed)
        return {**found, "predictions": list(Predictor(loop.model, task, begun.processor, {}).examine(rows))}
    held_out = loop.held_out or ()
    judged = list(fit_head.states(*ask, held_out, loop.update.quick))
    turn = torch.empty(len(loop.features), dtype=torch.long)
    turn[torch.randperm(len(turn), generator=torch.Generator().manual_seed(loop.seed))] = torch.arange(len(turn))
    for count in [*(part for share in SHARES if (part := len(turn) // share) >= FEW), len(turn)]:
        some = fit_head.pick(learnt, [turn[batch["rows"]] < count for batch in learnt])
        fit_head.fit(head, task, some, seed=loop.seed)
        found["predictions"] = _answers(begun, head, judged)
        found["curve"].append((count, task.score(found["predictions"], rows)[task.metric]))
    return found


def _answers(begun: Begun, head: torch.nn.Linear, judged: Sequence[Batch]) -> list[Prediction]:
    """What the head makes of the states of the validation rows."""
    features = begun.loop.held_out or ()
    outputs: list[torch.Tensor] = [torch.empty(0)] * len(features)
    with torch.inference_mode():
        for batch in judged:
            said = begun.task.forward(fit_head.Head(head), inference.to(batch, head.weight.device)).float().cpu()
            for row, output in zip(batch["rows"].tolist(), said, strict=True):
                outputs[row] = output[: features[row]["length"]] if said.dim() > 2 else output
    return begun.task.decode(outputs, features, begun.processor)


def _evidence(learnt: Sequence[Batch]) -> float | None:
    """Of the states of rows, or of tokens that have a label; None where a state has several, of different kinds."""
    states = torch.cat([batch["states"].flatten(0, -2) for batch in learnt])
    a_token = learnt[0]["states"].dim() > 2
    labels = torch.cat([batch["labels"].flatten() if a_token else batch["labels"] for batch in learnt])
    if len(labels) != len(states):
        return None
    known = labels != tokens.IGNORED if a_token else torch.ones(len(states), dtype=torch.bool)
    places = known.nonzero()[:, 0].numpy()
    if len(places) > STATES:
        places = numpy.random.default_rng(0).choice(places, STATES, replace=False)
    return logme(states[places].numpy(), labels[places].numpy())


def main(given: Mapping[str, Any]) -> dict[str, Any]:
    """Measure what is asked for as plain values."""
    wanted = spec.build(FinetuneSpec, Document(given["finetune"], "asked"))
    return measure(wanted, given["how"], given["limits"])


if __name__ == "__main__":
    alone.answer(main)
