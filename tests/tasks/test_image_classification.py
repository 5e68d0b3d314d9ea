import io
import json

import numpy
import pytest
import torch
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from conftest import DATA
from jishi.core.contracts import Base
from jishi.core.errors import DataError, RowError
from jishi.tasks.image_classification import ImageClassification

BASE = Base("tiny", "image")


def processor(side=16):
    return ViTImageProcessorPil(size={"height": side, "width": side})


def stripes(across, shift=0):
    """A picture of stripes, the bytes of its PNG."""
    wave = 255 * (numpy.indices((24, 24))[1 if across else 0] + shift) // 4 % 2 * 255
    stream = io.BytesIO()
    Image.fromarray(wave.astype(numpy.uint8)).save(stream, "PNG")
    return stream.getvalue()


ROWS = [{"image": stripes(shift % 2, shift), "label": ["down", "across"][shift % 2]} for shift in range(8)]


def test_rows_are_opened_before_training_and_labels_are_words():
    task = ImageClassification()
    assert task.parse({"image": stripes(True), "label": 3})["label"] == "3"
    for row in ({"image": b"none", "label": "a"}, {"image": stripes(True)}, {"label": "a"}):
        with pytest.raises(RowError):
            task.parse(row)
    assert task.parse({"image": b"none"}, training=False) == {"image": b"none"}  # refused when it is encoded
    with pytest.raises(RowError):
        task.encode({"image": b"none"}, processor())


def test_initialize_sorts_the_labels_and_refuses_one_class():
    assert ImageClassification().initialize(ROWS, BASE).labels == ("across", "down")
    with pytest.raises(DataError):
        ImageClassification().initialize(ROWS[:1], BASE)


def test_encoding_then_collating_is_what_the_processor_does_at_once():
    task = ImageClassification(labels=("across", "down"))
    features = [task.encode(row, processor()) for row in ROWS[:2]]
    assert features[0]["pixels"].dtype == numpy.uint8
    assert features[0]["pixels"].shape == (3, 16, 16)
    pictures = [Image.open(io.BytesIO(row["image"])).convert("RGB") for row in ROWS[:2]]
    expected = processor()(images=pictures, return_tensors="pt")["pixel_values"]
    batch = task.collate(features, processor())
    assert torch.allclose(batch["pixel_values"], expected, atol=1e-6)
    assert batch["labels"].tolist() == [1, 0]


def test_only_training_pictures_vary_and_by_the_generator_alone():
    task = ImageClassification(labels=("across", "down"))
    features = task.encode(ROWS[0], processor())

    def varied(seed, training=True, task=task):
        return task.vary(features, processor(), numpy.random.default_rng(seed), training=training)["pixels"]

    assert (varied(1) == varied(1)).all()
    assert (varied(1) != varied(2)).any()
    assert varied(1).shape == features["pixels"].shape
    for same in (varied(1, training=False), varied(1, task=ImageClassification(augment=False))):
        assert (same == features["pixels"]).all()


def test_eight_pictures_can_be_learnt_by_heart():
    task = ImageClassification().initialize(ROWS, BASE)
    torch.manual_seed(0)
    model = ViTForImageClassification(
        ViTConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=16, patch_size=4,
            num_labels=2,
        )
    ).eval()  # fmt: skip
    batch = task.collate([task.encode(row, processor()) for row in ROWS], processor())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = task.loss(model, batch).value
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 10
    answers = task.decode(task.forward(model, batch), [{}] * 8, None)
    assert task.score(answers, ROWS)["accuracy"] == 1
    assert task.details(answers, ROWS)["confusion"]["matrix"] == [[4, 0], [0, 4]]
    assert task.calibrate(task.forward(model, batch), ROWS).temperature < 1


def test_the_baseline_sees_directions():
    task = ImageClassification()
    rival = task.baseline(ROWS)
    assert rival.name == "gradient histograms + logistic regression"
    unseen = [{"image": stripes(True, 11), "label": "across"}, {"image": stripes(False, 10), "label": "down"}]
    assert task.score(rival.predict(unseen), unseen)["accuracy"] == 1


@pytest.mark.data
def test_the_baseline_reads_real_signs():
    def rows(part, count):
        lines = (DATA / "sign_digits" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        read = map(json.loads, lines)
        return [{"image": str(DATA / "sign_digits" / row["image"]), "label": str(row["label"])} for row in read]

    task, test = ImageClassification(), rows("test", 100)
    assert task.score(task.baseline(rows("train", 300)).predict(test), test)["accuracy"] > 0.7
