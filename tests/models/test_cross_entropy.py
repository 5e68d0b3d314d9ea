"""Some logits at a time: the loss and every gradient are those of all at once."""

import peft
import pytest
import torch
from torch.nn import functional
from transformers import (
    BertConfig,
    BertForMaskedLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MarianConfig,
    MarianMTModel,
    T5Config,
    T5ForConditionalGeneration,
)

from jishi.models import cross_entropy
from jishi.training.memory import bytes_kept
from jishi.training.pace import counted

SMALL = {
    "vocab_size": 500, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "num_key_value_heads": 2, "head_dim": 16, "attention_dropout": 0.0, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0, "pad_token_id": 0,
}  # fmt: skip
IDS = torch.randint(1, 500, (4, 20), generator=torch.Generator().manual_seed(0))
PLACES = torch.rand(4, 20, generator=torch.Generator().manual_seed(1)) < 0.6
TARGETS = IDS.roll(1, 1)[PLACES]
MODELS = {
    "tied": lambda: LlamaForCausalLM(LlamaConfig(**SMALL, tie_word_embeddings=True)),
    "untied": lambda: LlamaForCausalLM(LlamaConfig(**SMALL, tie_word_embeddings=False)),
    "a transform and a bias": lambda: BertForMaskedLM(BertConfig(**SMALL)),
    "a frozen head": lambda: frozen(LlamaForCausalLM(LlamaConfig(**SMALL))),
    "a frozen backbone": lambda: frozen(LlamaForCausalLM(LlamaConfig(**SMALL)), "model"),
}
BOUND = {
    "bounded": lambda: Gemma2ForCausalLM(Gemma2Config(**SMALL, final_logit_softcapping=2.0)),
    "scaled": lambda: GraniteForCausalLM(GraniteConfig(**SMALL, logits_scaling=4.0)),
    "a head with LoRA": lambda: peft.get_peft_model(MODELS["untied"](), peft.LoraConfig(target_modules=["lm_head"])),
    "a head that is saved": lambda: peft.get_peft_model(
        MODELS["untied"](), peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"])
    ),
}


def frozen(net, name="lm_head"):
    net.get_submodule(name).requires_grad_(False)
    return net


pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's


@pytest.fixture(autouse=True)
def seven_at_a_time(monkeypatch):
    monkeypatch.setattr(cross_entropy, "AT_ONCE", 7 * 500)
    monkeypatch.setattr(cross_entropy, "POSITIONS", 1)


def made(model):
    torch.manual_seed(0)
    return model().train()


def torchs(net):
    """The mean by torch's own cross-entropy over all logits, and every gradient."""
    net.zero_grad()
    loss = functional.cross_entropy(net(input_ids=IDS).logits[PLACES].float(), TARGETS)
    loss.backward()
    return float(loss.detach()), gradients(net)


def ours(net):
    net.zero_grad()
    total, outputs = cross_entropy.cross_entropy(net, {"input_ids": IDS}, PLACES, TARGETS)
    (total / len(TARGETS)).backward()
    return float(total.detach()) / len(TARGETS), gradients(net), outputs


def gradients(net):
    return {name: weight.grad for name, weight in net.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("name", [*MODELS, *BOUND])
def test_loss_and_gradients_are_those_of_torch(name):
    net = made({**MODELS, **BOUND}[name])
    expected, slopes = torchs(net)
    value, found, outputs = ours(net)
    assert value == pytest.approx(expected, abs=1e-5)
    assert found.keys() == slopes.keys()
    for weight, slope in slopes.items():
        torch.testing.assert_close(found[weight], slope, atol=1e-5, rtol=1e-5)
    assert outputs.shape == (len(TARGETS), 32 if name in MODELS else 500)  # states, or logits where only they will do


@pytest.mark.parametrize("name", ["tied", "a transform and a bias"])
def test_in_bf16_the_softmax_is_in_fp32(name):
    net = made(MODELS[name])
    with torch.autocast("cpu", torch.bfloat16):
        expected, slopes = torchs(net)
        value, found, outputs = ours(net)
        layer = net.get_output_embeddings()
        logits = layer(outputs).detach()
    assert outputs.shape[1] == 32 and logits.dtype == torch.bfloat16
    assert value == pytest.approx(float(functional.cross_entropy(logits.float(), TARGETS)), abs=1e-5)
    assert value == pytest.approx(expected, abs=1e-3)
    for weight, slope in slopes.items():
        assert (found[weight] - slope).norm() <= 0.02 * slope.norm() + 1e-6, weight


def test_no_logits_are_kept_and_no_product_is_made_twice(monkeypatch):
    net = made(MODELS["a transform and a bias"])
    kept = bytes_kept(net, lambda: cross_entropy.cross_entropy(net, {"input_ids": IDS}, PLACES, TARGETS))
    work = counted(lambda: ours(net))
    monkeypatch.setattr(cross_entropy, "AT_ONCE", 2**23)
    before = bytes_kept(net, lambda: cross_entropy.cross_entropy(net, {"input_ids": IDS}, PLACES, TARGETS))
    assert before - kept > 4 * 500 * len(TARGETS)
    assert counted(lambda: ours(net)) == work


def test_looking_at_the_head_takes_no_random_number_and_happens_once():
    net, seen = made(lambda: BertForMaskedLM(BertConfig(**{**SMALL, "hidden_dropout_prob": 0.5}))), []
    net.bert.register_forward_hook(lambda *_: seen.append(1))
    torch.manual_seed(1)
    first = ours(net)
    assert len(seen) == 2
    torch.manual_seed(1)
    again = ours(net)
    assert len(seen) == 3 and first[0] == again[0]


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_without_gradients_the_loss_is_the_same(guard):
    net = made(MODELS["tied"])
    expected, _ = torchs(net)
    with guard():
        total, _ = cross_entropy.cross_entropy(net, {"input_ids": IDS}, PLACES, TARGETS)
    assert float(total) / len(TARGETS) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["tied", "bounded"])
@pytest.mark.parametrize("chunks", [True, False])
def test_smoothed_targets_are_those_of_torch(name, chunks, monkeypatch):
    net = made({**MODELS, **BOUND}[name])
    expected = functional.cross_entropy(net(input_ids=IDS).logits[PLACES].float(), TARGETS, label_smoothing=0.2)
    expected.backward()
    slopes = gradients(net)
    if not chunks:
        monkeypatch.setattr(cross_entropy, "AT_ONCE", 2**23)
    net.zero_grad()
    total, _ = cross_entropy.cross_entropy(net, {"input_ids": IDS}, PLACES, TARGETS, 0.2)
    (total / len(TARGETS)).backward()
    assert float(total.detach()) / len(TARGETS) == pytest.approx(float(expected.detach()), abs=1e-5)
    for weight, slope in slopes.items():
        torch.testing.assert_close(gradients(net)[weight], slope, atol=1e-5, rtol=1e-5)


SIDES = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "dropout": 0.0, "max_position_embeddings": 64,
}  # fmt: skip
WRITERS = {
    "t5": lambda: T5ForConditionalGeneration(
        T5Config(vocab_size=500, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, dropout_rate=0.0)
    ),
    "marian": lambda: MarianMTModel(MarianConfig(**SIDES, vocab_size=500, pad_token_id=0, decoder_start_token_id=0)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_of_an_encoder_decoder_the_states_are_those_of_the_decoder(name):
    """Source and target differ in length, and no place of the encoder is taken for one of the decoder."""
    net, source = made(WRITERS[name]), IDS[:, :7]
    inputs = {"input_ids": source, "decoder_input_ids": IDS, "use_cache": False}
    expected = functional.cross_entropy(net(**inputs).logits[PLACES].float(), TARGETS)
    expected.backward()
    slopes = gradients(net)
    net.zero_grad()
    total, outputs = cross_entropy.cross_entropy(net, inputs, PLACES, TARGETS)
    (total / len(TARGETS)).backward()
    assert outputs.shape == (len(TARGETS), {"t5": 32, "marian": 500}[name])  # Marian adds a bias to its logits
    assert float(total.detach()) / len(TARGETS) == pytest.approx(float(expected.detach()), abs=1e-5)
    for weight, slope in slopes.items():
        torch.testing.assert_close(gradients(net)[weight], slope, atol=1e-5, rtol=1e-5)
