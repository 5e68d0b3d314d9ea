import io
from types import SimpleNamespace

import numpy
import pytest
import torch
from PIL import Image
from transformers import (
    SwinConfig,
    SwinForMaskedImageModeling,
    ViTConfig,
    ViTForMaskedImageModeling,
    ViTImageProcessorPil,
)

from jishi.core.errors import ModelError, RowError
from jishi.objectives.masked_image import MaskedImage

PROCESSOR = ViTImageProcessorPil(size={"height": 32, "width": 32})
CONFIG = ViTConfig(
    hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=4,
    encoder_stride=4,
)  # fmt: skip


def noise(seed=0):
    stream = io.BytesIO()
    pixels = numpy.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return {"image": stream.getvalue()}


def varied(objective, seed=0, training=True):
    return objective.vary(
        objective.encode(noise(seed), PROCESSOR), PROCESSOR, numpy.random.default_rng(seed), training=training
    )


def batch(objective):
    return objective.collate([varied(objective, seed) for seed in range(3)], PROCESSOR)


def vit():
    torch.manual_seed(0)
    return ViTForMaskedImageModeling(CONFIG).eval()


def swin():
    torch.manual_seed(0)
    sizes = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}
    return SwinForMaskedImageModeling(SwinConfig(image_size=32, patch_size=4, encoder_stride=8, **sizes)).eval()


def test_the_share_hidden_is_the_share_asked_for():
    """Of 16 squares 0.6 are 9.6: 9 or 10, and 10 six times in ten."""
    counts = [int(varied(MaskedImage(), seed)["hidden"].sum()) for seed in range(400)]
    assert set(counts) == {9, 10}
    assert abs(numpy.mean(counts) - 9.6) < 3 * (0.6 * 0.4 / 400) ** 0.5


def test_every_square_is_hidden_as_often_as_any_other():
    often = numpy.mean([varied(MaskedImage(), seed)["hidden"] for seed in range(400)], axis=0)
    assert often.shape == (4, 4) and (abs(often - 0.6) < 4 * (0.6 * 0.4 / 400) ** 0.5).all()


def test_pictures_are_cropped_in_training_only_and_hidden_in_both():
    plain = MaskedImage().encode(noise(), PROCESSOR)["pixels"]
    for training in (True, False):
        found = varied(MaskedImage(), training=training)
        assert found["hidden"].any() and (found["pixels"] == plain).all() != training
    assert (varied(MaskedImage(crop=1.0))["pixels"] == plain).all()


@pytest.mark.parametrize(("square", "kind"), [(4, "ViT"), (8, "ViT"), (8, "Swin")])
def test_the_loss_is_that_of_transformers(square, kind):
    objective, model = MaskedImage(square=square), vit() if kind == "ViT" else swin()
    given = batch(objective)
    patches = torch.from_numpy(numpy.kron(given["hidden"].numpy(), numpy.ones((1, square // 4, square // 4)))).bool()
    expected = model(pixel_values=given["pixel_values"], bool_masked_pos=patches.flatten(1)).loss
    found = objective.loss(model, given)
    torch.testing.assert_close(found.value, expected, rtol=1e-5, atol=0)
    assert found.count == given["hidden"].sum()


def test_what_is_shown_has_no_part_in_the_loss():
    objective = MaskedImage()
    given = batch(objective)
    where = torch.from_numpy(numpy.kron(given["hidden"].numpy(), numpy.ones((1, 8, 8)))).bool()[:, None]

    def painter(**_):
        return SimpleNamespace(reconstruction=given["pixel_values"] + torch.where(where, 0.5, 100.0))

    painter.config = SimpleNamespace(patch_size=4)
    assert float(objective.loss(painter, given).value) == pytest.approx(0.5, abs=1e-5)


def test_what_is_hidden_is_not_seen():
    objective, model = MaskedImage(), vit()
    given = batch(objective)
    where = torch.from_numpy(numpy.kron(given["hidden"].numpy(), numpy.ones((1, 8, 8)))).bool()[:, None]
    other = {**given, "pixel_values": torch.where(where, 7.0, given["pixel_values"])}
    assert torch.equal(objective.loss(model, given).outputs, objective.loss(model, other).outputs)


def test_labels_are_not_looked_at_and_what_is_no_picture_is_refused():
    assert set(MaskedImage().parse({**noise(), "label": None})) == {"image"}
    for row, code in (({"text": "a line"}, "no-image"), ({"image": b"none"}, "image-unreadable")):
        with pytest.raises(RowError) as refused:
            MaskedImage().parse(row)
        assert refused.value.code == f"modalities.{code}"


@pytest.mark.parametrize("square", [7, 64])
def test_a_picture_that_squares_do_not_fill_or_too_small_for_one_is_refused(square):
    with pytest.raises(ModelError, match=f"32×32 pixels, which squares of {square} do not fill"):
        MaskedImage(square=square).encode(noise(), PROCESSOR)


def test_squares_that_cut_a_patch_are_refused():
    objective = MaskedImage(square=2)
    with pytest.raises(ModelError, match="multiple of 4"):
        objective.loss(vit(), batch(objective))
