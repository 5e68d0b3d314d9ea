"""Benchmark: bundles side by side on the same rows, each in a process of its own, turn by turn.

start           seconds from the start of its process to the first answer
memory          peak resident bytes of that process
p50, p99        milliseconds of an answer to one row asked alone: the median, and the slowest of a hundred
rows_a_second   answered 32 at a time
bytes           of the folder
score, flips    on rows that have references; answers other than the first bundle's
"""

import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from jishi.core import bundle, i18n, publish
from jishi.core.errors import UsageError
from jishi.data import store
from jishi.data.part import Part
from jishi.data.spec import DataSpec
from jishi.lifecycle import alone, bars, wording
from jishi.lifecycle.footprint import resident_bytes
from jishi.lifecycle.judged import judged
from jishi.predictor import AUTO, Predictor, decision

AT_ONCE = 32
ROWS = 256  # that are timed, at most
RESULT, PICTURE = "benchmark.json", "benchmark.svg"


def benchmark(
    paths: Sequence[str | Path],
    data: DataSpec | None = None,
    *,
    runtime: str = AUTO,
    rounds: int = 3,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """{"bundles": what was measured of each, medians over the rounds, "rows", "part", "metric"}.

    Without `data` they answer the probes of the first, and have no score. Raises UsageError where bundles don't read the same
    columns, and JishiError where one can't be loaded.
    """
    tasks = [bundle.read(path).task for path in paths]
    for path, task in zip(paths, tasks, strict=True):
        if (type(task), dict(task.columns)) != (type(tasks[0]), dict(tasks[0].columns)):
            raise UsageError("compress.other-task", path=path, first=paths[0])
    with tempfile.TemporaryDirectory(prefix="jishi-") as folder:
        rows: dict[str, Any] = {"probes": str(Path(paths[0]).absolute())}
        if data is not None:
            found = judged(data, tasks[0], Path(folder) / "data")
            rows = {"data": str(found.data.path), "part": found.part}
        asked = [{"bundle": str(Path(path).absolute()), "runtime": runtime, **rows} for path in paths]
        told: list[list[dict[str, Any]]] = [[] for _ in asked]
        for turn in range(rounds):
            for place, one in enumerate(asked):
                answer = alone.ask(__name__, {**one, "began": time.time(), "score": data is not None and turn == 0})
                if "failed" in answer:
                    raise UsageError("compress.not-measured", path=paths[place], reason=answer["failed"])
                told[place].append(answer)
    results = [_result(path, one, told[0][0]["decisions"]) for path, one in zip(paths, told, strict=True)]
    whole = {
        "bundles": results, "rows": told[0][0]["rows"], "part": rows.get("part"), "rounds": rounds,
        "metric": tasks[0].metric if data is not None else None,
    }  # fmt: skip
    if out:
        publish.write_text(Path(out) / RESULT, json.dumps(whole, ensure_ascii=False, indent=2) + "\n")
        publish.write_text(Path(out) / PICTURE, _picture(whole))
    return whole


def measure(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What one process finds of one bundle."""
    predictor = Predictor.load(asked["bundle"], runtime=asked["runtime"])
    if "probes" in asked:
        rows: Any = [predictor.from_json(probe["row"]) for probe in bundle.read(asked["probes"]).probes]
    else:
        rows = Part(store.tables(Path(asked["data"]))[asked["part"]])
    some = [rows[place] for place in range(min(ROWS, len(rows)))]
    inputs = [{name: row[name] for name in predictor.task.columns if row.get(name) is not None} for row in some]
    answers = [predictor.predict([inputs[0]])[0]]
    start = time.time() - asked["began"]
    spent = []
    for row in inputs:
        clock = time.perf_counter()
        predictor.predict([row])
        spent.append(1000 * (time.perf_counter() - clock))
    clock = time.perf_counter()
    answers = [
        answer
        for place in range(0, len(some), AT_ONCE)
        for answer in predictor.predict(inputs[place : place + AT_ONCE])
    ]
    seconds = time.perf_counter() - clock
    found = {
        "start": start, "p50": float(numpy.percentile(spent, 50)), "p99": float(numpy.percentile(spent, 99)),
        "rows_a_second": len(some) / seconds, "memory": resident_bytes(), "rows": len(some),
        "runtime": predictor.runtime, "decisions": [json.dumps(decision(answer), sort_keys=True) for answer in answers],
    }  # fmt: skip
    if asked["score"]:
        found["score"] = predictor.task.score(list(predictor.examine(rows)), rows)[predictor.task.metric]
    return found


def _result(path: str | Path, told: Sequence[Mapping[str, Any]], first: Sequence[str]) -> dict[str, Any]:
    """The medians of the rounds, and what the rounds don't change."""
    figures = ("start", "p50", "p99", "rows_a_second", "memory")
    return {
        "bundle": str(path), "runtime": told[0]["runtime"],
        **{name: statistics.median(one[name] for one in told) for name in figures},
        "bytes": sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file()),
        "score": told[0].get("score"),
        "flips": sum(one != other for one, other in zip(told[0]["decisions"], first, strict=True)),
    }  # fmt: skip


def _picture(whole: Mapping[str, Any]) -> str:
    """The figures as bars, in the language of who asks."""
    written = {
        "p50": lambda value: f"{value:.1f} ms", "pace": lambda value: f"{value:.0f}", "start": lambda value: f"{value:.1f} s",
        "memory": wording.size, "bytes": wording.size,
    }  # fmt: skip
    keys = {"pace": "rows_a_second"}
    panels = []
    for name, write in written.items():
        values = {f"{one['bundle']} ({one['runtime']})": one[keys.get(name, name)] for one in whole["bundles"]}
        rows = {bundle: (value, write(value)) for bundle, value in values.items()}
        panels.append((i18n.text(f"compress.column-{name}"), rows, name not in keys))
    return bars.svg(panels)


if __name__ == "__main__":
    alone.answer(measure)
