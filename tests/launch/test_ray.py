"""A job on a cluster of this machine, of which a worker is killed, ends where one process does that nothing happens to."""

import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from safetensors.torch import load_file

import jishi
from commands import refusal
from jishi import api
from jishi.core.errors import DataError, MissingExtra, TrainingError, UnknownName
from jishi.launch import ray as launch
from jishi.launch.ray import Job, Ray, Tasks
from jishi.lifecycle import stage
from jishi.lifecycle.finetune import FinetuneSpec, _there

TITLES = Path(__file__).parents[2] / "examples" / "data" / "titles.csv"
SPEC = {
    "data": str(TITLES),
    "model": {"name": "text-cnn", "size": "nano", "dropout": 0},  # each process would draw masks of its own
    "train": {
        "max_steps": 8, "batch_size": 8, "checkpoint_every": 2, "validate_every": 4, "threads": 1, "precision": "fp32",
        "learning_rate": 0.1, "optimizer": "sgd",  # AdamW would make much of the rounding of a gradient that is nearly zero
    },
}  # fmt: skip


def held_up(work, folder: Path, tell, watch):
    """The work, which after the fourth step waits for its process to be killed, once."""

    def told(event):
        tell(event)
        if (event["kind"], event["step"]) == ("checkpoint", 4) and not (folder / "pid").exists():
            (folder / "pid").write_text(str(os.getpid()))
            time.sleep(120)

    return work(told, watch)


@pytest.mark.slow
def test_a_job_that_loses_a_worker_ends_where_one_process_does(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for name, value in {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0", "RAY_AUTH_MODE": "disabled"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    events, run = [], Ray.run

    def hear(event):
        events.append(event)
        if (event.kind, event.step) == ("checkpoint", 4) and not (tmp_path / "killed").exists():
            while not (tmp_path / "pid").exists():
                time.sleep(0.01)
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)  # the one that writes
            (tmp_path / "killed").touch()

    monkeypatch.setattr(Ray, "run", lambda self, work, *faces: run(self, partial(held_up, work, tmp_path), *faces))
    url = (tmp_path / "shared" / "run").as_uri()
    done = jishi.finetune(SPEC, out=url, on={"name": "ray", "num_workers": 2, "max_failures": 1}, listen=hear)
    assert (tmp_path / "killed").exists()
    starts = [event for event in events if event.kind == "start"]
    assert [start.step for start in starts] == [0, 4] and starts[1].values["resumed_from"]
    taken = [event for event in events if event.kind == "step"]
    assert [step.step for step in taken] == list(range(1, 9)) and {step.values["rows"] for step in taken} == {8}

    alone = jishi.finetune(SPEC, out=tmp_path / "alone")
    found, expected = (load_file(run.bundle / "model.safetensors") for run in (done, alone))
    assert found.keys() == expected.keys()
    assert max(float((found[name] - expected[name]).abs().max()) for name in found) < 1e-5
    assert done.evaluation["scores"].keys() == alone.evaluation["scores"].keys() and not done.interrupted
    assert not ray.is_initialized() and left(before) == []


class Near:
    """A job that is called here, without Ray, and is done after so many looks at its news."""

    def __init__(self, job: Job, looks: int) -> None:
        self.job, self.looks = job, looks

    def __getattr__(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(remote=getattr(self.job, name))

    def wait(self, refs, timeout):
        self.looks -= 1
        return (refs, []) if self.looks == 0 else ([], refs)


class Gone(Exception):
    """What Ray raises for a job that is lost."""


def heard(job: Job, looks: int, result="result", watch=lambda _: None) -> tuple[list, object]:
    def get(value):
        if value is Gone:
            raise Gone("worker 1 died")
        return value

    near, told = Near(job, looks), []
    kinds = SimpleNamespace(RayError=Gone), SimpleNamespace(TrainingFailedError=Gone)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ray", SimpleNamespace(wait=near.wait, get=get, exceptions=kinds[0], train=kinds[1]))
        return told, launch._heard(near, result, told.append, watch)


@pytest.mark.slow
def test_a_corpus_cleaned_by_a_cluster_is_the_same_to_the_byte(tmp_path, monkeypatch):
    """Every third text stands there before, and the second operation knows it from a survey of them all."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(stage, "BATCH", 5_000)
    lines = [
        f"ＡＢＣ {number - number % 3} the bread is fresh today, {number * 7919 - number % 3 * 7919}"
        for number in range(600)
    ]
    (tmp_path / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    asked = {"sources": str(tmp_path / "texts.txt"), "operations": ["normalise", "deduplicate"]}
    here = jishi.prepare(corpus={**asked, "processes": 1}, out=str(tmp_path / "here"))
    there = jishi.prepare(corpus={**asked, "on": {"name": "ray", "workers": 2}}, out=str(tmp_path / "there"))
    assert (there.path / "train.jsonl").read_bytes() == (here.path / "train.jsonl").read_bytes()
    assert there.report == here.report and 150 < there.report["texts"] <= 200
    assert left(before) == []


@pytest.mark.slow
def test_a_search_on_a_cluster_comes_to_what_it_comes_to_here(tmp_path, monkeypatch):
    for library in ("ray", "optuna"):
        pytest.importorskip(library, reason=f"the extra of {library} is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else whatever else runs here goes first
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    search = {"train.learning_rate": {"low": 1e-3, "high": 1e-1}}
    asked = {"finetune": SPEC, "search": search, "sampler": "random", "trials": 2}
    here = jishi.tune(**asked, prune=False, out=tmp_path / "here")
    there = jishi.tune(**asked, out=tmp_path / "there", on={"name": "ray", "workers": 2})
    found = [{one["number"]: (one["settings"], one["score"]) for one in search.trials} for search in (here, there)]
    assert found[0] == found[1] and len(found[0]) == 2
    assert left(before) == []


def test_a_piece_whose_work_fails_raises_that_error_and_a_lost_one_is_told():
    """A library that fails as Ray does: `cause` is the error of the work."""

    class Lost(Exception):
        pass

    class Failed(Lost):
        cause = DataError("data.missing-path", path="there")

    def get(error):
        raise error

    kinds = SimpleNamespace(RayTaskError=Failed, RayError=Lost)
    task = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda _, piece: piece))
    tasks = Tasks(SimpleNamespace(put=id, remote=lambda _: task, get=get, exceptions=kinds), print, Ray())
    for piece, error in ((Failed(), DataError), (Lost("node died"), TrainingError)):
        with pytest.raises(error, match="there|node died"):
            tasks.submit(piece)()


def test_what_is_told_is_heard_in_its_order_and_the_result_comes_back():
    job = Job()
    assert [job.tell(1), job.tell(2)] == [False, False]
    assert heard(job, looks=1) == ([1, 2], "result")


def test_a_wish_to_stop_reaches_the_first_worker():
    job = Job()
    heard(job, looks=2, watch=lambda handle: setattr(handle, "stop", True))
    assert job.tell(3) is True


def test_an_error_of_the_work_ends_the_job_and_the_loss_of_another_process_does_not():
    job = Job()
    job.fail(DataError("data.missing-path", path="x.csv"))
    with pytest.raises(DataError, match=r"x\.csv"):
        heard(job, looks=9)
    job.fail(TrainingError("training.rank-lost", reason="closed by peer"))
    assert heard(job, looks=3) == ([], "result")
    with pytest.raises(TrainingError, match="closed by peer") as raised:
        heard(job, looks=3, result=Gone)
    assert raised.value.code == "launch.lost"
    with pytest.raises(TrainingError, match="worker 1 died"):
        heard(Job(), looks=1, result=Gone)


def test_without_its_library_a_launch_names_the_cure(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r'ray.*pip install "jishi\[ray\]"'):
        jishi.finetune(SPEC, out=tmp_path / "run", on="ray")
    monkeypatch.chdir(tmp_path)
    code, told = refusal("finetune", f"data={TITLES}", "out=run", "--on", "ray", "on.workers=4", code=2)
    assert code == "core.missing-extra" and "jishi[ray]" in told


def test_a_cluster_that_does_not_answer_is_told_soon():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"  # nobody listens
        with pytest.raises(TrainingError, match=address) as raised:
            launch._check_answers(address)
    assert raised.value.code == "launch.unreachable"
    launch._check_answers("auto")


def test_the_place_to_run_is_read_from_a_spec_and_the_command_line(tmp_path):
    """YAML 1.1 would read the key `on` as true."""
    (tmp_path / "spec.yaml").write_text(f"data: {TITLES}\nout: run\non: {{name: ray, workers: 4}}\n")
    wanted = api.read(FinetuneSpec, tmp_path / "spec.yaml", overrides=["on.name=ray", "on.max_failures=1"])
    assert wanted.on == Ray(workers=4, retries=1)
    assert api.read(FinetuneSpec, tmp_path / "spec.yaml", {"on": None}).on is None


def test_a_place_to_run_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UnknownName, match="ray"):
        jishi.finetune(SPEC, out=tmp_path / "run", on="rya")
    with pytest.raises(TrainingError) as raised:
        _there(None, tmp_path / "mine", print, print)
    assert raised.value.code == "training.place-missing"


def left(before: set[int]) -> list[str]:
    """The processes below this one that were not there before, a moment after the cluster was left."""
    fresh = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    return [child.name() for child in psutil.wait_procs(fresh, timeout=10)[1]]
