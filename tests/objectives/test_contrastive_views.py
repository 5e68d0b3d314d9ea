import io
import math
from types import SimpleNamespace

import numpy
import pytest
import torch
from PIL import Image
from transformers import ViTImageProcessorPil

from jishi.core.contracts import Base
from jishi.core.errors import DataError, RowError
from jishi.objectives.contrastive_views import ContrastiveViews

PROCESSOR = ViTImageProcessorPil(size={"height": 16, "width": 16})
BASE = Base("resnet", "image")
STILL = ContrastiveViews(crop=1.0, light=0.0, colour=0.0, grey=0.0, rotation=0.0)


def noise(seed=0):
    stream = io.BytesIO()
    pixels = numpy.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return {"image": stream.getvalue()}


def views(objective, seed=0, training=True):
    features = objective.encode(noise(), PROCESSOR)
    return objective.vary(features, PROCESSOR, numpy.random.default_rng(seed), training=training)["views"]


def test_the_loss_by_hand():
    """Two pictures, four views on the unit circle; each looks for its partner among three."""
    angles = [0.0, 0.5, 2.0, 2.2]
    vectors = torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles])

    def one(place, partner):
        raised = {
            other: math.exp(math.cos(angles[place] - angles[other]) / 0.5) for other in range(4) if other != place
        }
        return -math.log(raised[partner] / sum(raised.values()))

    expected = (one(0, 1) + one(1, 0) + one(2, 3) + one(3, 2)) / 4
    found = ContrastiveViews(temperature=0.5).compare([vectors[:2], vectors[2:]], [])
    assert float(found.value) == pytest.approx(expected, rel=1e-5)
    assert found.parts == {"found": 1.0}


def test_a_picture_is_represented_by_the_unit_vectors_of_its_own_two_views():
    features = [
        {
            **STILL.encode(noise(seed), PROCESSOR),
            "views": [numpy.full((3, 16, 16), 10 * seed + view) for view in (0, 1)],
        }
        for seed in range(3)
    ]
    seen = STILL.collate(features, PROCESSOR)["pixel_values"]
    assert seen.shape == (6, 3, 16, 16)

    def model(pixel_values):
        brightness = pixel_values[:, 0, 0, 0]  # 0..255 brought to -1..1
        return SimpleNamespace(logits=torch.stack([brightness, torch.ones_like(brightness)], dim=1))

    found = STILL.represent(model, {"pixel_values": seen})
    expected = torch.tensor([[value / 127.5 - 1, 1.0] for value in (0, 1, 10, 11, 20, 21)])
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(torch.stack(found), expected.view(3, 2, 2))


def test_views_differ_and_follow_the_generator_in_validation_too():
    for training in (True, False):
        first, second = views(ContrastiveViews(), training=training)
        assert (first != second).any()
        assert (first == views(ContrastiveViews(), training=training)[0]).all()
        assert (first != views(ContrastiveViews(), seed=1, training=training)[0]).any()


def test_with_every_variation_off_both_views_are_the_picture():
    plain = STILL.encode(noise(), PROCESSOR)["pixels"]
    assert all((view == plain).all() for view in views(STILL))


@pytest.mark.parametrize("change", [{"crop": 0.5}, {"light": 0.5}, {"colour": 0.5}, {"grey": 1.0}, {"rotation": 20.0}])
def test_each_variation_is_an_option(change):
    from dataclasses import replace

    plain = STILL.encode(noise(), PROCESSOR)["pixels"]
    assert all((view != plain).any() for view in views(replace(STILL, **change)))


def test_views_are_mirrored_only_when_asked():
    from dataclasses import replace

    plain = STILL.encode(noise(), PROCESSOR)["pixels"]
    seen = [view for seed in range(20) for view in views(replace(STILL, flip=True), seed=seed)]
    mirrored = [(view == plain[:, :, ::-1]).all() for view in seen]
    assert 0 < sum(mirrored) < len(seen) and all((view == plain).all() for view in views(STILL, seed=3))


def test_a_picture_alone_has_nothing_to_be_held_against():
    with pytest.raises(DataError, match="1 are left to train on"):
        ContrastiveViews().initialize([noise()], BASE)
    assert ContrastiveViews().initialize([noise(0), noise(1)], BASE) == ContrastiveViews()


def test_what_is_no_picture_is_refused():
    assert set(ContrastiveViews().parse({**noise(), "label": 3})) == {"image"}
    for row in ({"text": "a line"}, {"image": b"none"}):
        with pytest.raises(RowError):
            ContrastiveViews().parse(row)
