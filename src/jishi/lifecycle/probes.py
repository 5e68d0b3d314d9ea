"""The labelled sets that a base is held to while it is pretrained: what it is for, told by linear probes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from jishi.core import registry
from jishi.core.contracts import Base, Task, option
from jishi.core.errors import DataError
from jishi.data.infer import infer
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec
from jishi.training import linear_probe
from jishi.training.features import Encoded
from jishi.training.linear_probe import LinearProbe


@dataclass(frozen=True)
class ProbeSpec:
    """A labelled set on which a linear head is fitted again and again while the base learns."""

    data: DataSpec = option(
        en="The labelled rows; the head is fitted on the training part and scored on the test part.",
        zh="带标签的数据；在训练部分上拟合线性头，在测试部分上计分。",
    )
    task: Task | None = option(
        None, "The task; left out, the one the columns of the data fit.", "任务；省略时按数据的列推断。"
    )
    every: Annotated[int, Ge(1)] = option(
        500,
        "Steps between two probes; one comes before the first step, one after the last.",
        "两次探测之间的步数；首步之前与末步之后各有一次。",
    )
    name: str | None = option(None, "What it is called; left out, as the task.", "探测的名称；省略时与任务同名。")


def begin(wanted: Sequence[ProbeSpec], folder: Path, base: Base, processor: Any, seed: int) -> list[LinearProbe]:
    """The probes of a run; their rows are prepared in `folder`. Raises UsageError for a task that no linear head answers."""
    found: list[LinearProbe] = []
    for one in wanted:
        task = one.task or infer(one.data)
        linear_probe.check(task)
        name = _unused(one.name or registry.name_of(task), [other.name for other in found])
        data = prepare(one.data, task, folder / name, processor=processor, base=base)
        rows = data.test if data.test is not None else data.validation
        if rows is None:
            raise DataError("data.nothing-held-out", path=one.data.train)
        task = task.initialize(data.train, base)
        baseline = task.score(task.baseline(data.train).predict(rows), rows)[task.metric]
        learnt, held_out = (Encoded(task, part, processor) for part in (data.train, rows))
        found.append(LinearProbe(name, task, processor, learnt, held_out, rows, baseline, one.every, seed))
    return found


def record(probes: Sequence[LinearProbe], model: Any, events: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each probe its task, the rows, the plain rival's score, and this model's: before the first step, as it is in the end,
    and "curve": [[step, score], …] as the events of the run tell."""
    told = {}
    for probe in probes:
        heard = [event for event in events if event["kind"] == "probe" and event["probe"] == probe.name]
        curve = [[event["step"], event["score"]] for event in heard]
        last = probe(model)
        told[probe.name] = {
            "task": registry.name_of(probe.task), "metric": last["metric"], "baseline": probe.baseline,
            "rows": {"train": len(probe.learnt), "test": len(probe.held_out)}, "unknown": probe.held_out.unknown,
            "untrained": curve[0][1], "trained": last["score"], "curve": curve,
        }  # fmt: skip
    return told


def _unused(name: str, taken: Sequence[str]) -> str:
    count = 1 + sum(other == name or other.rpartition("-")[0] == name for other in taken)
    return name if count == 1 else f"{name}-{count}"
