"""Played back, the frozen part of a backbone trains the same head, without being asked again."""

import numpy as np
import pytest
import torch

import tiny
from jishi.adaptation.frozen import Frozen
from jishi.adaptation.full import Full
from jishi.adaptation.lora import LoRA
from jishi.models.heads import PooledConfig, PooledForSequenceClassification
from jishi.tasks.text_classification import TextClassification
from jishi.training import states
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from jishi.training.states import States, frozen_blocks
from points import run, same, weights

WORDS = "good bad fine great poor movie the a not very"
TASK = TextClassification(problem="single", labels=("bad", "good"), prefix="", max_length=32)
HEAD = ["classifier", "bert.pooler"]
EPOCHS = 3


def rows(count: int = 20) -> list[dict]:
    words = WORDS.split()
    texts = [" ".join(words[(place * 3 + row) % 10] for place in range(1 + row % 7)) for row in range(count)]
    return [{"text": text, "label": ("bad", "good")[row % 2]} for row, text in enumerate(texts)]


def training(folder, layers: int = 0, **settings) -> Loop:
    processor = tiny.tokenizer(WORDS)
    model = Frozen(layers=layers).apply(tiny.sequence_classifier(len(processor), num_labels=2), TASK)
    spec = TrainSpec(epochs=EPOCHS, batch_size=4, precision="fp32", threads=1, **settings)
    return Loop(
        model, TASK, processor, spec,
        train=rows(), validation=rows(6), head=HEAD, learning_rate=1e-2, folder=folder, seed=0,
    )  # fmt: skip


def asked(loop: Loop) -> list[int]:
    """The rows of each batch that the first block computes."""
    seen: list[int] = []
    attention = loop.model.bert.encoder.layer[0].attention
    attention.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    return seen


@pytest.mark.parametrize("layers", [0, 1])
def test_the_same_weights_are_learnt_and_the_frozen_part_is_asked_once(layers, tmp_path, monkeypatch):
    monkeypatch.setattr("jishi.training.survey.packable", lambda *_: False)  # rows are counted here
    played = training(tmp_path / "a", layers)
    seen = asked(played)
    run(played)
    validations = EPOCHS * 6
    trial = 2 + 2  # one row, seen twice, shows what memory it takes; another such pair what arithmetic
    check = 4  # a few of the longest rows show first whether playing back is right
    assert sum(seen) == trial + 20 + check + validations
    monkeypatch.setattr(States, "record", lambda *_: None)
    plain = training(tmp_path / "b", layers)
    seen = asked(plain)
    run(plain)
    assert sum(seen) == trial + EPOCHS * 20 + validations
    expected = weights(plain.model)
    assert not same(expected, weights(training(tmp_path / "c", layers).model))
    for name, value in weights(played.model).items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-5)


def test_a_run_that_goes_on_is_exact_and_leaves_nothing_behind(tmp_path):
    whole = training(tmp_path / "whole")
    run(whole)
    run(training(tmp_path / "run"), stop_at=7)
    again = training(tmp_path / "run")
    run(again)
    assert again.update.states is not None and same(weights(again.model), weights(whole.model))
    assert all(path.name.startswith("step-") for path in (tmp_path / "run" / "checkpoints").iterdir())


def test_one_epoch_records_nothing(tmp_path):
    once = training(tmp_path, max_steps=5)
    run(once)
    assert once.update.states is None


def test_only_what_stands_below_all_that_learns_is_recorded():
    def blocks(adaptation):
        model = adaptation.apply(tiny.sequence_classifier(20, num_labels=2), TASK)
        return len(frozen_blocks(model, HEAD))

    assert [blocks(Frozen()), blocks(Frozen(layers=1)), blocks(Frozen(layers=2))] == [2, 1, 0]
    assert blocks(Full()) == 0 and blocks(LoRA()) == 0
    loose = Frozen().apply(tiny.sequence_classifier(20, num_labels=2), TASK)
    loose.bert.embeddings.LayerNorm.weight.requires_grad_(True)
    assert frozen_blocks(loose, HEAD) == []


def test_a_pooled_head_is_no_obstacle(tmp_path):
    """The embedded bases have one: their configuration stands inside the head's."""
    processor = tiny.tokenizer(WORDS)
    backbone = tiny.sequence_classifier(len(processor)).bert
    backbone.pooler = None
    config = PooledConfig(backbone.config.to_dict(), num_labels=2)
    model = Frozen().apply(PooledForSequenceClassification(config, backbone), TASK)
    features = [TASK.encode(row, processor) for row in rows()]
    found = States.record(model, ["classifier"], TASK, processor, features, tmp_path / "states")
    assert found is not None and found.table.shape == (sum(row["length"] for row in features), 32)


def test_rows_that_vary_or_a_full_disk_or_another_answer_record_nothing(tmp_path, monkeypatch):
    loop = training(tmp_path)
    assert loop._record() is not None
    varied = type("Varied", (TextClassification,), {"vary": lambda self, features, *_, **__: features})
    given = (
        loop.model,
        HEAD,
        varied(problem="single", labels=TASK.labels),
        loop.processor,
        loop.features,
        tmp_path / "b",
    )
    assert States.record(*given) is None
    monkeypatch.setattr(states, "ROOM", 0.0)
    assert loop._record() is None
    monkeypatch.undo()
    loop.model.bert.encoder.layer[1].register_forward_hook(lambda *values: values[-1] * torch.arange(32))
    assert loop._record() is None  # what is recorded went through the hook, and does so again when it is played back


@pytest.mark.parametrize("packs", [False, True])
@pytest.mark.parametrize("layers", [0, 1])
def test_states_of_rows_come_in_the_order_asked_and_padded_with_zeros(layers, packs, tmp_path):
    loop = training(tmp_path, layers)
    loop.update.packs = packs and loop.survey.packs()
    assert loop.update.packs == packs
    found = loop._record().of([3, 0, 6])
    lengths = [loop.features.lengths[row] for row in (3, 0, 6)]
    assert found.shape == (3, max(lengths), 32)
    for place, row in enumerate((3, 0, 6)):
        ids = torch.from_numpy(loop.features[row]["input_ids"].astype(np.int64))[None]
        with torch.no_grad():
            expected = loop.model.eval().bert(input_ids=ids, output_hidden_states=True).hidden_states[2 - layers][0]
        torch.testing.assert_close(found[place, : lengths[place]], expected, atol=1e-5, rtol=1e-5)
        assert not found[place, lengths[place] :].any()


def test_states_are_recorded_in_the_precision_of_the_run(tmp_path):
    loop = training(tmp_path)
    plain = loop._record()
    loop.update.precision = "bf16"
    rounded = loop._record()
    difference = np.abs(rounded.table - plain.table).max() / np.abs(plain.table).max()
    assert 1e-5 < difference < 2**-8  # bf16 keeps eight bits; the sums of this small model are kept in fp32
