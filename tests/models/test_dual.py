"""Two towers in one space: joined as they are, saved and read again, taken apart, and refused where they don't fit."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, CLIPConfig, CLIPImageProcessorPil, CLIPModel

from eight import TEXTS, pattern
from jishi.core.contracts import Head
from jishi.core.errors import ModelError
from jishi.data import columns
from jishi.models import dual, load
from jishi.models.spec import ModelSpec
from jishi.objectives.contrastive_views import ContrastiveViews
from jishi.objectives.image_text_contrastive import ImageTextContrastive
from jishi.objectives.masked_lm import MaskedLM
from jishi.tasks.image_classification import ImageClassification
from jishi.tasks.text_classification import TextClassification

ROWS = [{"image": pattern(i), "text": text} for i, text in enumerate(TEXTS)]


def built(spec: ModelSpec):
    base = load.base(spec)
    processor = load.processor(spec, ROWS)
    torch.manual_seed(0)
    return load.model(spec, Head(""), base, processor).eval(), processor, base


def saved(folder: Path, name: str) -> Path:
    """A tower with random weights as a base in a folder."""
    spec = ModelSpec(name, size="nano", pooling="mean" if name == "transformer-encoder" else None)
    model, processor, _ = built(spec)
    model.save_pretrained(folder / name)
    processor.save_pretrained(folder / name)
    return folder / name


def batch(processor, base):
    objective = ImageTextContrastive().initialize(ROWS, base)
    return {
        k: v
        for k, v in objective.collate([objective.encode(row, processor) for row in ROWS], processor).items()
        if k != "keys"
    }


def test_towers_are_joined_with_the_weights_they_had(tmp_path):
    text, image = saved(tmp_path, "transformer-encoder"), saved(tmp_path, "vit")
    model, processor, base = built(ModelSpec("dual-encoder", text=str(text), image=str(image)))
    assert base.modality == "image+text" and base.pooling == model.config.pooling == "mean" and not base.fresh
    for name, tower, reader in dual.apart(model, processor):
        alone = AutoModel.from_pretrained(text if name == "text" else image, add_pooling_layer=False)
        assert all(torch.equal(value, tower.state_dict()[key]) for key, value in alone.state_dict().items())
        assert reader is getattr(processor, "tokenizer" if name == "text" else "image_processor")


@pytest.mark.parametrize("image", ["resnet", "vit"])
def test_what_is_saved_says_the_same_when_read_again(tmp_path, image):
    model, processor, base = built(ModelSpec("dual-encoder", size="nano", image=image))
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, reader = load.reload(tmp_path, "")
    found = load.base(ModelSpec(str(tmp_path)))
    assert (found.modality, found.pooling, found.max_length) == (base.modality, base.pooling, 512)
    with torch.inference_mode():
        before, after = model(**batch(processor, base)), again(**batch(reader, found))
    assert torch.equal(before.text_embeds, after.text_embeds) and torch.equal(before.image_embeds, after.image_embeds)
    assert not torch.allclose(before.text_embeds[0], before.text_embeds[1])


def test_vectors_are_the_projected_means_of_the_states():
    model, processor, base = built(ModelSpec("dual-encoder", size="nano", pooling="mean"))
    inputs = batch(processor, base)
    said = model(**inputs)
    place = 3
    length = int(inputs["attention_mask"][place].sum())
    words = model.towers["text"](input_ids=inputs["input_ids"][place : place + 1, :length]).last_hidden_state[0]
    maps = model.towers["image"](inputs["pixel_values"][place : place + 1]).last_hidden_state[0]
    for own, states, side in (
        (said.text_embeds, words.mean(0), model.text_projection), (said.image_embeds, maps.mean((1, 2)), model.visual_projection)
    ):  # fmt: skip
        projected = side.weight @ states
        torch.testing.assert_close(own[place], projected / projected.norm(), rtol=0, atol=1e-5)


def test_a_clip_folder_of_transformers_is_read_and_asked_too(tmp_path):
    _, words, _ = built(ModelSpec("transformer-encoder", size="nano"))
    words.model_input_names = ["input_ids", "attention_mask"]
    slim = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = CLIPConfig(
        text_config={**slim, "vocab_size": len(words), "max_position_embeddings": 40, "eos_token_id": words.sep_token_id},
        vision_config={**slim, "image_size": 32, "patch_size": 8}, projection_dim=16,
    )  # fmt: skip
    CLIPModel(config).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(tmp_path)
    model, processor, base = built(ModelSpec(str(tmp_path)))
    assert type(model) is CLIPModel and base.modality == "image+text" and base.max_length == 40
    objective = ImageTextContrastive().initialize(ROWS, base)
    features = [objective.encode(row, processor) for row in ROWS]
    assert objective.loss(model, objective.collate(features, processor)).value.isfinite()


def test_who_reads_what():
    both, eyes, words = (load.base(ModelSpec(name)) for name in ("dual-encoder", "vit", "transformer-encoder"))
    columns.check_reader(ImageTextContrastive(), both)
    for objective, base, said in [
        (ImageTextContrastive(), eyes, "vit reads image.*image, text"),
        (ImageTextContrastive(), words, "transformer-encoder reads text.*image, text"),
        (ContrastiveViews(), words, "transformer-encoder reads text"),
        (MaskedLM(), eyes, "vit reads image"),
    ]:
        with pytest.raises(ModelError, match=said):
            columns.check_reader(objective, base)


@pytest.mark.parametrize("objective", [TextClassification(labels=("a", "b")), ImageClassification(labels=("a", "b"))])
def test_a_head_goes_onto_a_tower_and_not_onto_both(tmp_path, objective):
    model, processor, _ = built(ModelSpec("dual-encoder", size="nano"))
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    for name in ("dual-encoder", str(tmp_path)):
        spec = ModelSpec(name)
        with pytest.raises(ModelError, match="halves are adapted apart"):
            load.model(spec, objective.head(), load.base(spec), processor)


def test_towers_that_do_not_fit_are_refused():
    for spec, said in [
        (ModelSpec("dual-encoder", text="vit"), "vit reads image and can't be .* model.text"),
        (ModelSpec("dual-encoder", image="lstm"), "lstm reads text and can't be .* model.image"),
        (ModelSpec("resnet", image="vit"), "resnet has no towers .* dual-encoder"),
    ]:
        with pytest.raises(ModelError, match=said):
            load.base(spec)
