"""Filling in the middle: how a row is cut and put together, how often, and that the base fills a gap afterwards."""

from typing import Any

import numpy
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import GPT2Config, GPT2LMHeadModel

import jishi
from jishi.core.contracts import Base
from jishi.core.errors import ModelError, UsageError
from jishi.models import load, middle, special
from jishi.models.decoding import Decoding
from jishi.models.spec import ModelSpec
from jishi.objectives.causal_lm import CausalLM
from jishi.objectives.fill_in_the_middle import FillInTheMiddle
from tiny import tokenizer

WORDS = " ".join(f"w{number}" for number in range(60))
PREFIX, SUFFIX, MIDDLE, END = 65, 66, 67, 3  # behind 5 special tokens and 60 words
NANO = {"name": "transformer-decoder", "size": "nano", "dropout": 0.0}


def processor():
    """[CLS] w0 … [SEP], where [SEP] is the end too."""
    found = special.give(tokenizer(WORDS), middle.MARKS)
    found.eos_token = "[SEP]"
    return found


class Draws:
    """A generator that is told what it draws: whether the row is cut, and where."""

    def __init__(self, chance: float, *places: int) -> None:
        self.chance, self.places = chance, places

    def random(self) -> float:
        return self.chance

    def integers(self, low: int, high: int, count: int) -> numpy.ndarray:
        assert count == 2 and all(low <= place < high for place in self.places)
        return numpy.asarray(self.places)


def varied(text: str, draws, **options):
    objective, made = FillInTheMiddle(**options), processor()
    return objective.vary(objective.encode({"text": text}, made), made, draws, training=True)


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((2, 4), [2, PREFIX, 5, SUFFIX, 8, 9, MIDDLE, 6, 7, END]),
        ((4, 2), [2, PREFIX, 5, SUFFIX, 8, 9, MIDDLE, 6, 7, END]),
        ((1, 6), [2, PREFIX, SUFFIX, MIDDLE, 5, 6, 7, 8, 9, END]),
        ((3, 3), [2, PREFIX, 5, 6, SUFFIX, 7, 8, 9, MIDDLE, END]),
    ],
)
def test_prefix_suffix_and_middle_stand_in_this_order_and_the_middle_ends(places, expected) -> None:
    """w0 … w4 are 5 to 9, [CLS] is 2: the row may be cut before any word and behind the last."""
    row = varied("w0 w1 w2 w3 w4", Draws(0.49, *places))
    assert row["input_ids"].tolist() == expected and row["length"] == len(expected)


def test_a_row_that_is_not_cut_is_that_of_causal_lm() -> None:
    row = varied("w0 w1 w2", Draws(0.5))
    assert row["input_ids"].tolist() == CausalLM().encode({"text": "w0 w1 w2"}, processor())["input_ids"].tolist()


def test_a_text_that_is_cut_off_has_room_for_what_is_added_and_its_middle_an_end() -> None:
    """Of 12 tokens 4 are set aside. A tokenizer may close what it cut, or leave it open: here by its [SEP], there not."""
    row = varied(WORDS, Draws(0.0, 3, 5), max_length=12)
    assert row["input_ids"].tolist() == [2, PREFIX, 5, 6, SUFFIX, 9, 10, MIDDLE, 7, 8, END] and row["truncated"]
    left_open, objective = processor(), FillInTheMiddle(max_length=12)
    left_open.backend_tokenizer.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    features = objective.encode({"text": WORDS}, left_open)
    assert features["input_ids"].tolist() == [2, 5, 6, 7, 8, 9, 10, 11]
    row = objective.vary(features, left_open, Draws(0.0, 3, 5), training=True)
    assert row["input_ids"].tolist() == [2, PREFIX, 5, 6, SUFFIX, 9, 10, 11, MIDDLE, 7, 8, END] and row["length"] == 12


def test_the_share_of_rows_is_cut_at_places_of_which_none_is_likelier() -> None:
    """Of 5 words the middle has 0 to 5: of 36 pairs of places 6 are equal, and of other distances d there are 2 · (6 - d)."""
    made, objective = processor(), FillInTheMiddle(share=0.3)
    features = objective.encode({"text": "w0 w1 w2 w3 w4"}, made)
    lengths = []
    for seed in range(6000):
        ids = objective.vary(features, made, numpy.random.default_rng(seed), training=False)["input_ids"].tolist()
        lengths += [len(ids) - ids.index(MIDDLE) - 2] if MIDDLE in ids else []
    assert len(lengths) / 6000 == pytest.approx(0.3, abs=3 * (0.3 * 0.7 / 6000) ** 0.5)
    for length in range(6):
        chance = (6 if length == 0 else 2 * (6 - length)) / 36
        spread = (chance * (1 - chance) / len(lengths)) ** 0.5
        assert lengths.count(length) / len(lengths) == pytest.approx(chance, abs=4 * spread)


def test_tokens_of_another_family_serve_as_well_and_none_are_refused() -> None:
    qwen = special.give(tokenizer(WORDS), ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"])
    assert middle.marks(qwen) == middle.marks(processor()) == [PREFIX, SUFFIX, MIDDLE]
    with pytest.raises(ModelError, match="lacks the tokens of texts with a gap"):
        FillInTheMiddle().encode({"text": "w1"}, tokenizer(WORDS))


@pytest.mark.parametrize("key", ["share=0", "share=1.5", "max_length=7"])
def test_options_that_mean_nothing_are_refused(key, tmp_path) -> None:
    with pytest.raises(UsageError, match=key.partition("=")[0]):
        jishi.pretrain(
            data=str(tmp_path),
            out=str(tmp_path),
            model=NANO,
            objective="fill-in-the-middle",
            overrides=[f"objective.{key}"],
        )


def test_rows_are_cut_at_the_length_of_the_base() -> None:
    assert FillInTheMiddle().initialize([], Base("x", "text", max_length=64)).max_length == 64


def test_a_base_fills_the_gap_between_two_texts_and_ends_where_the_second_begins(tmp_path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "all the cats here purr at night"}\n' * 20)
    run = jishi.pretrain(
        data={"train": str(file), "validation": str(file)}, out=str(tmp_path / "run"), model=NANO,
        objective={"name": "fill-in-the-middle", "share": 0.9},
        train={
            "epochs": 180, "batch_size": 20, "learning_rate": 5e-3, "precision": "fp32", "validate_every": 180, "threads": 1,
        },
    )  # fmt: skip
    model, made = load.reload(run.base, "ForCausalLM")

    def filled(before: str, after: str, **options: Any) -> dict[str, Any]:
        return middle.fill(model, made, before, after, Decoding(**{"max_new_tokens": 6, **options}))

    assert filled("all the ", " here purr at night") == {"text": "cats", "complete": True}
    assert filled("all the cats here ", " at night") == {"text": "purr", "complete": True}
    assert filled("all the ", " at night") == {"text": "cats here purr", "complete": True}
    assert filled("all the", " at night")["text"] == " cats here purr"  # the space may be on either side of the edge
    assert filled("all the ", " at night", max_new_tokens=2) == {"text": "cats here", "complete": False}
    assert filled("all the ", " at night", stop=("re",))["text"] == "cats he"


def test_texts_that_leave_no_room_for_a_middle_are_refused() -> None:
    made = processor()
    torch.manual_seed(0)
    net = GPT2LMHeadModel(GPT2Config(vocab_size=68, n_embd=8, n_layer=1, n_head=1, n_positions=16)).eval()
    words = " ".join(WORDS.split()[:6])
    middle.fill(net, made, words, words.rpartition(" ")[0], Decoding(max_new_tokens=4))  # 1 + 3 + 6 + 5 = 15
    with pytest.raises(UsageError, match="16 tokens, and the model reads 16"):
        middle.fill(net, made, words, words, Decoding(max_new_tokens=4))


def test_a_suffix_is_cut_into_tokens_as_it_is_behind_other_text() -> None:
    """Alone it would begin with the mark of a new word, which the text has not."""
    spec = ModelSpec("transformer-decoder", size="nano")
    rows = [{"text": "The weather, whether or not, is fine."}, {"text": "天气很好，whether"}] * 4
    made = load.processor(spec, rows, middle.MARKS)
    for text in ("The weather, whether or not, is fine.", "天气很好，whether"):
        whole = made(text, return_offsets_mapping=True)
        ids, starts = whole["input_ids"][1:-1], [start for start, _ in whole["offset_mapping"][1:-1]]
        for place in range(1, len(ids)):
            assert middle._behind(made, text[starts[place] :]) == ids[place:], text[starts[place] :]
