"""Trials in processes of their own, several at once: what they come to, what ends them, and what the search is told."""

import json
import threading
import time
from types import SimpleNamespace

import pytest

import jishi
from jishi.core.errors import UsageError
from jishi.lifecycle import attempt, tune
from jishi.models import environment
from searching import RATE, base, search, written

pytest.importorskip("optuna")
EPOCHS = {"train.epochs": {"low": 1, "high": 4, "whole": True}, **RATE}


@pytest.fixture
def rows(tmp_path):
    return written(tmp_path)


def settings_of(found):
    return {json.dumps(one["settings"], sort_keys=True): one["score"] for one in found.trials}


def test_trials_side_by_side_come_to_what_they_come_to_alone(tmp_path, rows):
    plain = {"finetune": base(rows, threads=1), "search": EPOCHS, "sampler": "random", "trials": 3, "prune": False}
    alone = jishi.tune(**plain, out=tmp_path / "alone")
    beside = jishi.tune(**plain, out=tmp_path / "beside", workers=2)
    assert settings_of(beside) == settings_of(alone) and len(beside.trials) == 3
    assert not list((tmp_path / "beside" / "trials").iterdir())


@pytest.fixture
def asked(monkeypatch):
    """Answers in the place of other processes: pieces that were given out, and what each is told."""
    given, told = [], {}

    def ask(module, piece, until):
        given.append(piece)
        answer = told.get("ask", lambda *_: {"metric": "accuracy", "score": 0.5})(piece, until)
        return dict(answer)

    monkeypatch.setattr(attempt.alone, "ask", ask)
    monkeypatch.setattr(attempt, "judge", lambda *_, **__: attempt.Judged("accuracy", 0.1))
    done = SimpleNamespace(interrupted=False, folder="", bundle="", evaluation={}, resources={})
    monkeypatch.setattr(tune.finetune, "finetune", lambda *_: done)
    return given, told


def test_as_many_run_at_once_as_asked_for_and_no_more_are_tried_than_wanted(tmp_path, rows, asked):
    given, told = asked
    together = threading.Barrier(2)

    def ask(piece, until):
        if piece["trial"] < 2:
            together.wait(30)  # breaks where a trial is alone
        else:
            time.sleep(0.3)  # in which another would be begun, were this one not counted
        return {"metric": "accuracy", "score": piece["trial"] / 10}

    told["ask"] = ask
    found = search(tmp_path, rows, trials=3, workers=2)
    assert [one["score"] for one in found.trials] == [0.2, 0.1, 0.0] and len(given) == 3
    assert {piece["spec"]["train"]["threads"] for piece in given} == {max(1, environment.threads() // 2)}


def test_a_process_that_dies_is_a_trial_that_failed(tmp_path, rows, asked):
    asked[1]["ask"] = lambda piece, _: (
        {"failed": "SIGKILL"} if piece["trial"] == 1 else {"metric": "accuracy", "score": 0.5}
    )
    found = search(tmp_path, rows, trials=3, workers=2)
    told = json.loads((tmp_path / "tuned" / "tuning.json").read_text(encoding="utf-8"))
    assert len(found.trials) == 2 and [one["reason"] for one in told["failed"]] == ["SIGKILL"]


def test_a_search_side_by_side_that_is_stopped_tries_again_what_was_cut_off(tmp_path, rows, asked):
    given, told = asked
    handles = []

    def ask(_, until):
        handles[-1].stop = True
        while not until():
            pass
        return {"failed": "SIGKILL"}

    told["ask"] = ask
    found = search(tmp_path, rows, trials=4, workers=2, watch=handles.append)
    cut = [piece["spec"]["train"]["learning_rate"] for piece in given]
    assert found.result is None and not found.trials and 1 <= len(cut) <= 2
    told.clear()
    again = search(tmp_path, rows, trials=4, workers=2)
    assert len(again.trials) == 4 and set(cut) <= {one["settings"]["train.learning_rate"] for one in again.trials}


def test_an_interrupt_that_no_face_takes_ends_what_runs(tmp_path, rows, asked, monkeypatch):
    given, told = asked

    def ask(_, until):
        late = time.monotonic() + 2
        while not until() and time.monotonic() < late:
            pass
        return {"failed": "SIGKILL"}

    told["ask"] = ask
    real = tune.wait

    def interrupted(begun, seconds):
        real(begun, seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(tune, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, rows, trials=8, workers=2)
    assert 1 <= len(given) <= 2


def test_another_process_tells_the_study_how_its_trial_goes(tmp_path, rows):
    searching = tune._Search(tune.TuneSpec(finetune=base(rows), out=str(tmp_path / "t"), search=RATE), print, print)
    trial = searching.study.ask()
    piece = searching._piece({}, tmp_path / "t" / "trials" / "0", trial)
    attempt._trial(piece).report(0.25, 3)
    assert searching.study.get_trials()[0].intermediate_values == {3: 0.25}
    assert attempt._trial({**piece, "study": None}) is None
    assert "learning_rat" in attempt.work({**piece, "spec": {**piece["spec"], "train": {"learning_rat": 1}}})["reason"]


def test_latencies_are_not_taken_beside_other_trials(tmp_path, rows):
    with pytest.raises(UsageError) as caught:
        search(tmp_path, rows, sampler="nsga-ii", workers=2)
    assert caught.value.code == "tune.latency-beside"
