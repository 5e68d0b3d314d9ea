import dataclasses

import numpy as np
import pytest
import torch

from jishi.core import registry
from jishi.core.contracts import Adaptation, Objective
from jishi.core.errors import TrainingError
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from points import Net, Points, loop, rows, run, same, steps, weights

PLAIN_SGD = {
    "optimizer": "sgd",
    "scheduler": "constant",
    "warmup": 0.0,
    "weight_decay": 0.0,
    "head_learning_rate": 1e-2,
}
NESTEROV = 1.9  # the first step of SGD with Nesterov momentum 0.9 goes 1 + 0.9 times the gradient


def scripted(*scores):
    """A task whose validations score what is written here, one after the other."""
    left = list(scores)

    class Scripted(Points):
        def score(self, predictions, rows):
            return {"near": left.pop(0)}

    return Scripted()


def gradient(model, given):
    """The gradient of the mean loss over rows, by itself."""
    x = torch.tensor([row["x"] for row in given])
    y = torch.tensor([row["y"] for row in given])
    loss = sum((model(x[index])[0] - y[index]) ** 2 for index in range(len(given))) / len(given)
    found = torch.autograd.grad(loss, list(model.parameters()))
    return dict(zip((name for name, _ in model.named_parameters()), found, strict=True))


class Watched(Adaptation):
    """Slows the body with time, and hears of every step."""

    def __init__(self):
        self.heard = []

    def apply(self, model, objective):
        return model

    def rates(self, model, progress):
        return {"body": 1 - progress}

    def advance(self, model, step, steps):
        self.heard.append((step, steps, model.head.weight.grad is not None))


# --- one step ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "accumulation"), [(10, 1), (4, 3), (3, 4), (1, 10), (2, 3), (3, 2)])
def test_an_uneven_window_has_the_gradient_of_all_its_rows(batch_size, accumulation, tmp_path):
    """Ten rows as 10, as 4 + 4 + 2, as 3 + 3 + 3 + 1, as 2 + 2 + 2 and a last window of 2 + 2: that of the mean over its rows."""
    given, model = rows(10), Net()
    one = loop(
        tmp_path, given, model=model, batch_size=batch_size, accumulation=accumulation, epochs=1, max_grad_norm=1e9
    )
    expected = []

    def held_to_the_mean(optimizer, *_):
        window = [given[row] for batch in one._windows(0)[len(expected)] for row in batch]
        expected.append(gradient(model, window))
        for name, weight in model.named_parameters():
            torch.testing.assert_close(weight.grad / optimizer.grad_scale, expected[-1][name], rtol=0, atol=1e-6)

    one.optimizer.register_step_pre_hook(held_to_the_mean)
    run(one)
    assert len(expected) == -(-10 // (batch_size * accumulation))


def test_micro_batches_train_as_one_batch_does(tmp_path):
    found = []
    for batch_size, accumulation in ((12, 1), (4, 3)):
        model = Net()
        run(loop(tmp_path / str(batch_size), rows(12), model=model, batch_size=batch_size, accumulation=accumulation))
        found.append(weights(model))
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=0, atol=1e-6)


def test_a_gradient_is_scaled_down_to_the_norm_allowed(tmp_path):
    given, model = [{"x": [1.0, 1.0], "y": 100.0}] * 4, Net()
    before = weights(model)
    events = run(loop(tmp_path, given, model=model, max_steps=1, learning_rate=1e-2, max_grad_norm=0.5, **PLAIN_SGD))
    moved = torch.cat([(before[name] - value).flatten() for name, value in weights(model).items()])
    assert float(moved.norm()) == pytest.approx(1e-2 * NESTEROV * 0.5, rel=1e-4)
    assert next(event for event in events if event.kind == "step").values["grad_norm"] > 100


def test_a_step_tells_loss_rows_and_tokens(tmp_path):
    given, model = rows(10, length=3), Net()
    x, y = torch.tensor([row["x"] for row in given]), torch.tensor([row["y"] for row in given])
    expected = ((model(x)[:, 0] - y) ** 2).mean().item()
    events = run(loop(tmp_path, given, model=model, batch_size=4, accumulation=3, max_steps=1, warmup=0.0))
    values = next(event for event in events if event.kind == "step").values
    assert (values["rows"], values["tokens"], values["epoch"]) == (10, 30, 0)
    assert values["loss"] == pytest.approx(expected, rel=1e-5)
    assert values["learning_rate"] == pytest.approx(1e-2)


# --- how long, how often ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"epochs": 2}, 6),  # 22 rows: 6 batches of 4, in windows of 2: 3 steps an epoch
        ({"epochs": 1.5}, 5),  # 3 + ⌈1.5⌉
        ({"epochs": 0.1}, 1),
        ({"epochs": 2, "max_steps": 4}, 4),
        ({"epochs": 2, "max_steps": 99}, 6),
    ],
)
def test_steps_are_those_counted_by_hand(settings, expected, tmp_path):
    events = run(loop(tmp_path, rows(22), batch_size=4, accumulation=2, **settings))
    assert steps(events, "step") == list(range(1, expected + 1))
    assert events[0].values["steps"] == expected and events[-1].kind == "end"


def test_validation_and_checkpoint_come_when_they_are_due(tmp_path):
    events = run(loop(tmp_path, rows(8), rows(4), objective=scripted(*[0.5] * 9), batch_size=4, epochs=4,
                      validate_every=3, checkpoint_every=4))  # fmt: skip
    assert steps(events, "validation") == [3, 6, 8]
    assert steps(events, "checkpoint") == [3, 4, 8]  # 3: the best so far


def test_left_to_itself_it_validates_and_saves_once_an_epoch(tmp_path):
    events = run(loop(tmp_path, rows(8), rows(4), objective=scripted(0.1, 0.2, 0.3), batch_size=4, epochs=3))
    assert steps(events, "validation") == steps(events, "checkpoint") == [2, 4, 6]


def test_best_and_last_are_the_checkpoints_kept(tmp_path):
    run(loop(tmp_path, rows(8), rows(4), objective=scripted(0.1, 0.3, 0.2, 0.2), batch_size=8, epochs=4))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000002", "step-00000004"]


def test_the_best_weights_are_taken_at_the_end(tmp_path):
    one = loop(tmp_path, rows(8), rows(4), objective=scripted(0.1, 0.3, 0.2, 0.3), batch_size=8, epochs=4)
    at = {}
    for event in one.events():
        if event.kind == "validation":
            at[event.step] = weights(one.model)
    assert same(weights(one.model), at[2]) and not same(at[2], at[4])
    assert (event.values["best"], event.values["best_step"]) == (0.3, 2)


def test_it_stops_early_when_patience_ends(tmp_path):
    task = scripted(0.5, 0.9, 0.8, 0.9, 0.95)
    one = loop(tmp_path, rows(8), rows(4), objective=task, batch_size=8, epochs=5, patience=2)
    events = run(one)
    assert steps(events, "step") == [1, 2, 3, 4]
    assert (events[-1].kind, events[-1].values["best_step"]) == ("end", 2)


def test_a_loop_out_of_patience_does_not_learn_on_when_it_is_resumed(tmp_path):
    settings = {"batch_size": 2, "epochs": 9, "patience": 1, "validate_every": 1, "checkpoint_every": 1}
    one = loop(tmp_path, rows(8), rows(4), objective=scripted(0.9, 0.8), **settings)
    assert steps(run(one), "step") == [1, 2]  # in the middle of an epoch
    two = loop(tmp_path, rows(8), rows(4), objective=scripted(0.99), model=Net(5), **settings)
    events = run(two)
    assert steps(events, "step") == [] and events[-1].values["best_step"] == 1
    assert same(weights(two.model), weights(one.model))


def test_an_objective_without_a_score_is_judged_by_its_loss(tmp_path):
    from jishi.core.contracts import Objective

    names = ("parse", "head", "encode", "collate", "forward", "loss")
    plain = type("Plain", (Objective,), {**{name: getattr(Points, name) for name in names}, "columns": {"x": "text"}})()
    events = run(loop(tmp_path, rows(8), rows(8), objective=plain, batch_size=8, epochs=3))
    losses = {event.step: event.values["loss"] for event in events if event.kind == "validation"}
    assert events[-1].values["best"] == -min(losses.values())


# --- stop and go on ---------------------------------------------------------------------------------------------------

# 22 rows in batches of 2: 11 batches in windows of 3, 3, 3 and 2: 4 steps an epoch, 12 in all.
HARD = {"batch_size": 2, "accumulation": 3, "epochs": 3}


def hard(folder, seed=0, init=0):
    return loop(folder, rows(22), rows(6), model=Net(init, dropout=0.5), seed=seed, **HARD)


def losses(events):
    return {event.step: event.values["loss"] for event in events if event.kind == "step"}


@pytest.mark.parametrize("stop_at", [1, 4, 6, 8, 11])
def test_a_resumed_run_ends_where_an_undisturbed_one_does(stop_at, tmp_path):
    """Bit for bit, dropout and the uneven last window included; 4 and 8 are ends of an epoch."""
    whole = hard(tmp_path / "whole")
    undisturbed = run(whole)
    first = run(hard(tmp_path / "parts"), stop_at=stop_at)
    assert (first[-1].kind, first[-1].step) == ("interrupted", stop_at)
    torch.manual_seed(77)
    rest = hard(tmp_path / "parts", init=5)  # the weights come from the checkpoint
    second = run(rest)
    assert second[0].values["resumed_from"] == first[-1].values["checkpoint"]
    assert same(weights(rest.model), weights(whole.model))
    assert losses(first) | losses(second) == losses(undisturbed)
    assert second[-1].values["best_step"] == undisturbed[-1].values["best_step"]


def test_a_run_stopped_twice_ends_there_too(tmp_path):
    whole = hard(tmp_path / "whole")
    run(whole)
    run(hard(tmp_path / "parts"), stop_at=3)
    run(hard(tmp_path / "parts", init=5), stop_at=7)
    rest = hard(tmp_path / "parts", init=6)
    run(rest)
    assert same(weights(rest.model), weights(whole.model))


def test_a_stop_at_the_last_step_is_an_end(tmp_path):
    events = run(hard(tmp_path), stop_at=12)
    assert events[-1].kind == "end"


def test_a_stop_before_the_first_step_keeps_the_whole_run(tmp_path):
    whole, early = hard(tmp_path / "whole"), hard(tmp_path / "parts")
    run(whole)
    early.stop = True
    assert run(early)[-1].kind == "interrupted"
    rest = hard(tmp_path / "parts", init=5)
    run(rest)
    assert same(weights(rest.model), weights(whole.model))


def test_a_finished_run_is_not_trained_on(tmp_path):
    one = hard(tmp_path)
    run(one)
    two = hard(tmp_path, init=5)
    assert steps(run(two), "step") == []
    assert same(weights(two.model), weights(one.model))


def test_without_resume_it_starts_over(tmp_path):
    run(hard(tmp_path), stop_at=5)
    events = run(hard(tmp_path), resume=False)
    assert events[0].values["resumed_from"] is None and steps(events, "step")[0] == 1


def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path):
    def one(folder, *scores, init=0):
        return loop(folder, rows(22), rows(6), model=Net(init, dropout=0.5), objective=scripted(*scores),
                    validate_every=2, **HARD)  # fmt: skip

    whole = one(tmp_path / "whole", 0.9, 0.1, 0.1, 0.1, 0.1, 0.95)
    run(whole)
    first = run(one(tmp_path / "parts", 0.9, 0.1), stop_at=5)
    damaged = tmp_path / "parts" / "checkpoints" / "step-00000005"
    assert first[-1].values["checkpoint"] == str(damaged)
    content = bytearray((damaged / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (damaged / "weights.safetensors").write_bytes(content)
    rest = one(tmp_path / "parts", 0.1, 0.1, 0.1, 0.1, 0.95, init=5)
    second = run(rest)
    assert second[0].values["damaged"] == [str(damaged)]
    assert second[0].values["resumed_from"].endswith("step-00000002")
    assert same(weights(rest.model), weights(whole.model))


def test_a_best_checkpoint_that_was_damaged_is_not_taken(tmp_path):
    one = loop(tmp_path, rows(8), rows(4), objective=scripted(0.9, 0.1, 0.1), batch_size=8, epochs=3)
    with pytest.raises(TrainingError) as caught:
        for event in one.events():
            if event.kind == "checkpoint" and event.step == 1:
                file = tmp_path / "checkpoints" / "step-00000001" / "weights.safetensors"
                content = bytearray(file.read_bytes())
                content[-1] ^= 1
                file.write_bytes(content)
    assert caught.value.code == "training.best-damaged"


# --- what is random ---------------------------------------------------------------------------------------------------


def drawn(folder, seed=0, **settings):
    """The number `vary` drew for each row in each epoch."""
    found: dict[int, list[int]] = {}

    @dataclasses.dataclass(frozen=True)
    class Drawing(Points):
        def vary(self, features, processor, rng, *, training):
            if training:
                found.setdefault(features["id"], []).append(int(rng.integers(2**60)))
            return features

    given = [{**row, "id": index} for index, row in enumerate(rows(10))]
    run(loop(folder, given, objective=Drawing(), seed=seed, epochs=3, **settings))
    return found


def test_a_row_varies_by_seed_epoch_and_row_only(tmp_path):
    found = drawn(tmp_path / "a", batch_size=4)
    assert [len(found[row]) for row in range(10)] == [3] * 10  # once an epoch
    assert drawn(tmp_path / "b", batch_size=3, accumulation=2) == found
    assert len({number for numbers in found.values() for number in numbers}) == 30
    other = drawn(tmp_path / "c", seed=1, batch_size=4)
    assert not {number for numbers in found.values() for number in numbers} & {n for ns in other.values() for n in ns}


def test_the_same_seed_gives_the_same_weights(tmp_path):
    found = []
    for name in "ab":
        np.random.seed(len(found))
        one = hard(tmp_path / name)
        run(one)
        found.append(weights(one.model))
    other = hard(tmp_path / "c", seed=1)
    run(other)
    assert same(*found) and not same(found[0], weights(other.model))


def reviews(folder, **settings):
    """A loop over 16 short texts whose first word tells the label."""
    task = registry.get(Objective, "text-classification")
    raw = [{"text": f"{'good' if i % 2 else 'bad'} {i}", "label": "a" if i % 2 else "b"} for i in range(16)]
    rows = [task().parse(row) for row in raw]
    spec = ModelSpec("text-cnn", size="nano")
    base = load.base(spec)
    processor = load.processor(spec, rows)
    ready = task().initialize(rows, base)
    torch.manual_seed(0)
    return Loop(
        load.model(spec, ready.head(), base, processor), ready, processor, TrainSpec(**settings, max_unknown=1.0),
        train=rows, validation=None, head=["classifier"], learning_rate=1e-3, folder=folder, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize(("when", "place"), [("before", 1), ("after", -2)])
def test_the_head_is_fitted_before_or_after_the_rest(when, place, tmp_path):
    """The event tells the loss before and after; fitted last, the head's weights are the solver's, not the optimizer's."""
    plain, fitted = reviews(tmp_path / "a", max_steps=1), reviews(tmp_path / "b", max_steps=1, fit_head=when)
    assert "head" not in [event.kind for event in plain.events()]
    events = list(fitted.events())
    assert [event.kind for event in events].count("head") == 1 and events[place].kind == "head"
    assert events[place].values["loss_after"] < events[place].values["loss_before"]
    assert not torch.equal(plain.model.classifier.weight, fitted.model.classifier.weight)


def test_a_run_that_goes_on_does_not_fit_the_head_again(tmp_path):
    run(reviews(tmp_path, max_steps=1, fit_head="before"))
    kinds = [event.kind for event in reviews(tmp_path, max_steps=2, fit_head="before").events()]
    assert "step" in kinds and "head" not in kinds


def test_no_epoch_and_a_fitted_head_is_a_linear_probe(tmp_path):
    probe = reviews(tmp_path, epochs=0, fit_head="before")
    before = weights(probe.model)
    events = list(probe.events())
    assert [event.kind for event in events] == ["start", "head", "end"]
    moved = {name for name, value in weights(probe.model).items() if not torch.equal(value, before[name])}
    assert moved == {"classifier.weight", "classifier.bias"}
    with pytest.raises(TrainingError) as raised:
        reviews(tmp_path / "b", epochs=0)
    assert raised.value.code == "training.no-steps"


def test_an_adaptation_sets_rates_by_progress_and_is_told_of_every_step_while_gradients_stand(tmp_path, monkeypatch):
    adaptation, told = Watched(), []
    one = loop(tmp_path, rows(8), adaptation=adaptation, batch_size=2, epochs=1, **PLAIN_SGD)
    real = torch.optim.SGD.step

    def step(self, *given):
        told.append({group["module"]: group["lr"] for group in self.param_groups})
        return real(self, *given)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    run(one)
    assert adaptation.heard == [(1, 4, True), (2, 4, True), (3, 4, True), (4, 4, True)]
    assert [found["body"] for found in told] == pytest.approx([1e-2, 0.75e-2, 0.5e-2, 0.25e-2])
    assert [found[""] for found in told] == pytest.approx([1e-2] * 4)
    assert one.model.head.weight.grad is None
