import pytest
import torch
from tokenizers import processors
from transformers import BertConfig, BertLMHeadModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from jishi.core.contracts import Base
from jishi.models import cross_entropy, heads
from jishi.models.decoding import Decoding
from jishi.objectives.causal_lm import CausalLM
from jishi.training.loop import Loop
from jishi.training.spec import TrainSpec
from points import run
from tiny import tokenizer

WORDS = " ".join(f"w{number}" for number in range(60))
PROCESSOR = tokenizer(WORDS, max_length=64)
SMALL = {"vocab_size": 65, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SMALL)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=65, n_embd=32, n_layer=2, n_head=2, n_positions=64)),
    "bert": lambda: BertLMHeadModel(BertConfig(**SMALL, is_decoder=True)),
}


def text(count: int) -> str:
    return " ".join(WORDS.split()[:count])


def encoded(*counts: int):
    return [CausalLM().encode({"text": text(count)}, PROCESSOR) for count in counts]


def model(kind: str = "llama"):
    torch.manual_seed(0)
    return MODELS[kind]().eval()


@pytest.mark.parametrize("kind", MODELS)
def test_the_loss_is_that_of_every_next_token_of_each_row_alone(kind):
    net, rows = model(kind), encoded(3, 20, 9)
    total = count = 0
    for row in rows:
        ids = torch.from_numpy(row["input_ids"]).long()
        chances = net(ids[None]).logits[0].detach().softmax(-1)
        for place in range(len(ids) - 1):
            total -= float(chances[place, ids[place + 1]].log())
            count += 1
    given = CausalLM().loss(net, CausalLM().collate(rows, PROCESSOR))
    assert (given.count, given.outputs.shape) == (count, (count, 65))
    assert given.value.item() == pytest.approx(total / count, abs=1e-5)


def test_a_row_of_one_token_has_nothing_to_guess():
    rows = [{"input_ids": [5], "length": 1}]
    found = CausalLM().loss(model(), CausalLM().collate(rows, PROCESSOR))
    assert (found.value.item(), found.count) == (0, 0)


@pytest.mark.parametrize(("limit", "last", "truncated"), [(64, 6, False), (6, 6, False), (5, 3, False), (4, 3, True)])
def test_the_end_is_marked_where_the_text_ends_and_not_where_it_is_cut(limit, last, truncated):
    """[CLS] w0 w1 [SEP], and an end of its own: id 6 ("w1" stands for it, the row's words are others)."""
    processor = tokenizer(WORDS, max_length=64)
    processor.eos_token = "w1"
    row = CausalLM(max_length=limit).encode({"text": "w5 w6 w7"}, processor)
    assert (row["input_ids"][-1], row["truncated"], row["length"]) == (last, truncated, min(limit, 6))


@pytest.mark.parametrize(
    ("begins", "limit", "characters"),
    [
        (True, 64, 8),  # [CLS] w5 w6 w7 [SEP], all eight characters
        (True, 4, 5),  # [CLS] w5 w6 [SEP]: the end of w6
        (False, 64, 6),  # w5 w6 w7, of which w5 has nothing before it
        (False, 2, 3),  # w5 w6: a space and w6
        (False, 1, 0),
    ],
)
def test_the_characters_told_are_those_that_are_foreseen(begins, limit, characters):
    processor = tokenizer(WORDS)
    if not begins:
        processor.backend_tokenizer.post_processor = processors.Sequence([])
    row = CausalLM(max_length=limit).encode({"text": "w5 w6 w7"}, processor)
    assert row["characters"] == characters


def test_a_sample_goes_on_with_the_text_and_says_nothing_of_its_end():
    """The likeliest next token, thrice, by a plain forward over all there is by then."""
    net, ids, said = model(), [2, 10, 11], []
    for _ in range(3):
        said.append(int(net(torch.tensor([ids + said])).logits[0, -1].argmax()))
    processor = tokenizer(WORDS)
    processor.eos_token = "[SEP]"
    found = CausalLM().sample(net, "w5 w6", processor, Decoding(max_new_tokens=3))
    assert found == processor.decode(said)


def test_an_end_that_the_tokenizer_sets_itself_is_not_doubled():
    processor = tokenizer(WORDS)
    processor.eos_token = "[SEP]"
    assert CausalLM().encode({"text": "w1"}, processor)["input_ids"].tolist() == [2, 6, 3]


@pytest.mark.parametrize(("limit", "ids", "characters"), [(5, [2, 5, 6, 7, 3], 8), (4, [2, 5, 6], 5)])
def test_an_end_that_the_tokenizer_sets_itself_does_not_stand_where_a_row_was_cut(limit, ids, characters):
    processor = tokenizer(WORDS)
    processor.bos_token, processor.eos_token = "[CLS]", "[SEP]"
    row = CausalLM(max_length=limit).encode({"text": "w0 w1 w2"}, processor)
    assert (row["input_ids"].tolist(), row["length"], row["characters"]) == (ids, len(ids), characters)


def test_rows_are_cut_at_the_length_of_the_base():
    row = CausalLM().initialize([], Base("tiny", "text", max_length=8)).encode({"text": WORDS}, PROCESSOR)
    assert (row["length"], row["truncated"]) == (8, True)


@pytest.mark.parametrize("at_once", [2**23, 7 * 65])
def test_a_run_packs_and_learns_with_all_logits_at_once_and_with_few(at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(cross_entropy, "AT_ONCE", at_once)
    monkeypatch.setattr(cross_entropy, "POSITIONS", 1)
    rows = [{"text": text(1 + 3 * (row % 4))} for row in range(8)]
    loop = Loop(
        model(), CausalLM(max_length=32), PROCESSOR, TrainSpec(epochs=8, batch_size=8, precision="fp32", threads=1),
        train=rows, validation=rows, head=[], learning_rate=1e-2, folder=tmp_path, seed=0,
    )  # fmt: skip
    seen = []
    heads.layers(loop.model)[0].self_attn.register_forward_hook(
        lambda module, _, named, __: seen.append(named["hidden_states"].shape[:2]) if module.training else None,
        with_kwargs=True,
    )
    losses = [event.values["loss"] for event in run(loop) if event.kind == "validation"]
    assert loop.update.packs and seen[-1] == (1, sum(loop.features.lengths))
    assert losses[-1] < 0.7 * losses[0]
