"""Fewer blocks of a base: which are kept, that they are the very ones, and that what is saved is read back."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from jishi.core import spec
from jishi.core.contracts import Head
from jishi.core.document import Document
from jishi.core.errors import ModelError
from jishi.models import depth, heads, load
from jishi.models.spec import ModelSpec

TWO = Head("ForSequenceClassification", {"num_labels": 2})
SHAPE = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}
KINDS = {
    "bert": lambda size: BertModel(BertConfig(vocab_size=size, num_hidden_layers=5, **SHAPE)),
    "gpt2": lambda size: GPT2LMHeadModel(
        GPT2Config(vocab_size=size, n_embd=16, n_layer=5, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0)
    ),
    "llama": lambda size: LlamaForCausalLM(
        LlamaConfig(vocab_size=size, num_hidden_layers=5, num_key_value_heads=1, **SHAPE)
    ),
}
HEAD = {"bert": Head(""), "gpt2": Head("ForCausalLM"), "llama": Head("ForCausalLM")}


@pytest.fixture
def deep(words, tmp_path: Path):
    """A folder of a kind, five blocks deep."""

    def make(kind: str) -> Path:
        torch.manual_seed(0)
        KINDS[kind](len(words)).save_pretrained(tmp_path / kind)
        words.save_pretrained(tmp_path / kind)
        return tmp_path / kind

    return make


def read(folder: Path, head: Head, **options):
    asked = ModelSpec(str(folder), **options)
    return load.model(asked, head, load.base(asked), load.processor(asked)).eval()


@pytest.mark.parametrize(
    ("count", "kept", "numbers"),
    [(12, 6, [0, 2, 4, 7, 9, 11]), (12, 12, list(range(12))), (12, 1, [0]), (12, 2, [0, 11]), (5, 3, [0, 2, 4])],
)
def test_blocks_are_spaced_evenly_from_the_first_to_the_last(count, kept, numbers):
    assert depth.spaced(count, kept) == numbers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "numbers"), [(3, [0, 2, 4]), ((1, 3, 4), [1, 3, 4])])
def test_what_is_kept_are_the_very_blocks_and_all_else_stays(deep, kind, layers, numbers):
    whole, part = read(deep(kind), HEAD[kind]), read(deep(kind), HEAD[kind], layers=layers)
    assert part.config.num_hidden_layers == 3
    blocks = heads.layers(part)
    assert len(blocks) == 3
    for block, number in zip(blocks, numbers, strict=True):
        old = heads.layers(whole)[number].state_dict()
        assert all(torch.equal(value, old[name]) for name, value in block.state_dict().items())
    outside = {name: value for name, value in part.state_dict().items() if not set("01234") & set(name.split("."))}
    assert outside and all(torch.equal(value, whole.state_dict()[name]) for name, value in outside.items())


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_as_the_blocks_one_after_the_other_and_as_what_is_read_back(deep, words, kind, tmp_path):
    whole, part = read(deep(kind), HEAD[kind]), read(deep(kind), HEAD[kind], layers=(1, 3, 4))
    inputs = words(["今天天气真好"], return_tensors="pt")
    inputs.pop("token_type_ids", None)
    stack = heads.stack(whole)
    for number in (2, 0):  # by hand
        del stack[number]
    whole.config.num_hidden_layers = 3
    expected = whole(**inputs, use_cache=False)[0]
    found = part(**inputs)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    part.save_pretrained(tmp_path / "saved")
    words.save_pretrained(tmp_path / "saved")
    again, _ = load.reload(tmp_path / "saved", HEAD[kind].architecture)
    assert torch.equal(again(**inputs)[0], found)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_decoder_writes_the_same_with_the_keys_it_has_kept(deep, words, kind):
    part = read(deep(kind), HEAD[kind], layers=(1, 4))
    inputs = words(["天气"], return_tensors="pt")["input_ids"]
    written = [part.generate(inputs, max_new_tokens=8, do_sample=False, use_cache=kept) for kept in (True, False)]
    assert torch.equal(*written)


def test_a_head_that_pools_tells_its_depth_and_comes_back(deep, words, tmp_path):
    part = read(deep("bert"), TWO, layers=2, pooling="mean")
    part.save_pretrained(tmp_path / "saved")
    words.save_pretrained(tmp_path / "saved")
    again, _ = load.reload(tmp_path / "saved", TWO.architecture)
    assert again.config.backbone["num_hidden_layers"] == len(heads.layers(again)) == 2
    shorter = read(tmp_path / "saved", Head("ForTokenClassification", {"num_labels": 3}), layers=(1,))
    assert shorter.config.backbone["num_hidden_layers"] == 1


def test_fewer_blocks_and_a_smaller_vocabulary_go_together(deep):
    asked = ModelSpec(str(deep("bert")), layers=2, vocabulary="corpus")
    base = load.base(asked)
    processor = load.processor(asked, [{"text": "天气"}])
    part = load.model(asked, Head(""), base, processor)
    whole = read(deep("bert"), Head(""))
    full = load.processor(ModelSpec(str(deep("bert"))))
    assert (part.config.num_hidden_layers, part.config.vocab_size) == (2, len(processor))
    row, old = processor.convert_tokens_to_ids("天"), full.convert_tokens_to_ids("天")
    assert torch.equal(part.get_input_embeddings().weight[row], whole.get_input_embeddings().weight[old])


@pytest.mark.parametrize("layers", [6, (), (0, 0), (1, 0), (5,)])
def test_blocks_that_are_not_there_are_refused(deep, layers):
    with pytest.raises(ModelError, match="which has 5 blocks"):
        read(deep("bert"), Head(""), layers=layers)


def test_a_design_and_what_has_no_plain_stack_are_refused(deep):
    design = ModelSpec("transformer-encoder", size="nano", layers=1)
    processor = load.processor(design, [{"text": "a b"}])
    with pytest.raises(ModelError, match="model.size says"):
        load.model(design, Head(""), load.base(design), processor)
    model = read(deep("bert"), Head(""))
    model.config.is_encoder_decoder = True
    with pytest.raises(ModelError, match="can't be counted"):
        depth.cut(model, 2, "pair")


def test_a_document_asks_for_a_number_or_for_numbers():
    for given, read_as in ((6, 6), ([0, 5], (0, 5)), (None, None)):
        assert spec.build(ModelSpec, Document({"layers": given}, "test")).layers == read_as
