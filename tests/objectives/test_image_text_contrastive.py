import hashlib
import math

import numpy
import pytest
import torch

from eight import TEXTS, pattern
from jishi.core.contracts import Base
from jishi.core.errors import DataError, RowError
from jishi.models import dual, load
from jishi.models.spec import ModelSpec
from jishi.objectives.image_text_contrastive import HOTTEST, ImageTextContrastive

SPEC = ModelSpec("dual-encoder", size="nano", dropout=0.0)
ROWS = [{"image": pattern(i), "text": TEXTS[i]} for i in range(4)]
BASE = Base("dual-encoder", dual.READS)


def ready(rows=ROWS):
    objective = ImageTextContrastive().initialize(rows, BASE)
    processor = load.processor(SPEC, rows)
    torch.manual_seed(0)
    model = load.model(SPEC, objective.head(), load.base(SPEC), processor).eval()
    return objective, processor, model, [objective.encode(row, processor) for row in rows]


def test_the_loss_by_hand():
    """Two texts and two pictures on the unit circle, cosines multiplied by 3."""
    texts, pictures = [0.0, 1.0], [0.2, 2.0]
    close = [[3 * math.cos(text - picture) for picture in pictures] for text in texts]

    def one(values, right):
        return -math.log(math.exp(values[right]) / sum(map(math.exp, values)))

    columns = list(zip(*close, strict=True))
    expected = (one(close[0], 0) + one(close[1], 1) + one(columns[0], 0) + one(columns[1], 1)) / 4
    rows = [
        torch.tensor([[3 * math.cos(text), 3 * math.sin(text)], [math.cos(picture), math.sin(picture)]])
        for text, picture in zip(texts, pictures, strict=True)
    ]
    keys = [{"keys": torch.tensor([[1, 11]])}, {"keys": torch.tensor([[2, 12]])}]
    found = ImageTextContrastive().compare(rows, keys)
    assert float(found.value) == pytest.approx(expected, rel=1e-5)
    assert found.parts == {"found": 0.5}  # 1.0 lies 0.8 from the first picture and 1.0 from its own


def test_rows_with_the_same_text_or_picture_are_right_for_each_other():
    """Of four rows the first two share their text, and the last two their picture; half of what is wanted goes to either."""
    vectors = numpy.random.default_rng(0).normal(size=(4, 2, 3))
    close = vectors[:, 0] @ vectors[:, 1].T
    right = numpy.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]) / 2

    def missed(table):
        return -(right * (table - numpy.log(numpy.exp(table).sum(1, keepdims=True)))).sum(1).mean()

    keys = {"keys": torch.tensor([[1, 11], [1, 12], [2, 13], [3, 13]])}
    found = ImageTextContrastive().compare(list(torch.from_numpy(vectors)), [keys])
    assert float(found.value) == pytest.approx((missed(close) + missed(close.T)) / 2, rel=1e-5)
    assert found.parts["found"] == numpy.mean([right[row, close[row].argmax()] > 0 for row in range(4)])


def test_keys_tell_texts_and_pictures_apart_in_every_process():
    twice = [*ROWS[:2], {"image": pattern(0), "text": TEXTS[1]}]
    _, _, _, features = ready(twice)
    keys = numpy.stack([row["keys"] for row in features])
    assert keys[0, 1] == keys[2, 1] and keys[1, 0] == keys[2, 0]
    assert len({*keys[:2, 0], *keys[:2, 1]}) == 4
    digest = hashlib.blake2b(features[0]["pixels"].tobytes(), digest_size=8).digest()
    assert int.from_bytes(digest, "little", signed=True) == keys[0, 1]


def test_a_row_is_represented_as_alone_and_its_text_as_long_as_the_scale():
    objective, processor, model, features = ready()
    together = objective.represent(model, objective.collate(features, processor))
    for row, found in zip(features, together, strict=True):
        alone = objective.represent(model, objective.collate([row], processor))[0]
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)
        assert found[0].norm().item() == pytest.approx(1 / 0.07, rel=1e-4)
        assert found[1].norm().item() == pytest.approx(1, rel=1e-5)
    model.logit_scale.data.fill_(9.0)
    hottest = objective.represent(model, objective.collate(features, processor))[0]
    assert hottest[0].norm().item() == pytest.approx(HOTTEST, rel=1e-4)


def test_pictures_vary_in_training_only():
    objective, processor, _, features = ready()
    rng = numpy.random.default_rng(0)
    assert objective.vary(features[0], processor, rng, training=False)["pixels"] is features[0]["pixels"]
    shown = objective.vary(features[0], processor, rng, training=True)
    assert (shown["pixels"] != features[0]["pixels"]).any() and shown["keys"] is features[0]["keys"]


def test_what_can_not_be_learnt_from_is_told():
    with pytest.raises(DataError, match="1 are left to train on"):
        ImageTextContrastive().initialize(ROWS[:1], BASE)
    with pytest.raises(RowError, match="text"):
        ImageTextContrastive().parse({"image": pattern(0), "text": " "})
    with pytest.raises(RowError, match="picture"):
        ImageTextContrastive().parse({"image": b"no picture", "text": "one"})
