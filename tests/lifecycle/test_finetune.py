"""The main job end to end, for text and for pictures, on models small enough for a test."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import jishi
import tiny
from eight import picture
from jishi.core import bundle, registry
from jishi.core.contracts import Adaptation
from jishi.core.errors import BundleError, DataError, ModelError, TrainingError
from jishi.predictor import Predictor

GOOD = ["很好用", "质量很好", "非常满意", "值得购买", "works well", "love it", "great value", "very good"]
BAD = ["太差了", "质量很差", "非常失望", "不值得买", "does not work", "hate it", "bad value", "very bad"]
WORDS = tiny.tokenizer(" ".join([*GOOD, *BAD]))
SMALL: dict[str, Any] = {
    "model": {"name": "text-cnn", "size": "nano"},
    "train": {"epochs": 6, "batch_size": 16, "learning_rate": 3e-3},
}


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Sixty-four different sentences of two plain kinds."""
    file = tmp_path / "reviews.jsonl"
    rows = [
        {"text": f"{text} {number}", "label": label}
        for label, texts in (("good", GOOD), ("bad", BAD))
        for text in texts
        for number in range(8)
    ]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def test_text_becomes_a_bundle_that_answers_as_evaluated(reviews: Path, tmp_path: Path) -> None:
    run = jishi.finetune(data=reviews, out=tmp_path / "run", task="text-classification", **SMALL)
    assert run.bundle is not None
    assert run.evaluation["scores"]["accuracy"]["value"] >= 0.9
    assert set(run.evaluation["rivals"]) == {run.baseline, "untuned"}
    predictor = jishi.load(run.bundle)
    replay = predictor.replay()
    assert replay.flips == 0 and replay.rows > 0
    assert [answer["label"] for answer in predictor.predict(["非常满意 3", "bad value 5"])] == ["good", "bad"]
    for name in ("spec.yaml", "metrics.jsonl", "run.json", "report.html", "evaluation.json"):
        assert (run.folder / name).is_file(), name
    again = jishi.evaluate(bundle=run.bundle, data=reviews)
    assert again["rows"] == 128


def test_what_can_not_be_folded_in_goes_with_the_bundle_and_is_no_base(reviews: Path, tmp_path: Path) -> None:
    small = {**SMALL, "model": {"name": "modernbert", "size": "nano"}, "train": {**SMALL["train"], "epochs": 8}}
    adapt = {"name": "prompt-tuning", "text": "good or bad"}
    run = jishi.finetune(data=reviews, out=tmp_path / "run", task="text-classification", adapt=adapt, **small)
    assert run.bundle is not None
    predictor = jishi.load(run.bundle)
    assert predictor.replay().flips == 0
    assert (run.bundle / "adapter.safetensors").is_file()
    record = json.loads((run.bundle / "jishi.json").read_text(encoding="utf-8"))
    assert record["format"] == bundle.FORMAT and record["adaptation"]["ids"]
    with torch.no_grad():
        predictor.model.get_submodule("backbone.adapter").words.neg_()
    with pytest.raises(BundleError):  # the probes see the adapter
        predictor.replay()
    with pytest.raises(ModelError, match="holds an adapter beside its model"):
        jishi.finetune(data=reviews, model=str(run.bundle), out=tmp_path / "again", task="text-classification")


def test_an_adapter_answers_as_the_whole_model_of_the_same_run_and_tells_what_it_saves(
    reviews: Path, tmp_path: Path
) -> None:
    tiny.masked_lm(len(WORDS)).save_pretrained(tmp_path / "base")
    WORDS.save_pretrained(tmp_path / "base")
    asked: dict[str, Any] = {
        "data": reviews, "task": "text-classification", "model": {"name": str(tmp_path / "base"), "pooling": "mean"},
        "adapt": "lora", "train": {**SMALL["train"], "max_unknown": 1.0},
    }  # fmt: skip
    whole = jishi.finetune(out=tmp_path / "whole", **asked)
    run = jishi.finetune(out=tmp_path / "run", bundle="adapter", **asked)
    assert whole.bundle is not None and run.bundle is not None
    predictor, texts = jishi.load(run.bundle), [*GOOD, *BAD]
    assert predictor.replay().flips == 0
    for one, other in zip(predictor.predict(texts), jishi.predict(whole.bundle, texts), strict=True):
        assert one["label"] == other["label"] and one["score"] == pytest.approx(other["score"], abs=1e-5)
    for one, other in zip(predictor.outputs(texts), jishi.load(whole.bundle).outputs(texts), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    record = predictor.record
    assert (run.folder / "bundle" / record["base"]["name"]).resolve() == (tmp_path / "base").resolve()
    saved = (run.bundle / "adapter_model.safetensors").stat().st_size
    assert saved - 8192 < run.resources["adapter_bytes"] <= saved < run.resources["base_bytes"]
    assert not list(run.bundle.glob("tokenizer*")) and not list(run.bundle.glob("model*"))


def test_an_adapter_of_a_base_made_anew_is_refused_before_any_row_is_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="bundle=adapter needs a base"):
        jishi.finetune(data=__file__, out=tmp_path / "run", task="text-classification", bundle="adapter", **SMALL)
    assert not (tmp_path / "run" / "data").exists()


def test_a_method_that_does_not_suit_the_task_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    rows = [{"text": f"a {n}", "text_pair": f"b {n}", "score": n / 64} for n in range(64)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(ModelError, match="frozen can't be used for sentence-similarity"):
        jishi.finetune(data=file, out=tmp_path / "run", task="sentence-similarity", adapt="frozen", **SMALL)


def test_pictures_become_a_bundle_that_answers(tmp_path: Path) -> None:
    for index in range(8):
        for copy in range(4):
            file = tmp_path / "pictures" / ("odd" if index % 2 else "even") / f"{index}-{copy}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture(index) + bytes([copy]))  # a trailing byte: another file, the same picture
    run = jishi.finetune(
        data={"train": tmp_path / "pictures", "split": [0.5, 0.25, 0.25]},
        model={"name": "resnet", "size": "nano"},
        train={"epochs": 10, "batch_size": 8, "learning_rate": 3e-3},
        out=tmp_path / "run",
    )
    assert run.bundle is not None
    assert jishi.load(run.bundle).replay().flips == 0
    assert {entry["label"] for entry in run.evaluation["details"]["per_class"]} == {"odd", "even"}


def test_interrupted_run_goes_on_to_the_same_weights(reviews: Path, tmp_path: Path) -> None:
    """Stopped in the middle of an epoch and continued, training ends where an undisturbed run ends, bit for bit."""
    whole = jishi.finetune(data=reviews, out=tmp_path / "whole", **SMALL)

    class Stopper:
        def watch(self, loop: object) -> None:
            self.loop = loop

        def hear(self, event: object) -> None:
            if event.kind == "step" and event.step == 9:
                self.loop.stop = True

    stopper = Stopper()
    first = jishi.finetune(data=reviews, out=tmp_path / "parts", listen=stopper.hear, watch=stopper.watch, **SMALL)
    assert first.bundle is None
    second = jishi.finetune(data=reviews, out=tmp_path / "parts", **SMALL)
    assert second.bundle is not None and whole.bundle is not None
    weights = "model.safetensors"
    assert (second.bundle / weights).read_bytes() == (whole.bundle / weights).read_bytes()

    def losses(folder: Path) -> list[tuple[int, float]]:
        events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return [(event["step"], event["loss"]) for event in events if event["kind"] == "step"]

    assert losses(second.folder) == losses(whole.folder)


def test_flipped_byte_in_a_bundle_is_named(reviews: Path, tmp_path: Path) -> None:
    run = jishi.finetune(data=reviews, out=tmp_path / "run", **{**SMALL, "train": {"max_steps": 2}})
    assert run.bundle is not None
    file = run.bundle / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        jishi.load(run.bundle)


def test_swapped_labels_are_caught_by_the_probes(reviews: Path, tmp_path: Path) -> None:
    run = jishi.finetune(data=reviews, out=tmp_path / "run", task="text-classification", **SMALL)
    assert run.bundle is not None
    sound = jishi.load(run.bundle)
    swapped = Predictor(
        sound.model, type(sound.task)(**{**vars(sound.task), "labels": sound.task.labels[::-1]}), sound.processor,
        sound.record, sound.path, sound.probes,
    )  # fmt: skip
    with pytest.raises(BundleError) as raised:
        swapped.replay()
    assert raised.value.code == "core.probe-mismatch"


def test_one_class_only_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text("".join(json.dumps({"text": f"text {i}", "label": "a"}) + "\n" for i in range(20)))
    with pytest.raises(DataError):
        jishi.finetune(data=file, out=tmp_path / "run", task="text-classification", **SMALL)
    assert not (tmp_path / "run" / "bundle").exists()
    assert not (tmp_path / "run" / "data").exists()


def test_other_spec_in_the_same_folder_is_refused(reviews: Path, tmp_path: Path) -> None:
    quick = {**SMALL, "train": {"max_steps": 1}}
    jishi.finetune(data=reviews, out=tmp_path / "run", **quick)
    with pytest.raises(TrainingError, match="train"):
        jishi.finetune(data=reviews, out=tmp_path / "run", **{**quick, "train": {"max_steps": 2}})


def test_dry_run_tells_and_leaves_nothing(reviews: Path, tmp_path: Path) -> None:
    plan = jishi.plan(data=reviews, out=tmp_path / "run", **SMALL)
    assert plan["rows"] > 90 and plan["steps"] > 30 and plan["seconds"] > 0
    assert not (tmp_path / "run").exists()


def test_merge_that_changes_answers_writes_no_bundle(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: merging scales one weight of the head."""

    def spoil(self: object, model: Any) -> Any:
        with torch.no_grad():
            model.classifier.weight[0] *= 1.5
        return model

    monkeypatch.setattr(registry.get(Adaptation, "full"), "merge", spoil)
    with pytest.raises(BundleError) as raised:
        jishi.finetune(data=reviews, out=tmp_path / "run", **SMALL)
    assert raised.value.code == "core.merge-mismatch"
    assert not (tmp_path / "run" / "bundle").exists()
