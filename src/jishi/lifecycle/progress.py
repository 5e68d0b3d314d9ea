"""The page of a run while it goes on: written anew every few seconds, it loads itself again and needs nothing but itself."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from jishi.core import i18n, publish
from jishi.lifecycle import figures, report, wording
from jishi.training.loop import Event
from jishi.training.run import Run

NAME = "progress.html"
EVERY, APART = 3.0, 100  # seconds between two writings, and no fewer than so many times those one has taken
REFRESH = 5  # after which a browser loads it again
RECENT = 20  # steps whose mean loss is told
SHOWN = 12  # events
STEPS = 4 * figures.POINTS  # kept apart; beyond, each two that follow each other become one


class Page:
    """`progress.html` in the folder of a run: `with Page(run, metric) as page`, then `hear` every event.

    An error leaves it saying so; what kills the process leaves it with the time it was last written.
    """

    def __init__(self, run: Run, metric: str = "") -> None:
        self._run, self._metric = run, metric
        self._start: Mapping[str, Any] = {}
        self._last: Mapping[str, Any] = {}
        self._steps: list[dict[str, float]] = []
        self._others: list[dict[str, Any]] = []
        self._events: deque[tuple[str, Event]] = deque(maxlen=SHOWN)
        self._losses: deque[float] = deque(maxlen=RECENT)
        self._state, self._reason, self._due = "running", "", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is not None:
            self._state, self._reason = "failed", " ".join(str(error).split()) or type(error).__name__
            self._write()

    def hear(self, event: Event) -> None:
        """Take one event up; the page is written where it is due, and always at the beginning and the end."""
        if event.kind == "start":
            self._start = event.values
            for told in self._run.events():  # of what went before, where a run goes on
                self._take(told)
        elif event.kind == "step":
            self._last = event.values
            self._losses.append(event.values["loss"])
        self._take({"kind": event.kind, "step": event.step, **event.values})
        if event.kind not in ("start", "step"):
            self._events.appendleft((time.strftime("%H:%M:%S"), event))
        if event.kind in ("end", "interrupted"):
            self._state = {"end": "ended"}.get(event.kind, event.kind)
        if event.kind in ("start", "end", "interrupted") or time.monotonic() >= self._due:
            self._write()

    def _take(self, told: Mapping[str, Any]) -> None:
        if told["kind"] == "step":
            names = ("step", "loss", "learning_rate", "tokens_per_second")
            self._steps.append({name: told[name] for name in names})
            if len(self._steps) > STEPS:
                self._steps = [_mean(self._steps[place : place + 2]) for place in range(0, len(self._steps), 2)]
        elif told["kind"] in ("validation", "probe"):
            self._others.append(dict(told))

    def _write(self) -> None:
        """A file a language, since a page that loads itself again forgets what was chosen in it."""
        began = time.monotonic()
        files = {one: NAME if one == i18n.language() else f"progress.{one}.html" for one in i18n.LANGUAGES}
        for language, name in files.items():
            publish.write_text(self._run.folder / name, self._html(language, files))
        ended = time.monotonic()
        self._due = ended + max(EVERY, APART * (ended - began))

    def _html(self, language: str, files: Mapping[str, str]) -> str:
        steps = [{"kind": "step", **step} for step in self._steps]
        step, steps_all = int(self._steps[-1]["step"]) if self._steps else 0, self._start.get("steps", 0)
        return (
            report.environment()
            .get_template("progress.html.j2")
            .render(
                name=self._run.folder.name or str(self._run.folder), state=self._state, reason=self._reason,
                step=step, steps=steps_all, share=min(1.0, step / steps_all) if steps_all else 0.0,
                refresh=REFRESH, facts=self._facts(), size=self._size(), metric=self._metric,
                panels=figures.progress([*steps, *self._others], self._metric),
                events=[(when, event.step, event.kind, _said(event.values)) for when, event in self._events if event.values],
                written=time.strftime("%Y-%m-%d %H:%M:%S"), opened=language, files=files,
            )
        )  # fmt: skip

    def _facts(self) -> dict[str, str]:
        """What stands in large letters, by key, each in its unit."""
        judged = next((told for told in reversed(self._others) if told["kind"] == "validation"), {})
        last, facts = self._last, {}
        if self._losses:
            facts["recent_loss"] = wording.number(sum(self._losses) / len(self._losses))
        if judged:
            facts["validation_loss"] = wording.number(judged["loss"])
        if last:
            facts |= {
                "learning_rate": f"{last['learning_rate']:.2e}",
                "tokens_per_second": wording.count(last["tokens_per_second"]),
                "remaining": wording.duration(last["remaining"]) if self._state == "running" else "–",
                "mfu": f"{last['mfu']:.0%}",
                "memory": wording.size(last["memory"]),
            }
        return facts

    def _size(self) -> dict[str, str]:
        """How large the model and its data are, by key."""
        large = ("parameters", "inner_parameters", "trainable_parameters", "flops_per_token")
        told = {name: wording.large(self._start[name]) for name in large if name in self._start}
        counts = ("tokens", "rows", "validation_rows", "device")
        return told | {name: wording.brief(self._start[name]) for name in counts if name in self._start}


def _mean(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}


def _said(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an event told, as (key, text); the key is empty where the text says enough."""
    if "probe" in values:
        scores = {values["metric"]: values["score"], "baseline": values["baseline"]}
        return [("", values["probe"]), *((name, wording.number(value)) for name, value in scores.items())]
    if "texts" in values:
        return [("", f"{sample['given']} → {sample['written']}") for sample in values["texts"]]
    if "checkpoint" in values:
        return [("", Path(values["checkpoint"]).name)]
    hidden = {"best", "threads"}  # the best score is among the validations
    plain = {name: value for name, value in values.items() if isinstance(value, int | float) and name not in hidden}
    return [(name, wording.fact(name, value)) for name, value in plain.items()]
