import pytest
import torch
from transformers import MarianMTModel

from jishi.core.contracts import Head
from jishi.models import load, seq2seq
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.generate import generate
from jishi.models.spec import ModelSpec

ROWS = [{"source": "今天的天气真好，明天也会晴。", "target": "今日天佳，明日亦晴。"}] * 2
TEXTS = ["今天气真好", "晴，明日亦佳。"]  # no token twice


@pytest.fixture
def built():
    spec = ModelSpec("pointer-generator", size="nano")
    processor = load.processor(spec, ROWS)
    torch.manual_seed(0)
    return load.model(spec, Head("ForSeq2SeqLM"), load.base(spec), processor).eval(), processor


def inputs(processor):
    return {
        **processor(TEXTS, return_tensors="pt", padding=True),
        "decoder_input_ids": torch.tensor([[0, 9], [0, 270]]),
    }


def gate(model, bias):
    with torch.no_grad():
        model.gate.weight.zero_()
        model.gate.bias.fill_(bias)


def test_what_is_only_copied_is_a_token_of_the_text_and_no_padding(built):
    model, processor = built
    gate(model, -200.0)  # e^-200 is no fp32
    given = inputs(processor)
    chances = model(**given).logits.exp()
    for row, length in enumerate(given["attention_mask"].sum(1).tolist()):
        own = given["input_ids"][row, :length]
        torch.testing.assert_close(chances[row][:, own].sum(-1), torch.ones(2))
        assert len(set(own.tolist())) == length and not chances[row][:, processor.pad_token_id].gt(1e-30).any()


def test_what_is_only_written_is_what_marian_writes(built):
    model, processor = built
    gate(model, 200.0)
    expected = MarianMTModel.forward(model, **inputs(processor)).logits.log_softmax(-1)
    torch.testing.assert_close(model(**inputs(processor)).logits, expected, rtol=1e-4, atol=1e-4)


def test_half_of_each_is_the_mean_of_both(built):
    model, processor = built
    found = []
    for bias in (-200.0, 0.0, 200.0):
        gate(model, bias)
        found.append(model(**inputs(processor)).logits.exp())
    torch.testing.assert_close(found[1], (found[0] + found[2]) / 2)


def test_a_token_that_stands_twice_is_copied_from_both_places(built):
    model, processor = built
    gate(model, -200.0)
    with torch.no_grad():
        model.query.weight.zero_()  # every place is as good
    given = processor(["天天好"], return_tensors="pt")
    chances = model(**given, decoder_input_ids=torch.tensor([[0]])).logits.exp()[0, 0]
    day, good = processor.convert_tokens_to_ids(["天", "好"])
    assert (chances[day].item(), chances[good].item()) == pytest.approx(
        (2 / len(given["input_ids"][0]), 1 / len(given["input_ids"][0]))
    )


@pytest.mark.parametrize(
    "decoding", [Decoding("greedy", max_new_tokens=20), Decoding("beam", beams=2, max_new_tokens=20)]
)
def test_before_it_has_learnt_anything_it_writes_the_text_as_it_is(built, decoding):
    """Together and alone; the end is copied too."""
    model, processor = built
    ends = Ends(None, frozenset([processor.eos_token_id]))
    together = generate(model, dict(processor(TEXTS, return_tensors="pt", padding=True)), decoding, ends)
    for text, found in zip(TEXTS, together, strict=True):
        alone = processor([text], return_tensors="pt")
        assert found[:, 0].long().tolist() == alone["input_ids"][0].tolist()
        (same,) = generate(model, dict(alone), decoding, ends)
        torch.testing.assert_close(found, same, rtol=1e-4, atol=1e-4)


def test_the_loss_is_that_of_the_targets_at_their_own_texts(built):
    model, processor = built
    batch = {**processor(TEXTS, return_tensors="pt", padding=True), "labels": torch.tensor([[9, 8, -100], [7, 6, 5]])}
    before = torch.tensor([[0, 9, 0], [0, 7, 6]])
    logits = model(batch["input_ids"], batch["attention_mask"], decoder_input_ids=before).logits
    right = [(0, 0, 9), (0, 1, 8), (1, 0, 7), (1, 1, 6), (1, 2, 5)]
    expected = -sum(logits[place].item() for place in right) / 5
    found = seq2seq.loss(model, batch)
    assert found.value.item() == pytest.approx(expected, rel=1e-5) and found.count == 5
