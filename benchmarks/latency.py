"""Latency of the server beside the same bundle called in this process, alternated; and of `jishi --help`.

    python benchmarks/latency.py runs/demo/sentiment/bundle

Inputs are the bundle's own probes. Each round asks all sides the same rows: the bundle here, a server whose models live in a
process of their own, and one that is one process.
"""

import argparse
import contextlib
import json
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
    kinds = {"true": "its models in a process of their own", "false": "all in one process"}
    with contextlib.ExitStack() as stack:
        urls = {kind: stack.enter_context(serving(options.bundle, kind)) for kind in kinds}
        sides = [lambda part: predictor.predict(part), *(partial(ask, url) for url in urls.values())]
        single = alternate(sides, lambda index: [rows[index % len(rows)]], options.rounds)
        many = alternate(sides, lambda _: rows[:BATCH], max(3, options.rounds // 4))
        crowds = [clients(url, rows) for url in urls.values()]
    print("| what | in process | over HTTP, " + " | over HTTP, ".join(kinds.values()) + " |\n|---|---:|---:|---:|")
    print(line("one row, p50 [ms]", single, statistics.median))
    print(line("one row, p95 [ms]", single, lambda values: sorted(values)[int(0.95 * len(values))]))
    print(line(f"{BATCH} rows in one request, p50 [ms]", many, statistics.median))
    more = [apart - one for _, apart, one in zip(*single, strict=True)]
    print(
        f"\none row, a process of its own over one process: median of the differences {statistics.median(more):.2f} ms"
    )
    for name, crowd in zip(kinds.values(), crowds, strict=True):
        print(
            f"{BATCH} clients at once, {name}: p50 {statistics.median(crowd):.0f} ms, {BATCH / max(crowd) * 1000:.1f} rows/s"
        )
    print(f"jishi --help: median {statistics.median(help_seconds() for _ in range(5)):.2f} s")


@contextlib.contextmanager
def serving(bundle: Path, isolate: str) -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "jishi", "serve", str(bundle), "port=0", f"isolate={isolate}", "--lang", "en"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(word for word in server.stdout.readline().split() if word.startswith("http"))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=60)


def alternate(
    sides: Sequence[Callable[[list[Any]], Any]], rows: Callable[[int], list[Any]], rounds: int
) -> list[list[float]]:
    """Milliseconds of each side, asked in turn; the first round only warms up."""
    found: list[list[float]] = [[] for _ in sides]
    for index in range(rounds + 1):
        for side, call in enumerate(sides):
            spent = timed(lambda call=call, index=index: call(rows(index)))
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


def line(name: str, sides: list[list[float]], figure: Callable[[list[float]], float]) -> str:
    return f"| {name} | " + " | ".join(f"{figure(side):.1f}" for side in sides) + " |"


if __name__ == "__main__":
    main()
