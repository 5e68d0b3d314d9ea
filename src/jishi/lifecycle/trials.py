"""The page of a search: how the best score grew, which settings went with which score, and what each key explains."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jishi.core import i18n, publish
from jishi.lifecycle import figures, report

NAME = "report.html"
WIDTH, TOP, BOTTOM = 760, 30, 250  # of the figure that has an axis for each key, in view-box units
FAR = 50  # values whose largest is so many times the least are drawn on a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """One key: where it stands, and the (height, text) of its marks."""

    name: str
    x: float
    marks: Sequence[tuple[float, str]]


def write(folder: Path, told: Mapping[str, Any], language: str | None = None) -> Path:
    """Write `report.html` beside the trials. `told` is what `tuning.json` holds."""
    path = folder / NAME
    publish.write_text(path, html(told, folder.name, language))
    return path


def html(told: Mapping[str, Any], name: str, language: str | None = None) -> str:
    """The page, in both languages; it opens in the one in force."""
    trials = told["trials"]
    keys = list(dict.fromkeys([*told["importance"], *(key for one in trials for key in one["settings"])]))
    axes, lines = parallel(trials, keys)
    opened = language or i18n.language()
    return (
        report.environment()
        .get_template("trials.html.j2")
        .render(told=told, name=name, keys=keys, growth=growth(told), axes=axes, lines=lines, opened=opened)
    )


def growth(told: Mapping[str, Any]) -> figures.Panel | None:
    """Each trial's score in the order they were made, and the best by then; None where there are too few."""
    trials = sorted(told["trials"], key=lambda one: one["number"])
    scores = [one["score"] for one in trials]
    if len(scores) < 2:
        return None
    best = [max(scores[: place + 1]) for place in range(len(scores))]
    return figures.panel("trials", [("best", _numbered(best), False), ("trial", _numbered(scores), True)])


def _numbered(values: Sequence[float]) -> list[tuple[float, float]]:
    return [(float(place), value) for place, value in enumerate(values, 1)]


def parallel(trials: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> tuple[list[Axis], list[tuple[str, float]]]:
    """An axis for each key and for the score, and for each trial its line with its place among the scores, 0 to 1, best last."""
    if len(trials) < 2:
        return [], []
    columns = {key: [one["settings"].get(key) for one in trials] for key in keys}
    columns["score"] = [one["score"] for one in trials]
    axes, heights = [], []
    for place, (key, values) in enumerate(columns.items()):
        up, marks = _scale(values)
        x = 60 + place * (WIDTH - 120) / max(1, len(columns) - 1)
        axes.append(Axis(key, x, [(_height(at), text) for at, text in marks]))
        heights.append([_height(up[_text(value)]) for value in values])
    ranks = {one["number"]: place for place, one in enumerate(sorted(trials, key=lambda one: one["score"]))}
    lines = []
    for place, one in enumerate(trials):
        points = (f"{axis.x:.1f},{column[place]:.1f}" for axis, column in zip(axes, heights, strict=True))
        lines.append((" ".join(points), ranks[one["number"]] / (len(trials) - 1)))
    return axes, sorted(lines, key=lambda line: line[1])


def _scale(values: Sequence[Any]) -> tuple[dict[str, float], list[tuple[float, str]]]:
    """Where each value stands on its axis, 0 to 1, by its text, and the marks of the axis."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):  # names: one under the other, as they came
        names = list(dict.fromkeys(map(_text, values)))
        places = {name: place / max(1, len(names) - 1) for place, name in enumerate(names)}
        return places, [(at, name) for name, at in places.items()]
    low, high = min(numbers), max(numbers)
    far = low > 0 and high / low > FAR
    bent = [math.log(value) if far else value for value in (low, high)]
    span = (bent[1] - bent[0]) or 1.0
    at = {_text(value): ((math.log(value) if far else value) - bent[0]) / span for value in numbers}
    return at, [(at[_text(low)], f"{low:.3g}"), (at[_text(high)], f"{high:.3g}")]


def _height(at: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * at


def _text(value: Any) -> str:
    return " ".join(map(str, value.values())) if isinstance(value, Mapping) else str(value)
