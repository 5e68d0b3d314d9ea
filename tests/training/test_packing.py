"""Without padding the loss and every gradient are the same."""

from contextlib import nullcontext

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, ModernBertConfig, ModernBertForMaskedLM

import tiny
from jishi.adaptation.lora import LoRA
from jishi.core.contracts import Loss
from jishi.models import heads
from jishi.tasks.text_classification import TextClassification
from jishi.training import packing
from jishi.training.loop import Loop
from jishi.training.packing import Layout, attend, filled, packable, packed
from jishi.training.spec import TrainSpec
from points import run

LENGTHS = torch.tensor([9, 3, 3, 6, 1])
SMALL = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def batch() -> dict[str, torch.Tensor]:
    mask = (torch.arange(9) < LENGTHS[:, None]).long()
    ids = torch.randint(5, 40, (5, 9), generator=torch.Generator().manual_seed(0)) * mask
    return {"input_ids": ids, "attention_mask": mask}


class Guess:
    """A loss on every real output, so that all of them matter: logits (B, K) or (B, T, K)."""

    def loss(self, model, batch) -> Loss:
        logits = model(**batch).logits
        real = logits[batch["attention_mask"].bool()] if logits.dim() == 3 else logits
        weights = torch.linspace(-1, 1, real.numel()).view_as(real)
        return Loss((real * weights).sum(), logits)


def models() -> dict:
    torch.manual_seed(0)
    return {
        "one label": tiny.sequence_classifier(40, num_labels=3),
        "a label a token": tiny.token_classifier(40, num_labels=3),
        "hidden tokens": tiny.masked_lm(40),
        "lora": LoRA().apply(tiny.sequence_classifier(40, num_labels=3), TextClassification()),
        "decoder, shared keys": LlamaForCausalLM(LlamaConfig(**SMALL, num_key_value_heads=1)),
        "computed again": computed_again(),
    }


def computed_again():
    model = tiny.token_classifier(40, num_labels=3)
    model.activation_checkpointing_enable({"use_reentrant": False})
    return model


@pytest.mark.parametrize("longest", [512, 4], ids=["in blocks", "left to torch"])
@pytest.mark.parametrize("name", models())
def test_loss_and_gradients_equal_those_of_the_padded_batch(name, longest, monkeypatch):
    monkeypatch.setattr(packing, "LONGEST", longest)
    monkeypatch.setattr(packing, "COUNTS", 2)  # 22 tokens are filled up to 24
    model, found = models()[name].train(), []
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert packable(model, Guess(), batch()) and model.training
    for pack in (False, True):
        model.zero_grad()
        with packed(model, batch()) if pack else nullcontext():
            loss = Guess().loss(model, batch())
            loss.value.backward()
        gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
        found.append((loss.value.detach(), gradients))
    (plain, expected), (value, gradients) = found
    torch.testing.assert_close(value, plain, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4)


def test_the_blocks_see_the_real_tokens_only():
    model = tiny.sequence_classifier(40, num_labels=3)
    seen = []
    heads.layers(model)[1].attention.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[:2]))
    with packed(model, batch()):
        Guess().loss(model, batch())
    assert seen == [(1, 22)]
    Guess().loss(model, batch())
    assert seen[1] == (5, 9)  # and afterwards all is as before


def test_few_counts_of_tokens_are_ever_met():
    """Between 1,024 and 2,048 they are 64 apart, and 6 % more at most anywhere."""
    assert [filled(count) for count in (1, 17, 31, 33, 1024, 1025, 1088, 2047, 2049)] == [
        1, 17, 31, 34, 1024, 1088, 1088, 2048, 2176,
    ]  # fmt: skip
    assert max(filled(count) / count for count in range(1, 5000)) <= 1 + 1 / 16


def test_attention_with_dropout_has_the_mean_it_had_without():
    """One token attends to itself only: its weight is 0 or 1 / (1 − p), one on average."""
    module = tiny.sequence_classifier(40, num_labels=3).train().bert.encoder.layer[0].attention.self
    mask = torch.zeros(4001, 2, dtype=torch.long)
    mask[:, 0] = 1
    mask[0] = 1  # one row of two tokens, 4,000 rows of one
    torch.manual_seed(0)
    layout = Layout(mask)
    states = torch.ones(1, 2, len(layout.places), 8)
    answer, _ = attend(module, states, states, states, None, layout=layout, dropout=0.25)
    single = answer[0, :4000]
    torch.testing.assert_close(single.unique(), torch.tensor([0.0, 4 / 3]))
    share = float((single[:, :, 0] == 0).float().mean())
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / 8000) ** 0.5


@pytest.mark.parametrize("told", ["by the module", "by the caller", "by nobody"])
def test_a_decoder_does_not_look_ahead_with_dropout_either(told):
    """The first token sees itself only; where nobody says, transformers takes attention for causal."""
    module, named = torch.nn.Module().train(), {}
    if told == "by the module":
        module.is_causal = True
    if told == "by the caller":
        module.is_causal, named = False, {"is_causal": True}
    torch.manual_seed(0)
    states = torch.randn(1, 2, 7, 8)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    answer, _ = attend(module, states, states, states, None, layout=Layout(mask), dropout=1e-9, **named)
    torch.testing.assert_close(answer[0, 0], states[0, :, 0])
    assert not torch.allclose(answer[0, 2], states[0, :, 2])


def test_a_head_of_zeros_proves_nothing():
    model = tiny.sequence_classifier(40, num_labels=3)
    torch.nn.init.zeros_(model.classifier.weight)
    torch.nn.init.zeros_(model.classifier.bias)
    assert not packable(model, Guess(), batch())


def test_a_batch_of_which_nothing_is_asked_proves_nothing():
    """Two short rows in which no token happens to be hidden."""

    class Nothing:
        def loss(self, model, batch) -> Loss:
            return Loss(torch.zeros(()), model(**batch).logits[:0, 0])

    assert not packable(tiny.masked_lm(40), Nothing(), batch())


def test_what_a_mask_says_beyond_padding_forbids_it():
    """A window of attention smaller than the row stands in the mask, which a packed batch has none of."""
    torch.manual_seed(0)
    windowed = ModernBertForMaskedLM(ModernBertConfig(**SMALL, pad_token_id=0, local_attention=4))
    assert not packable(windowed, Guess(), batch())
    even = {name: value[:1] for name, value in batch().items()}
    assert even["attention_mask"].all() and not packable(windowed, Guess(), even)  # nor where there is no padding


def test_a_run_packs_by_itself(tmp_path):
    words = "good bad fine poor movie"
    processor = tiny.tokenizer(words)
    task = TextClassification(problem="single", labels=("bad", "good"), prefix="", max_length=32)
    rows = [{"text": " ".join(words.split()[: 1 + row % 5]), "label": ("bad", "good")[row % 2]} for row in range(10)]
    loop = Loop(
        tiny.sequence_classifier(len(processor), num_labels=2), task, processor,
        TrainSpec(epochs=1, batch_size=10, precision="fp32", threads=1),
        train=rows, validation=None, head=["classifier"], learning_rate=1e-2, folder=tmp_path, seed=0,
    )  # fmt: skip
    seen = []
    heads.layers(loop.model)[0].attention.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[:2]))
    run(loop)
    assert loop.update.packs and seen[-1] == (1, sum(loop.features.lengths))
