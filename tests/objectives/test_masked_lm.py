import numpy
import pytest
import tokenizers
import torch
import transformers

from jishi.adaptation.lora import LoRA
from jishi.core.contracts import Base
from jishi.core.errors import ModelError, UsageError
from jishi.objectives.masked_lm import MaskedLM
from tiny import masked_lm, tokenizer

WORDS = " ".join(f"w{number}" for number in range(200))
PROCESSOR = tokenizer(WORDS, max_length=64)


def features(count=60):
    return MaskedLM().encode({"text": " ".join(f"w{number}" for number in range(count))}, PROCESSOR)


def hidden(varied):
    return numpy.flatnonzero(varied["labels"] != -100)


def test_the_share_hidden_is_the_share_asked_for():
    for count in (2, 7, 60):
        row = features(count)
        shares = [
            len(hidden(MaskedLM().vary(row, PROCESSOR, numpy.random.default_rng(seed), training=True))) / count
            for seed in range(2000)
        ]
        assert abs(numpy.mean(shares) - 0.15) < 3 * numpy.std(shares) / 2000**0.5 + 1e-9


def test_eight_in_ten_are_masked_one_is_random_one_stands():
    row, kinds = features(), {"mask": 0, "random": 0, "same": 0}
    for seed in range(600):
        varied = MaskedLM().vary(row, PROCESSOR, numpy.random.default_rng(seed), training=True)
        for place in hidden(varied):
            shown = varied["input_ids"][place]
            assert varied["labels"][place] == row["input_ids"][place]
            kinds["mask" if shown == 4 else "same" if shown == row["input_ids"][place] else "random"] += 1
        others = varied["labels"] == -100
        assert (varied["input_ids"][others] == row["input_ids"][others]).all()
    total = sum(kinds.values())
    for kind, share in (("mask", 0.8), ("random", 0.1), ("same", 0.1)):
        assert (
            abs(kinds[kind] / total - share) < 3 * (share * (1 - share) / total) ** 0.5 + 0.001
        )  # 1 in 200 draws itself


def test_special_tokens_are_never_hidden_nor_put_in():
    row = MaskedLM(share=1.0).encode({"text": "w1 unheard w2"}, PROCESSOR)
    for seed in range(200):
        varied = MaskedLM(share=1.0).vary(row, PROCESSOR, numpy.random.default_rng(seed), training=True)
        assert hidden(varied).tolist() == [1, 3]
        assert all(token >= 4 for token in varied["input_ids"][[1, 3]])


def test_the_same_generator_hides_the_same_tokens():
    first, again = (
        MaskedLM().vary(features(), PROCESSOR, numpy.random.default_rng(3), training=False) for _ in range(2)
    )
    assert (first["input_ids"] == again["input_ids"]).all()


SIZES = {
    "vocab_size": 205,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "DistilBert", "Albert", "Electra", "ModernBert", "DebertaV2"])
def test_the_loss_is_that_of_all_logits(kind):
    sizes = (
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "vocab_size": 205} if kind == "DistilBert" else SIZES
    )
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**sizes, pad_token_id=0)
    model = getattr(transformers, f"{kind}ForMaskedLM")(config).eval()
    rng, objective = numpy.random.default_rng(0), MaskedLM()
    rows = [objective.vary(features(count), PROCESSOR, rng, training=True) for count in (20, 50)]
    batch = objective.collate(rows, PROCESSOR)
    inputs = {key: value for key, value in batch.items() if key not in ("labels", "token_type_ids")}
    whole = model(**inputs).logits
    expected = torch.nn.functional.cross_entropy(whole.flatten(0, 1), batch["labels"].flatten())
    given = objective.loss(model, {**inputs, "labels": batch["labels"]})
    assert given.value.item() == pytest.approx(expected.item(), abs=1e-5)
    assert given.count == int((batch["labels"] != -100).sum())
    assert given.outputs.shape == (given.count, 205)
    assert torch.equal(model(**inputs).logits, whole)  # nothing is left behind


def test_it_learns_through_a_lora_wrapper_too():
    model = LoRA().apply(masked_lm(205), MaskedLM())
    batch = MaskedLM().collate(
        [MaskedLM().vary(features(), PROCESSOR, numpy.random.default_rng(0), training=True)], PROCESSOR
    )
    MaskedLM().loss(model, batch).value.backward()
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_a_batch_with_nothing_hidden_has_no_loss():
    row = features(3)
    row["labels"] = numpy.full(5, -100)
    batch = MaskedLM().collate([row], PROCESSOR)
    assert MaskedLM().loss(masked_lm(205), batch).value.item() == 0


def test_rows_are_cut_at_the_length_of_the_base():
    objective = MaskedLM().initialize([], Base("tiny", "text", max_length=8))
    row = objective.encode({"text": WORDS}, PROCESSOR)
    assert (row["length"], row["truncated"]) == (8, True)


def test_a_tokenizer_without_a_mask_is_refused():
    bare = tokenizer("a")
    bare.mask_token = None
    with pytest.raises(ModelError) as caught:
        MaskedLM().encode({"text": "a"}, bare)
    assert str(caught.value)


def pieces(found):
    """A tokenizer of word pieces."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    numbers = {piece: number for number, piece in enumerate([*special, *found])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordPiece(numbers, unk_token="[UNK]"))
    backend.normalizer = tokenizers.normalizers.BertNormalizer()
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    marks = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **marks)


def test_words_are_hidden_whole_chinese_ones_too():
    pytest.importorskip("rjieba", reason="needs the extra corpus")
    words = ["我们", "喜欢", "北京", "大学", "electric", "trains"]
    processor = pieces([*"我们喜欢北京大学", "elect", "##ric", "train", "##s"])
    objective = MaskedLM(unit="word", share=0.4)
    row = objective.encode({"text": "我们喜欢北京大学 electric trains"}, processor)
    own = [row["words"][place] for place in range(row["length"])]
    assert own[0] == own[-1] == -1 and row["length"] == 2 + 8 + 4
    apart = [place for place in range(1, row["length"] - 2) if own[place] != own[place + 1]]
    assert apart in ([2, 4, 6, 8, 10], [2, 4, 8, 10])  # 北京大学 may be one word
    seen, count = set(), 0
    for seed in range(300):
        varied = objective.vary(row, processor, numpy.random.default_rng(seed), training=True)
        places = hidden(varied).tolist()
        assert "words" not in varied
        assert all(
            (place in places) == (other in places)
            for place in range(14)
            for other in range(14)
            if own[place] == own[other]
        )
        seen |= {own[place] for place in places}
        count += len(places)
    assert len(seen) == len(set(own)) - 1 <= len(words)
    assert 0.3 < count / 300 / 12 <= 0.4  # a word for which there is no room is passed over


def test_a_row_that_is_cut_keeps_the_words_of_its_tokens():
    objective = MaskedLM(unit="word", max_length=5)
    row = objective.encode({"text": "w1 w2 w3 w4 w5 w6"}, PROCESSOR)
    assert row["truncated"] and row["words"].tolist() == [-1, 0, 1, 2, -1]


def test_spans_are_of_tokens_that_follow_each_other():
    objective, row, runs, shares = MaskedLM(unit="span"), features(60), [], []
    for seed in range(500):
        places = hidden(objective.vary(row, PROCESSOR, numpy.random.default_rng(seed), training=True))
        shares.append(len(places) / 60)
        runs += [len(run) for run in numpy.split(places, numpy.flatnonzero(numpy.diff(places) > 1) + 1)]
    assert abs(numpy.mean(shares) - 0.15) < 1e-2
    single = [
        len(run)
        for seed in range(500)
        for places in [hidden(MaskedLM().vary(row, PROCESSOR, numpy.random.default_rng(seed), training=True))]
        for run in numpy.split(places, numpy.flatnonzero(numpy.diff(places) > 1) + 1)
    ]
    assert numpy.mean(runs) > 2 * numpy.mean(single)


@pytest.mark.parametrize("split", [False, True])
def test_a_sample_fills_each_blank_with_the_likeliest_token(split):
    """Read as the tokenizer's mark, even where marks in a text are only characters of it."""
    processor = tokenizer(WORDS)
    processor.split_special_tokens = split
    model = masked_lm(len(processor)).eval()
    ids = processor("w1 w2 w3", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([[processor.cls_token_id, ids[0], processor.mask_token_id, ids[2], processor.mask_token_id,
                                      processor.sep_token_id]])).logits[0]  # fmt: skip
        wanted = [processor.decode([int(logits[place].argmax())]) for place in (2, 4)]
        found = MaskedLM().sample(model, "w1 [MASK] w3 [MASK]", processor, None)
    assert found == f"w1 {wanted[0]} w3 {wanted[1]}"


def test_a_sample_without_a_blank_is_refused():
    with pytest.raises(UsageError, match=r"write \[MASK\]"):
        MaskedLM(max_length=4).sample(masked_lm(len(PROCESSOR)), "w1 w2 w3 [MASK]", PROCESSOR, None)
