"""What every way to learn from rows without labels promises: what is to be learnt are probabilities, how much each row counts
lies between 0 and 1, and one that learns in every step goes on bit for bit where it was stopped, in whatever pieces."""

import copy
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from eight import Ready, pattern
from jishi.core import registry, spec
from jishi.core.contracts import SemiSupervision
from jishi.core.document import Document
from jishi.lifecycle.finetune import FinetuneSpec
from jishi.models import heads
from jishi.training.consistency import Consistency
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec

METHODS = registry.names(SemiSupervision)
STEPWISE = [name for name in METHODS if not registry.get(SemiSupervision, name)().rounds]


@pytest.mark.parametrize("name", METHODS)
def test_a_spec_takes_it_by_name(name: str) -> None:
    method = registry.get(SemiSupervision, name)()
    assert spec.plugin(SemiSupervision, Document(spec.dump(method), "test")) == method
    asked = {"data": "rows.csv", "out": "run", "unlabelled": {"data": "many.csv", "method": name}}
    found = spec.build(FinetuneSpec, Document(asked, "test")).unlabelled
    assert found is not None and found.method == method and found.data.train == "many.csv"


@pytest.mark.parametrize("name", METHODS)
def test_what_it_teaches_are_probabilities_and_shares(name: str) -> None:
    rng = numpy.random.default_rng(0)
    said = rng.dirichlet([0.3] * 5, 200)
    right = said.argmax(1)
    settled = registry.get(SemiSupervision, name)().settle(said, right, numpy.full(5, 0.2))
    targets, counts = settled.teach(torch.from_numpy(said))
    assert targets.shape == said.shape and torch.allclose(targets.double().sum(1), torch.ones(200).double())
    assert counts.shape == (200,) and ((counts >= 0) & (counts <= 1)).all() and counts.any()
    assert torch.equal(targets.argmax(1), torch.from_numpy(right))


def training(ready: Ready, method: Any, folder: Path, **settings: Any) -> Loop:
    column = next(iter(ready.objective.columns))
    rows = ready.rows if column == "text" else [{**row, column: pattern(at)} for at, row in enumerate(ready.rows)]
    asked = TrainSpec(
        **{"batch_size": 2, "accumulation": 2, "epochs": 2, "precision": "fp32", "threads": 1, "max_unknown": 1.0} | settings
    )  # fmt: skip
    others = [{column: row[column]} for row in rows[4:]]
    beside = Consistency.of(method, ready.objective, others, ready.processor, asked, 4)
    model = copy.deepcopy(ready.model)
    return Loop(
        model, ready.objective, ready.processor, asked, train=rows[:4], validation=None, head=heads.fresh(model),
        learning_rate=1e-2, folder=folder, seed=0, unlabelled=beside,
    )  # fmt: skip


def trained(loop: Loop, stop_at: int | None = None) -> tuple[dict[int, Any], dict[str, torch.Tensor]]:
    told = {}
    for event in loop.events():
        if event.kind == "step":
            told[event.step] = [event.values[name] for name in ("loss", "unlabelled_loss", "accepted_share")]
            loop.stop = event.step == stop_at
    return told, {name: value.detach().clone() for name, value in loop.model.named_parameters()}


@pytest.mark.parametrize("method", STEPWISE)
@pytest.mark.parametrize("name", ["text-classification", "image-classification"])
def test_a_run_that_was_stopped_ends_bit_for_bit_where_an_undisturbed_one_does(
    ready: Ready, method: str, tmp_path: Path
) -> None:
    """The weight rises meanwhile, so that where the run stands matters too; worker processes make no difference."""
    one = registry.get(SemiSupervision, method)(threshold=0.0, ramp=1.0)
    told, weights = trained(training(ready, one, tmp_path / "whole", epochs=3))
    assert list(told) == [1, 2, 3] and all(share == 1.0 and apart > 0 for _, apart, share in told.values())
    for stop_at in (1, 2):
        first, _ = trained(training(ready, one, tmp_path / str(stop_at), epochs=3), stop_at)
        rest, found = trained(training(ready, one, tmp_path / str(stop_at), epochs=3, workers=stop_at - 1))
        assert first | rest == told
        assert all(torch.equal(found[name], value) for name, value in weights.items())


@pytest.mark.parametrize("method", STEPWISE)
@pytest.mark.parametrize("name", ["text-classification"])
def test_a_step_in_pieces_is_the_step_of_the_whole(ready: Ready, method: str, tmp_path: Path) -> None:
    one = registry.get(SemiSupervision, method)(threshold=0.0)
    for module in ready.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # masks are drawn piece by piece
    losses = []
    for pieces in (1, 4):
        loop = training(ready, one, tmp_path / str(pieces), batch_size=4 // pieces, accumulation=pieces, epochs=1)
        losses.append(trained(loop)[0][1])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_has_a_line_for_every_method(language: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / language / "few-labels.md").read_text(encoding="utf-8")
    table = page.partition("<!-- methods -->\n")[2].partition("<!-- end methods -->")[0]
    assert sorted(line.split("|")[1].strip(" `") for line in table.splitlines()[2:] if line) == METHODS
