"""Seconds from nothing to an answer: `jishi serve` of a bundle as it was trained and as a graph, beside plain libraries.

    python benchmarks/start.py               e5-small with a head fitted on banking77
    python benchmarks/start.py --rounds 5
    python benchmarks/start.py --docs        what is kept, into docs/en/serving.md and docs/zh/serving.md

Each way is a new process that answers one question and ends, ways taken in turns, medians of the rounds. The server checks every
file's digest and answers its recorded probes before it answers anything else, and is asked over HTTP; the libraries are not.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import record

import jishi
from jishi.models.origin import locate
from jishi.models.spec import ModelSpec

ROOT = Path(__file__).parent.parent
NAME = "start"
BASE = "e5-small"
TEXT = "my card has not arrived yet"
METHODS = {"onnx": ["onnx"], "int8": ["int8"]}
HEADERS = {
    "en": "way | first answer, s | fastest | memory then",
    "zh": "方式 | 首个回答，秒 | 最快 | 此时内存",
}
LIBRARIES = {
    "sentence-transformers": (
        "from sentence_transformers import SentenceTransformer; "
        "SentenceTransformer({base!r}, device='cpu').encode({text!r})"
    ),
}
TOLD = "; print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"


def main() -> None:
    options = parse()
    if not options.docs:
        record.keep(NAME, run(options))
    print(table("en"))
    if options.docs:
        record.into_docs("serving", table, "start", "end start")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument(
        "--isolate", action="store_true", help="beside each server one whose models live in a process of their own"
    )
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = jishi.finetune(
            data={"train": str(options.data / "banking77"), "train_rows": 770, "test_rows": 200},
            out=str(folder / "run"), model=BASE,
            task={"name": "text-classification", "max_length": 64}, adapt="frozen", train={"epochs": 0, "fit_head": "before"},
        )  # fmt: skip
        bundle = str(made.bundle)
        commands = {"jishi serve": served(bundle)}
        for way, method in METHODS.items():
            jishi.compress(bundle, method=method, out=folder / way)
            commands[f"jishi serve, {way}"] = served(str(folder / way))
        if options.isolate:
            commands |= {f"{way}, isolated": [*command, "isolate=true"] for way, command in commands.items()}
        for way, code in LIBRARIES.items():
            code = code.format(bundle=bundle, base=str(locate(ModelSpec(BASE))), text=TEXT) + TOLD
            commands[way] = [sys.executable, "-c", code]
        found: dict[str, list[dict[str, float]]] = {way: [] for way in commands}
        for _ in range(options.rounds):
            for way, command in commands.items():
                found[way].append((ask_server if way.startswith("jishi") else ask_library)(command))
    return {"ways": found, "machine": record.machine(), "date": time.strftime("%Y-%m-%d")}


def served(bundle: str) -> list[str]:
    runtime = "torch" if bundle.endswith("bundle") else "onnxruntime"
    return [sys.executable, "-m", "jishi", "serve", f"bundle={bundle}", "port=0", f"runtime={runtime}"]


def ask_server(command: list[str]) -> dict[str, float]:
    """Until the first answer over HTTP."""
    clock = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
            asked = urllib.request.Request(
                f"{url}/api/v1/predict", json.dumps({"inputs": [TEXT]}).encode(), {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(asked) as answer:
                assert json.load(answer)
            seconds = time.perf_counter() - clock
            kib = record.most_memory(process.pid)
        finally:
            process.terminate()
    return {"seconds": seconds, "kib": kib}


def ask_library(command: list[str]) -> dict[str, float]:
    """Until the end of a process that answers and leaves."""
    clock = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"seconds": time.perf_counter() - clock, "kib": float(done.stdout.split()[-1])}


def table(language: str) -> str:
    lines = [f"| {HEADERS[language]} |\n|---|---:|---:|---:|"]
    for way, runs in record.kept(NAME)["ways"].items():
        seconds = [one["seconds"] for one in runs]
        memory = statistics.median(one["kib"] for one in runs) / 1024
        lines.append(f"| {way} | {statistics.median(seconds):.1f} | {min(seconds):.1f} | {memory:.0f} MiB |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
