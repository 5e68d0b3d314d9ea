"""What every design of the folder promises at its smallest, with an objective that it can be trained with."""

from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
import transformers

from eight import ROWS
from jishi.core import registry
from jishi.core.contracts import Objective
from jishi.core.errors import ModelError
from jishi.models import load
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.generate import generate
from jishi.models.scratch import _design
from jishi.models.spec import ModelSpec
from jishi.training.loop import Loop
from jishi.training.packing import packable, packed
from jishi.training.spec import TrainSpec

DESIGNS = _design.names()
SIZES = get_args(get_type_hints(ModelSpec)["size"])
OBJECTIVES = ("translation", "masked-lm", "causal-lm", "text-classification", "image-classification")


def ready(name: str, times: int = 1):
    """A design with the first objective that it has a head for, and its eight rows; texts are said so many times."""
    spec = ModelSpec(name, size="nano", dropout=0.0)
    base = load.base(spec)
    for asked in OBJECTIVES:
        objective = registry.get(Objective, asked)()
        if base.modality not in objective.columns.values():
            continue
        kept = [
            objective.parse({**row, **{key: row[key] * times for key in row if key == "text"}}) for row in ROWS[asked]
        ]
        processor = load.processor(spec, kept)
        objective = objective.initialize(kept, base)
        torch.manual_seed(0)
        try:
            model = load.model(spec, objective.head(), base, processor)
        except ModelError:
            continue
        return SimpleNamespace(objective=objective, rows=kept, model=model.eval(), processor=processor)
    raise AssertionError(f"{name} can be trained with none of {OBJECTIVES}")


def batch(made):
    objective, processor = made.objective, made.processor
    return objective.collate(
        [
            objective.vary(objective.encode(row, processor), processor, np.random.default_rng(place), training=False)
            for place, row in enumerate(made.rows)
        ],
        processor,
    )


def loss(made) -> float:
    with torch.no_grad():
        return float(made.objective.loss(made.model.eval(), batch(made)).value)


@pytest.mark.parametrize("name", DESIGNS)
def test_it_learns_eight_rows(name: str, tmp_path: Path) -> None:
    made = ready(name)
    before = loss(made)
    train = TrainSpec(
        max_steps=240, epochs=240, batch_size=8, learning_rate=3e-3, scheduler="constant", max_unknown=1.0, threads=1,
        precision="fp32", checkpoint_every=10**6,
    )  # fmt: skip
    loop = Loop(
        made.model, made.objective, made.processor, train,
        train=made.rows, validation=None, head=[], learning_rate=1e-3, folder=tmp_path, seed=0,
    )  # fmt: skip
    for event in loop.events(resume=False):
        if event.kind == "step" and event.step % 10 == 0 and loss(made) < before / 2:
            return
        made.model.train()
    pytest.fail(f"the loss went from {before:.3f} to {loss(made):.3f} only")


@pytest.mark.parametrize("name", DESIGNS)
def test_it_is_saved_and_read_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    made = ready(name)
    expected = made.objective.loss(made.model, batch(made)).outputs
    made.model.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    again, _ = load.reload(tmp_path, made.objective.head().architecture)
    before, after = made.model.state_dict(), again.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[key], value) for key, value in before.items())
    torch.testing.assert_close(made.objective.loss(again, batch(made)).outputs, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("times", [1, 20])
@pytest.mark.parametrize("name", DESIGNS)
def test_it_is_packed_only_where_that_changes_nothing(name: str, times: int) -> None:
    """A row of over 64 tokens tells a block that sees its neighbourhood only from one that sees all."""
    made = ready(name, times)
    given = batch(made)
    if not packable(made.model, made.objective, given):
        pytest.skip("it is not packed")
    found = []
    for pack in (False, True):
        made.model.zero_grad()
        with packed(made.model, given) if pack else torch.enable_grad():
            value = made.objective.loss(made.model, given).value
            value.backward()
        found.append((value.detach(), {key: weight.grad for key, weight in made.model.named_parameters()}))
    (plain, expected), (value, gradients) = found
    torch.testing.assert_close(value, plain, atol=1e-5, rtol=1e-5)
    for key, gradient in expected.items():
        torch.testing.assert_close(gradients[key], gradient, atol=1e-5, rtol=1e-4)


WRITERS = [name for name in DESIGNS if _design.get(name).modality == "text"]


@pytest.mark.parametrize("name", WRITERS)
def test_what_it_writes_does_not_hang_on_the_cache(name: str) -> None:
    """Held to the whole text read anew for every token, without padding and without keys and values kept."""
    made = ready(name)
    if not hasattr(made.model, "generate") or made.model.get_output_embeddings() is None or not writes(made.model):
        pytest.skip("it does not write")
    with torch.no_grad():
        for weight in made.model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    words = made.processor(["今天天气很好", "他住在北京 now"], return_tensors="pt", padding=True)
    asked = {key: words[key] for key in ("input_ids", "attention_mask")}
    found = generate(made.model, asked, Decoding(method="greedy", max_new_tokens=12), Ends(None, frozenset()))
    for row, output in enumerate(found):
        prompt = asked["input_ids"][row][asked["attention_mask"][row].bool()]
        assert output[:, 0].long().tolist() == by_hand(made.model, prompt, 12)


def writes(model) -> bool:
    return model.config.is_encoder_decoder or type(model) in transformers.AutoModelForCausalLM._model_mapping.values()


@torch.no_grad()
def by_hand(model, prompt, count: int) -> list[int]:
    start = torch.tensor([model.config.decoder_start_token_id]) if model.config.is_encoder_decoder else prompt
    for _ in range(count):
        given = {"input_ids": prompt[None], "decoder_input_ids": start[None]}
        given = given if model.config.is_encoder_decoder else {"input_ids": start[None]}
        start = torch.cat([start, model(**given, use_cache=False).logits[0, -1].argmax()[None]])
    return start[-count:].tolist()


@pytest.mark.parametrize("name", DESIGNS)
def test_sizes_grow(name: str) -> None:
    """Shapes only, so that no weight of a base is made."""
    spec = ModelSpec(name)
    processor = load.processor(spec, [{"text": "今天的天气真好 the weather is lovely"}])
    counts = []
    for size in SIZES:
        with torch.device("meta"):
            model = transformers.AutoModel.from_config(_design.get(name).config(size, processor))
        counts.append(sum(weight.numel() for weight in model.parameters()))
    assert counts == sorted(set(counts)) and len(counts) == 5
