"""The verbs of Jishi: advise, prepare, pretrain, finetune, evaluate, predict, index, search, label, serve, and what lists.

A verb takes a spec file or its main value first, and any field of its spec by keyword:

    import jishi
    run = jishi.finetune(data="reviews.csv", model="e5-small", adapt="lora", out="runs/a")
    jishi.predict(run.bundle, ["很好用"])

The same fields are the CLI's `key=value` and the keys of a YAML spec. Heavy libraries are imported inside the verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from jishi.core import document, spec

if TYPE_CHECKING:
    import numpy

    from jishi.core.contracts import Prediction
    from jishi.data.dataset import Dataset
    from jishi.lifecycle.corpus import Corpus
    from jishi.lifecycle.finetune import Result
    from jishi.lifecycle.pretrain import Pretrained
    from jishi.lifecycle.tune import Tuned
    from jishi.predictor import Predictor
    from jishi.training.loop import Event, Loop

Spec = TypeVar("Spec")
Source = str | Path | Mapping[str, Any] | None


def prepare(source: Source = None, /, *, overrides: Sequence[str] = (), **settings: Any) -> Dataset | Corpus:
    """Read rows, refuse the bad ones with file and line, split, and write them as Arrow with a data report.

    With `corpus` in place of `data`: clean texts to pretrain on, step by step, with an account of what became of them.
    """
    from jishi.lifecycle.prepare import PrepareSpec, prepare

    return prepare(read(PrepareSpec, source, settings, overrides))


def finetune(
    source: Source = None,
    /,
    *,
    overrides: Sequence[str] = (),
    listen: Callable[[Event], None] = lambda _: None,
    watch: Callable[[Loop], None] = lambda _: None,
    **settings: Any,
) -> Result:
    """Fine-tune a base model on a task, judge it beside a plain baseline and write a bundle that replays its probes.

    `listen` hears every training event; `watch` is handed the loop, whose `stop` ends the run after a checkpoint. With
    `on="ray"` the processes of a cluster train, and tell as if they were here.
    """
    from jishi.lifecycle.finetune import FinetuneSpec, finetune

    return finetune(read(FinetuneSpec, source, settings, overrides), listen, watch)


def tokenizer(source: Source = None, /, *, overrides: Sequence[str] = (), **settings: Any) -> dict[str, Any]:
    """Learn a vocabulary from texts, and say how well it cuts texts that it was not learnt from."""
    from jishi.lifecycle.tokenizer import TokenizerSpec, tokenizer

    return tokenizer(read(TokenizerSpec, source, settings, overrides))


def pretrain(
    source: Source = None,
    /,
    *,
    overrides: Sequence[str] = (),
    listen: Callable[[Event], None] = lambda _: None,
    watch: Callable[[Loop], None] = lambda _: None,
    **settings: Any,
) -> Pretrained:
    """Learn from rows without labels, from nothing or from a base, and write a base that `finetune` starts from.

    `listen` and `watch` are as in `finetune`.
    """
    from jishi.lifecycle.pretrain import PretrainSpec, pretrain

    return pretrain(read(PretrainSpec, source, settings, overrides), listen, watch)


def tune(
    source: Source = None,
    /,
    *,
    overrides: Sequence[str] = (),
    listen: Callable[[Event], None] = lambda _: None,
    watch: Callable[[Loop], None] = lambda _: None,
    **settings: Any,
) -> Tuned:
    """Search the settings of a fine-tuning, judged on the validation rows, and write the bundle of the best.

    `listen` hears each trial's end and the events of the last run; `watch` is handed every loop.
    """
    from jishi.lifecycle.tune import TuneSpec, tune

    return tune(read(TuneSpec, source, settings, overrides), listen, watch)


def advise(
    source: Source = None,
    /,
    *,
    overrides: Sequence[str] = (),
    listen: Callable[[Event], None] = lambda _: None,
    **settings: Any,
) -> dict[str, Any]:
    """Which model to start from for these rows, on this machine, within these limits: every candidate measured, and ranked.

    `listen` hears of each candidate as it is measured.
    """
    from jishi.lifecycle.advise import AdviseSpec, advise

    return advise(read(AdviseSpec, source, settings, overrides), listen)


def plan(
    source: Source = None, /, *, verb: str = "finetune", overrides: Sequence[str] = (), **settings: Any
) -> dict[str, Any]:
    """What a fine-tuning or a pretraining would take: parameters, tokens, steps, memory in bytes and seconds, from a trial."""
    from jishi.lifecycle.plan import plan

    return plan(read(spec_of(verb), source, settings, overrides))


def evaluate(source: Source = None, /, *, overrides: Sequence[str] = (), **settings: Any) -> dict[str, Any]:
    """Judge a bundle on rows it has not seen, after its probes have been replayed."""
    from jishi.lifecycle.evaluate import EvaluateSpec, evaluate

    return evaluate(read(EvaluateSpec, source, settings, overrides))


def compress(
    source: Source = None,
    /,
    *,
    overrides: Sequence[str] = (),
    listen: Callable[[Event], None] = lambda _: None,
    **settings: Any,
) -> dict[str, Any]:
    """Make a bundle smaller or quicker: what comes of it is written only where it answers, and scores, as the first does.

    `listen` hears the training of what is left, where a method takes parts away.
    """
    from jishi.lifecycle import frontier
    from jishi.lifecycle.compress import CompressSpec, compress

    wanted = read(CompressSpec, source, settings, overrides)
    return compress(wanted, listen) if wanted.search is None else frontier.search(wanted, wanted.search, listen)


def benchmark(
    bundles: Sequence[str | Path],
    data: Any = None,
    *,
    runtime: str = "auto",
    rounds: int = 3,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Bundles beside each other on the same rows: what they take to start and to answer, memory, bytes, score."""
    from jishi.data.spec import DataSpec
    from jishi.lifecycle.benchmark import benchmark

    rows = None if data is None else read(DataSpec, data)
    return benchmark(bundles, rows, runtime=runtime, rounds=rounds, out=out)


def load(bundle: str | Path, *, verify: bool = True, runtime: str = "auto") -> Predictor:
    """A bundle ready to answer; with `verify`, every file is held to its digest. `runtime`: torch, onnxruntime, openvino."""
    from jishi.predictor import Predictor

    return Predictor.load(bundle, verify=verify, runtime=runtime)


def predict(bundle: str | Path, inputs: Sequence[Any]) -> list[Prediction]:
    """Answers of a bundle: one prediction an input (a text, or a mapping of the task's columns)."""
    return load(bundle).predict(inputs)


def embed(
    bundle: str | Path, texts: Sequence[str], side: Literal["text", "query", "passage"] = "text"
) -> numpy.ndarray:
    """The unit vectors (N, D) of texts from a sentence-similarity bundle; `side` says with which prefix."""
    from jishi.lifecycle.search import embed

    return embed(load(bundle), texts, side)


def index(
    bundle: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    column: str | None = None,
    alike: bool = False,
    queries: str | Path | None = None,
) -> dict[str, Any]:
    """Give the passages of a file their vectors and publish them as an index folder to search.

    `column` holds the passage; `alike` says that queries are of the same kind as passages (texts of which the like are sought).
    `queries` is a file of held-out pairs: words, vectors and both are tried on them, and the best is what `search` takes.
    """
    from jishi.lifecycle.judge import settled
    from jishi.lifecycle.search import build

    searcher = build(Path(bundle), Path(data), column, alike=alike)
    made = settled(searcher, Path(queries)) if queries else searcher.index
    made.write(Path(out))
    shown = {"passages": len(made.texts), "repeated": made.record["repeated"], "width": int(made.vectors.shape[1])}
    return {"index": str(out), **shown, **{name: made.record[name] for name in ("judged",) if queries}}


def search(
    index: str | Path,
    queries: Sequence[str],
    *,
    k: int = 10,
    by: Literal["hybrid", "vectors", "words"] | None = None,
    bundle: str | Path | None = None,
    approximate: bool = False,
    rerank: str | Path | None = None,
    label: str | None = None,
) -> list[list[dict[str, Any]]]:
    """For each query the k best passages of an index: {"text", "score", "row"}, the best first.

    `by` is the search; empty takes the best one on the queries that the index was made with, or hybrid where it knows none.
    `bundle` is where the index's own bundle stands now; `approximate` walks a graph instead of comparing all. `rerank` is a
    bundle that reads pairs of texts, `label` the one of its labels that means that a passage answers.
    """
    from jishi.lifecycle.search import Searcher

    searcher = Searcher.load(index, bundle, approximate=approximate)
    return searcher.search(queries, k, by, load(rerank) if rerank else None, label)


def mine(
    bundle: str | Path, data: str | Path, out: str | Path, *, count: int = 1, margin: float = 0.05
) -> dict[str, int]:
    """Write the pairs of a file again, each with the passages that the bundle confuses with the right one as negatives."""
    from jishi.lifecycle.mine import mine

    return mine(Path(bundle), Path(data), Path(out), count=count, margin=margin)


def label(source: Source = None, /, *, overrides: Sequence[str] = (), **settings: Any) -> dict[str, Any]:
    """Find the rows without a label that a bundle would learn most from, and add them to a queue with its guesses."""
    from jishi.lifecycle.label import LabelSpec, label

    return label(read(LabelSpec, source, settings, overrides))


def label_errors(source: Source = None, /, *, overrides: Sequence[str] = (), **settings: Any) -> dict[str, Any]:
    """List the rows whose given label is contradicted by a probe that has not seen them, most suspect first, as a queue."""
    from jishi.lifecycle.label_errors import ErrorsSpec, label_errors

    return label_errors(read(ErrorsSpec, source, settings, overrides))


def label_page(queue: str | Path, out: str | Path | None = None, *, port: int = 8010) -> None:
    """Show a page to label a queue in, on this machine alone, until interrupted; labels go to `out`, or beside the queue."""
    from jishi.core.errors import MissingExtra

    try:
        from jishi.serving.labelling import label
    except ModuleNotFoundError as missing:
        raise MissingExtra(str(missing.name), "serve") from missing

    label(Path(queue), Path(out) if out else None, port)


def label_export(queue: str | Path, out: str | Path) -> dict[str, Any]:
    """Write the rows of a queue that wait for a label: for Label Studio (.json), or to be filled in (.jsonl)."""
    from jishi.lifecycle.exchange import export

    return export(Path(queue), Path(out))


def label_import(file: str | Path, queue: str | Path | None = None, out: str | Path | None = None) -> dict[str, Any]:
    """Add the labels of a Label Studio export, or of any file of rows, to those of a queue, or to the file `out`."""
    from jishi.lifecycle.exchange import take_in

    return take_in(Path(file), Path(queue) if queue else None, Path(out) if out else None)


def serve(source: Source = None, /, *, overrides: Sequence[str] = (), **settings: Any) -> None:
    """Answer over HTTP until interrupted: the API and a page to try it."""
    from jishi.serving.serve import serve
    from jishi.serving.spec import ServeSpec

    serve(read(ServeSpec, source, settings, overrides))


def list_models(folder: str | Path = "runs") -> list[dict[str, Any]]:
    """Every base model at hand, and every bundle below `folder`: `jishi models list`."""
    from jishi.lifecycle.models import models

    return models(Path(folder))


def doctor() -> list[dict[str, Any]]:
    """What this machine offers, and what stands in the way: one finding a line, with its cure."""
    from jishi.lifecycle.doctor import findings

    return findings()


def schema(verb: str) -> dict[str, Any]:
    """The JSON Schema of a verb's spec."""
    return spec.schema(spec_of(verb))


def spec_of(verb: str) -> type:
    """The spec class of a verb; the sub-module is named as the verb."""
    from jishi.core.errors import UnknownName
    from jishi.lifecycle.advise import AdviseSpec
    from jishi.lifecycle.compress import CompressSpec
    from jishi.lifecycle.evaluate import EvaluateSpec
    from jishi.lifecycle.finetune import FinetuneSpec
    from jishi.lifecycle.label import LabelSpec
    from jishi.lifecycle.label_errors import ErrorsSpec
    from jishi.lifecycle.prepare import PrepareSpec
    from jishi.lifecycle.pretrain import PretrainSpec
    from jishi.lifecycle.tokenizer import TokenizerSpec
    from jishi.lifecycle.tune import TuneSpec
    from jishi.serving.spec import ServeSpec

    specs = (
        AdviseSpec, CompressSpec, ErrorsSpec, EvaluateSpec, FinetuneSpec, LabelSpec, PrepareSpec, PretrainSpec, ServeSpec,
        TokenizerSpec, TuneSpec,
    )  # fmt: skip
    for cls in specs:
        if cls.__name__.removesuffix("Spec").lower() == verb:
            return cls
    raise UnknownName("verb", verb, [cls.__name__.removesuffix("Spec").lower() for cls in specs])


def read(
    cls: type[Spec], source: Source = None, settings: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> Spec:
    """The spec of a verb from a YAML file, a mapping or its main value, then keywords, then `a.b=c` overrides."""
    if isinstance(source, Mapping):
        start = document.Document(source, "spec")
    elif source is None:
        start = document.Document({}, "spec")
    elif Path(source).suffix in {".yaml", ".yml"}:
        start = document.read(source)
    else:
        start = document.Document({spec.first_field(cls): str(source)}, "spec")
    return spec.build(cls, spec.override(spec.merge(start, settings or {}), overrides))
