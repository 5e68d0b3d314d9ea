"""What every task and every pretraining objective promises, run on each that the folders hold."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from eight import RATES, ROWS, Ready
from jishi.core import registry, spec
from jishi.core.contracts import Features, Objective, Task
from jishi.core.document import Document
from jishi.data import columns
from jishi.models.inference import outputs
from jishi.models.load import reload
from jishi.predictor import Predictor, decision
from jishi.training import feature_cache
from jishi.training.encoding import same
from jishi.training.feed import varied
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec

OBJECTIVES = registry.names(Objective)
TASKS = registry.names(Task)


def drawn(ready: Ready, *, training: bool) -> list[Features]:
    """The features of the eight rows, their random part of one fixed draw."""
    encoded = [ready.objective.encode(row, ready.processor) for row in ready.rows]
    features = ready.objective.enrich(encoded, ready.processor)
    return [
        varied(ready.objective, features, row, ready.processor, [row], training=training)
        for row in range(len(features))
    ]


def test_every_objective_has_rows() -> None:
    assert set(OBJECTIVES) == set(ROWS)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_spec_reads_back_what_it_dumped(ready: Ready) -> None:
    dumped = json.loads(json.dumps(spec.dump(ready.objective)))
    assert spec.plugin(Objective, Document(dumped, "test")) == ready.objective


@pytest.mark.parametrize("name", OBJECTIVES)
def test_loss_falls_tenfold_on_eight_rows(name: str, ready: Ready, tmp_path: Path) -> None:
    """Judged in evaluation mode on the rows as encoded, masks of one fixed draw: memorising eight rows must be possible."""
    objective, processor = ready.objective, ready.processor

    def loss() -> float:
        ready.model.eval()
        features = drawn(ready, training=False)
        with torch.no_grad():
            return float(objective.loss(ready.model, objective.collate(features, processor)).value)

    before = loss()
    train = TrainSpec(
        max_steps=2400, epochs=2400, batch_size=8, learning_rate=RATES.get(name, 3e-3), scheduler="constant", weight_decay=0,
        max_unknown=1.0, checkpoint_every=10**6,
    )  # fmt: skip
    loop = Loop(
        ready.model, objective, processor, train,
        train=ready.rows, validation=None, head=[], learning_rate=1e-3, folder=tmp_path, seed=0,
    )  # fmt: skip
    for event in loop.events(resume=False):
        if event.kind == "step" and event.step % 20 == 0 and loss() < before / 10:
            return
        ready.model.train()
    pytest.fail(f"the loss went from {before:.3f} to {loss():.3f} only")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradient_reaches_every_weight(ready: Ready) -> None:
    objective, processor = ready.objective, ready.processor
    features = drawn(ready, training=True)
    objective.loss(ready.model, objective.collate(features, processor)).value.backward()
    without = [name for name, weight in ready.model.named_parameters() if weight.requires_grad and weight.grad is None]
    assert without == []


@pytest.mark.parametrize("name", OBJECTIVES)
def test_text_features_are_kept_and_given_back_as_they_were(ready: Ready, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path))
    encoded = [ready.objective.encode(row, ready.processor) for row in ready.rows]
    features = ready.objective.enrich(encoded, ready.processor)
    place = feature_cache.place(ready.objective, ready.rows, ready.processor)
    with feature_cache.recording(place) as record:
        for feature in features:
            record(feature)
    found = feature_cache.find(place)
    assert (found is None) == any(column.modality.binary for column in columns.inputs(ready.objective))
    assert found is None or all(map(same, features, found))


@pytest.mark.parametrize("name", TASKS)
def test_answers_in_a_batch_equal_answers_one_by_one(ready: Ready) -> None:
    task, processor = ready.objective, ready.processor
    features = [task.encode(row, processor) for row in ready.rows]
    together = outputs(task, ready.model, features, processor)
    for feature, output in zip(features, together, strict=True):
        alone = outputs(task, ready.model, [feature], processor)[0]
        width = min(len(alone), len(output))  # a token task pads its outputs to the batch
        atol = 2e-4 if task.generates else 1e-5  # margins of beams are differences of long sums
        torch.testing.assert_close(output[:width], alone[:width], rtol=0, atol=atol)


@pytest.mark.parametrize("name", TASKS)
def test_answers_worked_out_step_by_step_equal_those_of_a_batch(ready: Ready) -> None:
    predictor = Predictor(ready.model, ready.objective, ready.processor, {})
    features = [predictor.encode(row) for row in ready.rows]
    begun = predictor.begin(features)
    for steps, (prediction, written) in zip(begun, predictor.written(features), strict=bool(begun)):
        for _ in range(300):
            try:
                next(steps)
            except StopIteration as end:
                assert (end.value[0]["text"], end.value[1]) == (prediction["text"], written)
                break
        else:
            pytest.fail("it never ended")


@pytest.mark.parametrize("name", TASKS)
def test_saved_model_gives_the_same_answers(ready: Ready, tmp_path: Path) -> None:
    ready.model.save_pretrained(tmp_path)
    ready.processor.save_pretrained(tmp_path)
    model, processor = reload(tmp_path, ready.objective.head().architecture)
    old = Predictor(ready.model, ready.objective, ready.processor, {}).predict(ready.rows)
    new = Predictor(model, ready.objective, processor, {}).predict(ready.rows)
    assert new == old


@pytest.mark.parametrize("name", TASKS)
def test_answers_do_not_need_the_target(ready: Ready) -> None:
    task = ready.objective
    bare = [{key: value for key, value in row.items() if key in task.columns} for row in ready.rows]
    predictor = Predictor(ready.model, task, ready.processor, {})
    assert predictor.predict(bare) == predictor.predict(ready.rows)


@pytest.mark.parametrize("name", TASKS)
def test_perfect_answers_score_one_and_calibration_keeps_decisions(ready: Ready) -> None:
    task = ready.objective
    predictor = Predictor(ready.model, task, ready.processor, {})
    calibrated = task.calibrate(predictor.outputs(ready.rows), ready.rows)
    answers = predictor.predict(ready.rows)
    after = Predictor(ready.model, calibrated, ready.processor, {}).predict(ready.rows)
    assert [decision(answer) for answer in after] == [decision(answer) for answer in answers]
    credits = [task.credit(answer, row) for answer, row in zip(answers, ready.rows, strict=True)]
    assert all(0 <= credit <= 1 for credit in credits)
    assert task.metric in task.score(answers, ready.rows)


@pytest.mark.parametrize("name", TASKS)
def test_baseline_answers_in_the_task_s_own_words(ready: Ready) -> None:
    rival = ready.objective.baseline(ready.rows)
    answers = rival.predict(ready.rows)
    assert ready.objective.score(answers, ready.rows)[ready.objective.metric] >= 0.5


@pytest.mark.parametrize("name", ["masked-lm"])
def test_masked_share_is_within_three_sigma(ready: Ready) -> None:
    """A binomial of n trials at p = 0.15 has σ = √(n p (1 − p)); the 80/10/10 kinds are tested beside the objective."""
    objective, processor = ready.objective, ready.processor
    features = objective.encode(ready.rows[2], processor)
    special = {processor.cls_token_id, processor.sep_token_id, processor.pad_token_id}
    open_places = sum(token not in special for token in features["input_ids"])
    draws = 2000
    masked = 0
    for draw in range(draws):
        batch = objective.collate(
            [objective.vary(features, processor, np.random.default_rng([7, draw]), training=True)], processor
        )
        masked += int((batch["labels"] != -100).sum())
    trials = draws * open_places
    assert abs(masked - 0.15 * trials) < 3 * (trials * 0.15 * 0.85) ** 0.5


@pytest.mark.parametrize("name", TASKS)
def test_predictions_hold_what_the_task_says_that_they_do(ready: Ready) -> None:
    kinds = {key: list if kind == list[float] else kind for key, kind in ready.objective.answers.items()}
    for answer in Predictor(ready.model, ready.objective, ready.processor, {}).predict(ready.rows):
        assert answer.keys() - {"truncated"} and answer.keys() - {"truncated"} <= kinds.keys()
        assert all(isinstance(value, kinds[key]) for key, value in answer.items() if key != "truncated")
