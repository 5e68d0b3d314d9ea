"""Settings are searched on the validation rows alone, a search that was stopped or killed goes on, the best becomes a bundle."""

import json
import math
import sys
from types import SimpleNamespace

import pytest

import jishi
from jishi.core import registry
from jishi.core.contracts import Adaptation
from jishi.core.errors import DataError, MissingExtra, TrainingError, UsageError
from jishi.lifecycle import finetune, space, tune
from jishi.training.loop import Event
from searching import RATE, base, search, written

pytest.importorskip("optuna")


@pytest.fixture
def rows(tmp_path):
    return written(tmp_path)


@pytest.fixture
def judged(monkeypatch):
    """A score that is best at a rate of 1e-3, in the place of training; what is asked of it is kept, and nothing is trained
    at the end."""
    asked = []

    def judge(self, chosen, folder, trial):
        asked.append(dict(chosen))
        rate = chosen.get("train.learning_rate", 1e-5)
        return -abs(math.log10(rate) + 3), 10 * rate

    monkeypatch.setattr(tune._Search, "_judge", judge)
    done = SimpleNamespace(interrupted=False, folder="", bundle="", evaluation={}, resources={})
    monkeypatch.setattr(tune.finetune, "finetune", lambda wanted, *_: SimpleNamespace(**vars(done), wanted=wanted))
    return asked


def test_the_best_settings_become_a_bundle(tmp_path, rows):
    seen = []
    found = search(tmp_path, rows, {"train": {"learning_rate": [1e-5, 3e-3], "epochs": [1, 6]}}, seen.append, trials=3)
    assert [event.step for event in seen if event.kind == "trial"] == [0, 1, 2, 3]
    assert found.best == found.trials[0]["settings"] and len(found.trials) <= 3
    assert [one["score"] for one in found.trials] == sorted((one["score"] for one in found.trials), reverse=True)
    assert jishi.load(found.result.bundle).replay().flips == 0
    train = jishi.api.document.read(found.result.folder / "spec.yaml").value["train"]
    assert {f"train.{key}": train[key] for key in ("learning_rate", "epochs")} == found.best
    assert not list((tmp_path / "tuned" / "trials").iterdir())  # what trials wrote is gone
    told = json.loads((tmp_path / "tuned" / "tuning.json").read_text(encoding="utf-8"))
    assert told["trials"] == list(found.trials) and told["plain"] == found.plain


def test_a_trial_sees_no_test_row_but_the_best_is_judged_by_them(tmp_path, rows, monkeypatch):
    from jishi.predictor import Predictor

    examined = []
    real = Predictor.examine
    monkeypatch.setattr(Predictor, "examine", lambda self, given: examined.append(len(given)) or real(self, given))
    search(tmp_path, rows, {"train.epochs": [1, 2]}, trials=2)
    assert len(examined) == 2  # untuned and tuned, of the last run


def test_good_settings_are_found(tmp_path, rows, judged):
    found = search(tmp_path, rows, {**RATE, "train.weight_decay": {"low": 0.0, "high": 0.1}}, trials=25)
    assert found.plain == -2.0 and found.trials[0]["score"] > -0.3
    assert found.result.wanted.train.learning_rate == found.best["train.learning_rate"]
    assert found.importance["train.learning_rate"] > 0.7 > found.importance["train.weight_decay"]
    assert len(judged) == 26


@pytest.mark.parametrize("sampler", ["cma-es", "random"])
def test_other_samplers_propose_too(tmp_path, rows, judged, sampler):
    settings = {**RATE, "train.weight_decay": {"low": 0.0, "high": 0.1}}
    assert search(tmp_path, rows, settings, sampler=sampler, trials=12).trials[0]["score"] > -1.0


def test_the_same_seed_proposes_the_same(tmp_path, rows, judged):
    search(tmp_path / "a", rows, trials=4)
    first = [*judged]
    search(tmp_path / "b", rows, trials=4)
    assert judged[5:] == first


def test_a_killed_search_tries_again_what_was_cut_off_and_goes_on(tmp_path, rows, judged, monkeypatch):
    real, killed = tune._Search._judge, []

    def judge(self, chosen, folder, trial):
        if chosen and len(judged) == 3 and not killed:
            killed.append(dict(chosen))
            raise KeyboardInterrupt
        return real(self, chosen, folder, trial)

    monkeypatch.setattr(tune._Search, "_judge", judge)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, rows, trials=5)
    found = search(tmp_path, rows, trials=5)
    assert judged[3] == killed[0]
    assert len(judged) == 6 and len(found.trials) == 5  # the spec as it was is not judged again


def test_a_search_that_a_face_stops_goes_on_later(tmp_path, rows):
    loops, ended = [], []

    def stop(loop):
        loops.append(loop)
        loop.stop = len(loops) == 2  # the plain spec is the first

    found = search(tmp_path, rows, {"train.epochs": [1, 2]}, ended.append, stop, trials=2)
    assert found.result is None and [event.step for event in ended] == [0]
    again = search(tmp_path, rows, {"train.epochs": [1, 2]}, trials=2)
    assert again.result is not None and len(again.trials) == 2


def test_settings_that_do_not_train_are_told_and_passed_over(tmp_path, rows, judged, monkeypatch):
    real = tune._Search._judge

    def judge(self, chosen, folder, trial):
        if chosen.get("train.learning_rate", 0) > 1e-2:
            raise TrainingError("training.loss-not-finite", step=3, given="nan")
        return real(self, chosen, folder, trial)

    monkeypatch.setattr(tune._Search, "_judge", judge)
    found = search(tmp_path, rows, {"train.learning_rate": [1e-3, 5e-2]}, trials=6)
    told = json.loads((tmp_path / "tuned" / "tuning.json").read_text(encoding="utf-8"))
    assert len(found.trials) + len(told["failed"]) == 6 and told["failed"]
    assert all("nan" in one["reason"] for one in told["failed"])
    monkeypatch.setattr(
        tune._Search, "_judge", lambda self, chosen, *_: judge(self, chosen and {"train.learning_rate": 1.0}, *_)
    )
    with pytest.raises(TrainingError, match="No trial came to an end"):
        search(tmp_path / "other", rows, trials=2)


class Loop:
    """Validates ten times with a score, and stops when it is told to."""

    def __init__(self, score):
        self.stop, self.steps, self.score, self.ran = False, 10, score, 0
        self.held_out, self.at = [1], SimpleNamespace(best=score)

    def events(self, resume):
        for step in range(1, 11):
            if self.stop:
                return
            self.ran = step
            yield Event("validation", step, {"accuracy": self.score, "loss": 1.0})


def test_a_trial_that_does_worse_than_others_did_by_then_is_given_up(tmp_path, rows, monkeypatch):
    made = []

    def start(wanted, folder, *, untuned):
        made.append(Loop(0.9 if wanted.train.epochs == 2 else 0.1))
        return SimpleNamespace(loop=made[-1], task=SimpleNamespace(metric="accuracy"))

    monkeypatch.setattr(tune.finetune, "start", start)
    monkeypatch.setattr(tune.finetune, "finetune", lambda *_: SimpleNamespace(interrupted=False))
    found = search(tmp_path, rows, {"train.epochs": [2, 3]}, trials=30, sampler="random")
    told = json.loads((tmp_path / "tuned" / "tuning.json").read_text(encoding="utf-8"))
    assert told["given_up"] and all(one["settings"] == {"train.epochs": 3} for one in told["given_up"])
    assert len(found.trials) + len(told["given_up"]) == 30 and min(loop.ran for loop in made) < 10
    whole = search(tmp_path / "whole", rows, {"train.epochs": [2, 3]}, trials=10, sampler="random", prune=False)
    assert len(whole.trials) == 10


def test_several_aims_keep_what_nothing_beats_in_both(tmp_path, rows, judged):
    """Above 1e-3 the score falls and the latency grows: none of those is on the front but the best score."""
    found = search(tmp_path, rows, sampler="nsga-ii", trials=12)
    told = json.loads((tmp_path / "tuned" / "tuning.json").read_text(encoding="utf-8"))
    front = [one for one in told["trials"] if one["number"] in told["front"]]
    assert front and all(
        not any(other["score"] >= one["score"] and other["latency_ms"] < one["latency_ms"] for other in told["trials"])
        for one in front
    )
    assert found.best == found.trials[0]["settings"]


def test_the_latency_is_that_of_single_answers(tmp_path, rows):
    found = search(tmp_path, rows, {"train.epochs": [1, 2]}, sampler="nsga-ii", trials=1)
    assert 0 < found.trials[0]["latency_ms"] < 10_000


def test_another_search_in_the_same_folder_is_refused(tmp_path, rows, judged):
    search(tmp_path, rows, trials=1)
    more = search(tmp_path, rows, trials=3).trials  # more of the same is not another
    assert len({one["settings"]["train.learning_rate"] for one in more}) == 3
    with pytest.raises(UsageError, match="holds a search for other settings"):
        search(tmp_path, rows, {"train.epochs": [1, 2]}, trials=1)


def test_a_place_that_can_not_hold_a_search_is_told(tmp_path, rows, judged):
    (tmp_path / "tuned").write_text("a file")
    with pytest.raises(UsageError, match="can't be written"):
        search(tmp_path, rows)
    (tmp_path / "other" / "tuned").mkdir(parents=True)
    (tmp_path / "other" / "tuned" / "study.db").write_text("garbage")
    with pytest.raises(UsageError, match="no record of a search"):
        search(tmp_path / "other", rows)


def test_a_new_best_takes_the_place_of_the_one_before(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(
        tune._Search, "_judge", lambda self, chosen, folder, trial: (trial.number if trial else -1, 0.0)
    )
    first, second = (search(tmp_path, rows, trials=trials) for trials in (1, 2))  # each is better than those before
    assert first.best == first.trials[0]["settings"] != second.best
    train = jishi.api.document.read(second.result.folder / "spec.yaml").value["train"]
    assert train["learning_rate"] == second.best["train.learning_rate"]


def test_data_without_validation_rows_are_refused(tmp_path, rows):
    settings = {**base(rows), "data": {"train": str(rows), "split": [0.8, 0.0, 0.2]}}
    with pytest.raises(DataError, match="no validation rows"):
        jishi.tune(finetune=settings, search=RATE, out=tmp_path / "tuned", trials=1)


def test_a_plugin_is_chosen_whole_and_its_keys_after_it(tmp_path, rows):
    plain = {**base(rows), "adapt": {"name": "lora", "rank": 16}}
    asked = tune.TuneSpec(finetune=plain, out=str(tmp_path), search={"adapt": ["lora", "full"]})
    search = tune._Search(asked, print, print)
    assert search.settings({}, tmp_path).adapt.rank == 16
    assert search.settings({"adapt": {"name": "prefix-tuning", "hidden": 0}}, tmp_path).adapt.hidden == 0
    assert search.settings({"adapt.rank": 4}, tmp_path).adapt.rank == 4
    assert search.settings({"adapt.rank": 4, "adapt": "dora"}, tmp_path).adapt == registry.get(Adaptation, "dora")(
        rank=4
    )
    assert search.settings({"train.epochs": 3}, tmp_path).train.batch_size == 16


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({}, "no-search"),
        ({"train.epochs": [1]}, "one-value"),
        ({"train.epochs": 3}, "no-range"),
        ({"train.epochs": {"low": 3, "high": 3}}, "bad-range"),
        ({"train.epochs": {"low": 0, "high": 3, "log": True}}, "bad-range"),
        ({"train.epochs": {"low": "a", "high": 3}}, "bad-range"),
        ({"train.epochs": {"low": 1, "hihg": 3}}, "range-key"),
    ],
)
def test_what_is_no_space_is_refused(settings, code):
    with pytest.raises(UsageError) as caught:
        space.read(settings)
    assert caught.value.code == f"tune.{code}" and str(caught.value)


def test_a_key_that_the_spec_lacks_is_told_before_anything_is_tried(tmp_path, rows, judged):
    with pytest.raises(UsageError, match="Did you mean"):
        search(tmp_path, rows, {"train.learning_rat": [1e-3, 1e-2]})
    with pytest.raises(UsageError, match="train.epochs"):
        search(tmp_path, rows, {"train.epochs": [1, "many"]})
    with pytest.raises(UsageError, match="warmup"):
        search(tmp_path, rows, {"train.warmup": {"low": 0.1, "high": 1.5}})
    assert judged == [] and not (tmp_path / "tuned").exists()


def test_a_missing_library_is_named_with_its_extra(tmp_path, rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"jishi\[hpo\]"):
        search(tmp_path, rows)


def test_a_start_without_the_untuned_answers_asks_for_none(tmp_path, rows):
    settings = jishi.api.read(finetune.FinetuneSpec, {**base(rows), "out": str(tmp_path / "run")})
    assert len(finetune.start(settings, tmp_path / "run", untuned=False).untuned) == 0
