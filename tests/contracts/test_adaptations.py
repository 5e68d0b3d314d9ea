"""What every adaptation promises on every family of backbones, and the plainest on every objective: frozen weights stay
bit-equal, the head moves, merging changes no answer, what is saved answers alike, a stopped run ends where another would."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from eight import FAMILIES, ROWS, Ready
from jishi.core import bundle, registry, spec
from jishi.core.contracts import Adaptation, Objective, Task
from jishi.core.document import Document
from jishi.core.errors import ModelError
from jishi.models import adapters, heads, learnt, load
from jishi.models.inference import outputs
from jishi.models.shared import Shared
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from jishi.training import random_state
from jishi.training.loop import Loop
from jishi.training.optimizer import in_modules
from jishi.training.spec import TrainSpec

ADAPTATIONS = registry.names(Adaptation)
EVERYWHERE = ("full", "frozen", "lora")
TASKS = [(method, name) for method in EVERYWHERE for name in registry.names(Task)]
EVERY = [(EVERYWHERE[0], name) for name in registry.names(Objective)]
FAMILY = [(method, name) for method in ADAPTATIONS for name in FAMILIES]
REST = [pair for pair in FAMILY if pair[0] not in EVERYWHERE]
# Eight rows in batches of two, three batches a step: two steps an epoch, the second of one batch; four steps in all.
STEPS = {"batch_size": 2, "accumulation": 3, "epochs": 2, "max_unknown": 1.0, "precision": "fp32", "threads": 1}


@pytest.mark.parametrize("method", ADAPTATIONS)
def test_spec_reads_back_what_it_dumped(method: str) -> None:
    plugin = registry.get(Adaptation, method)()
    assert spec.plugin(Adaptation, Document(spec.dump(plugin), "test")) == plugin


@pytest.mark.parametrize(("method", "name"), TASKS + REST)
def test_only_what_should_learn_moves_and_merging_changes_no_answer(method: str, ready: Ready, tmp_path: Path) -> None:
    adaptation = registry.get(Adaptation, method)()
    if not adaptation.supports(ready.objective):
        pytest.skip(f"{method} does not support {type(ready.objective).__name__}")
    head = heads.fresh(ready.model)
    names = {name for name, _ in ready.model.named_parameters()}
    try:
        model = adaptation.apply(ready.model, ready.objective)
    except ModelError as refused:  # a model that writes has no fresh head
        pytest.skip(str(refused))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    learns = {name for name, value in model.named_parameters() if value.requires_grad}
    train = TrainSpec(max_steps=3, epochs=3, batch_size=8, max_unknown=1.0)
    loop = Loop(
        model, ready.objective, ready.processor, train,
        train=ready.rows, validation=None, head=head, learning_rate=adaptation.learning_rate, folder=tmp_path, seed=0,
        adaptation=adaptation,
    )  # fmt: skip
    for _ in loop.events(resume=False):
        pass
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved <= learns
    assert moved and (not head or any(in_modules(name, head) for name in moved))
    features = [ready.objective.encode(row, ready.processor) for row in ready.rows]
    adapted = outputs(ready.objective, model, features, ready.processor)
    merged = adaptation.merge(model)
    added = {name for name, _ in merged.named_parameters()} - names
    assert names <= {name for name, _ in merged.named_parameters()} and bool(added) == adaptation.beside
    for old, new in zip(adapted, outputs(ready.objective, merged, features, ready.processor), strict=True):
        if (
            ready.objective.generates
        ):  # the texts, as far as no rounding may decide; margins are differences of long sums
            tossed = (old[:, 2] < 1e-2).nonzero().flatten().tolist()
            old, new = (rows[: tossed[0] if tossed else len(rows), :2] for rows in (old, new))
        torch.testing.assert_close(new, old, rtol=0, atol=1e-4 if ready.objective.generates else 1e-5)


@pytest.mark.parametrize(("method", "name"), FAMILY)
def test_a_bundle_read_back_answers_as_what_was_trained(method: str, ready: Ready, tmp_path: Path) -> None:
    adaptation = registry.get(Adaptation, method)()
    adaptation = adaptation.initialize(ready.processor)
    try:
        model = adaptation.apply(ready.model, ready.objective)
    except ModelError as refused:  # the model has no place for it
        pytest.skip(str(refused))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn_like(weight)
    merged = adaptation.merge(model)
    features = [ready.objective.encode(row, ready.processor) for row in ready.rows]
    answers = outputs(ready.objective, merged, features, ready.processor)
    path = tmp_path / "bundle"
    record = {"task": spec.dump(ready.objective), "adaptation": spec.dump(adaptation)}
    kept = adapters.Apart(merged) if adaptation.beside else merged
    bundle.write(path, model=kept, processor=ready.processor, record=record, probes=[], card="")
    read = Predictor.load(path)
    for old, new in zip(answers, outputs(ready.objective, read.model, features, read.processor), strict=True):
        torch.testing.assert_close(new, old, rtol=0, atol=1e-6)
    assert (path / "adapter.safetensors").exists() == adaptation.beside


@pytest.mark.parametrize(("method", "name"), FAMILY)
def test_an_adapter_answers_on_its_base_as_what_was_trained(method: str, ready: Ready, tmp_path: Path) -> None:
    """Weights that learn and statistics that move are all that differs; on a base in memory nothing else is held."""
    origin = ModelSpec(str(tmp_path / "base"))
    ready.model.save_pretrained(tmp_path / "base")
    ready.processor.save_pretrained(tmp_path / "base")
    adaptation = registry.get(Adaptation, method)().initialize(ready.processor)
    try:
        model = load.model(origin, ready.objective.head(), load.base(origin), ready.processor)
        model = adaptation.apply(model, ready.objective)
    except ModelError as refused:  # the model has no place for it
        pytest.skip(str(refused))
    with torch.no_grad():
        for name, value in model.state_dict(keep_vars=True).items():
            if value.requires_grad or name.endswith("running_mean"):
                value += 0.05 * torch.randn_like(value)
    features = [ready.objective.encode(row, ready.processor) for row in ready.rows]
    answers = outputs(ready.objective, learnt.plain(model), features, ready.processor)
    path = tmp_path / "bundle"
    record = {
        "task": spec.dump(ready.objective), "adaptation": spec.dump(adaptation), "model": spec.dump(origin),
        "base": learnt.base(origin, path),
    }  # fmt: skip
    bundle.write(path, model=learnt.Learnt(model, "base"), processor=None, record=record, probes=[], card="")
    shared = Shared()
    both = [Predictor.load(path, shared=shared) for _ in range(2)]
    for read in both:
        for old, new in zip(answers, outputs(ready.objective, read.model, features, read.processor), strict=True):
            torch.testing.assert_close(new, old, rtol=0, atol=1e-6)
    one, other = ({id(weight): weight for weight in read.model.parameters()} for read in both)
    common = [one[weight] for weight in one.keys() & other.keys()]
    assert not any(weight.requires_grad for weight in common)
    still = sum(weight.numel() for weight in one.values() if not weight.requires_grad)
    assert sum(weight.numel() for weight in common) >= 0.95 * still  # a method may keep a few numbers of its own still


@pytest.mark.parametrize(("method", "name"), EVERY + FAMILY)
def test_a_run_that_was_stopped_ends_bit_for_bit_where_an_undisturbed_one_does(
    method: str, ready: Ready, tmp_path: Path
) -> None:
    """Stopped after the first step, at the end of an epoch and at the start of the next; worker processes make no difference.

    Losses, weights, buffers, what the optimizer holds, and every random state.
    """
    adaptation = registry.get(Adaptation, method)()
    if not adaptation.supports(ready.objective):
        pytest.skip(f"{method} does not support {type(ready.objective).__name__}")

    def trained(
        folder: Path, workers: int, stop_at: int | None = None
    ) -> tuple[dict[int, float], dict[str, torch.Tensor], dict[str, Any]]:
        model = copy.deepcopy(ready.model)
        for layer in model.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.3  # so that the random state matters
        head = heads.fresh(model) if isinstance(ready.objective, Task) else []
        with torch.random.fork_rng():
            torch.manual_seed(0)  # an adaptation draws its fresh weights
            try:
                model = adaptation.apply(model, ready.objective)
            except ModelError as refused:  # the model has no place for it
                pytest.skip(str(refused))
        loop = Loop(
            model, ready.objective, ready.processor, TrainSpec(workers=workers, **STEPS),
            train=ready.rows, validation=None, head=head, learning_rate=1e-2, folder=folder, seed=0,
            adaptation=adaptation,
        )  # fmt: skip
        losses = {}
        for event in loop.events():
            if event.kind == "step":
                losses[event.step] = event.values["loss"]
                loop.stop = event.step == stop_at
        held = loop.optimizer.state_dict()["state"]
        averages = {f"{number} {name}": value for number, state in held.items() for name, value in state.items()}
        state = {**dict(model.named_parameters()), **dict(model.named_buffers()), **averages}
        return losses, {name: value.detach().clone() for name, value in state.items()}, random_state.read()

    losses, state, random = trained(tmp_path / "whole", workers=0)
    assert list(losses) == [1, 2, 3, 4]
    for stop_at in (1, 2, 3):
        first, *_ = trained(tmp_path / str(stop_at), 0, stop_at)
        torch.manual_seed(99)
        rest, found, drawn = trained(tmp_path / str(stop_at), workers=2 * (stop_at == 2))
        assert first | rest == losses and drawn == random
        assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_documented_families_are_those_that_have_a_place_for_a_method(language: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / language / "adaptation.md").read_text(encoding="utf-8")
    table = page.partition("<!-- families -->\n")[2].partition("<!-- end families -->")[0]
    found = {
        line.split("|")[1].strip(): [cell.strip() == "✓" for cell in line.split("|")[2:-1]]
        for line in table.splitlines()
    }
    assert found == {f"`{method}`": [_fits(method, *FAMILIES[name]) for name in FAMILIES] for method in ADAPTATIONS}


def _fits(method: str, name: str, design: ModelSpec) -> bool:
    adaptation, objective = registry.get(Adaptation, method)(), registry.get(Objective, name)()
    rows = [objective.parse(row) for row in ROWS[name]]
    base, processor = load.base(design), load.processor(design, rows, objective.marks)
    objective = objective.initialize(rows, base)
    try:
        adaptation.apply(load.model(design, objective.head(), base, processor), objective)
    except ModelError:
        return False
    return adaptation.supports(objective)
