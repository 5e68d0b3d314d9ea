"""The commands that make bundles smaller and hold them beside each other: `jishi compress`, `jishi benchmark`."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jishi import api
from jishi.command import Debug, Json, Lang, Words, guarded, show, split
from jishi.core.i18n import text


def compress(words: Words = None, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Make a bundle smaller or quicker, answers held to it. 压缩模型包，并核对其答案。"""

    def run() -> None:
        from jishi import terminal

        main, overrides = split(words)
        with terminal.Training() as training:
            told = api.compress(main, overrides=overrides, listen=training.hear if watched else lambda _: None)
        show(told, as_json, _hops)

    watched = sys.stdout.isatty() and not as_json
    guarded(run, as_json, debug, lang)


def benchmark(
    bundles: list[str],
    data: Annotated[str | None, typer.Option(help="Rows to answer and score. 用于作答与评分的数据。")] = None,
    runtime: Annotated[str, typer.Option(help="auto, torch, onnxruntime, openvino. 运行时。")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Turns, of which the median counts. 测量轮数，取中位数。")] = 3,
    out: Annotated[str | None, typer.Option(help="A folder for benchmark.json and benchmark.svg. 结果目录。")] = None,
    as_json: Json = False,
    debug: Debug = False,
    lang: Lang = None,
) -> None:
    """Bundles side by side: time, memory, size, score. 并排比较模型包的速度、内存、大小与得分。"""

    def run() -> None:
        show(api.benchmark(bundles, data=data, runtime=runtime, rounds=rounds, out=out), as_json, _bundles)

    guarded(run, as_json, debug, lang)


def _hops(value: Mapping[str, Any]) -> None:
    """What was tried, where the way was searched for; what each method changed, then the bundle that came of it."""
    from jishi import terminal
    from jishi.lifecycle import wording

    if "tried" in value:
        _tried(value)
    for hop in value["hops"]:
        moved = hop["judged"]
        given = {key: hop[key] for key in ("hop", "metric", "before", "after", "low", "high")}
        said = text("compress.hop", **given, rows=moved["rows"], flips=moved["flips"], largest=moved["max_difference"])
        terminal.console.print(said, markup=False, soft_wrap=True)
    sizes = " → ".join(wording.size(value["bytes"][name]) for name in ("before", "after"))
    shown = {"bundle": value["out"], "bytes": sizes, "runtime": value["runtime"]}
    terminal.pairs({text(f"compress.{name}"): one for name, one in shown.items()})


def _tried(value: Mapping[str, Any]) -> None:
    """A line a chain, the bundle given first; then why others are not among them."""
    from rich.table import Table

    from jishi import terminal
    from jishi.lifecycle import wording

    names = ("p50", "memory", "bytes", "runtime", "front", "meets")
    table = Table("", value["metric"], *(text(f"compress.column-{name}") for name in names), box=None, pad_edge=False)
    for one in value["tried"]:
        marks = ["●" if one[name] else "" for name in ("front", "meets")]
        sizes = [wording.size(one[name]) for name in ("memory", "bytes")]
        table.add_row(
            one["method"] or "–", f"{one['score']:.4f}", f"{one['p50']:.1f} ms", *sizes, one["runtime"], *marks
        )
    terminal.console.print(table)
    for one in value["refused"]:
        terminal.console.print(text("compress.refused", **one), markup=False, soft_wrap=True)
    terminal.console.print(text("compress.tried", method=value["method"]), markup=False)


def _bundles(value: Mapping[str, Any]) -> None:
    """A line a bundle, the first being what the others are held to."""
    from rich.table import Table

    from jishi import terminal
    from jishi.lifecycle import wording

    names = (
        "runtime",
        "start",
        "p50",
        "p99",
        "pace",
        "memory",
        "bytes",
        *(["flips"] if len(value["bundles"]) > 1 else []),
    )
    score = [value["metric"]] if value["metric"] else []
    table = Table("", *score, *(text(f"compress.column-{name}") for name in names), box=None, pad_edge=False)
    for one in value["bundles"]:
        cells = [
            one["runtime"], f"{one['start']:.1f} s", f"{one['p50']:.1f} ms", f"{one['p99']:.1f} ms",
            f"{one['rows_a_second']:.0f}", wording.size(one["memory"]), wording.size(one["bytes"]), str(one["flips"]),
        ]  # fmt: skip
        table.add_row(one["bundle"], *([f"{one['score']:.4f}"] if score else []), *cells[: len(names)])
    terminal.console.print(table)
    terminal.console.print(text("compress.measured", rows=value["rows"], rounds=value["rounds"]), markup=False)
