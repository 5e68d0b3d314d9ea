"""What an evaluation of a million rows takes: memory and time, in a process of its own.

    python benchmarks/evaluation.py [--rows 1000000]

A small CNN learns made-up reviews, then judges as many new ones as asked for. Peak memory is that of the whole process,
from reading the file to the scores; the limit held is 2 GiB.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 2 * 2**30
WORDS = {"good": ["很好用", "lovely", "物流快", "works well"], "bad": ["质量差", "awful", "坏了", "broke at once"]}
MEASURED = """
import json, sys
import jishi
from jishi.lifecycle.footprint import resident_bytes
found = jishi.evaluate(sys.argv[1], data=sys.argv[2])
told = {"rows": found["rows"], "sample": found["sample"], "score": found["scores"]["accuracy"], "peak": resident_bytes()}
print(json.dumps(told))
"""


def write(path: Path, rows: int, seed: int) -> Path:
    """Reviews of some words, one in ten with the label of the other kind."""
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            label = draw.choice(list(WORDS))
            words = [draw.choice(WORDS[label]) for _ in range(draw.randint(2, 12))]
            shown = label if draw.random() > 0.1 else next(other for other in WORDS if other != label)
            file.write(json.dumps({"text": f"{number} " + " ".join(words), "label": shown}, ensure_ascii=False) + "\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    import jishi

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = {"name": "text-cnn", "size": "nano"}
        train = {"max_steps": 100, "learning_rate": 3e-3}
        run = jishi.finetune(data=write(folder / "train.jsonl", 2_000, 0), out=folder / "run", model=model, train=train)
        data = write(folder / "test.jsonl", rows, 1)
        begin = time.monotonic()
        words = [sys.executable, "-c", MEASURED, str(run.bundle), str(data)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{found['rows']:,} rows, {time.monotonic() - begin:.0f} s, peak {found['peak'] / 2**30:.2f} GiB")
    print(f"accuracy {found['score']}, intervals from {found['sample']:,} rows")
    sys.exit(found["peak"] > LIMIT)


if __name__ == "__main__":
    main()
