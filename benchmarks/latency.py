"""Latency of the server beside the same bundle called in this process, alternated; and of `jishi --help`.

    python benchmarks/latency.py runs/demo/sentiment/bundle

Inputs are the bundle's own probes. Each round asks both sides the same rows; medians over all rounds, and their ratio.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jishi
from jishi.core.bundle import read

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    rows = [probe["row"] for probe in read(options.bundle).probes]
    predictor = jishi.load(options.bundle)
    server = subprocess.Popen(
        [sys.executable, "-m", "jishi", "serve", str(options.bundle), "port=0", "--lang", "en"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        single = alternate(
            lambda index: predictor.predict([rows[index % len(rows)]]),
            lambda index: ask(url, [rows[index % len(rows)]]),
            options.rounds,
        )
        many = alternate(
            lambda _: predictor.predict(rows[:BATCH]),
            lambda _: ask(url, rows[:BATCH]),
            max(3, options.rounds // 4),
        )
        crowd = clients(url, rows)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
    print("| what | in process | over HTTP | ratio |\n|---|---:|---:|---:|")
    print(line("one row, p50 [ms]", *single, statistics.median))
    print(line("one row, p95 [ms]", *single, lambda values: sorted(values)[int(0.95 * len(values))]))
    print(line(f"{BATCH} rows in one request, p50 [ms]", *many, statistics.median))
    print(
        f"\n{BATCH} clients at once, one row each: p50 {statistics.median(crowd):.0f} ms, {BATCH / max(crowd) * 1000:.1f} rows/s"
    )
    print(f"jishi --help: median {statistics.median(help_seconds() for _ in range(5)):.2f} s")


def alternate(ours: Callable[[int], Any], theirs: Callable[[int], Any], rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each side, asked in turn; the first round only warms up."""
    found: tuple[list[float], list[float]] = ([], [])
    for index in range(rounds + 1):
        for side, call in enumerate((ours, theirs)):
            spent = timed(lambda call=call, index=index: call(index))
            if index:
                found[side].append(spent)
    return found


def clients(url: str, rows: list[Any]) -> list[float]:
    """Milliseconds from the start until each of the clients that ask at the same time has its answer."""
    with ThreadPoolExecutor(BATCH) as pool:
        started = time.perf_counter()
        jobs = [pool.submit(lambda row=row: (ask(url, [row]), time.perf_counter())[1]) for row in rows[:BATCH]]
        return [(job.result() - started) * 1000 for job in jobs]


def ask(url: str, inputs: list[Any]) -> Any:
    request = urllib.request.Request(
        f"{url}/api/v1/predict", json.dumps({"inputs": inputs}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def help_seconds() -> float:
    return (
        timed(lambda: subprocess.run([sys.executable, "-m", "jishi", "--help"], capture_output=True, check=True)) / 1000
    )


def line(name: str, ours: list[float], theirs: list[float], figure: Callable[[list[float]], float]) -> str:
    return f"| {name} | {figure(ours):.1f} | {figure(theirs):.1f} | {figure(theirs) / figure(ours):.2f} |"


if __name__ == "__main__":
    main()
