"""Compiled blocks train what plain ones train, and are used where a trial says that they pay."""

import pytest
import torch

import tiny
from jishi.tasks.text_classification import TextClassification
from jishi.training import compiled
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from points import run, same, weights

WORDS = "good bad fine great poor movie the a not very"
TASK = TextClassification(problem="single", labels=("bad", "good"), prefix="", max_length=32)


def training(folder, **settings) -> Loop:
    processor = tiny.tokenizer(WORDS)
    words = WORDS.split()
    texts = [" ".join(words[(place * 3 + row) % 10] for place in range(1 + row % 7)) for row in range(12)]
    rows = [{"text": text, "label": ("bad", "good")[row % 2]} for row, text in enumerate(texts)]
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = tiny.sequence_classifier(len(processor), num_labels=2, **rates)
    spec = TrainSpec(epochs=2, batch_size=4, precision="fp32", threads=1, **settings)
    return Loop(
        model, TASK, processor, spec, train=rows, validation=None, head=["classifier"], learning_rate=1e-3,
        folder=folder, seed=0,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's compiler uses what torch calls outdated
def test_compiled_blocks_learn_the_same_weights_and_a_resumed_run_is_exact(tmp_path):
    plain, whole = training(tmp_path / "plain", compile="never"), training(tmp_path / "whole", compile="always")
    run(plain)
    started = run(whole)[0]
    assert started.values["compiled"] and "forward" not in vars(whole.model.bert.encoder.layer[0])
    expected = weights(plain.model)
    for name, value in weights(whole.model).items():
        torch.testing.assert_close(value, expected[name], atol=2e-5, rtol=1e-4)
    run(training(tmp_path / "run", compile="always"), stop_at=2)
    again = training(tmp_path / "run", compile="always")
    run(again)
    assert same(weights(again.model), weights(whole.model))


@pytest.mark.parametrize(("quick", "left", "pays"), [(9.0, 1000, True), (9.999, 1000, False), (1.0, 10, False)])
def test_compiling_pays_where_the_steps_to_come_save_more_than_it_takes(quick, left, pays, tmp_path, monkeypatch):
    """A thousand steps of ten seconds that save a second each pay for five seconds of compiling; a millisecond each does not."""
    plain = 10.0
    monkeypatch.setattr(compiled, "least", lambda *_: plain / 2)
    loop, asked = training(tmp_path), []
    before = weights(loop.model)
    monkeypatch.setattr(compiled, "_seconds", lambda _: plain if not asked else quick)
    monkeypatch.setattr(compiled, "compile_blocks", asked.append)
    clock = iter([0.0, 5.0])  # five seconds
    monkeypatch.setattr(compiled.time, "perf_counter", lambda: next(clock))
    assert compiled.pays(loop.update, [0, 1, 2], left) is pays
    assert bool(asked) == (plain / 2 * left >= compiled.LONG)
    assert same(weights(loop.model), before) and all(one.grad is None for one in loop.model.parameters())


def test_the_least_a_step_can_take_is_six_operations_a_token_and_weight(tmp_path, monkeypatch):
    """A block: 4 (32·32 + 32) for attention, 2·32·64 + 64 + 32 for the rest, two norms of 64; rows have 3, 4, 5 tokens."""
    loop = training(tmp_path)
    monkeypatch.setattr(compiled, "peak", lambda *_: 1e6)
    block = 4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 2 * 64
    assert compiled.least(loop.update, [0, 1, 2]) == pytest.approx(6 * 2 * block * (3 + 4 + 5) / 1e6)
    loop.update.model = torch.nn.Linear(2, 2)  # no blocks: nothing to compile
    assert compiled.least(loop.update, [0]) == 0


def test_a_machine_without_a_compiler_goes_on_without(tmp_path, monkeypatch):
    def fails(model) -> None:
        def forward(*_, **__):
            raise torch._dynamo.exc.TorchDynamoException("no compiler")

        model.bert.encoder.layer[0].forward = forward

    loop = training(tmp_path)
    monkeypatch.setattr(compiled, "compile_blocks", fails)
    monkeypatch.setattr(compiled, "LONG", 0.0)
    assert compiled.pays(loop.update, [0, 1], 10**9) is False
    assert "forward" not in vars(loop.model.bert.encoder.layer[0])


def test_no_more_rows_are_tried_than_memory_holds(tmp_path, monkeypatch):
    """Rows 0, 1, 2 have 3, 4, 5 tokens: two of them padded to 4 fit into 9."""
    loop, seen = training(tmp_path), []
    monkeypatch.setattr(compiled, "LONG", 0.0)
    monkeypatch.setattr(compiled, "compile_blocks", lambda _: None)
    monkeypatch.setattr(compiled, "_step", lambda _, rows, *, packs: seen.append(list(rows)))
    loop.update.room = 9
    compiled.pays(loop.update, [0, 1, 2], 10**9)
    assert seen and all(rows == [0, 1] for rows in seen)
