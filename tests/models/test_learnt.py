"""An adapter apart from its base: peft alone reads it and says the same; another base, or none, is refused."""

import json
import shutil

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
)

from jishi.adaptation.adalora import AdaLoRA
from jishi.adaptation.bitfit import BitFit
from jishi.adaptation.dora import DoRA
from jishi.adaptation.full import Full
from jishi.adaptation.ia3 import IA3
from jishi.adaptation.lora import LoRA
from jishi.core import bundle, spec
from jishi.core.errors import ModelError
from jishi.models import folder, learnt, load
from jishi.models.heads import PooledForSequenceClassification
from jishi.models.shared import Shared
from jishi.models.spec import ModelSpec
from jishi.tasks.text_classification import TextClassification
from jishi.tasks.text_generation import TextGeneration
from tiny import masked_lm, tokenizer

TASK = TextClassification(problem="single", labels=("x", "y", "z"), prefix="", max_length=64)
IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
METHODS = [LoRA(), DoRA(), AdaLoRA(), IA3()]


@pytest.fixture
def base(tmp_path):
    tokenizer("good bad fine").save_pretrained(tmp_path / "base")
    masked_lm(8).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def kept(base, path, adaptation, task=TASK, **options):
    """A bundle that holds what a method learnt on the base, and what the model says that learnt it."""
    origin = ModelSpec(str(base), **options)
    model = adaptation.apply(load.model(origin, task.head(), load.base(origin), load.processor(origin)), task)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.3 * torch.randn_like(weight)
    record = {
        "task": spec.dump(task), "adaptation": spec.dump(adaptation), "model": spec.dump(origin),
        "base": learnt.base(origin, path),
    }  # fmt: skip
    model.eval()
    written = bundle.write(
        path, model=learnt.Learnt(model, str(base)), processor=None, record=record, probes=[], card=""
    )
    return written, answers(model)


@torch.no_grad()
def answers(model):
    return model(input_ids=IDS, attention_mask=MASK).logits


@pytest.mark.parametrize("adaptation", METHODS, ids=lambda one: type(one).__name__)
def test_peft_alone_reads_it_and_says_the_same(adaptation, base, tmp_path):
    """The head too, and the pooling layer that the base lacks; nothing of ours is asked."""
    read, said = kept(base, tmp_path / "bundle", adaptation)
    plain = AutoModelForSequenceClassification.from_pretrained(base, config=AutoConfig.from_pretrained(read.path))
    model = peft.PeftModel.from_pretrained(plain, read.path).eval()
    torch.testing.assert_close(answers(model), said, rtol=0, atol=1e-5)
    assert model.peft_config["default"].modules_to_save == ["bert.pooler", "classifier"]
    torch.testing.assert_close(answers(load.trained(read)[0]), said, rtol=0, atol=1e-6)


@pytest.mark.parametrize("adaptation", METHODS, ids=lambda one: type(one).__name__)
def test_peft_reads_it_where_the_head_is_ours(adaptation, base, tmp_path):
    (base / "model.safetensors").unlink()
    masked_lm(8).bert.save_pretrained(base)  # a base without a head, as encoders of sentences are
    read, said = kept(base, tmp_path / "bundle", adaptation, pooling="mean")
    plain = AutoModelForSequenceClassification.from_pretrained(base, config=AutoConfig.from_pretrained(read.path))
    assert isinstance(plain, PooledForSequenceClassification)
    model = peft.PeftModel.from_pretrained(plain, read.path).eval()
    torch.testing.assert_close(answers(model), said, rtol=0, atol=1e-5)


def test_peft_reads_that_of_a_language_model(tmp_path):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    tokenizer("good bad fine a b c d e f g").save_pretrained(tmp_path / "base")
    read, said = kept(tmp_path / "base", tmp_path / "bundle", LoRA(), TextGeneration(max_length=32))
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), read.path).eval()
    torch.testing.assert_close(answers(model), said, rtol=0, atol=1e-5)
    torch.testing.assert_close(answers(load.trained(read)[0]), said, rtol=0, atol=1e-6)


def test_only_what_learns_is_written(base, tmp_path):
    """Of each of two blocks 5 · 32 + 64 biases and those of 2 norms, one norm of words; the head with its pooler."""
    read, _ = kept(base, tmp_path / "bundle", BitFit())
    head = 32 * 32 + 32 + 32 * 3 + 3
    found = load_file(read.path / folder.LEARNT)
    assert sum(value.numel() for value in found.values()) == (5 * 32 + 64 + 2 * 32) * 2 + 32 + head
    assert not (read.path / "adapter_config.json").exists()  # peft has no such method


def test_the_base_may_move_with_its_bundles(base, tmp_path):
    _, said = kept(base, tmp_path / "runs" / "bundle", LoRA())
    (tmp_path / "elsewhere").mkdir()
    for name in ("base", "runs"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    read = bundle.read(tmp_path / "elsewhere" / "runs" / "bundle")
    torch.testing.assert_close(answers(load.trained(read)[0]), said, rtol=0, atol=1e-6)


def test_a_base_that_is_gone_is_named_with_its_place_and_a_link_there_is_enough(base, tmp_path):
    read, said = kept(base, tmp_path / "bundle", LoRA())
    shutil.move(base, tmp_path / "moved")
    with pytest.raises(ModelError) as caught:
        load.trained(read)
    assert caught.value.code == "models.base-missing" and "link" in str(caught.value)
    base.symlink_to(tmp_path / "moved")
    torch.testing.assert_close(answers(load.trained(read)[0]), said, rtol=0, atol=1e-6)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_base_that_changed_is_refused(file, base, tmp_path):
    read, _ = kept(base, tmp_path / "bundle", LoRA())
    data = bytearray((base / file).read_bytes())
    data[-2] ^= 1
    (base / file).write_bytes(data)
    with pytest.raises(ModelError) as caught:
        load.trained(read)
    assert caught.value.code == "models.base-changed"


def test_what_a_base_says_besides_may_change(base, tmp_path):
    """Another release of transformers writes another config.json; weights and words are what a base knows."""
    read, said = kept(base, tmp_path / "bundle", LoRA())
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "transformers_version": "9"}))
    (base / "README.md").write_text("# A base")
    torch.testing.assert_close(answers(load.trained(read)[0]), said, rtol=0, atol=1e-6)


def test_an_adapter_of_another_architecture_is_refused(base, tmp_path):
    read, _ = kept(base, tmp_path / "bundle", LoRA())
    other, _ = kept(base, tmp_path / "other", LoRA(rank=4))
    shutil.copy(other.path / folder.LEARNT, read.path / folder.LEARNT)
    with pytest.raises(ModelError) as caught:
        load.trained(read)
    assert caught.value.code == "models.other-adapter"


def test_an_adapter_is_no_base(base, tmp_path):
    read, _ = kept(base, tmp_path / "bundle", LoRA())
    with pytest.raises(ModelError) as caught:
        load.base(ModelSpec(str(read.path)))
    assert caught.value.code == "models.adapter-alone"


@pytest.mark.parametrize(
    "options",
    [{"vocabulary": "scripts"}, {"layers": 1}, {"tokenizer": "x"}, {"name": "text-cnn"}, {"name": "dual-encoder"}],
)
def test_a_base_that_is_made_anew_can_not_be_named(options, base):
    learnt.check_base(ModelSpec(str(base)))
    with pytest.raises(ModelError) as caught:
        learnt.check_base(ModelSpec(**{"name": str(base), **options}))
    assert caught.value.code == "models.no-base-apart"
    assert next(iter(options)) in str(caught.value)


def test_a_method_that_learns_most_of_the_model_is_refused(base):
    origin = ModelSpec(str(base))
    model = load.model(origin, TASK.head(), load.base(origin), load.processor(origin))
    with pytest.raises(ModelError) as caught:
        learnt.check_size(Full().apply(model, TASK))
    assert caught.value.code == "models.too-much-learns"
    learnt.check_size(BitFit().apply(model, TASK))


def shared_bytes(models):
    return sum({one.data_ptr(): one.nbytes for model in models for one in model.state_dict().values()}.values())


def test_adapters_of_one_base_hold_it_once_and_let_it_go_together(base, tmp_path):
    """Another rank, another number of labels and another method, all on the weights of the first."""
    more = TextClassification(problem="single", labels=tuple("abcde"), prefix="", max_length=64)
    made = [
        kept(base, tmp_path / "a", LoRA()), kept(base, tmp_path / "b", LoRA(rank=4), more), kept(base, tmp_path / "c", BitFit()),
    ]  # fmt: skip
    shared = Shared()
    models = [load.trained(read, shared)[0] for read, _ in made]
    words = {model.get_input_embeddings().weight.data_ptr() for model in models}
    assert len(words) == 1
    alone = [shared_bytes([load.trained(read)[0]]) for read, _ in made]
    backbone = sum(weight.nbytes for weight in masked_lm(8).bert.parameters())
    assert shared_bytes(models) < sum(alone) - 1.9 * backbone
    for model, (_, said) in zip(models, made, strict=True):
        torch.testing.assert_close(answers(model), said, rtol=0, atol=1e-6)
    models.clear()
    del model
    assert not len(shared._known)
