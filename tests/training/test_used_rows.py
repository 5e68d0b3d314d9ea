"""The used rows of an embedding learn what they would have learnt; the others stay."""

import pytest
import torch

import tiny
from jishi.adaptation.frozen import Frozen
from jishi.objectives.masked_lm import MaskedLM
from jishi.tasks.text_classification import TextClassification
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from jishi.training.used_rows import used_rows
from points import run, same, weights

SEEN, UNSEEN = "good bad fine poor movie", "the a not very great awful plot star cast film song"
TASK = TextClassification(problem="single", labels=("bad", "good"), prefix="", max_length=32)
TABLE = "bert.embeddings.word_embeddings.weight"
PROCESSOR = tiny.tokenizer(f"{SEEN} {UNSEEN}")

STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def rows() -> list[dict]:
    words = SEEN.split()
    texts = [" ".join(words[(3 * place + row) % 5] for place in range(1 + row % 4)) for row in range(12)]
    return [{"text": text, "label": ("bad", "good")[row % 2]} for row, text in enumerate(texts)]


def training(folder, task=TASK, **settings) -> Loop:
    spec = TrainSpec(**{"epochs": 3, "batch_size": 4, "precision": "fp32", "threads": 1, **settings})
    return Loop(
        tiny.sequence_classifier(len(PROCESSOR), num_labels=2, **STILL), task, PROCESSOR, spec,
        train=rows(), validation=None, head=["classifier"], learning_rate=1e-2, folder=folder, seed=0,
    )  # fmt: skip


def test_used_rows_learn_what_a_whole_table_would_and_the_others_do_not_decay(tmp_path, monkeypatch):
    before = weights(training(tmp_path / "before").model)[TABLE]
    part = training(tmp_path / "part", weight_decay=0.1)
    assert part.used is not None
    run(part)
    monkeypatch.setattr("jishi.training.loop.used_rows", lambda *_: None)
    whole = training(tmp_path / "whole", weight_decay=0.1)
    run(whole)
    found, expected = weights(part.model), weights(whole.model)
    seen = [PROCESSOR.convert_tokens_to_ids(word) for word in ["[CLS]", "[SEP]", *SEEN.split()]]
    unseen = [PROCESSOR.convert_tokens_to_ids(word) for word in UNSEEN.split()]
    torch.testing.assert_close(found[TABLE][seen], expected[TABLE][seen], atol=1e-5, rtol=1e-4)
    assert not torch.equal(found[TABLE][seen], before[seen])
    assert torch.equal(found[TABLE][unseen], before[unseen]) and not torch.equal(
        expected[TABLE][unseen], before[unseen]
    )
    for name in expected.keys() - {TABLE}:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-4)


def test_the_optimizer_holds_the_used_rows_only(tmp_path):
    loop = training(tmp_path)
    run(loop)
    sizes = {tuple(state["exp_avg"].shape) for state in loop.optimizer.state.values()}
    assert (3 + 5, 32) in sizes and (len(PROCESSOR), 32) not in sizes  # [PAD], [CLS], [SEP] and five words


def test_a_step_that_is_done_again_counts_nothing_twice(tmp_path):
    """Memory runs out at the second batch of the first step, when the first has left its gradient."""
    full: list[int] = []

    class Short(TextClassification):
        def loss(self, model, batch):
            if len(batch["labels"]) == 4:
                full.append(4)
                if len(full) == 2:
                    raise torch.OutOfMemoryError("out of memory")
            return super().loss(model, batch)

    found = []
    for name, task in (("plain", TASK), ("short", Short(**vars(TASK)))):
        loop = training(tmp_path / name, task=task, accumulation=2, epochs=1, max_steps=1, optimizer="sgd")
        assert loop.used is not None
        run(loop)
        found.append(weights(loop.model)[TABLE])
    assert len(full) > 1
    torch.testing.assert_close(found[1], found[0], atol=1e-6, rtol=0)


def test_a_run_that_goes_on_is_exact(tmp_path):
    whole = training(tmp_path / "whole")
    run(whole)
    run(training(tmp_path / "run"), stop_at=4)
    again = training(tmp_path / "run")
    run(again)
    assert same(weights(again.model), weights(whole.model))


@pytest.mark.parametrize("case", ["frozen", "tied", "varied", "mostly used"])
def test_a_whole_table_is_kept_where_that_is_right(case):
    model = tiny.sequence_classifier(len(PROCESSOR), num_labels=2)
    objective, texts = TASK, SEEN
    if case == "frozen":
        model = Frozen().apply(model, TASK)
    if case == "tied":
        model = tiny.masked_lm(len(PROCESSOR))
    if case == "varied":
        objective = type("Varied", (MaskedLM,), {})()
    if case == "mostly used":
        texts = f"{SEEN} {UNSEEN}"
    features = [TASK.encode({"text": texts}, PROCESSOR)]
    assert used_rows(model, objective, PROCESSOR, features) is None
    plain = tiny.sequence_classifier(len(PROCESSOR), num_labels=2)
    assert used_rows(plain, TASK, PROCESSOR, [TASK.encode({"text": SEEN}, PROCESSOR)]) is not None
