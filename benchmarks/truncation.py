"""Long texts cut at few tokens: seconds of one encoding by `tokenizers`, which makes every rest too, and by Jishi.

python benchmarks/truncation.py            MiniLM's tokenizer; the same ids are asserted
"""

import statistics
import time

from jishi.models import load, truncation
from jishi.models.spec import ModelSpec

TEXT = "a good day to go out and buy some bread "
SIZES, LENGTHS, ROUNDS = (2_000, 8_000), (16, 64, 512), 3


def main() -> None:
    backend = load.processor(ModelSpec("minilm")).backend_tokenizer
    print("| characters | tokens read | texts | `tokenizers`, ms | Jishi, ms |\n|---:|---:|---:|---:|---:|")
    for size in SIZES:
        for length in LENGTHS:
            for texts in ([TEXT * (size // len(TEXT))], [TEXT * (size // len(TEXT))] * 2):
                spent: list[tuple[float, float]] = []
                for _ in range(ROUNDS):
                    backend.enable_truncation(length)
                    clock = time.perf_counter()
                    theirs = backend.encode(*texts)
                    middle = time.perf_counter()
                    backend.no_truncation()
                    begun = time.perf_counter()
                    ours, _ = truncation.encode(backend, texts, length, "right")
                    spent.append((middle - clock, time.perf_counter() - begun))
                    assert ours.ids == theirs.ids
                cells = [f"{1000 * statistics.median(one):.1f}" for one in zip(*spent, strict=True)]
                print(f"| {size} | {length} | {len(texts)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
