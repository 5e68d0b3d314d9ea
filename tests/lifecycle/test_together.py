"""Two processes make one run, whoever starts them: one bundle, one log, one result told."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

import jishi
from jishi.core.errors import DataError, TrainingError, UsageError
from jishi.lifecycle import processes
from jishi.training.ranks import Ranks

TITLES = Path(__file__).parents[2] / "examples" / "data" / "titles.csv"


def test_a_run_of_two_processes_ends_in_one_bundle(tmp_path):
    out = tmp_path / "run"
    command = [
        "finetune", f"data={TITLES}", "model.name=text-cnn", "model.size=nano", f"out={out}", "train.max_steps=4",
        "train.batch_size=8", "train.threads=1", "train.precision=fp32", "--json",
    ]  # fmt: skip
    launched = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "jishi"]
    together = subprocess.run([*launched, *command], capture_output=True, text=True, timeout=300)
    assert together.returncode == 0, together.stderr
    told = [json.loads(line) for line in together.stdout.splitlines()]
    assert [line["kind"] for line in told].count("result") == 1
    taken = [line for line in told if line["kind"] == "step"]
    assert [step["step"] for step in taken] == [1, 2, 3, 4] and {step["rows"] for step in taken} == {8}
    assert json.loads((out / "run.json").read_text())["status"] == "complete"
    assert jishi.load(out / "bundle").replay().flips == 0


SETTINGS = {
    "data": str(TITLES), "model": {"name": "transformer-encoder", "size": "nano"},
    "train": {"max_steps": 4, "batch_size": 8, "threads": 1, "precision": "fp32"},
}  # fmt: skip


def others() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "jishi" in child.cmdline()]


def test_it_starts_the_others_itself_and_leaves_none_behind(tmp_path):
    """In shards, the second process killed; then stopped by a word to the first; then ended by one process alone."""
    environment, seen, killed = dict(os.environ), [], []

    def kill(event):
        if event.kind == "step":
            seen.append(others())
            os.kill(seen[-1][0].pid, signal.SIGKILL)
            killed.append(time.monotonic())

    together = {"out": str(tmp_path), "train": {**SETTINGS["train"], "devices": 2, "shard": True}}
    with pytest.raises(TrainingError, match="SIGKILL") as raised:
        jishi.finetune({**SETTINGS, **together}, listen=kill)
    assert raised.value.code == "training.rank-lost" and time.monotonic() - killed[0] < 60
    assert [len(found) for found in seen] == [1] and not others() and dict(os.environ) == environment

    loops = []
    stopped = jishi.finetune(
        {**SETTINGS, **together}, watch=loops.append, listen=lambda event: setattr(loops[0], "stop", event.step == 2)
    )
    assert stopped.interrupted and not others()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]

    steps = []
    ended = jishi.finetune({**SETTINGS, "out": str(tmp_path)}, listen=lambda event: steps.append(event.step))
    assert steps[0] == 2 and max(steps) == 4 and jishi.load(ended.bundle).replay().flips == 0


def test_what_went_wrong_in_another_process_is_told_as_it_is(tmp_path):
    wanted = {"data": str(tmp_path / "missing.csv"), "out": str(tmp_path / "run")}
    with pytest.raises(DataError, match="missing"), processes.together("finetune", wanted, 2):
        Ranks.join().wait()
    assert not others() and Ranks.join().count == 1


def test_auto_is_one_process_a_gpu(monkeypatch):
    assert processes._count("auto") == 1 and processes._count(3) == 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert processes._count("auto") == 4 and processes._count(2) == 2
    with pytest.raises(UsageError, match="auto"):
        processes._count(5)
