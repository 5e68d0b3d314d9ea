"""Training beside transformers' Trainer: the same model, rows, batch size, dropout and optimizer, measured in turns.

    python benchmarks/training.py                     every case, three rounds
    python benchmarks/training.py --only MiniLM       the cases whose name contains one of the words
    python benchmarks/training.py --rounds 1

Each measurement is a process of its own on one thread: Jishi, the Trainer as it comes, in bf16 (where this machine is faster with
it), and set as well as we know (rows grouped by length as well), one after the other, then all again. Tokens are the real
ones of a whole epoch but its first step, without padding; MFU is against a product of large matrices, in the number format that
is fastest here, measured in the same process. Medians over the rounds.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
JISHI, TRAINER, HALF, WELL_SET = CONTENDERS = ("Jishi", "Trainer", "Trainer, bf16", "Trainer, well set")
BATCH, LENGTH = 32, 128


@dataclass(frozen=True)
class Case:
    """What is trained: a base, which weights learn, and on what. With `whole` the run is measured from its very beginning."""

    base: str
    adapt: str = "full"
    data: str = "banking77"
    objective: str = "text-classification"
    rows: int = 512
    epochs: int = 1
    whole: bool = False
    learning_rate: float = 1e-4
    seed: int = 0


CASES = {
    "MiniLM, all weights": Case("minilm", rows=1024),
    "BERT-base size, all weights": Case("bert-base", rows=256),
    "MiniLM, LoRA": Case("minilm", adapt="lora", rows=1024),
    "MiniLM, head only, 3 epochs": Case("minilm", adapt="frozen", rows=2048, epochs=3, whole=True),
    "masked LM, 10 M": Case("masked-10m", data="corpus_en", objective="masked-lm", rows=256),
    "causal LM, 30 M": Case("causal-30m", data="corpus_en", objective="causal-lm", rows=256),
}


def main() -> None:
    options = parse()
    if options.run:
        print(json.dumps(measured(options)))
        return
    names = [name for name in CASES if any(word in name for word in options.only)]
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for name in names:
                for contender in contenders(name):
                    found.setdefault((name, contender), []).append(ask(name, contender, folder, options))
    print(table(names, found))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--processor", action="store_true", help="the processor's seconds, where other work goes on")
    parser.add_argument("--run", nargs=2, metavar=("CASE", "CONTENDER"), help=argparse.SUPPRESS)
    parser.add_argument("--models", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def ask(name: str, contender: str, models: str, options: argparse.Namespace) -> dict[str, float]:
    """One measurement, in a process of its own."""
    command = [
        sys.executable, __file__, "--run", name, contender, "--models", models, "--data", str(options.data),
        *["--processor"][: options.processor],
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}, {contender}: {done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}, {contender}: {told['rows']:.1f} rows/s, {told['tokens']:.0f} tokens/s", file=sys.stderr, flush=True)
    return told


def contenders(name: str) -> Sequence[str]:
    """Where all rows are of one length there is nothing to group; elsewhere bf16 alone is told for LoRA, as its goal asks."""
    case = CASES[name]
    if case.objective != "text-classification":
        return JISHI, TRAINER, HALF
    return CONTENDERS if case.adapt == "lora" else (JISHI, TRAINER, WELL_SET)


def table(names: Sequence[str], found: dict[tuple[str, str], list[dict[str, float]]]) -> str:
    lines = [
        "| case | | rows/s | real tokens/s | × Trainer | × bf16 | × well set | padding | MFU | of TFLOP/s | peak memory |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in names:
        middle = {
            contender: {key: statistics.median(told[key] for told in found[name, contender]) for key in found[name, contender][0]}
            for contender in contenders(name)
        }  # fmt: skip
        for contender, one in middle.items():
            ratios = " | ".join(
                f"{one['tokens'] / middle[rival]['tokens']:.2f}" if rival in middle else "–" for rival in CONTENDERS[1:]
            )
            lines.append(
                f"| {name} | {contender} | {one['rows']:.1f} | {one['tokens']:.0f} | {ratios} | {one['padding']:.0%} "
                f"| {one['tokens'] * one['flops'] / one['peak']:.2f} | {one['peak'] / 1e12:.3f} "
                f"| {one['memory'] / 2**30:.2f} GiB |"
            )
    return "\n".join(lines)


# --- one measurement --------------------------------------------------------------------------------------------------


def measured(options: argparse.Namespace) -> dict[str, float]:
    """Rows and real tokens a second over the steps after the first ones, or over a whole run with its preparation."""
    import torch

    from jishi.models.environment import precision
    from jishi.training.pace import peak

    torch.set_num_threads(1)
    if options.processor:
        time.perf_counter = time.process_time  # the peak is measured by it too
    name, contender = options.run
    case = CASES[name]
    setup = prepared(case, options)
    flops = flops_per_token(setup)
    rows = tokens = slots = seconds = 0.0
    clock = time.perf_counter
    steps = with_jishi(setup, clock) if contender == JISHI else with_trainer(setup, contender, clock)
    for number, step in enumerate(steps):
        if number or case.whole:
            rows, tokens, slots, seconds = rows + step[0], tokens + step[1], slots + step[2], seconds + step[3]
    return {
        "rows": rows / seconds, "tokens": tokens / seconds, "padding": 1 - tokens / slots, "flops": flops,
        "peak": peak(torch.device("cpu"), precision()), "memory": peak_memory(),
    }  # fmt: skip


@dataclass
class Setup:
    """What both sides start from."""

    case: Case
    spec: Any
    base: Any
    processor: Any
    objective: Any
    rows: list[Any]
    folder: Path
    judge: Callable[[Any], None] = lambda _: None  # asked at the end of each epoch; its time is not counted

    def model(self) -> Any:
        """A fresh model with its head and adaptation, of the same random weights for both."""
        import torch

        from jishi.core import registry
        from jishi.core.contracts import Adaptation, Task
        from jishi.models import heads, load

        torch.manual_seed(self.case.seed)
        built = load.model(self.spec, self.objective.head(), self.base, self.processor)
        head = heads.head_modules(built) if isinstance(self.objective, Task) else []
        return registry.get(Adaptation, self.case.adapt)().apply(built, self.objective), head


def prepared(case: Case, options: argparse.Namespace) -> Setup:
    from jishi.core import registry
    from jishi.core.contracts import Objective
    from jishi.models import load
    from jishi.models.spec import ModelSpec

    spec = ModelSpec(str(made(case.base, options.models)))
    base, processor = load.base(spec), load.processor(spec)
    objective = registry.get(Objective, case.objective)(max_length=LENGTH)
    rows = [objective.parse(row) for row in read(options.data / case.data, case.rows)]
    return Setup(case, spec, base, processor, objective.initialize(rows, base), rows, options.models)


def read(folder: Path, count: int) -> list[dict[str, Any]]:
    """As many rows of a set, spread over all of it."""
    file = folder / ("wikipedia.jsonl.gz" if (folder / "wikipedia.jsonl.gz").exists() else "train.jsonl.gz")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return rows[:: max(1, len(rows) // count)][:count]


def made(base: str, folder: Path) -> Path:
    """The folder of a base: an embedded one, or one of the size asked for with random weights and MiniLM's tokenizer."""
    from transformers import BertConfig, BertForMaskedLM, BertModel, LlamaConfig, LlamaForCausalLM

    from jishi.models import load
    from jishi.models.origin import locate
    from jishi.models.spec import ModelSpec

    known: Path = locate(ModelSpec("minilm"))  # type: ignore[assignment]
    if base == "minilm":
        return known
    place = folder / base
    if not place.exists():
        if base == "bert-base":
            model = BertModel(BertConfig(), add_pooling_layer=False)
        elif base == "causal-30m":
            size = {"hidden_size": 384, "num_hidden_layers": 10, "num_attention_heads": 6, "intermediate_size": 1024}
            model = LlamaForCausalLM(LlamaConfig(**size, vocab_size=30522, tie_word_embeddings=True, pad_token_id=0))
        else:
            size = {"hidden_size": 192, "num_hidden_layers": 9, "num_attention_heads": 6, "intermediate_size": 768}
            model = BertForMaskedLM(BertConfig(**size))
        model.save_pretrained(place)
        load.processor(ModelSpec("minilm")).save_pretrained(place)
    return place


def flops_per_token(setup: Setup) -> float:
    """Operations that one token of a row of middling length asks for, forward and backward, nothing left out."""
    from jishi.training.feed import Maker
    from jishi.training.pace import counted

    features = [setup.objective.encode(row, setup.processor) for row in setup.rows]
    middle = sorted(range(len(features)), key=lambda index: features[index]["length"])[len(features) // 2]
    batch = Maker(setup.objective, setup.processor, features, 0, 0)([middle])
    model, _ = setup.model()
    return counted(lambda: setup.objective.loss(model, batch).value.backward()) / features[middle]["length"]


def with_jishi(
    setup: Setup, now: Callable[[], float] = time.perf_counter, *, head_first: bool = False
) -> Iterator[tuple[float, float, float, float]]:
    """(rows, real tokens, tokens computed, seconds) of each step; rates and decay are those of the Trainer as it comes."""
    from jishi.training.batching import padding_share
    from jishi.training.loop import Loop
    from jishi.training.packing import filled
    from jishi.training.spec import TrainSpec

    model, head = setup.model()
    rate, done = setup.case.learning_rate, 0
    spec = TrainSpec(
        batch_size=BATCH, threads=1, epochs=setup.case.epochs, checkpoint_every=10**6, head_learning_rate=rate, warmup=0.0,
        weight_decay=0.0, fit_head="before" if head_first else None,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir=setup.folder) as folder:
        last = now()
        loop = Loop(
            model, setup.objective, setup.processor, spec, train=setup.rows, validation=None, head=head, learning_rate=rate,
            folder=Path(folder), seed=setup.case.seed,
        )  # fmt: skip
        for event in loop.events():
            if event.kind == "step":
                seconds = now() - last
                tokens = event.values["tokens"]
                waste = padding_share(loop._windows(0)[0], loop.features.lengths)
                slots = filled(int(tokens)) if loop.update.packs else tokens / (1 - waste)
                yield event.values["rows"], tokens, slots, seconds
                done += event.values["rows"]
                if done % len(setup.rows) == 0:
                    setup.judge(model)
                last = now()


def with_trainer(
    setup: Setup, contender: str, now: Callable[[], float] = time.perf_counter
) -> Iterator[tuple[float, float, float, float]]:
    """The same, of transformers' Trainer; its batches come from its own collators, as a user's would."""
    from transformers import (
        DataCollatorForLanguageModeling,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from jishi.models.environment import precision

    told: list[tuple[float, float, float, float]] = []
    seen: list[tuple[int, int, int]] = []
    objective = setup.case.objective
    classes = objective == "text-classification"
    masked = objective == "masked-lm"
    pad = (DataCollatorWithPadding if classes else partial(DataCollatorForLanguageModeling, mlm=masked))(
        setup.processor
    )

    def collate(features: list[dict[str, Any]]) -> Any:
        batch = pad(features)
        seen.append((len(features), int(batch["attention_mask"].sum()), batch["attention_mask"].numel()))
        return batch

    class Clock(TrainerCallback):  # type: ignore[misc]
        last = now()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            told.append((*seen[len(told)], now() - self.last))
            self.last = now()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            setup.judge(model)
            self.last = now()

    model, _ = setup.model()
    with tempfile.TemporaryDirectory(dir=setup.folder) as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=BATCH, learning_rate=setup.case.learning_rate,
            save_strategy="no", report_to=[], num_train_epochs=setup.case.epochs, use_cpu=True, seed=setup.case.seed,
            logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
            bf16=contender != TRAINER and precision() == "bf16",
            train_sampling_strategy="group_by_length" if contender == WELL_SET else "random",
        )  # fmt: skip
        trainer = Trainer(
            model=with_loss(model, shifted=objective == "causal-lm"), args=arguments, train_dataset=encoded(setup),
            data_collator=collate,
            callbacks=[Clock()],
        )  # fmt: skip
        trainer.train()
    yield from told


def encoded(setup: Setup) -> list[dict[str, Any]]:
    """Rows tokenised once, as `datasets.map` would leave them."""
    labels = list(getattr(setup.objective, "labels", ()))
    texts = setup.processor([row["text"] for row in setup.rows], truncation=True, max_length=LENGTH)
    rows = [{key: texts[key][index] for key in ("input_ids", "attention_mask")} for index in range(len(setup.rows))]
    if labels:
        for row, given in zip(rows, setup.rows, strict=True):
            row["labels"] = labels.index(given["label"])
    return rows


def with_loss(model: Any, shifted: bool = False) -> Any:
    """The very model that Jishi trains, answering the loss as the Trainer asks for it: cross-entropy over all logits."""
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, labels: Any = None, **inputs: Any) -> dict[str, Any]:
            logits = self.inner(**inputs).logits
            if shifted:
                logits, labels = logits[:, :-1], labels[:, 1:]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
            return {"loss": loss, "logits": logits}

    return Wrapped()


def peak_memory() -> float:
    from jishi.lifecycle.footprint import resident_bytes

    return resident_bytes()


if __name__ == "__main__":
    main()
