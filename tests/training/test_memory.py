"""Memory that runs short makes smaller pieces, not other weights."""

import pytest
import torch

import tiny
from eight import ROWS
from jishi.core import registry
from jishi.core.contracts import Objective
from jishi.core.errors import TrainingError
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.tasks.token_classification import TokenClassification
from jishi.training import memory
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from points import Net, Points, loop, rows, run, same, weights


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (None, [[0, 1, 2, 3]]),
        (20, [[0, 1, 2, 3]]),  # 4 rows × 5
        (19, [[0, 1, 2], [3]]),  # 3 rows × 4 fit; with the row of 5 it would be 20
        (8, [[0, 1], [2], [3]]),  # 2 × 3 fit, 3 × 4 do not; 2 × 5 do not
        (1, [[0], [1], [2], [3]]),  # a row is always a piece
    ],
)
def test_pieces_are_those_worked_out_by_hand(room, expected):
    assert memory.split([0, 1, 2, 3], [2, 3, 4, 5], room) == expected


def test_what_a_forward_pass_keeps_is_counted_once_and_without_weights():
    """3 rows of 4 numbers into 5 and through tanh: the input (48 bytes) and the answer of tanh (60)."""
    model, x = torch.nn.Linear(4, 5), torch.ones(3, 4)
    assert memory.bytes_kept(model, lambda: torch.tanh(model(x)).sum()) == 48 + 60


def test_room_is_what_is_left_after_the_optimizer(monkeypatch):
    """100 bytes a token; 54 weights that learn take 12 bytes each: (0.8 · 100,000 − 300) / 200 = 398."""
    monkeypatch.setattr(memory, "free", lambda _: 100_000)
    model = torch.nn.Linear(4, 5)
    assert memory.room(model, 1000, 10, torch.device("cpu")) == 398
    assert memory.room(model, 0, 10, torch.device("cpu")) is None


@pytest.mark.parametrize(("limit", "expected"), [("1000000", 1000000 - 600000 + 150000), ("max", None)])
def test_the_container_s_limit_counts_and_unused_file_pages_do_not(limit, expected, tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text("600000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 150000\n")
    monkeypatch.setattr(memory, "CONTAINERS", ((tmp_path, "memory.max", "memory.current", "inactive_file"),))
    found = memory.free(torch.device("cpu"))
    assert found == expected if expected else found > 10**8


def test_a_trial_leaves_no_trace():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)).eval()
    before = [buffer.clone() for buffer in model.buffers()]
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    with memory.untouched(model):
        assert model.training
        model(torch.rand(4, 2)).sum().backward()
    assert torch.equal(torch.rand(1), expected) and not model.training
    assert all(torch.equal(old, new) for old, new in zip(before, model.buffers(), strict=True))
    assert all(weight.grad is None for weight in model.parameters())


class Narrow(Points):
    """Has memory for so many rows at once."""

    most = 3

    def loss(self, model, batch):
        if len(batch["x"]) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().loss(model, batch)


def test_a_step_that_does_not_fit_is_done_in_smaller_pieces_with_the_same_result(tmp_path):
    wide = loop(tmp_path / "wide", rows(22), model=Net(dropout=0.0), batch_size=8, epochs=2)
    run(wide)
    narrow = loop(tmp_path / "narrow", rows(22), model=Net(dropout=0.0), objective=Narrow(), batch_size=8, epochs=2)
    events = run(narrow)
    assert narrow.at.room in (2, 3)  # 8, 4, 2; or from a batch of 6
    assert sum(event.values["rows"] for event in events if event.kind == "step") == 44
    for name, value in weights(narrow.model).items():
        torch.testing.assert_close(value, weights(wide.model)[name], rtol=0, atol=1e-6)


def test_a_resumed_run_keeps_the_size_of_its_pieces(tmp_path):
    def one(folder, init=0):
        return loop(folder, rows(22), model=Net(init, dropout=0.5), objective=Narrow(), batch_size=8, epochs=2)

    whole = one(tmp_path / "whole")
    run(whole)
    run(one(tmp_path / "parts"), stop_at=2)
    rest = one(tmp_path / "parts", init=5)
    run(rest)
    assert same(weights(rest.model), weights(whole.model))


def test_one_row_that_does_not_fit_is_told(tmp_path):
    with pytest.raises(TrainingError) as raised:
        run(loop(tmp_path, rows(4), objective=type("None", (Narrow,), {"most": 0})(), batch_size=2))
    assert raised.value.code == "training.memory-short"


def test_another_error_is_not_taken_for_a_lack_of_memory(tmp_path):
    class Broken(Points):
        def loss(self, model, batch):
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run(loop(tmp_path, rows(4), objective=Broken(), batch_size=2))


WORDS = "Anna met Bob in Rome and Paris with her old friend"


def entities(folder, *, again: bool = False, **settings) -> Loop:
    """Rows of uneven length, whose loss is a mean over words, not over rows."""
    processor = tiny.tokenizer(WORDS)
    words = WORDS.split()
    task = TokenClassification(labels=("NAME",), max_length=32)
    given = []
    for row in range(10):
        text = " ".join(words[: 1 + row])
        given.append({"text": text, "spans": [{"start": 0, "end": 4, "label": "NAME"}]})
    model = tiny.token_classifier(
        len(processor), num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    spec = TrainSpec(
        **{
            "epochs": 2,
            "batch_size": 10,
            "precision": "fp32",
            "threads": 1,
            "gradient_checkpointing": again,
            **settings,
        }
    )
    return Loop(
        model, task, processor, spec,
        train=given, validation=None, head=["classifier"], learning_rate=1e-2, folder=folder, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("settings", [{"batch_size": 3, "accumulation": 4}, {"batch_size": 1, "accumulation": 10}])
def test_uneven_pieces_weigh_as_many_targets_as_they_have(settings, tmp_path):
    """Ten rows of 1 to 10 words: in one batch, as 3 + 3 + 3 + 1, and one by one."""
    whole, parts = entities(tmp_path / "a", optimizer="sgd"), entities(tmp_path / "b", optimizer="sgd", **settings)
    run(whole)
    run(parts)
    for name, value in weights(parts.model).items():
        torch.testing.assert_close(value, weights(whole.model)[name], rtol=0, atol=1e-5)


def test_computing_again_learns_the_same_and_keeps_less(tmp_path):
    plain, again = entities(tmp_path / "a"), entities(tmp_path / "b", again=True)
    rows_ = [9, 9]
    kept = []
    for one in (plain, again):
        with memory.untouched(one.model):
            kept.append(memory.bytes_kept(one.model, lambda one=one: one.survey.trial(rows_)))
        run(one)
    assert kept[1] < kept[0] / 3
    for name, value in weights(again.model).items():
        torch.testing.assert_close(value, weights(plain.model)[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("design", [None, "text-cnn", "resnet"])
def test_a_model_whose_blocks_cannot_be_computed_again_is_refused(design):
    name = {"text-cnn": "text-classification", "resnet": "image-classification"}.get(design)
    with pytest.raises(TrainingError) as raised:
        memory.compute_again(built(design, name) if design else Net())
    assert raised.value.code == "training.no-gradient-checkpointing"


def built(design: str, name: str):
    """A fresh model of a design without blocks."""
    spec = ModelSpec(design, size="nano")
    task = registry.get(Objective, name)()
    rows = [task.parse(row) for row in ROWS[name]]
    base = load.base(spec)
    task = task.initialize(rows, base)
    return load.model(spec, task.head(), base, load.processor(spec, rows))
