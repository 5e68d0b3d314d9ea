"""Two processes under torchrun make one run: one bundle, one log, one result told."""

import json
import subprocess
import sys
from pathlib import Path

import jishi

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
