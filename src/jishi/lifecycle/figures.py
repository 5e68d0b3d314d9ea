"""The figures of a report as geometry: numbers in, points of an SVG view box out. The template draws them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

POINTS = 240  # of one line; more are averaged, no screen shows them
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One line of a panel: where it runs, with its dots, in view-box units. `name` is a code of the catalogue."""

    name: str
    points: Points
    dots: bool = False

    @property
    def path(self) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class Panel:
    """Axes and what is drawn in them. Ticks are (position, text); `title` is what the panel is called where no code says it."""

    name: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = 360
    height: int = 220
    left: int = 46
    right: int = 350
    top: int = 14
    bottom: int = 190
    title: str = ""


def curves(events: Sequence[Mapping[str, Any]], metric: str) -> list[Panel]:
    """Loss (training and validation), the deciding score and the learning rate over the steps of a run."""
    steps = [event for event in events if event.get("kind") == "step"]
    judged = [event for event in events if event.get("kind") == "validation"]
    panels = [
        ("loss", [("training", _series(steps, "loss"), False), ("validation", _series(judged, "loss"), True)]),
        ("score", [("validation", _series(judged, metric), True)]),
        ("learning-rate", [("learning-rate", _series(steps, "learning_rate"), False)]),
    ]
    return [panel(name, lines) for name, lines in panels if sum(len(points) for _, points, _ in lines) > 1]


def progress(events: Sequence[Mapping[str, Any]], metric: str) -> list[Panel]:
    """As `curves`, then the pace, and each linear probe beside the plain rival of its task."""
    steps = [event for event in events if event["kind"] == "step"]
    probes = [event for event in events if event["kind"] == "probe"]
    found = [*curves(events, metric)]
    pace = _series(steps, "tokens_per_second")
    if len(pace) > 1:
        found.append(panel("pace", [("pace", pace, False)]))
    for name in dict.fromkeys(event["probe"] for event in probes):
        heard = [event for event in probes if event["probe"] == name]
        lines = [("probe", _series(heard, "score"), True), ("baseline", _series(heard, "baseline"), False)]
        if len(heard) > 1:
            title = f"{name} · {heard[0]['metric'].replace('_', ' ')}"
            found.append(replace(panel("probe", lines), title=title))
    return found


def reliability(bins: Sequence[Mapping[str, Any]], size: int = 300) -> list[dict[str, float]]:
    """A dot with its whisker for every calibration bin, in a square from (0, 0) below left to (1, 1); area tells rows."""
    most = max(entry["rows"] for entry in bins)
    return [
        {
            "x": size * entry["confidence"],
            "y": size * (1 - entry["accuracy"]),
            "low": size * (1 - entry["low"]),
            "high": size * (1 - entry["high"]),
            "radius": 2 + 3 * math.sqrt(entry["rows"] / most),
        }
        for entry in bins
    ]


@dataclass(frozen=True)
class Scale:
    """A horizontal axis in per cent of its width, and its ticks (position, text)."""

    low: float
    high: float

    def at(self, value: float) -> float:
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        return [(self.at(value), text) for value, text in nice(self.low, self.high, 5)]


def scale(intervals: Sequence[Mapping[str, Any]]) -> Scale:
    """The axis on which values with `low` and `high` can be compared, with some air on either side."""
    low = min(entry["low"] for entry in intervals)
    high = max(entry["high"] for entry in intervals)
    air = 0.06 * ((high - low) or 1)
    floor = 0.0 if 0 <= low < 0.25 * high else low - air
    return Scale(floor, min(1.0, high + air) if high <= 1 else high + air)


def confused(labels: Sequence[str], matrix: Sequence[Sequence[int]], count: int = 12) -> list[dict[str, Any]]:
    """The label pairs mistaken more than once, most often first.

    `truth` and `answer` are labels, `rows` how many, `share` how many of the rows of that truth.
    """
    pairs = [
        {"truth": labels[i], "answer": labels[j], "rows": number, "share": number / sum(row)}
        for i, row in enumerate(matrix)
        for j, number in enumerate(row)
        if i != j and number > 1
    ]
    return sorted(pairs, key=lambda pair: (-pair["rows"], -pair["share"]))[:count]


def heat(labels: Sequence[str], matrix: Sequence[Sequence[int]], most: int = 16) -> dict[str, Any]:
    """The confusion matrix as shares of each true label; with more than `most` labels, those mistaken most for each other.

    `rows` holds (label, cells), a cell is (count, share in per cent, whether it is right).
    """
    shown = list(range(len(labels)))
    if len(labels) > most:
        wrong = [sum(matrix[i]) + sum(row[i] for row in matrix) - 2 * matrix[i][i] for i in shown]
        shown = sorted(sorted(shown, key=lambda i: -wrong[i])[:most])
    rows = []
    for i in shown:
        whole = sum(matrix[i]) or 1
        rows.append((labels[i], [(matrix[i][j], round(100 * matrix[i][j] / whole), i == j) for j in shown]))
    return {"labels": [labels[i] for i in shown], "rows": rows, "whole": len(shown) == len(labels)}


def nice(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """About `count` round numbers between `low` and `high`, with their texts (Heckbert 1990)."""
    span = (high - low) or 1.0
    raw = span / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    values = [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]
    return [(value, f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}") for value in values]


def _series(events: Sequence[Mapping[str, Any]], key: str) -> Points:
    points = [(float(event["step"]), float(event[key])) for event in events if isinstance(event.get(key), int | float)]
    group = math.ceil(len(points) / POINTS)
    return [_mean(points[start : start + group]) for start in range(0, len(points), group or 1)]


def _mean(points: Points) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def panel(name: str, lines: Sequence[tuple[str, Points, bool]]) -> Panel:
    """Lines (code, points, with dots) in axes that hold them all."""
    every = [point for _, points, _ in lines for point in points]
    right = max(x for x, _ in every) or 1.0
    low, high = min(y for _, y in every), max(y for _, y in every)
    low = 0.0 if 0 <= low < 0.6 * high else low - 0.1 * (high - low)
    high = high if high > low else low + 1
    frame = Panel(name, [], [], [])

    def across(step: float) -> float:
        return frame.left + (frame.right - frame.left) * step / right

    def up(value: float) -> float:
        return frame.bottom - (frame.bottom - frame.top) * (value - low) / (high - low)

    drawn = [Line(code, [(across(x), up(y)) for x, y in points], dots) for code, points, dots in lines if points]
    x_ticks = [(across(value), f"{value:,.0f}") for value, _ in nice(0, right, 4)]
    return Panel(name, drawn, x_ticks, [(up(value), text) for value, text in nice(low, high, 4)])
