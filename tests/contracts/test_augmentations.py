"""What every way to vary a row promises: it follows its generator, leaves what it is given alone, and never comes to nothing;
what says that it keeps places does; a run that varies rows and was stopped ends where an undisturbed one does."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from eight import Ready, pattern, picture
from jishi.core import registry, script, spec
from jishi.core.contracts import Augmentation, Modality
from jishi.core.document import Document
from jishi.models import heads
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec

WAYS = registry.names(Augmentation)
TEXTS = [
    "东西不错，物流也很快，就是客服态度不太好，还可以吧。",
    "I bought a phone last week, but the screen broke at once; I am not happy.",
    "房间 clean，服务员 friendly，下次还来住", "好", "a", "！", "😀👍",
]  # fmt: skip
GIVEN = {"there": "there", "back": "back", "texts": {text: f"{text} again" for text in TEXTS}}


def made(name: str) -> Any:
    """The way with what it has no default for."""
    cls = registry.get(Augmentation, name)
    fields = {field.name for field in dataclasses.fields(cls)}
    return cls(**({key: value for key, value in GIVEN.items() if key in fields}))


def raws(way: Any) -> list[Any]:
    if way.modality == "text":
        return list(TEXTS)
    read = registry.get(Modality, way.modality)().read
    return [*(read(one(index)) for one in (pattern, picture) for index in range(3)), Image.new("RGB", (1, 1), "red")]


@pytest.mark.parametrize("name", WAYS)
def test_spec_reads_back_what_it_dumped(name: str) -> None:
    assert spec.plugin(Augmentation, Document(spec.dump(made(name)), "test")) == made(name)
    assert name in {
        registry.name_of(one)
        for one in spec.build(TrainSpec, Document({"augment": [spec.dump(made(name))]}, "t")).augment
    }


@pytest.mark.parametrize("name", WAYS)
def test_a_variation_follows_its_generator_and_the_original_stays(name: str) -> None:
    way = made(name)
    differs = 0
    for raw, again in zip(raws(way), raws(way), strict=True):
        drawn = [way.vary(raw, numpy.random.default_rng([3, seed])) for seed in range(8)]
        assert raw == again
        assert drawn == [way.vary(raw, numpy.random.default_rng([3, seed])) for seed in range(8)]
        differs += any(one != raw for one in drawn)
    assert differs


@pytest.mark.parametrize("name", WAYS)
def test_a_variation_is_as_readable_as_the_original(name: str) -> None:
    """A text that is not blank, a picture of the same size and mode; where places are kept, all units stand where they stood."""
    way = made(name)
    read = registry.get(Modality, way.modality)().read
    for raw in raws(way):
        for seed in range(20):
            varied = way.vary(raw, numpy.random.default_rng(seed))
            assert read(varied) == varied
            if way.modality != "text":
                assert varied.size == raw.size and varied.mode == raw.mode
            if way.in_place:
                assert script.units(varied) == script.units(raw)
                assert all(one == other or one.isalpha() for one, other in zip(raw, varied, strict=True))


@pytest.mark.parametrize("name", ["text-classification", "image-classification"])
def test_a_varied_run_that_was_stopped_ends_bit_for_bit_where_an_undisturbed_one_does(
    ready: Ready, tmp_path: Path
) -> None:
    """Every way of the modality at once; worker processes make no difference."""
    column, kind = next(iter(ready.objective.columns.items()))
    rows = ready.rows if kind == "text" else [{**row, column: pattern(place)} for place, row in enumerate(ready.rows)]
    ways = tuple(way for way in map(made, WAYS) if way.modality == kind and not hasattr(way, "there"))
    steps = {"batch_size": 2, "accumulation": 3, "epochs": 2, "max_unknown": 1.0, "precision": "fp32", "threads": 1}

    def trained(
        folder: Path, workers: int = 0, stop_at: int | None = None, **other: Any
    ) -> tuple[dict[int, float], Any]:
        model = copy.deepcopy(ready.model)
        loop = Loop(
            model, ready.objective, ready.processor, TrainSpec(workers=workers, **{**steps, "augment": ways, **other}),
            train=rows, validation=None, head=heads.fresh(model), learning_rate=1e-2, folder=folder, seed=0,
        )  # fmt: skip
        losses = {}
        for event in loop.events():
            if event.kind == "step":
                losses[event.step] = event.values["loss"]
                loop.stop = event.step == stop_at
        return losses, {name: value.detach().clone() for name, value in model.named_parameters()}

    losses, weights = trained(tmp_path / "whole")
    plain, _ = trained(tmp_path / "plain", augment=())
    assert list(losses) == [1, 2, 3, 4] and losses != plain
    for stop_at in (1, 2, 3):
        first, _ = trained(tmp_path / str(stop_at), 0, stop_at)
        rest, found = trained(tmp_path / str(stop_at), workers=2 * (stop_at == 2))
        assert first | rest == losses
        assert all(torch.equal(found[name], value) for name, value in weights.items())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_has_a_line_for_every_way(language: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / language / "augmentation.md").read_text(encoding="utf-8")
    table = page.partition("<!-- ways -->\n")[2].partition("<!-- end ways -->")[0]
    assert sorted(line.split("|")[1].strip(" `") for line in table.splitlines()[2:] if line) == WAYS
