"""What is compressed answers as before, or is not written: every fault that a step may have is planted, and caught."""

import copy
import errno
import json
import shutil

import numpy
import pytest
import torch

import jishi
from commands import jsonl
from jishi.compression.int8 import Int8
from jishi.compression.onnx import Onnx
from jishi.core import bundle
from jishi.core.errors import BundleError, JishiError, ModelError, UsageError
from jishi.models import heads, load
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from tiny import masked_lm, tokenizer

WORDS = {"good": ["很好用", "喜欢", "值得买"], "bad": ["质量很差", "退货", "坏了"]}
ROWS = [
    {"text": f"{words[i % 3]} {i} {words[(i + 1) % 3] * (i % 4)}", "label": label}
    for i in range(40)
    for label, words in WORDS.items()
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An encoder with its states averaged, behind a prefix, that tells two kinds of words apart."""
    folder = tmp_path_factory.mktemp("compressed")
    jishi.finetune(
        data=jsonl(folder / "rows.jsonl", ROWS), out=folder / "run",
        model={"name": "transformer-encoder", "size": "nano", "pooling": "mean", "dropout": 0.0},
        task={"name": "text-classification", "prefix": "坏了 喜欢 ", "max_length": 32},
        train={"epochs": 8, "batch_size": 8, "learning_rate": 3e-3, "threads": 1},
    )  # fmt: skip
    return folder / "run"


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "bundle"
    return jishi.compress(run / "bundle", method=["onnx"], out=out), out


def test_a_graph_answers_as_the_model_and_says_where_it_comes_from(run, exported):
    told, out = exported
    (hop,) = told["hops"]
    assert (hop["flips"], hop["judged"]["flips"], hop["difference"]) == (0, 0, 0) and hop["max_difference"] < 1e-5
    made, first = bundle.read(out), bundle.read(run / "bundle")
    assert made.record["parent"] == first.fingerprint and made.record["compression"] == [{"name": "onnx"}]
    assert made.probes == first.probes and not (out / "model.safetensors").exists()
    assert made.record["scores"]["rows"] == 8 and hop["part"] == "test"  # the rows that the run has held out
    asked = ["很好用", "坏了 坏了", "值得买 12"]
    for old, new in zip(jishi.predict(run / "bundle", asked), jishi.predict(out, asked), strict=True):
        assert old["label"] == new["label"] and old["score"] == pytest.approx(new["score"], abs=1e-5)


def test_eight_bits_are_a_third_of_the_bytes_and_no_row_hangs_on_another(run, exported, tmp_path):
    told = jishi.compress(exported[1], method=["int8"], out=tmp_path / "small", data=run / "data")
    assert (tmp_path / "small" / "model.onnx").stat().st_size < (exported[1] / "model.onnx").stat().st_size * 0.7
    assert told["hops"][0]["difference"] >= -0.01 and told["bytes"]["after"] < told["bytes"]["before"]
    predictor = jishi.load(tmp_path / "small")
    rows = [row["text"] for row in ROWS[:12]]
    together, alone = predictor.outputs(rows), [predictor.outputs([row])[0] for row in rows]
    assert max(float(numpy.abs(one - other).max()) for one, other in zip(together, alone, strict=True)) < 1e-6
    predictor.replay()  # probes were recorded anew


def test_four_bits_are_fewer_bytes_than_eight_and_answered_by_the_one_runtime_that_rounds_so(run, exported, tmp_path):
    told = jishi.compress(exported[1], method=["int4"], out=tmp_path / "small", data=run / "data", tolerance=0.2)
    eight = jishi.compress(exported[1], method=["int8"], out=tmp_path / "eight", data=run / "data")
    assert told["bytes"]["after"] < eight["bytes"]["after"] and told["hops"][0]["max_difference"] > 0
    predictor = jishi.load(tmp_path / "small")
    assert predictor.runtime == "onnxruntime"
    rows = [row["text"] for row in ROWS[:12]]
    together, alone = predictor.outputs(rows), [predictor.outputs([row])[0] for row in rows]
    assert max(float(numpy.abs(one - other).max()) for one, other in zip(together, alone, strict=True)) < 1e-5
    pytest.importorskip("openvino")
    with pytest.raises(ModelError) as caught:
        jishi.load(tmp_path / "small", runtime="openvino")
    assert caught.value.code == "models.graph-only"


def test_several_ways_follow_one_another(run, tmp_path):
    told = jishi.compress(run / "bundle", method=["vocabulary", "int8"], out=tmp_path / "small")
    assert [hop["hop"] for hop in told["hops"]] == ["vocabulary", "int8"]
    record = bundle.read(tmp_path / "small").record
    assert [one["name"] for one in record["compression"]] == ["vocabulary", "int8"]
    assert [hop["hop"] for hop in record["parity"]] == ["merge", "vocabulary", "int8"]
    assert record["parent"] == bundle.read(run / "bundle").fingerprint and record["graph"]
    card = (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    assert "vocabulary, int8" in card and record["parent"] in card and "from_pretrained" not in card


def head(model):
    return model.get_submodule(next(iter(heads.head_modules(model))))


def permuted(predictor):
    model = copy.deepcopy(predictor.model)
    with torch.no_grad():
        head(model).weight.copy_(head(model).weight.flip(0))
        head(model).bias.copy_(head(model).bias.flip(0))
    return model, predictor.processor


def transposed(predictor):
    model = copy.deepcopy(predictor.model)
    square = [one for one in model.parameters() if one.dim() == 2 and one.shape[0] == one.shape[1]]
    with torch.no_grad():
        for one in square:
            one.copy_(one.T.clone())
    assert square
    return model, predictor.processor


def pooled_otherwise(predictor):
    model = copy.deepcopy(predictor.model)
    model.config.pooling = "max"
    return model, predictor.processor


def other_words(predictor):
    """A tokenizer of the same size, its pieces in another order."""
    described = json.loads(predictor.processor.backend_tokenizer.to_str())
    pieces = described["model"]["vocab"]
    plain = [piece for piece in pieces if not piece.startswith("[")]
    moved = dict(zip(plain, (pieces[piece] for piece in [*plain[1:], plain[0]]), strict=True))
    described["model"]["vocab"] = {**pieces, **moved}
    from jishi.models import prune

    return predictor.model, prune.rebuilt(predictor.processor, described)


class Headless:
    """A model that is saved without what it learnt last."""

    def __init__(self, model):
        self.model = model

    def save_pretrained(self, folder, **options):
        names = tuple(f"{name}." for name in heads.head_modules(self.model))
        kept = {name: value for name, value in self.model.state_dict().items() if not name.startswith(names)}
        self.model.save_pretrained(folder, state_dict=kept, **options)


FAULTS = {
    "permuted labels": permuted,
    "transposed weight": transposed,
    "wrong pooling": pooled_otherwise,
    "swapped tokenizer": other_words,
    "head not saved": lambda predictor: (Headless(predictor.model), predictor.processor),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_on_the_way_is_caught_and_nothing_is_written(fault, run, tmp_path, monkeypatch):
    monkeypatch.setattr(Onnx, "apply", lambda self, predictor, rows: FAULTS[fault](predictor))
    with pytest.raises((BundleError, ModelError)):
        jishi.compress(run / "bundle", method=["onnx"], out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_prefix_that_is_lost_is_caught(run, tmp_path, monkeypatch):
    describe = bundle.describe

    def forgetful(folder, record, *rest):
        describe(folder, {**record, "task": {**record["task"], "prefix": ""}}, *rest)

    monkeypatch.setattr(Onnx, "apply", lambda self, predictor, rows: (predictor.model, predictor.processor))
    monkeypatch.setattr(bundle, "describe", forgetful)
    with pytest.raises(BundleError) as caught:
        jishi.compress(run / "bundle", method=["onnx"], out=tmp_path / "out")
    assert caught.value.code == "compress.not-same" and not list(tmp_path.iterdir())


def test_what_loses_too_much_leaves_the_bundle_before_it_untouched(run, exported, tmp_path, monkeypatch):
    shutil.copytree(exported[1], tmp_path / "out")
    before = bundle.read(tmp_path / "out").fingerprint
    monkeypatch.setattr(Int8, "apply", lambda self, predictor, rows: permuted(predictor))
    with pytest.raises(BundleError) as caught:
        jishi.compress(run / "bundle", method=["int8"], out=tmp_path / "out")
    assert caught.value.code == "compress.loses" and caught.value.values["flips"] > 0
    assert bundle.read(tmp_path / "out").fingerprint == before
    told = jishi.compress(run / "bundle", method=["int8"], out=tmp_path / "out", tolerance=1.0)
    assert told["hops"][0]["after"] < told["hops"][0]["before"]  # allowed, and said


def test_a_disk_that_is_full_leaves_nothing(run, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bundle, "fill", full)
    with pytest.raises(BundleError) as caught:
        jishi.compress(run / "bundle", method=["onnx"], out=tmp_path / "out")
    assert caught.value.code == "core.bundle-not-written" and not list(tmp_path.iterdir())


def asked_wrongly(run, tmp_path):
    file = jsonl(tmp_path / "rows.jsonl", ROWS[:10])
    others = jsonl(tmp_path / "others.jsonl", [{**row, "label": "fine"} for row in ROWS[:4]])
    shutil.copytree(run / "bundle", tmp_path / "alone")
    return {
        "compress.no-method": {"method": []},
        "core.unknown-name": {"method": ["int9"]},
        "compress.needs-rows": {"method": ["vocabulary"], "data": file},
        "compress.other-labels": {"method": ["onnx"], "data": others},
        "compress.no-data": {"source": tmp_path / "alone", "method": ["onnx"]},
        "compress.out-taken": {"method": ["onnx"], "out": run / "data"},
        "compress.merged-already": {"method": ["merge"]},
        "core.bundle-not-found": {"source": tmp_path, "method": ["onnx"]},
    }


@pytest.mark.parametrize(
    "code",
    [
        "compress.no-method", "core.unknown-name", "compress.needs-rows", "compress.other-labels", "compress.no-data",
        "compress.out-taken", "compress.merged-already", "core.bundle-not-found",
    ],
)  # fmt: skip
def test_what_can_not_be_done_is_one_sentence(code, run, tmp_path):
    settings = asked_wrongly(run, tmp_path)[code]
    with pytest.raises(JishiError) as caught:
        jishi.compress(settings.pop("source", run / "bundle"), **{"out": tmp_path / "out", **settings})
    assert caught.value.code == code and not (tmp_path / "out").exists() and "{" not in str(caught.value)


@pytest.mark.parametrize("inside", [".", "small"])
def test_a_bundle_is_never_written_into(inside, run, tmp_path):
    shutil.copytree(run / "bundle", tmp_path / "bundle")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as caught:
        jishi.compress(tmp_path / "bundle", method=["onnx"], out=tmp_path / "bundle" / inside, data=run / "data")
    assert caught.value.code == "compress.out-taken" and sorted(tmp_path.rglob("*")) == before


def test_a_graph_has_no_dropout_to_be_asked_under(run, exported, tmp_path):
    rows = jsonl(tmp_path / "rows.jsonl", [{"text": "喜欢 退货"}, {"text": "坏了 值得买"}])
    with pytest.raises(ModelError) as caught:
        jishi.label(exported[1], data=rows, by="bald", out=tmp_path / "queue.jsonl")
    assert caught.value.code == "label.no-dropout"
    told = jishi.label(exported[1], data=rows, by="margin", out=tmp_path / "queue.jsonl")
    assert told["asked"] == 2


def test_a_graph_is_no_base_and_no_matter_for_ways_that_work_on_weights(run, exported, tmp_path):
    with pytest.raises(ModelError) as caught:
        load.base(ModelSpec(str(exported[1])))
    assert caught.value.code == "models.graph-no-base"
    for method, code in (("onnx", "compress.graph-already"), ("vocabulary", "compress.needs-weights")):
        with pytest.raises(UsageError) as refused:
            jishi.compress(exported[1], method=[method], out=tmp_path / "out", data=run / "data")
        assert refused.value.code == code


def test_an_adapter_is_folded_into_its_base(tmp_path):
    words = "good bad fine poor"
    tokenizer(words).save_pretrained(tmp_path / "base")
    masked_lm(9).save_pretrained(tmp_path / "base")
    rows = [{"text": f"{word} fine", "label": word} for word in ("good", "bad")] * 20
    rows = [{**row, "text": row["text"] + " poor" * (i % 7)} for i, row in enumerate(rows)]
    jishi.finetune(
        data={"train": jsonl(tmp_path / "rows.jsonl", rows)}, out=tmp_path / "run", model=str(tmp_path / "base"),
        task={"name": "text-classification", "max_length": 16}, adapt="lora", bundle="adapter",
        train={"epochs": 1, "batch_size": 8, "threads": 1},
    )  # fmt: skip
    told = jishi.compress(tmp_path / "run" / "bundle", method=["merge"], out=tmp_path / "whole")
    assert told["hops"][0]["max_difference"] < 1e-5
    shutil.rmtree(tmp_path / "base")  # it needs its base no more
    assert Predictor.load(tmp_path / "whole").replay().flips == 0
    with pytest.raises(ModelError):
        Predictor.load(tmp_path / "run" / "bundle")


SAID = [{"prompt": f"say {word} {i}", "answer": f"{word} {word} {i}"} for i in range(8) for word in ("a", "b", "c")]
WRITERS = {
    "gpt2": ("text-generation", SAID, {"model.onnx"}),
    "transformer-encoder-decoder": (
        "translation",
        [{"source": row["prompt"], "target": row["answer"]} for row in SAID],
        {"encoder.onnx", "model.onnx"},
    ),
}


@pytest.mark.parametrize("design", WRITERS)
def test_a_bundle_that_writes_writes_the_same_as_a_graph_and_streams_it(design, tmp_path):
    task, rows, files = WRITERS[design]
    jishi.finetune(
        data=jsonl(tmp_path / "rows.jsonl", rows), out=tmp_path / "run", model={"name": design, "size": "nano"},
        task={"name": task, "decoding": {"max_new_tokens": 12}},
        train={"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "threads": 1},
    )  # fmt: skip
    told = jishi.compress(tmp_path / "run" / "bundle", method=["onnx", "int8"], out=tmp_path / "small", tolerance=1.0)
    whole, integers = told["hops"]
    assert (whole["flips"], whole["judged"]["flips"]) == (0, 0) and whole["max_difference"] <= 1e-5
    assert integers["hop"] == "int8" and integers["max_difference"] > 0
    assert {file.name for file in (tmp_path / "small").glob("*.onnx")} == files
    for runtime in ("onnxruntime", "openvino"):
        pytest.importorskip(runtime)
        assert Predictor.load(tmp_path / "small", runtime=runtime).replay().flips == 0
    made = Predictor.load(tmp_path / "small")
    text = made.predict(["say a 3"])[0]["text"]
    assert "".join(made.generate_stream("say a 3")).strip() == text
    if "encoder.onnx" in files:
        (tmp_path / "small" / "encoder.onnx").unlink()
        with pytest.raises(BundleError):
            Predictor.load(tmp_path / "small")
