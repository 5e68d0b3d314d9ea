"""What stands beside a model: it begins as the model came, says what the papers' formulas say, and is kept apart from it."""

import copy

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from jishi.adaptation.bottleneck_adapter import BottleneckAdapter
from jishi.adaptation.parallel_adapter import ParallelAdapter
from jishi.adaptation.prefix_tuning import PrefixTuning
from jishi.adaptation.prompt_tuning import PromptTuning
from jishi.core.errors import ModelError
from jishi.models import adapters, folder
from jishi.objectives.causal_lm import CausalLM
from jishi.tasks.text_classification import TextClassification
from tiny import sequence_classifier, tokenizer

TASK = TextClassification(problem="single", labels=("x", "y"))
IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


def classifier():
    return sequence_classifier(20, num_labels=2).eval()


def decoder():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=32, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def answers(model):
    return model(input_ids=IDS, attention_mask=MASK).logits


def stir(model):
    """Give what learns other values, so that it says something."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.3 * torch.randn_like(weight)
    return model


@pytest.mark.parametrize("adaptation", [BottleneckAdapter(), BottleneckAdapter(place="both"), ParallelAdapter()])
def test_an_adapter_says_nothing_at_first(adaptation):
    before = answers(classifier())
    model = adaptation.apply(classifier(), TASK)
    assert torch.equal(answers(model), before)
    assert not torch.allclose(answers(stir(model)), before, atol=1e-3)


def test_a_bottleneck_adapter_has_two_layers_a_block_and_houlsbys_twice_as_many():
    """D = 32, M = 8: 32·8 + 8 + 8·32 + 32 = 552 weights a place, in two blocks."""
    for place, places in (("feed-forward", 2), ("both", 4)):
        model = BottleneckAdapter(width=8, place=place).apply(classifier(), TASK)
        assert sum(value.numel() for value in adapters.weights(model).values()) == 552 * places
    names = adapters.weights(model)
    assert "bert.encoder.layer.0.output.dense.adapter.down.weight" in names
    assert "bert.encoder.layer.1.attention.output.dense.adapter.up.bias" in names


def test_a_bottleneck_adapter_reads_what_its_layer_says():
    model = stir(BottleneckAdapter(width=8).apply(classifier(), TASK))
    layer, given = model.bert.encoder.layer[0].output.dense, torch.randn(3, 64)
    plain = given @ layer.weight.T + layer.bias
    down, up = layer.adapter.down, layer.adapter.up
    inner = (plain @ down.weight.T + down.bias).clamp(min=0)
    torch.testing.assert_close(layer(given), plain + inner @ up.weight.T + up.bias)


def test_a_parallel_adapter_reads_what_the_feed_forward_layer_reads():
    model = stir(ParallelAdapter(width=8, scale=3.0).apply(classifier(), TASK))
    block, given = model.bert.encoder.layer[0], torch.randn(2, 4, 32)
    inner, outer = block.intermediate.dense, block.output.dense
    plain = torch.nn.functional.gelu(given @ inner.weight.T + inner.bias) @ outer.weight.T + outer.bias
    down, up = outer.adapter.down, outer.adapter.up
    added = (given @ down.weight.T + down.bias).clamp(min=0) @ up.weight.T + up.bias
    found = block.output.dense(block.intermediate(given))
    torch.testing.assert_close(found, plain + 3.0 * added)


@pytest.mark.parametrize("adaptation", [BottleneckAdapter(), ParallelAdapter(), PrefixTuning(hidden=0), PromptTuning()])
def test_a_copy_of_a_model_has_adapters_of_its_own(adaptation):
    model = adaptation.apply(classifier(), TASK)
    before = answers(model)
    other = stir(copy.deepcopy(model))
    assert torch.equal(answers(model), before)
    assert not torch.allclose(answers(other), before, atol=1e-3)


def softmax(scores):
    exp = (scores - scores.max(-1, keepdim=True).values).exp()
    return exp / exp.sum(-1, keepdim=True)


def test_every_query_sees_the_prefix_and_no_padding():
    """Worked out for one attention from its own queries, keys and values."""
    model = stir(PrefixTuning(tokens=3, hidden=0).apply(classifier(), TASK))
    attention, states = model.bert.encoder.layer[0].attention.self, torch.randn(2, 4, 32)
    keys, values = attention.adapter()  # (2 heads, 3, 16)
    heads = [
        (states @ layer.weight.T + layer.bias).view(2, 4, 2, 16).transpose(1, 2)
        for layer in (attention.query, attention.key, attention.value)
    ]
    key, value = (
        torch.cat([own.expand(2, -1, -1, -1), read], 2) for own, read in zip((keys, values), heads[1:], strict=True)
    )
    scores = heads[0] @ key.transpose(2, 3) / 4.0  # √16
    scores[1, :, :, 6] = -torch.inf  # the last place of the second row is padding
    expected = (softmax(scores) @ value).transpose(1, 2).reshape(2, 4, 32)
    found = attention(states, attention_mask=MASK[:, None, None, :].bool())[0]
    torch.testing.assert_close(found, expected)


def test_a_decoders_token_sees_the_prefix_and_what_came_before():
    """Changing a later token changes no earlier answer; changing the prefix changes the first."""
    model = stir(PrefixTuning(tokens=3, hidden=0).apply(decoder(), CausalLM()))
    one, other = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[5, 6, 9, 9]])
    first, second = model(input_ids=one).logits, model(input_ids=other).logits
    torch.testing.assert_close(first[:, :2], second[:, :2])
    assert not torch.allclose(first[:, 2:], second[:, 2:], atol=1e-3)
    with torch.no_grad():
        model.model.layers[0].self_attn.adapter.seeds += 1.0
    assert not torch.allclose(model(input_ids=one).logits[:, 0], first[:, 0], atol=1e-3)


@pytest.mark.parametrize(
    "adaptation", [PrefixTuning(tokens=3, hidden=0), PrefixTuning(tokens=3), PromptTuning(tokens=3), ParallelAdapter()]
)
def test_writing_token_by_token_says_what_reading_at_once_says(adaptation):
    model = stir(adaptation.apply(decoder(), CausalLM())).eval()
    ids, mask = torch.tensor([[0, 5, 6, 7], [8, 9, 10, 11]]), torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    places = (mask.cumsum(1) - 1).clamp(min=0)
    whole = model(input_ids=ids, attention_mask=mask, position_ids=places).logits
    cache, found = None, []
    for here in (slice(0, 2), slice(2, 3), slice(3, 4)):
        said = model(
            input_ids=ids[:, here], attention_mask=mask[:, : here.stop], position_ids=places[:, here],
            past_key_values=cache, use_cache=True,
        )  # fmt: skip
        cache = said.past_key_values
        found.append(said.logits)
    torch.testing.assert_close(torch.cat(found, 1)[mask.bool()], whole[mask.bool()], rtol=1e-4, atol=1e-5)


def test_a_prompt_is_read_as_the_words_it_begins_as():
    """An encoder whose positions are relative says the same of the text where those words stand before it."""
    torch.manual_seed(0)
    config = T5Config(vocab_size=20, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, pad_token_id=0)
    model = T5ForConditionalGeneration(config).eval()
    words = torch.tensor([[11, 12, 11]])
    written = model.encoder(
        input_ids=torch.cat([words.expand(2, -1), IDS], 1),
        attention_mask=torch.nn.functional.pad(MASK, (3, 0), value=1),
    ).last_hidden_state[:, 3:]
    given = {"attention_mask": MASK, "decoder_input_ids": IDS}
    answered = model(encoder_outputs=(written,), **given).logits
    PromptTuning(tokens=3, ids=(11, 12)).apply(model, TASK)
    found = model.encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(found[MASK.bool()], written[MASK.bool()])
    # The decoder reads with the same table, and is given no prompt.
    torch.testing.assert_close(model(input_ids=IDS, **given).logits, answered)


def test_a_prompt_begins_as_the_tokens_of_its_text():
    reads = tokenizer("is this good or bad")
    ready = PromptTuning(tokens=4, text="good or").initialize(reads)
    assert ready.ids == (7, 8)
    model = ready.apply(classifier(), TASK)
    table = model.bert.embeddings.word_embeddings.weight
    assert torch.equal(model.bert.adapter.words, table[[7, 8, 7, 8]])


@pytest.mark.parametrize("text", ["   ", "is this good or bad is this"])
def test_a_prompt_of_no_token_or_too_many_is_refused(text):
    """Nothing is cut off in silence."""
    with pytest.raises(ModelError, match="room for 1 to 6"):
        PromptTuning(tokens=6, text=text).initialize(tokenizer("is this good or bad"))


def test_a_full_text_still_fits_where_a_prompt_stands_before_it():
    model = PromptTuning(tokens=16).apply(classifier(), TASK)
    assert model(input_ids=torch.full((1, 64), 7)).logits.shape == (1, 2)  # all the positions the model has


def test_a_model_is_saved_plain_with_its_adapters_apart(tmp_path):
    model = stir(ParallelAdapter(width=8).apply(classifier(), TASK))
    adapters.Apart(model).save_pretrained(tmp_path)
    plain = load_file(tmp_path / "model.safetensors")
    assert plain.keys() == classifier().state_dict().keys()
    again = adapters.fill(ParallelAdapter(width=8).apply(type(model).from_pretrained(tmp_path), TASK), tmp_path)
    torch.testing.assert_close(answers(again.eval()), answers(model))


def test_adapters_of_another_shape_are_refused(tmp_path):
    adapters.Apart(ParallelAdapter(width=8).apply(classifier(), TASK)).save_pretrained(tmp_path)
    for other in (ParallelAdapter(width=4), BottleneckAdapter(width=8, place="both")):
        with pytest.raises(ModelError) as caught:
            adapters.fill(other.apply(classifier(), TASK), tmp_path)
        assert caught.value.code == "models.other-adapter"
    (tmp_path / folder.ADAPTER).write_bytes(b"cut off")
    with pytest.raises(ModelError) as caught:
        adapters.fill(ParallelAdapter(width=8).apply(classifier(), TASK), tmp_path)
    assert caught.value.code == "models.broken-weights"


def test_a_model_with_adapters_beside_it_is_no_base(tmp_path):
    tokenizer("good bad").save_pretrained(tmp_path)
    classifier().save_pretrained(tmp_path)
    assert folder.base("x", tmp_path).modality == "text"
    save_file({"a": torch.zeros(1)}, tmp_path / folder.ADAPTER)
    with pytest.raises(ModelError) as caught:
        folder.base("x", tmp_path)
    assert caught.value.code == "models.adapter-beside"


@pytest.mark.parametrize("adaptation", [BottleneckAdapter(), ParallelAdapter(), PrefixTuning(), PrefixTuning(hidden=0)])
def test_a_model_without_attention_is_refused(adaptation):
    from transformers import ResNetConfig, ResNetForImageClassification

    model = ResNetForImageClassification(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))
    with pytest.raises(ModelError) as caught:
        adaptation.apply(model, TASK)
    assert caught.value.code == "adaptation.no-attention"
    with pytest.raises(ModelError) as caught:
        PromptTuning().apply(model, TASK)
    assert caught.value.code == "adaptation.no-words"


def test_patches_stand_behind_those_of_a_picture_and_the_blocks_read_them():
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=8
    )
    model = ViTForImageClassification(config).eval()
    plain, pixels = copy.deepcopy(model.vit), torch.rand(2, 3, 16, 16)
    PromptTuning(tokens=3).apply(model, TASK)
    words = model.vit.adapter.words
    assert words.shape == (3, 16) and words.abs().max() <= (6 / (3 * 8 * 8 + 16)) ** 0.5
    states = torch.cat([plain.embeddings(pixels), words.detach().expand(2, -1, -1)], 1)  # 1 + 4 + 3 places
    for block in plain.layers:
        states = block(states)
    said = model.vit(pixels).last_hidden_state
    torch.testing.assert_close(said, plain.layernorm(states)[:, :5])
    assert not torch.allclose(said, plain(pixels).last_hidden_state, atol=1e-4)


def test_a_prompt_for_pictures_has_no_text():
    with pytest.raises(ModelError) as caught:
        PromptTuning(text="good").initialize(object())
    assert caught.value.code == "adaptation.text-of-pictures"
