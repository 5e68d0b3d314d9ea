import json
import logging
import re
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, BertForQuestionAnswering, BertForSequenceClassification

from jishi.core.contracts import Head
from jishi.core.errors import ModelError, UnknownName
from jishi.models import load
from jishi.models.heads import PooledForSequenceClassification
from jishi.models.spec import ModelSpec
from jishi.objectives.causal_lm import CausalLM
from jishi.tasks.question_answering import QuestionAnswering

LABELS = {0: "差", 1: "好"}
TWO = Head("ForSequenceClassification", {"num_labels": 2, "id2label": LABELS, "label2id": {"差": 0, "好": 1}})


def build(spec: ModelSpec, head: Head = TWO):
    base = load.base(spec)
    processor = load.processor(spec)
    return load.model(spec, head, base, processor).eval(), processor


def say(path: Path, **values: object) -> Path:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **values}))
    return path


def test_a_base_that_pools_at_its_first_token_gets_transformers_own_class(bert: Path) -> None:
    model, _ = build(ModelSpec(str(bert)))
    assert type(model) is BertForSequenceClassification
    weights = load_file(bert / "model.safetensors")
    found = model.bert.state_dict()
    assert found.keys() == weights.keys()
    assert all(torch.equal(weights[name], found[name]) for name in weights)
    assert model.config.id2label == LABELS


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_base_that_pools_otherwise_gets_a_head_that_does(bert: Path, pooling: str) -> None:
    model, _ = build(ModelSpec(str(bert), pooling=pooling))
    assert type(model) is PooledForSequenceClassification
    assert model.config.pooling == pooling
    weights = load_file(bert / "model.safetensors")
    found = model.backbone.state_dict()
    assert all(torch.equal(weights[name], found[name]) for name in found)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_saved_model_answers_as_before(bert: Path, tmp_path: Path, pooling: str) -> None:
    model, processor = build(ModelSpec(str(bert), pooling=pooling, prefix="query: "))
    inputs = processor(["今天天气真好", "bad"], return_tensors="pt", padding=True)
    expected = model(**inputs).logits
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, words = load.reload(tmp_path, "ForSequenceClassification")
    assert torch.equal(again(**words(["今天天气真好", "bad"], return_tensors="pt", padding=True)).logits, expected)
    assert torch.equal(AutoModelForSequenceClassification.from_pretrained(tmp_path)(**inputs).logits, expected)
    base = load.base(ModelSpec(str(tmp_path)))
    assert (base.pooling, base.prefix) == (pooling, "query: ")


def test_a_saved_model_is_a_base_that_can_be_varied(bert: Path, tmp_path: Path) -> None:
    model, processor = build(ModelSpec(str(bert), pooling="mean"))
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    varied, _ = build(ModelSpec(str(tmp_path), pooling="max", dropout=0.37))
    assert varied.config.pooling == "max"
    assert {module.p for module in varied.modules() if isinstance(module, torch.nn.Dropout)} == {0.37}
    token, _ = build(ModelSpec(str(tmp_path)), Head("ForTokenClassification", {"num_labels": 5}))
    assert torch.equal(
        token.backbone.encoder.layer[1].output.dense.weight, model.backbone.encoder.layer[1].output.dense.weight
    )


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_head_begins_anew_unless_it_has_the_very_labels(bert: Path, tmp_path: Path, pooling: str) -> None:
    model, processor = build(ModelSpec(str(bert), pooling=pooling))
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    old = model.classifier.weight
    same, _ = build(ModelSpec(str(tmp_path)))
    other, _ = build(ModelSpec(str(tmp_path)), Head(TWO.architecture, {"num_labels": 2, "id2label": {0: "a", 1: "b"}}))
    assert torch.equal(same.classifier.weight, old)
    assert not torch.equal(other.classifier.weight, old)
    assert 0.005 < other.classifier.weight.std() < 0.05  # initializer_range is 0.02
    assert torch.equal(
        other.base_model.embeddings.word_embeddings.weight, model.base_model.embeddings.word_embeddings.weight
    )


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_head_trained_for_answers_stays_and_one_for_classes_does_not_become_it(
    bert: Path, tmp_path: Path, pooling: str
) -> None:
    asks = QuestionAnswering().head()
    model, processor = build(ModelSpec(str(bert), pooling=pooling), asks)
    assert type(model) is BertForQuestionAnswering  # answers hang on no pooling
    for folder, saved in (("answers", model), ("classes", build(ModelSpec(str(bert), pooling="cls"))[0])):
        saved.save_pretrained(tmp_path / folder)
        processor.save_pretrained(tmp_path / folder)
    again, _ = build(ModelSpec(str(tmp_path / "answers")), asks)
    assert torch.equal(again.qa_outputs.weight, model.qa_outputs.weight)
    fresh, _ = build(ModelSpec(str(tmp_path / "classes")), asks)
    assert fresh.qa_outputs.weight.shape == (2, fresh.config.hidden_size)


@pytest.mark.parametrize("architecture", ["ForTokenClassification", "ForMaskedLM"])
def test_other_heads_are_transformers_own(bert: Path, architecture: str) -> None:
    model, _ = build(ModelSpec(str(bert), pooling="mean"), Head(architecture))
    assert type(model).__name__ == f"Bert{architecture}"
    assert model.config.jishi["pooling"] == "mean"


def test_an_encoder_that_becomes_a_decoder_keeps_its_weights_and_looks_back_only(bert: Path) -> None:
    model, _ = build(ModelSpec(str(bert)), CausalLM().head())
    weights = load_file(bert / "model.safetensors")
    found = model.bert.state_dict()
    assert all(torch.equal(weights[name], found[name]) for name in found)
    one, other = (model(torch.tensor([[5, 6, last]])).logits[0] for last in (7, 8))
    assert torch.equal(one[:2], other[:2]) and not torch.equal(one[2], other[2])


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_dropout_is_replaced_everywhere(bert: Path, pooling: str) -> None:
    model, _ = build(ModelSpec(str(bert), pooling=pooling, dropout=0.37))
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.37}


@pytest.mark.parametrize("architecture", ["ForFortuneTelling", "ForSemanticSegmentation"])
def test_a_head_that_does_not_fit_is_refused(bert: Path, architecture: str) -> None:
    with pytest.raises(ModelError, match=f"can't be given the head {architecture}"):
        build(ModelSpec(str(bert)), Head(architecture))


def drop(path: Path, *names: str) -> None:
    weights = load_file(path / "model.safetensors")
    save_file(
        {key: value for key, value in weights.items() if key not in names}, path / "model.safetensors", {"format": "pt"}
    )


MIDDLE = "encoder.layer.1.output.dense.weight"


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_missing_weight_is_an_error(copied: Path, pooling: str) -> None:
    drop(copied, MIDDLE)
    with pytest.raises(ModelError, match=re.escape(MIDDLE)):
        build(ModelSpec(str(copied), pooling=pooling))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_weights_of_layers_that_the_config_does_not_have_are_an_error(copied: Path, pooling: str) -> None:
    say(copied, num_hidden_layers=1)
    with pytest.raises(ModelError, match="no place for"):
        build(ModelSpec(str(copied), pooling=pooling))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_weights_of_another_shape_are_an_error(copied: Path, pooling: str) -> None:
    say(copied, intermediate_size=48)
    with pytest.raises(ModelError, match="lacks"):
        build(ModelSpec(str(copied), pooling=pooling))


def test_a_missing_pooling_layer_belongs_to_the_new_head(copied: Path) -> None:
    drop(copied, "pooler.dense.weight", "pooler.dense.bias")
    model, _ = build(ModelSpec(str(copied)))
    assert model.bert.pooler.dense.weight.std() > 0


@pytest.mark.parametrize("name", ["classifier.weight", "bert.pooler.dense.bias"])
def test_a_bundle_may_lack_nothing(bert: Path, tmp_path: Path, name: str) -> None:
    model, processor = build(ModelSpec(str(bert)))
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    drop(tmp_path, name)
    with pytest.raises(ModelError, match=re.escape(name)):
        load.reload(tmp_path, "ForSequenceClassification")


def test_a_broken_tokenizer_is_one_sentence(copied: Path) -> None:
    (copied / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(ModelError, match="can't be loaded") as caught:
        load.processor(ModelSpec(str(copied)))
    assert "\n" not in str(caught.value)


def test_an_architecture_from_the_future_is_refused(copied: Path) -> None:
    say(copied, model_type="gpt-99")
    with pytest.raises(ModelError, match="gpt-99"):
        build(ModelSpec(str(copied)))


def test_nothing_is_printed_or_logged(
    bert: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transformers.utils.logging, "_tqdm_active", True)
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    build(ModelSpec(str(bert)))
    build(ModelSpec(str(bert), pooling="mean"))
    assert transformers.utils.logging.is_progress_bar_enabled()
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


@pytest.mark.parametrize("given", ["e5-smal", "text_cn"])
def test_a_misspelt_name_is_corrected(given: str) -> None:
    with pytest.raises(UnknownName, match="Did you mean"):
        load.base(ModelSpec(given))


def test_a_folder_comes_before_every_other_meaning(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "e5-small").symlink_to(bert)
    monkeypatch.chdir(tmp_path)
    assert load.base(ModelSpec("e5-small")).pooling == "cls"


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="nobody/nothing.*take an embedded model: e5-small") as caught:
        load.base(ModelSpec("nobody/nothing"))
    assert "\n" not in str(caught.value)
