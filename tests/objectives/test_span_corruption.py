"""Span corruption: what is read, what is to be written, which share, and what can't be done. The contract is in contracts/."""

from itertools import pairwise
from pathlib import Path

import numpy
import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

import jishi
from jishi.core.contracts import Base
from jishi.core.errors import ModelError, TrainingError, UsageError
from jishi.models import load, special, tokens
from jishi.models.spec import ModelSpec
from jishi.objectives.span_corruption import SENTINELS, SpanCorruption, corrupted, drawn
from tiny import tokenizer

WORDS = " ".join(f"w{number}" for number in range(200))
ENDLESS = list(range(900, 1000))


def t5(words: str = WORDS) -> T5Tokenizer:
    """A tokenizer as T5's: </s> is 1, <extra_id_0> is the last id, and the words have the ids from 3 on."""
    parts = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -2.0) for word in words.split())]
    marks = [(f"<extra_id_{number}>", 0.0) for number in reversed(range(100))]
    return T5Tokenizer(vocab=[*parts, *marks], model_max_length=64)


def taken(objective: SpanCorruption, text: str, processor, seed: int):
    return objective.vary(
        objective.encode({"text": text}, processor), processor, numpy.random.default_rng(seed), training=True
    )


def test_each_span_is_read_as_its_sentinel_and_written_behind_it() -> None:
    """The example of the paper: "Thank you <X> me to your party <Y> week" and "<X> for inviting <Y> last", then the end."""
    ids = numpy.asarray(
        [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 1]
    )  # Thank you for inviting me to your party last week </s>
    read, written = corrupted(ids, numpy.asarray([[2, 4], [8, 9]]), [99, 98], 1)
    assert read.tolist() == [10, 11, 99, 14, 15, 16, 17, 98, 19, 1]
    assert written.tolist() == [99, 12, 13, 98, 18, 1]
    read, written = corrupted(ids, numpy.asarray([[0, 1], [9, 10]]), [99, 98], None)
    assert read.tolist() == [99, 11, 12, 13, 14, 15, 16, 17, 18, 98, 1]
    assert written.tolist() == [99, 10, 98, 19]


def test_what_is_read_and_written_together_are_the_text() -> None:
    processor, words = t5(), WORDS.split()[:60]
    for seed in range(200):
        row = taken(SpanCorruption(), " ".join(words), processor, seed)
        read, written = row["input_ids"].tolist(), row["labels"].tolist()
        assert written[-1] == read[-1] == processor.eos_token_id
        spans: dict[int, list[int]] = {}
        for token in written[:-1]:
            spans.setdefault(token, []) if token >= 203 else spans[list(spans)[-1]].append(token)
        whole = [part for token in read[:-1] for part in spans.get(token, [token])]
        assert whole == [3 + number for number in range(60)]
        assert list(spans) == [302 - place for place in range(len(spans))] == [one for one in read if one >= 203]


def test_the_whole_text_is_written_where_that_is_asked_for() -> None:
    processor, words = t5(), WORDS.split()[:60]
    whole = [*(3 + number for number in range(60)), processor.eos_token_id]
    for seed in range(20):
        spans, text = (
            taken(SpanCorruption(writes=kind), " ".join(words), processor, seed) for kind in ("spans", "whole")
        )
        assert text["labels"].tolist() == whole and text["input_ids"].tolist() == spans["input_ids"].tolist()
    nothing = taken(SpanCorruption(writes="whole"), "w1", processor, 0)
    assert nothing["labels"].tolist() == [tokens.IGNORED]


def test_spans_have_the_share_and_the_mean_length_asked_for_and_never_touch() -> None:
    """60 tokens at 0.15 are 9, in 3 spans; 7 tokens are 1.05: one, and two in one of twenty draws."""
    for seed in range(500):
        spans = drawn(60, 0.15, 3.0, numpy.random.default_rng(seed))
        assert len(spans) == 3 and (spans[:, 1] - spans[:, 0]).sum() == 9
        assert (
            all(before[1] < after[0] for before, after in pairwise(spans.tolist()))
            and (spans[:, 0] < spans[:, 1]).all()
        )
        assert spans.min() >= 0 and spans.max() <= 60
    hidden = [int(numpy.diff(drawn(7, 0.15, 3.0, numpy.random.default_rng(seed))).sum()) for seed in range(4000)]
    assert set(hidden) == {1, 2} and numpy.mean(hidden) == pytest.approx(1.05, abs=3 * (0.05 * 0.95 / 4000) ** 0.5)
    counts = [len(drawn(50, 0.2, 4.0, numpy.random.default_rng(seed))) for seed in range(4000)]
    assert set(counts) == {2, 3} and numpy.mean(counts) == pytest.approx(2.5, abs=3 * 0.5 / 4000**0.5)


def test_every_way_to_lay_two_spans_is_as_likely_as_any_other() -> None:
    """3 of 6 tokens in 2 spans that do not touch: lengths (1, 2) or (2, 1), 6 ways to place each, 12 in all."""
    found: dict[str, int] = {}
    for seed in range(6000):
        spans = drawn(6, 0.5, 1.5, numpy.random.default_rng(seed)).tolist()
        found[str(spans)] = found.get(str(spans), 0) + 1
    assert len(found) == 12
    assert all(abs(count - 500) < 4 * (6000 / 12 * 11 / 12) ** 0.5 for count in found.values())


@pytest.mark.parametrize(("share", "span"), [(0.5, 1.0), (0.99, 1.0), (0.99, 50.0), (0.01, 3.0)])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 62])
def test_some_token_stays_and_no_more_is_written_than_a_row_may_have(count, share, span) -> None:
    ids = numpy.asarray([*range(2, count + 2), 1])
    for seed in range(50):
        spans = drawn(count, share, span, numpy.random.default_rng(seed))
        read, written = corrupted(ids, spans, ENDLESS[: len(spans)], 1)
        assert len(read) <= len(ids) and len(written) <= len(ids)
        assert numpy.diff(spans).sum() >= min(int(share * count), count - 1)
        assert len(set(read.tolist()) - {1, *ENDLESS}) >= min(count, 1)


def test_every_epoch_takes_out_others_and_the_same_generator_the_same() -> None:
    rows = [taken(SpanCorruption(), WORDS, t5(), seed)["labels"].tolist() for seed in (1, 2, 1)]
    assert rows[0] == rows[2] != rows[1]


def test_a_text_too_short_to_take_anything_out_is_counted_and_teaches_nothing() -> None:
    processor, objective = t5(), SpanCorruption()
    assert [objective.encode({"text": text}, processor)["cut"] for text in ("w1", "w1 w2")] == [1, 0]
    row = taken(objective, "w1", processor, 0)
    assert row["input_ids"].tolist() == [4, 1] and row["labels"].tolist() == [tokens.IGNORED]
    net = T5ForConditionalGeneration(small(processor)).eval()
    found = objective.loss(net, objective.collate([row], processor))
    assert (found.value.item(), found.count) == (0, 0)


def small(processor) -> T5Config:
    return T5Config(
        vocab_size=len(processor), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1, dropout_rate=0.0,
    )  # fmt: skip


def folder(path: Path) -> str:
    processor = t5()
    T5ForConditionalGeneration(small(processor)).save_pretrained(path / "t5")
    processor.save_pretrained(path / "t5")
    return str(path / "t5")


def test_the_loss_is_that_of_transformers_own_model() -> None:
    """T5 shifts its labels itself and takes the mean over them: of one row at a time, weighed by its targets."""
    processor, objective = t5(), SpanCorruption()
    torch.manual_seed(0)
    net = T5ForConditionalGeneration(small(processor)).eval()
    rows = [taken(objective, " ".join(WORDS.split()[:count]), processor, count) for count in (9, 40, 23)]
    total = count = 0.0
    for row in rows:
        ids, labels = (torch.from_numpy(row[name]).long()[None] for name in ("input_ids", "labels"))
        total += net(input_ids=ids, labels=labels).loss.item() * labels.numel()
        count += labels.numel()
    found = objective.loss(net, objective.collate(rows, processor))
    assert found.count == count and found.value.item() == pytest.approx(total / count, abs=1e-5)


def test_a_t5_folder_goes_on_with_its_own_sentinels(tmp_path) -> None:
    (tmp_path / "texts.txt").write_text("".join(f"w{n} w{n + 1} w{n + 2} w{n + 3} w{n + 4}\n" for n in range(60)))
    found = jishi.pretrain(
        data=str(tmp_path / "texts.txt"), out=str(tmp_path / "run"), model=folder(tmp_path), objective="span-corruption",
        train={"max_steps": 2, "precision": "fp32", "threads": 1},
    )  # fmt: skip
    kept = load.processor(ModelSpec(str(found.base)))
    assert len(kept) == 303 and kept.convert_tokens_to_ids("<extra_id_0>") == 302


def test_a_tokenizer_without_sentinels_is_refused_and_so_are_too_few() -> None:
    with pytest.raises(ModelError, match="no sentinels.*T5"):
        SpanCorruption().encode({"text": "w1 w2"}, tokenizer(WORDS))
    few = special.give(tokenizer(WORDS), SENTINELS[:3])
    assert SpanCorruption(share=0.2, span=2.0).encode({"text": " ".join(WORDS.split()[:26])}, few)["length"] == 28
    with pytest.raises(ModelError, match="62 tokens may need 7 sentinels, and 3 are known"):
        SpanCorruption(share=0.2, span=2.0).encode({"text": " ".join(WORDS.split()[:60])}, few)


@pytest.mark.parametrize("key", ["share=0", "share=1", "span=0.5"])
def test_shares_and_spans_that_mean_nothing_are_refused(key, tmp_path) -> None:
    (tmp_path / "a.txt").write_text("a b c\n" * 9)
    with pytest.raises(UsageError, match=key.partition("=")[0]):
        jishi.pretrain(
            overrides=[f"objective.{key}"], data=str(tmp_path / "a.txt"), out=str(tmp_path / "run"),
            objective={"name": "span-corruption"}, model="transformer-encoder-decoder",
        )  # fmt: skip


@pytest.mark.parametrize("design", ["transformer-encoder", "transformer-decoder", "text-cnn"])
def test_a_model_that_only_reads_or_only_writes_is_refused(design, tmp_path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"天地玄黄 {n}\n" for n in range(30)), encoding="utf-8")
    with pytest.raises(ModelError, match=f"{design} can't be given the head ForSeq2SeqLM"):
        jishi.pretrain(
            data=str(tmp_path / "a.txt"), out=str(tmp_path / "run"), objective="span-corruption",
            model={"name": design, "size": "nano"},
        )  # fmt: skip


def test_rows_of_one_token_alone_end_the_run(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"w{n}\n" for n in range(100)))
    with pytest.raises(TrainingError, match="nothing is being learnt"):
        jishi.pretrain(
            data=str(tmp_path / "a.txt"), out=str(tmp_path / "run"), model=folder(tmp_path), objective="span-corruption",
            train={"batch_size": 8, "precision": "fp32"},
        )  # fmt: skip


def test_sentinels_are_of_the_vocabulary_of_a_design_and_no_text_spells_one() -> None:
    spec, rows = ModelSpec("transformer-encoder-decoder", size="nano"), [{"text": "今天的天气真好"}] * 3
    plain, made = load.processor(spec, rows), load.processor(spec, rows, SENTINELS)
    assert made.convert_tokens_to_ids(list(SENTINELS)) == [len(plain) + place for place in range(100)]
    assert made("天<extra_id_0>气")["input_ids"] == plain("天<extra_id_0>气")["input_ids"]
    net = load.model(spec, SpanCorruption().head(), load.base(spec), made)
    assert net.get_input_embeddings().num_embeddings == len(plain) + 100
    assert SpanCorruption().initialize([], Base("x", "text", max_length=8)).max_length == 8
