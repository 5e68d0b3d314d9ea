import json
import subprocess
import sys

import pytest

from jishi.core.errors import TrainingError
from jishi.training.run import METRICS, Run

SPEC = {"out": "x", "train": {"epochs": 3.0, "split": [0.8, 0.2]}, "seed": 0, "resume": "auto", "evaluate": {"n": 1}}


def status(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def refused(folder, spec=SPEC, *, resume=True):
    with pytest.raises(TrainingError) as caught, Run.open(folder, spec, resume=resume):
        pytest.fail("it was opened")
    return caught.value


def test_a_second_opener_is_refused(tmp_path):
    with Run.open(tmp_path / "run", SPEC, resume=True) as run:
        assert refused(tmp_path / "run").code == "training.run-busy"
        run.status("complete")
        assert status(tmp_path / "run")["status"] == "complete"
    with Run.open(tmp_path / "run", SPEC, resume=True):
        pass


def test_another_process_is_refused(tmp_path):
    call = (
        "import pathlib, sys; from jishi.training.run import Run\n"
        "with Run.open(pathlib.Path(sys.argv[1]), {}, resume=True): pass"
    )
    with Run.open(tmp_path, SPEC, resume=True):
        done = subprocess.run([sys.executable, "-c", call, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and "training.run-busy" in done.stderr


def test_a_run_that_crashed_leaves_no_lock_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), Run.open(tmp_path, SPEC, resume=True):
        raise ZeroDivisionError
    with Run.open(tmp_path, SPEC, resume=True):
        pass


def test_another_spec_is_refused_and_named(tmp_path):
    with Run.open(tmp_path, SPEC, resume=True):
        pass
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    error = refused(tmp_path, {**SPEC, "seed": 1, "train": {"epochs": 4.0, "split": [0.8, 0.2]}})
    assert error.code == "training.run-other-spec" and "seed, train" in str(error)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_what_does_not_touch_training_may_change(tmp_path):
    processes = {**SPEC["train"], "devices": 2, "shard": True}
    for spec in (SPEC, {**SPEC, "out": "elsewhere", "resume": "never", "evaluate": {"n": 2}, "train": processes}):
        with Run.open(tmp_path, spec, resume=True):
            pass


def test_starting_over_clears_what_training_left(tmp_path):
    with Run.open(tmp_path, SPEC, resume=True) as run:
        run.log("step", 1, {"loss": 0.5})
        for name in ("checkpoints", "data"):
            (tmp_path / name).mkdir()
    with Run.open(tmp_path, {**SPEC, "seed": 1}, resume=False) as run:
        assert run.events() == []
    assert not (tmp_path / "checkpoints").exists() and not (tmp_path / "data").exists()


def test_what_came_before_the_first_step_is_told_once_however_often_it_is_done(tmp_path):
    """A run killed before its first checkpoint begins anew; one that goes on from a later step has it behind it."""
    with Run.open(tmp_path, {}, resume=True) as run:
        for _ in range(2):
            run.log("start", 0, {})
            run.log("probe", 0, {"score": 0.5})
        assert [event["kind"] for event in run.events()] == ["start", "probe"]
        run.log("step", 1, {})
        run.log("start", 1, {})
        assert [event["kind"] for event in run.events()] == ["probe", "step", "start"]


def test_events_after_the_resumed_step_are_taken_back(tmp_path):
    with Run.open(tmp_path, SPEC, resume=True) as run:
        run.log("start", 0, {})
        for step in range(1, 6):
            run.log("step", step, {"loss": 1 / step})
        run.log("start", 3, {"resumed_from": "step-3"})
        run.log("step", 4, {"loss": 9})
        assert [(event["kind"], event["step"]) for event in run.events()] == [
            ("step", 1), ("step", 2), ("step", 3), ("start", 3), ("step", 4),
        ]  # fmt: skip
        assert run.events()[-1]["loss"] == 9


def test_a_torn_last_line_is_left_out(tmp_path):
    with Run.open(tmp_path, SPEC, resume=True) as run:
        run.log("step", 1, {"loss": 1.0})
        with (tmp_path / METRICS).open("a") as file:
            file.write('{"kind": "step", "st')
        assert [event["step"] for event in run.events()] == [1]
        run.log("start", 1, {})
        run.log("step", 2, {"loss": 0.5})
        assert [event["step"] for event in run.events()] == [1, 1, 2]


def test_the_status_file_tells_how_it_stands(tmp_path):
    with Run.open(tmp_path / "a", SPEC, resume=True) as run:
        found = status(tmp_path / "a")
        assert found["status"] == "running" and "torch" in found["versions"] and "jishi" in found["versions"]
        run.status("complete", scores={"accuracy": 0.9})
    assert status(tmp_path / "a")["scores"] == {"accuracy": 0.9}
    with pytest.raises(TrainingError), Run.open(tmp_path / "b", SPEC, resume=True):
        raise TrainingError("training.no-rows")
    assert (status(tmp_path / "b")["status"], status(tmp_path / "b")["error"]) == ("failed", "TrainingError")


def test_a_folder_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    error = refused(tmp_path / "file" / "run")
    assert error.code == "training.run-not-writable" and str(tmp_path / "file" / "run") in str(error)
