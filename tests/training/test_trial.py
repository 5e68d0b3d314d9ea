"""What a run will take is added up from what its parts took."""

from types import SimpleNamespace

import pytest

from jishi.training import trial
from jishi.training.loop import Loop
from jishi.training.states import States
from points import loop, rows

# 20 rows of one token in batches of 4, two a step: 3 steps an epoch, of 8, 8 and 4 tokens.
SETTINGS = {"batch_size": 4, "accumulation": 2, "epochs": 3}


@pytest.fixture
def clock(monkeypatch):
    """A clock that steps, validations and checkpoints advance: 2 s a token but for the first step, 5 s, 3 s."""
    now, step, taken = [0.0], Loop._step, []

    def stepped(self, window, pieces):
        told = step(self, window, pieces)
        now[0] += 2 * told["tokens"] if taken else 1000
        taken.append(told["tokens"])
        return told

    def passes(seconds):
        now[0] += seconds

    monkeypatch.setattr(trial, "ENOUGH", 1e9)
    monkeypatch.setattr(trial, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Loop, "_step", stepped)
    monkeypatch.setattr(trial, "validate", lambda *_, **__: passes(5))
    monkeypatch.setattr(Loop, "_save", lambda _: passes(3))
    return SimpleNamespace(taken=taken, passes=passes)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 3 * (40 + 5 + 3)),
        ({"validate_every": 3, "checkpoint_every": 2}, 3 * 40 + 3 * 5 + 5 * 3),
        ({"max_steps": 6}, 2 * (40 + 5 + 3)),
        ({"epochs": 100}, 100 * (40 + 5 + 3)),
    ],
)
def test_the_whole_is_the_sum_of_its_parts(settings, expected, clock, tmp_path):
    assert trial.seconds(loop(tmp_path, rows(20), rows(6), **{**SETTINGS, **settings})) == expected


def test_without_held_out_rows_nothing_is_validated(clock, tmp_path):
    assert trial.seconds(loop(tmp_path, rows(20), **SETTINGS)) == 3 * (40 + 3)


def test_the_heaviest_step_comes_first_and_is_not_timed(clock, tmp_path):
    """Of 22 rows, one epoch has steps of 8, 8 and 6 rows in some order."""
    given = [{**row, "length": 9 if index == 5 else 1} for index, row in enumerate(rows(22))]
    one = loop(tmp_path, given, **SETTINGS)
    heaviest = next(window for window in one._windows(0) if any(5 in batch for batch in window))
    trial.seconds(one)
    assert clock.taken[0] == sum(given[row]["length"] for batch in heaviest for row in batch)
    assert sorted(clock.taken[1:]) == sorted(
        sum(given[row]["length"] for batch in window for row in batch) for window in one._windows(0)
    )


def test_what_a_frozen_part_says_is_asked_once(clock, tmp_path, monkeypatch):
    """Half a second a row that is tried, and so for every row of the run; of the last 4 twice."""
    asked = []

    def record(*given):
        asked.extend(given[-1])
        clock.passes((len(given[-1]) + 4) / 2)

    monkeypatch.setattr(States, "record", record)
    one = loop(tmp_path, rows(200), batch_size=4, epochs=2)
    one.records = True
    assert trial.seconds(one) == (200 + 4) / 2 + 2 * 400 + 2 * 3
    assert len(set(asked)) == len(asked) <= 4 * (trial.STEPS + 1)


def test_a_validation_is_timed_on_some_of_its_rows(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "HELD_OUT", 10)
    monkeypatch.setattr(trial, "validate", lambda *given, **_: clock.passes(len(given[4])))
    assert trial.seconds(loop(tmp_path, rows(20), rows(30), **SETTINGS)) == 3 * (40 + 30 + 3)


def test_a_trial_of_long_steps_is_cut_short(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "ENOUGH", 10)
    assert trial.seconds(loop(tmp_path, rows(20), **SETTINGS)) == 3 * (40 + 3)
    assert len(clock.taken) == 2


def test_probes_are_timed_and_counted(clock, tmp_path):
    """7 s each: before the first of nine steps, at 4, 8 and 9, and once more of the model that is kept."""
    one = loop(tmp_path, rows(20), **SETTINGS)
    one.probes = [Probe(lambda: clock.passes(7))]
    assert trial.seconds(one) == 3 * (40 + 3) + 5 * 7


class Probe:
    every = 4

    def __init__(self, asked):
        self.asked = asked

    def __call__(self, _):
        self.asked()
        return {}
