"""One server of N adapters of one base beside one of N whole models: memory, disk, start, the first answer and every other.

    python benchmarks/adapters.py                    minilm with LoRA, 1, 4 and 8 models
    python benchmarks/adapters.py --counts 2 --requests 20
    python benchmarks/adapters.py --docs             what is kept, into docs/en/serving.md and docs/zh/serving.md

Both are fine-tuned alike on the same few rows, then copied under N names: to the server each is a model of its own. "switching"
asks another model with every request, "staying" the same one; one text a request, one after another, medians. Resident memory is
that of the server's processes once every model has answered.
"""

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import record

import jishi
from jishi.models.origin import locate
from jishi.models.spec import ModelSpec

NAME = "adapters"
BASE = "minilm"
KINDS = ("adapter", "whole")
HEADERS = {
    "en": "models | bundles | on disk, MB | resident, MB | start, s | first answer of another, s | switching, ms | staying, ms",
    "zh": "模型数 | 模型包 | 磁盘（MB） | 常驻内存（MB） | 启动（秒） | 其他模型首次作答（秒） | 轮换（毫秒） | 不轮换（毫秒）",
}
NAMED = {"en": {"adapter": "adapters", "whole": "whole"}, "zh": {"adapter": "适配器", "whole": "完整模型"}}


def main() -> None:
    options = parse()
    if not options.docs:
        bundles = {kind: trained(kind, options) for kind in KINDS}
        for count in options.counts:
            for kind in KINDS:
                found = record.kept(NAME)
                found[f"{count} {kind}"] = {
                    "count": count,
                    "kind": kind,
                    **measured(kind, count, bundles[kind], options),
                }
                record.keep(NAME, found)
    print(table("en"))
    if options.docs:
        record.into_docs("serving", table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="*", default=[1, 4, 8])
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--data", type=Path, default=record.ROOT.parent / "shared" / "data" / "sentence_polarity")
    parser.add_argument("--out", type=Path, default=record.ROOT / "runs" / "adapters")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def trained(kind: str, options: argparse.Namespace) -> Path:
    """The bundle of one short fine-tuning."""
    rows = options.out / "rows.jsonl"
    options.out.mkdir(parents=True, exist_ok=True)
    lines = (options.data / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    rows.write_text("\n".join(lines[:400]) + "\n", encoding="utf-8")
    made = jishi.finetune(
        data=rows,
        task="text-classification",
        model=BASE,
        adapt="lora",
        bundle=kind,
        out=options.out / kind,
        train={"epochs": 1},
    )
    assert made.bundle is not None
    return made.bundle


def measured(kind: str, count: int, bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What a server of so many copies takes."""
    copies = []
    for number in range(count):
        copies.append(options.out / "served" / kind / f"m{number}" / "bundle")
        shutil.copytree(bundle, copies[-1], dirs_exist_ok=True)
    disk = sum(file.stat().st_size for copy in copies for file in copy.rglob("*"))
    if kind == "adapter":
        disk += sum(file.stat().st_size for file in Path(str(locate(ModelSpec(BASE)))).rglob("*") if file.is_file())
    texts = [
        json.loads(line)["row"]["text"] for line in (bundle / "probes.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    names = [copy.parent.name for copy in copies]
    began = time.perf_counter()
    with serving(copies) as (process, url):
        start = time.perf_counter() - began
        firsts = [timed(url, texts[0], name) for name in names[1:]]
        for name in names:
            timed(url, texts[0], name)
        switching = [timed(url, texts[turn % len(texts)], names[turn % count]) for turn in range(options.requests)]
        staying = [timed(url, texts[turn % len(texts)], names[0]) for turn in range(options.requests)]
        return {
            "disk": disk, "resident": resident(process.pid), "start": start,
            "first": statistics.median(firsts) if firsts else None,
            "switching": statistics.median(switching), "staying": statistics.median(staying),
        }  # fmt: skip


@contextmanager
def serving(bundles: list[Path]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address once it is ready."""
    command = [sys.executable, "-m", "jishi", "serve", *map(str, bundles), "port=0", "--lang", "en"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, next(word for word in process.stdout.readline().split() if word.startswith("http"))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def timed(url: str, text: str, model: str) -> float:
    """Seconds of one request."""
    body = json.dumps({"inputs": text, "model": model}).encode()
    request = urllib.request.Request(f"{url}/api/v1/predict", body, {"Content-Type": "application/json"})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        json.load(answer)
    return time.perf_counter() - began


def resident(pid: int) -> int:
    """Bytes of resident memory of a process and its children (Linux)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    told = [Path(f"/proc/{one}/status").read_text(encoding="utf-8") for one in (pid, *children)]
    return sum(int(status.partition("VmRSS:")[2].split()[0]) for status in told) * 1024


def table(language: str) -> str:
    lines = [f"| {HEADERS[language]} |", "|---:|---|---:|---:|---:|---:|---:|---:|"]
    for one in sorted(record.kept(NAME).values(), key=lambda one: (one["count"], one["kind"])):
        first = "–" if one["first"] is None else f"{one['first']:.2f}"
        lines.append(
            f"| {one['count']} | {NAMED[language][one['kind']]} | {one['disk'] / 1e6:.0f} | {one['resident'] / 1e6:.0f} | "
            f"{one['start']:.1f} | {first} | {1000 * one['switching']:.1f} | {1000 * one['staying']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
