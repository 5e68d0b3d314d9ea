"""Tokens a second of a decoder that writes: as it was trained, as a graph and in integers, beside transformers' `generate`.

    python benchmarks/generation.py               SmolLM2-135M on the English dialogues of chatterbot_dialogs
    python benchmarks/generation.py --rounds 3 --rows 32 --tokens 48
    python benchmarks/generation.py --docs        what is kept, into docs/en/compression.md and docs/zh/compression.md

One thread, one process, greedy, ways taken in turns, medians of the rounds. Agreement is the share of answers that are, word for
word, those of `generate`; chrF is against the answers of the dialogues, a few others of which were learnt from, for one pass.
CTranslate2 stands beside where it is installed (`pip install ctranslate2`).
"""

import argparse
import importlib.util
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import record
import torch

import jishi

ROOT = Path(__file__).parent.parent
NAME = "generation"
BASE = "smollm2-135m"
MANY, LEARNT = 8, 40
METHODS = {"onnx": ["onnx"], "int8": ["int8"], "int4": ["int4"]}
HEADERS = {
    "en": "way | bytes | 1 at a time, tokens/s | beside generate | 8 at a time, tokens/s | beside generate | agreement | chrF",
    "zh": "方式 | 大小 | 逐条，词元/秒 | 相对 generate | 每批 8 条，词元/秒 | 相对 generate | 一致率 | chrF",
}

Ask = Callable[[Sequence[str]], list[str]]


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    if not options.docs:
        record.keep(NAME, run(options))
    print(table("en"))
    if options.docs:
        record.into_docs("compression", table, "generation", "end generation")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = dialogues(options, folder)
        made = jishi.finetune(
            data={"train": str(folder / "others.jsonl")}, out=str(folder / "run"), model=BASE,
            task={"name": "text-generation", "decoding": {"max_new_tokens": options.tokens}}, train={"epochs": 1},
        )  # fmt: skip
        bundles, parity = {"torch": Path(made.bundle)}, {}
        for way, method in METHODS.items():
            # the score of a few dozen answers says little: what is lost is shown, not refused
            told = jishi.compress(
                bundles.get("onnx", made.bundle),
                method=method,
                out=folder / way,
                data=folder / "rows.jsonl",
                tolerance=1.0,
            )
            bundles[way], parity[way] = folder / way, told["hops"]
            print(way, told["hops"], flush=True)
        asks = {**ways(bundles, options.tokens), **translators(bundles["torch"], folder, options.tokens)}
        sizes = {way: sum(file.stat().st_size for file in path.iterdir()) for way, path in bundles.items()}
        found = measure(asks, rows, options.rounds)
    return {
        "ways": found, "bytes": sizes, "parity": parity, "rows": len(rows), "tokens": options.tokens,
        "machine": record.machine(), "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def dialogues(options: argparse.Namespace, folder: Path) -> list[dict[str, str]]:
    """The first exchanges of some English dialogues, topic by topic, written to a file; and a few others, to be learnt from."""
    file = options.data / "chatterbot_dialogs" / "train.jsonl"
    given = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    pairs = {one["turns"][0]: one["turns"][1] for one in given if one["lang"] == "en" and len(one["turns"][1]) > 20}
    every = [{"prompt": prompt, "answer": answer} for prompt, answer in pairs.items()]
    step = max(1, len(every) // options.rows)
    rows = every[::step][: options.rows]
    others = [row for place, row in enumerate(every) if place % step][:LEARNT]
    for name, some in (("rows", rows), ("others", others)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")
    return rows


def ways(bundles: dict[str, Path], tokens: int) -> dict[str, Ask]:
    """What is asked, by name; the first is what the others are held to."""
    plain = jishi.load(bundles["torch"])
    asks: dict[str, Ask] = {"transformers generate": generate(plain, tokens)}
    for way, path in bundles.items():
        predictor = plain if way == "torch" else jishi.load(path, runtime="onnxruntime")
        asks[f"jishi {way}"] = lambda texts, predictor=predictor: [one["text"] for one in predictor.predict(texts)]
    return asks


def generate(predictor: Any, tokens: int) -> Ask:
    """The same weights, prompts and end tokens, by transformers' own decoding."""
    model, task, processor = predictor.model, predictor.task, predictor.processor
    ends = [processor.eos_token_id, task.chat.end_id(processor)]

    def ask(texts: Sequence[str]) -> list[str]:
        prompts = [predictor.encode(text)["prompt_ids"].tolist() for text in texts]
        longest = max(map(len, prompts))
        pad = processor.pad_token_id if processor.pad_token_id is not None else ends[0]
        ids = torch.tensor([[pad] * (longest - len(one)) + one for one in prompts])
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
        with torch.inference_mode():
            said = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, eos_token_id=ends, pad_token_id=pad,
            )  # fmt: skip
        return [processor.decode(row[longest:], skip_special_tokens=True).strip() for row in said]

    return ask


def translators(bundle: Path, folder: Path, tokens: int) -> dict[str, Ask]:
    """The same weights by CTranslate2, whole and in eight bits."""
    if importlib.util.find_spec("ctranslate2") is None:
        return {}
    from ctranslate2 import Generator
    from ctranslate2.converters import TransformersConverter

    asks: dict[str, Ask] = {}
    predictor = jishi.load(bundle)
    task, processor = predictor.task, predictor.processor
    ends = [processor.eos_token_id, task.chat.end_id(processor)]
    for precision in ("float32", "int8"):
        path = TransformersConverter(str(bundle)).convert(str(folder / f"ct2-{precision}"), quantization=precision)
        made = Generator(path, compute_type=precision, intra_threads=1, inter_threads=1)

        def ask(texts: Sequence[str], made: Any = made) -> list[str]:
            prompts = [predictor.encode(text)["prompt_ids"].tolist() for text in texts]
            given = [processor.convert_ids_to_tokens(one) for one in prompts]
            said = made.generate_batch(
                given, max_length=tokens, sampling_topk=1, include_prompt_in_result=False, end_token=ends
            )
            return [processor.decode(one.sequences_ids[0], skip_special_tokens=True).strip() for one in said]

        asks[f"ctranslate2 {precision}"] = ask
    return asks


def measure(asks: dict[str, Ask], rows: Sequence[dict[str, str]], rounds: int) -> dict[str, Any]:
    """Tokens a second one at a time (of MANY rows) and MANY at a time (of all), counted with one tokenizer."""
    from jishi.metrics import generation
    from jishi.models.load import processor
    from jishi.models.spec import ModelSpec

    count = processor(ModelSpec(BASE), [])
    texts, truth = [row["prompt"] for row in rows], [row["answer"] for row in rows]
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in asks}
    said: dict[str, list[str]] = {}
    for _ in range(rounds):
        for name, ask in asks.items():
            ask(texts[:1])
            alone, one_by_one = timed(ask, [[text] for text in texts[:MANY]])
            said[name], together = timed(ask, [texts[place : place + MANY] for place in range(0, len(texts), MANY)])
            spent[name].append((tokens(count, alone) / one_by_one, tokens(count, said[name]) / together))
    first = said[next(iter(asks))]
    return {
        name: {
            "one": statistics.median(one for one, _ in runs),
            "many": statistics.median(many for _, many in runs),
            "agreement": sum(a == b for a, b in zip(said[name], first, strict=True)) / len(first),
            "chrf": generation.chrf(said[name], truth),
        }
        for name, runs in spent.items()
    }


def timed(ask: Ask, batches: Sequence[Sequence[str]]) -> tuple[list[str], float]:
    clock = time.perf_counter()
    said = [text for batch in batches for text in ask(batch)]
    return said, time.perf_counter() - clock


def tokens(processor: Any, texts: Sequence[str]) -> int:
    return sum(len(processor(text)["input_ids"]) + 1 for text in texts)  # and the end


def table(language: str) -> str:
    found = record.kept(NAME)
    lines = [f"| {HEADERS[language]} |\n|---|---:|---:|---:|---:|---:|---:|---:|"]
    plain = found["ways"]["transformers generate"]
    for name, one in found["ways"].items():
        size = f"{found['bytes'][name.split()[1]] / 2**20:.0f} MiB" if name.startswith("jishi") else "–"
        cells = [
            name, size, f"{one['one']:.1f}", f"{one['one'] / plain['one']:.1f} ×", f"{one['many']:.1f}",
            f"{one['many'] / plain['many']:.1f} ×", f"{one['agreement']:.0%}", f"{one['chrf']:.3f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
