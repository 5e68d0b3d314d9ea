"""The loss over a large vocabulary, some logits at a time, beside torch's over all: CPU time and peak memory, in turns.

    python benchmarks/cross_entropy.py [--positions 2048] [--vocabulary 32000] [--rounds 3]

Forward and backward of an output layer that learns, 384 wide, on one thread, each time in a process of its own: torch's
`cross_entropy`, the same in pieces computed again for the backward pass (`checkpoint`), and Jishi's. Seconds are the processor's,
so that other work does not count; memory is what comes on top of weights and states. Medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

WIDTH, PIECE, TIMES = 384, 256, 3
CONTENDERS = ("torch", "checkpoint", "Jishi")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positions", type=int, default=2048)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs=2, metavar=("CONTENDER", "PRECISION"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(measured(*options.run, options.positions, options.vocabulary)))
        return
    print("| precision | | seconds | peak memory |\n|---|---|---:|---:|")
    for precision in ("fp32", "bf16"):
        found: dict[str, list[list[float]]] = {name: [] for name in CONTENDERS}
        for _ in range(options.rounds):
            for name in CONTENDERS:
                command = [sys.executable, __file__, *sys.argv[1:], "--run", name, precision]
                found[name].append(json.loads(subprocess.check_output(command)))
        for name, told in found.items():
            seconds, peak = (statistics.median(column) for column in zip(*told, strict=True))
            print(f"| {precision} | {name} | {seconds:.2f} | {peak / 2**20:.0f} MiB |", flush=True)


def measured(name: str, precision: str, positions: int, vocabulary: int) -> tuple[float, float]:
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.checkpoint import checkpoint

    from jishi.lifecycle.footprint import resident_bytes
    from jishi.models.cross_entropy import Total

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer, states = torch.nn.Linear(WIDTH, vocabulary), torch.randn(positions, WIDTH, requires_grad=True)
    targets = torch.randint(vocabulary, (positions,))

    def whole(states: Any, targets: Any) -> Any:
        return cross_entropy(layer(states).float(), targets, reduction="sum")

    def pieces(states: Any, targets: Any) -> Any:
        cut = zip(states.split(PIECE), targets.split(PIECE), strict=True)
        return sum(checkpoint(whole, *piece, use_reentrant=False) for piece in cut)

    def jishi(states: Any, targets: Any) -> Any:
        return Total.apply(states, layer.weight, layer.bias, targets, 0.0)

    loss, before, spent = dict(zip(CONTENDERS, (whole, pieces, jishi), strict=True))[name], resident_bytes(), []
    for _ in range(1 + TIMES):
        layer.zero_grad()
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            value = loss(states, targets)
        (value / positions).backward()
        spent.append(time.process_time() - start)
    return statistics.median(spent[1:]), resident_bytes() - before


if __name__ == "__main__":
    main()
