"""What a verb shows in a terminal: progress while it runs, tables when it is done. It only listens and prints."""

import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from jishi.core.i18n import text

SHOWN = 200  # characters of an input that is repeated beside its answer

console = Console(highlight=False)
notices = Console(highlight=False, stderr=True)  # what is for the reader, not for the program that reads the output


class Training:
    """Shows the events of a training run; Ctrl-C asks the loop to stop after a checkpoint, twice leaves at once.

    In a terminal a progress bar, elsewhere (or with `as_json`) one JSON line an event. `resume` is the command to go on with.
    """

    def __init__(self, as_json: bool = False, resume: str = "") -> None:
        self._lines = as_json or not sys.stdout.isatty()
        self._resume = resume
        self._loop: Any = None
        self._progress: Progress | None = None
        self._old: Any = None

    def __enter__(self) -> Self:
        self._old = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def watch(self, loop: Any) -> None:
        """Take the loop to stop on Ctrl-C."""
        self._loop = loop

    def hear(self, event: Any) -> None:
        """Show one event."""
        if self._lines:
            print(json.dumps({"kind": event.kind, "step": event.step, **event.values}), flush=True)  # noqa: T201
        else:
            self._draw(event)
        if event.kind == "interrupted":
            told = text("cli.interrupted", checkpoint=event.values["checkpoint"], command=self._resume)
            notices.print(told, markup=False, soft_wrap=True)

    def _draw(self, event: Any) -> None:
        if event.kind == "start":
            self._start(event)
        elif event.kind == "caution":
            values = {name: value for name, value in event.values.items() if name != "code"}
            console.print(text(f"cli.{event.values['code']}", **values), style="yellow", markup=False, soft_wrap=True)
        elif event.kind in ("unlabelled", "round"):
            from jishi.lifecycle.wording import brief

            told = {name: brief(value) for name, value in event.values.items()}
            console.print(text(f"cli.{event.kind}", number=event.step, **told), markup=False, soft_wrap=True)
        elif event.kind == "step" and self._progress:
            self._progress.update(self._progress.task_ids[0], completed=event.step, tail=_pace(event.values))
        elif event.kind == "validation" and self._progress:
            scores = "  ".join(f"{name} {value:.3f}" for name, value in event.values.items())
            self._progress.print(text("cli.validation", step=event.step, scores=scores))
        elif event.kind == "trial":
            from jishi.lifecycle import wording

            told = event.values
            kept = {"score": told.get("score"), **told.get("settings", {}), "state": told.get("state")}
            shown = "  ".join(f"{name} {wording.short(value)}" for name, value in kept.items() if value is not None)
            console.print(text("cli.trial", number=event.step, told=shown), markup=False, soft_wrap=True)
        elif event.kind == "probe" and self._progress:
            self._progress.print(text("cli.probe", step=event.step, **event.values))
        elif event.kind == "samples" and self._progress:
            for sample in event.values["texts"]:
                self._progress.print(Text(text("cli.sample", step=event.step, **sample)))

    def _start(self, event: Any) -> None:
        for path in event.values["damaged"]:
            console.print(text("cli.damaged", path=path), style="yellow", markup=False)
        console.print(text("cli.begins", **_size(event.values)), markup=False)
        if told := event.values.get("augment"):
            share, pace = f"{told['varied']:.0%}", f"{told['milliseconds']:.2g}"
            console.print(text("cli.augmented", share=share, milliseconds=pace), markup=False)
        if event.values["resumed_from"]:
            console.print(text("cli.resumed", path=event.values["resumed_from"]), markup=False)
        if self._progress:
            self._progress.stop()
        self._progress = Progress(
            TextColumn(text("cli.training")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[tail]}"), console=console,
        )  # fmt: skip
        self._progress.add_task("", total=event.values["steps"], completed=event.step, tail="")
        self._progress.start()

    def _interrupt(self, *_: object) -> None:
        if self._loop is None or self._loop.stop:
            raise KeyboardInterrupt
        self._loop.stop = True
        os.write(2, (text("cli.stopping") + "\n").encode())  # print is not safe inside a signal handler


def _size(start: Mapping[str, Any]) -> dict[str, str]:
    """How large the model is and what a token costs."""
    from jishi.lifecycle.wording import large

    names = ("parameters", "inner_parameters", "flops_per_token", "tokens")
    return {name: large(start[name]) for name in names}


def _pace(step: Mapping[str, Any]) -> str:
    """The figures of a step in one line; the time left stands beside them."""
    return (
        f"loss {step['loss']:.3f}  {step['samples_per_second']:,.1f} rows/s  {step['tokens_per_second']:,.0f} tokens/s  "
        f"MFU {step['mfu']:.0%}  data {step['data_wait']:.1%}  {step['memory'] / 2**30:.2f} GiB"
    )


def data(value: Mapping[str, Any]) -> None:
    """The data report, and where the rows are."""
    from jishi.data import report

    pairs({"path": value["path"], "fingerprint": value["fingerprint"]})
    pairs(dict(report.lines(value["report"])))


def corpus(value: Mapping[str, Any]) -> None:
    """What became of the texts, step by step, and where the corpus is."""
    report = value["report"]
    columns = [text(f"cli.{name}") for name in ("step", "kept", "changed", "dropped", "given", "reasons")]
    table = Table(*columns, box=None, pad_edge=False)
    for step in report["ledger"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in step["reasons"].items())
        counts = [f"{step[name]:,}" for name in ("kept", "changed", "dropped", "given")]
        table.add_row(step["step"], *counts, Text(reasons))
    console.print(table)
    sizes = {name: f"{report[name]:,}" for name in ("texts", "characters")}
    pairs({"path": value["path"], "fingerprint": value["fingerprint"], **sizes})


def plan(value: Mapping[str, Any]) -> None:
    """The figures of a dry run and, of a pretraining on texts, what size of model they are for."""
    from jishi.lifecycle import wording

    plain = {name: figure for name, figure in value.items() if name != "scaling"}
    plain[text("cli.time")] = wording.duration(value["seconds"])
    pairs({name: f"{figure:,.2f}" if isinstance(figure, float) else figure for name, figure in plain.items()})
    if "scaling" not in value:
        return
    found, large = value["scaling"], wording.large
    table = Table(
        *(text(f"cli.{name}") for name in ("size", "parameters", "wants", "passes", "flops", "time")), box=None
    )
    for one in found["sizes"]:
        cells = (large(one[name]) for name in ("parameters", "tokens", "passes", "flops"))
        table.add_row(
            one["size"], *cells, wording.duration(one["seconds"]), style="bold" * (one["size"] == found["size"])
        )
    console.print("", table, text("cli.scaling"), sep="\n", soft_wrap=True)
    given = {"size": found["size"], "tokens": large(value["trained_tokens"]), "wanted": large(found["tokens"])}
    console.print(text("cli.scaling-fits" if found["size"] else "cli.scaling-short", **given), soft_wrap=True)


def tokenizer(value: Mapping[str, Any]) -> None:
    """How well a vocabulary cuts texts, by script, and where it is."""
    names = ("texts", "tokens", "unknown", "fertility", "bytes", "coverage")
    table = Table("", *(text(f"cli.{name}") for name in names), box=None, pad_edge=False)
    before = {f"{part} ({text('cli.before')})": found for part, found in value.get("before", {}).items()}
    for part, found in (before | value["report"]).items():
        table.add_row(part, *(f"{found[name]:,}" if name in names[:2] else f"{found[name]:.3f}" for name in names))
    console.print(table)
    reading = value["reading"]
    why = "".join(f", {reason} {count:,}" for reason, count in reading["reasons"].items())
    read = f"{reading['kept']:,} / {reading['seen']:,}{why}"
    pairs({"path": value["path"], text("cli.vocabulary"): f"{value['size']:,}", text("cli.read"): read})


def base(value: Mapping[str, Any]) -> None:
    """What a pretraining has brought, what it cost, and where the base is."""
    resources, replayed = value["resources"], value["replayed"]
    known = {text("cli.loss-replayed", rows=replayed["rows"]): _change(replayed["loss"])} if replayed else {}
    probed = {
        text("cli.probed", name=name, metric=one["metric"]): _change(one) for name, one in value["probes"].items()
    }
    names = {"loss": "cli.loss", "bits_per_character": "cli.bits-per-character"}
    pairs(
        {
            **{text(code): _change(value[name]) for name, code in names.items() if name in value},
            **{name: _change(part) for name, part in value["parts"].items()},
            **known,
            **probed,
            text("cli.seconds"): f"{resources['seconds']:.0f}",
            text("cli.memory"): f"{resources['peak_memory'] / 2**30:.2f} GiB",
            text("cli.trainable"): f"{resources['trainable_parameters']:,} / {resources['parameters']:,}",
            text("cli.base"): value["base"],
        }
    )


def _change(values: Mapping[str, float]) -> str:
    return f"{values['untrained']:.3f} → {values['trained']:.3f}"


def result(value: Mapping[str, Any]) -> None:
    """The scores beside the rivals', what they cost, and where the bundle is."""
    evaluation(value["evaluation"])
    resources = value["resources"]
    apart = [f"{resources[name] / 2**20:.1f} MiB" for name in ("adapter_bytes", "base_bytes") if name in resources]
    pairs(
        {
            text("cli.seconds"): f"{resources['seconds']:.0f}",
            text("cli.memory"): f"{resources['peak_memory'] / 2**30:.2f} GiB",
            text("cli.trainable"): f"{resources['trainable_parameters']:,} / {resources['parameters']:,}",
            **({text("cli.adapter"): " / ".join(apart)} if apart else {}),
            text("cli.bundle"): value["bundle"],
            text("cli.report"): f"{value['out']}/report.html",
        }
    )


def tuned(value: Mapping[str, Any]) -> None:
    """The best settings beside the spec as it was, what explains the scores, and the run that was made with them."""
    from jishi.lifecycle import wording

    best = value["trials"][0]["score"]
    console.print(
        text("cli.tuned", plain=wording.short(value["plain"]), best=wording.short(best)), markup=False, soft_wrap=True
    )
    table = Table(*(text(f"cli.{name}") for name in ("key", "best-value", "importance")), box=None, pad_edge=False)
    for key, given in value["best"].items():
        share = value["importance"].get(key)
        table.add_row(key, wording.short(given), "" if share is None else f"{share:.0%}")
    console.print(table)
    result(value)


def candidate(event: Any) -> None:
    """One model that has been measured, for the reader beside the output."""
    from jishi.lifecycle import wording

    told = event.values
    shown = wording.number(told["score"]) if told["score"] is not None else told["failed"] or ", ".join(told["beyond"])
    notices.print(text("advise.measured", name=told["name"], told=shown), markup=False, soft_wrap=True)


def advice(value: Mapping[str, Any]) -> None:
    """The candidates as a table, the best first; why; what to run next and what it would take."""
    from jishi.lifecycle import wording

    table = Table(
        "",
        value["metric"],
        *(text(f"advise.{name}") for name in ("latency", "memory", "weights")),
        box=None,
        pad_edge=False,
    )
    for one in [*value["candidates"], value["rival"]]:
        table.add_row(*(Text(cell) for cell in _candidate(one)), style="bold" * (one["name"] == value["first"]))
    console.print(table)
    for one in value["candidates"]:
        for reason in one.get("reasons", []):
            shown = {key: given for key, given in reason.items() if key != "code"}
            console.print(text(f"advise.{reason['code']}", name=one["name"], **shown), markup=False, soft_wrap=True)
        for limit in one.get("beyond", []):
            minutes = value["limits"]["asking"] / 60
            console.print(
                text(f"advise.beyond-{limit}", name=one["name"], minutes=minutes), markup=False, soft_wrap=True
            )
        if "failed" in one:
            console.print(text("advise.failed", name=one["name"], reason=one["failed"]), markup=False, soft_wrap=True)
    more = value["more"]
    if more:
        (rows, now), twice, ten = more["curve"][-1], *more["foreseen"]
        given = {"rows": rows, "now": now, "twice": twice[1], "ten": ten[1]}
        console.print(text("advise.more", **given), markup=False, soft_wrap=True)
    if value["plain"]:
        console.print(text("advise.plain", name=value["first"]), style="bold", markup=False, soft_wrap=True)
        return
    licence = value["candidates"][0]["licence"] or "?"
    console.print(
        text("advise.first", name=value["first"], licence=licence), style="bold", markup=False, soft_wrap=True
    )
    import yaml

    console.print(
        yaml.safe_dump(value["next"], allow_unicode=True, sort_keys=False).rstrip(), markup=False, soft_wrap=True
    )
    took = {"time": wording.duration(value["plan"]["seconds"]), "memory": wording.size(value["plan"]["memory"])}
    console.print(text("advise.takes", rows=value["plan"]["rows"], **took), markup=False, soft_wrap=True)


def _candidate(one: Mapping[str, Any]) -> list[str]:
    """The cells of a candidate; a dash for what was not measured."""
    from jishi.lifecycle import wording

    score = {"value": one.get("score"), **dict(zip(("low", "high"), one.get("interval", ()), strict=False))}
    sizes = [wording.size(one[name]) if name in one else "–" for name in ("memory", "bytes")]
    return [one["name"], _interval(score), f"{one['milliseconds']:.1f} ms" if "milliseconds" in one else "–", *sizes]


def stopped(command: str) -> None:
    """The command that goes on with what was interrupted."""
    notices.print(text("cli.stopped", command=command), markup=False, soft_wrap=True)


def evaluation(value: Mapping[str, Any]) -> None:
    """One row a metric: this model with its interval, then each rival; below, the paired difference."""
    from jishi.lifecycle import wording

    rivals = value.get("rivals", {})
    table = Table(text("cli.metric"), text("cli.this-model"), *rivals, box=None, pad_edge=False)
    for metric, score in value["scores"].items():
        others = [_interval(rival["scores"].get(metric)) for rival in rivals.values()]
        table.add_row(metric, Text(_interval(score), style="bold"), *others)
    console.print(table)
    for name, rival in rivals.items():
        figures = {key: rival[key] for key in ("difference", "low", "high")}
        console.print(text("cli.difference", rival=name, p_value=wording.p_value(rival["p_value"]), **figures))


def predictions(value: Sequence[Mapping[str, Any]]) -> None:
    """One line an answer; a long input is shown by its beginning."""
    for answer in value:
        shown = {key: _beginning(given) for key, given in answer.items() if key != "scores"}
        console.print(json.dumps(shown, ensure_ascii=False), markup=False, soft_wrap=True)


def pieces(value: Iterable[str]) -> None:
    """An answer as it is written, then the end of the line."""
    for piece in value:
        print(piece, end="", flush=True)  # noqa: T201
    print()  # noqa: T201


def models(value: Sequence[Mapping[str, Any]]) -> None:
    """A table of what there is, one a kind."""
    for kind in dict.fromkeys(entry["kind"] for entry in value):
        entries = [entry for entry in value if entry["kind"] == kind]
        keys = [key for key, given in entries[0].items() if not isinstance(given, dict)]
        table = Table(*keys, box=None, pad_edge=False)
        for entry in entries:
            table.add_row(*(Text(str(entry[key])) for key in keys))
        console.print(table)


def findings(value: Sequence[Mapping[str, Any]]) -> None:
    """What the check found, the faults last."""
    styles = {"error": "red", "warning": "yellow", "info": "default"}
    for finding in sorted(value, key=lambda finding: list(styles)[::-1].index(finding["level"])):
        console.print(finding["message"], style=styles[finding["level"]], markup=False, soft_wrap=True)
    if not any(finding["level"] != "info" for finding in value):
        console.print(text("cli.doctor-well"), style="green")


def counts(value: Mapping[str, Any]) -> None:
    """What became of rows: where they are, how many there are, and of those left out how many and why."""
    flat = {**value, **value.get("left_out", {})}
    shown = {name: given for name, given in flat.items() if name != "left_out" and given not in ({}, None)}
    pairs({text(f"label.count-{name.replace('_', '-')}"): _count(given) for name, given in shown.items()})


def pairs(values: Mapping[str, Any]) -> None:
    """Names and values, aligned."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in values.items():
        table.add_row(Text(str(name), style="dim"), Text(str(value)))
    console.print(table)


def _count(given: Any) -> str:
    if isinstance(given, Mapping):
        return ", ".join(f"{name} {count:,}" for name, count in given.items())
    return f"{given:,}" if isinstance(given, int) else f"{given:.3f}" if isinstance(given, float) else str(given)


def _beginning(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {key: _beginning(value) for key, value in given.items()}
    return f"{given[:SHOWN]}…" if isinstance(given, str) and len(given) > SHOWN else given


def _interval(score: Mapping[str, Any] | None) -> str:
    if not score or score["value"] is None:  # a rival that gives no probabilities has no perplexity
        return "–"
    if score.get("low") is None:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
