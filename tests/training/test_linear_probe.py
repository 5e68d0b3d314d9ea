"""A linear probe tells what the states say, and leaves no trace."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import tiny
from eight import ROWS, picture
from jishi.core.contracts import Head
from jishi.core.errors import UsageError
from jishi.models import load
from jishi.models.spec import ModelSpec
from jishi.objectives.masked_lm import MaskedLM
from jishi.tasks.image_classification import ImageClassification
from jishi.tasks.question_answering import QuestionAnswering
from jishi.tasks.text_classification import TextClassification
from jishi.tasks.token_classification import TokenClassification
from jishi.training import linear_probe, random_state
from jishi.training.features import Encoded
from jishi.training.fit_head import fit_head
from jishi.training.linear_probe import LinearProbe
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from points import run, same, steps, weights

WORDS = "good fine nice bad poor sad a film book day"
TASK = TextClassification(problem="single", labels=("bad", "good"), prefix="", max_length=32)


def texts() -> list[dict[str, str]]:
    """48 rows in some order; the label follows from the first word."""
    said = [
        (f"{adjective} {noun}", label)
        for label, adjectives in (("good", ("good", "fine", "nice")), ("bad", ("bad", "poor", "sad")))
        for adjective in adjectives
        for noun in ("a film", "film", "a book", "book", "a day", "day", "book day", "film day")
    ]
    order = np.random.default_rng(0).permutation(len(said))
    return [{"text": said[index][0], "label": said[index][1]} for index in order]


def made(processor, task=TASK, train=None, test=None, every: int = 2) -> LinearProbe:
    train, test = train or texts()[:32], test or texts()[32:]
    learnt, judged = (Encoded(task, part, processor) for part in (train, test))
    return LinearProbe("p", task, processor, learnt, judged, test, 0.5, every, 0)


def noisy(model):
    """Weights that are not those of the beginning, so that states differ."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    return model


def test_the_score_is_that_of_a_regression_on_the_mean_states(monkeypatch) -> None:
    """Held to scikit-learn on the states of a model asked text by text; which strength is chosen is tested elsewhere."""
    monkeypatch.setattr(linear_probe, "fit_head", partial(fit_head, strength=0.1))
    processor = tiny.tokenizer(WORDS)
    model = noisy(tiny.masked_lm(len(processor)))
    told = made(processor)(model)
    model.eval()

    def states(rows):
        asked = [processor(row["text"], return_tensors="pt") for row in rows]
        return torch.stack([model.bert(**one).last_hidden_state[0].mean(0) for one in asked]).detach().numpy()

    learnt, judged = states(texts()[:32]), states(texts()[32:])
    mean, scale = learnt.mean(0), learnt.std(0)
    truth, asked = (np.asarray([row["label"] for row in rows]) for rows in (texts()[:32], texts()[32:]))
    # Of two labels it has one vector, of which half the square counts; two that are each half of it count half as much.
    peer = LogisticRegression(C=0.2, tol=1e-8, max_iter=5000).fit((learnt - mean) / scale, truth)
    expected = (peer.predict((judged - mean) / scale) == asked).mean()
    assert told == {"probe": "p", "metric": "accuracy", "score": expected, "baseline": 0.5}
    assert expected > 0.6


def trained(folder, probes: int, stop_at: int | None = None, sharing: bool = True):
    """Six steps of a masked language model whose dropout draws numbers, with so many probes every second step."""
    processor = tiny.tokenizer(WORDS)
    model = tiny.masked_lm(len(processor))
    objective = MaskedLM(max_length=32)
    loop = Loop(
        model, objective, processor, TrainSpec(epochs=2, batch_size=16, max_unknown=1.0, precision="fp32", threads=1),
        train=texts(), validation=texts()[:8], head=[], learning_rate=1e-2, folder=folder, seed=0,
        probes=[made(processor) for _ in range(probes)],
    )  # fmt: skip
    events = run(loop, stop_at=stop_at)
    return events, weights(model), random_state.read()


def test_training_goes_on_as_if_nobody_had_asked(tmp_path) -> None:
    _, plain, drawn = trained(tmp_path / "a", 0)
    events, probed, random = trained(tmp_path / "b", 2)
    assert same(plain, probed) and drawn == random
    assert steps(events, "probe") == [0, 0, 2, 2, 4, 4, 6, 6]


def test_a_run_that_was_stopped_ends_where_the_other_does_and_asks_no_step_twice(tmp_path) -> None:
    whole, expected, drawn = trained(tmp_path / "a", 1)
    for stop_at in (1, 2):
        first, *_ = trained(tmp_path / str(stop_at), 1, stop_at)
        rest, found, random = trained(tmp_path / str(stop_at), 1)
        assert same(found, expected) and random == drawn
        told = [event for event in [*first, *rest] if event.kind == "probe"]
        assert told == [event for event in whole if event.kind == "probe"]


def test_every_module_is_left_in_the_mode_it_was_in() -> None:
    processor = tiny.tokenizer(WORDS)
    model = tiny.masked_lm(len(processor)).train()
    model.bert.encoder.layer[0].eval()
    before = {name: module.training for name, module in model.named_modules()}
    assert len(set(before.values())) == 2
    made(processor)(model)
    assert {name: module.training for name, module in model.named_modules()} == before
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    ("design", "architecture"),
    [("gpt2", "ForCausalLM"), ("modernbert", "ForMaskedLM"), ("t5", "ForSeq2SeqLM"), ("bart", "ForSeq2SeqLM")],
)
def test_decoders_and_what_reads_in_order_to_write_are_asked_too(design: str, architecture: str) -> None:
    spec = ModelSpec(design, size="nano")
    processor = load.processor(spec, texts())
    model = load.model(spec, Head(architecture), load.base(spec), processor)
    assert 0 <= made(processor)(model)["score"] <= 1


def test_tokens_and_pictures_are_asked_too() -> None:
    rows = [TokenClassification().parse(row) for row in ROWS["token-classification"]]
    spec = ModelSpec("transformer-encoder", size="nano")
    processor, base = load.processor(spec, rows), load.base(spec)
    model = load.model(spec, Head("ForMaskedLM"), base, processor)
    told = made(processor, TokenClassification().initialize(rows, base), rows, rows)(model)
    assert told["metric"] == "f1" and told["score"] > 0.9  # the rows it was fitted on
    rows = [{"image": picture(index), "label": "b" if index % 2 else "a"} for index in range(8)]
    spec = ModelSpec("resnet", size="nano")
    processor, base = load.processor(spec), load.base(spec)
    model = load.model(spec, Head("ForImageClassification", {"num_labels": 2}), base, processor)
    told = made(processor, ImageClassification().initialize(rows, base), rows, rows)(model)
    assert told["metric"] == "accuracy" and told["score"] == 1.0


def test_a_task_that_no_linear_layer_answers_is_refused() -> None:
    for task in (QuestionAnswering(), TokenClassification(decoding="crf", labels=("O", "B-x"))):
        with pytest.raises(UsageError, match="text-classification"):
            linear_probe.check(task)
    linear_probe.check(TASK)
