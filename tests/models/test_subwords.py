import subprocess
import sys
from pathlib import Path

import pytest

from jishi.core.errors import ModelError
from jishi.models import subwords, tokens

ROWS = [
    {"source": "今天的天气真好，我们去公园吧。", "target": "The weather is lovely today, let's go to the park."},
    {"source": "昨天的天气不好。", "target": "The weather was bad yesterday."},
] * 3
STRANGE = [
    "天气", "The weather", "a  b\nc\td", "龘😀 é", "</s> <pad> <0x41>", "1 234.5％", "don't（好）！", "x ", "ＡＢ　ｃ",
]  # fmt: skip


@pytest.fixture(scope="module")
def processor():
    return subwords.learn("any", ROWS)


@pytest.mark.parametrize("text", STRANGE)
def test_every_text_reads_back_as_it_was(processor, text: str) -> None:
    features = tokens.encode(processor, text)
    ids = features["input_ids"].tolist()
    assert ids[-1] == processor.eos_token_id and features["unknown"] == 0
    assert processor.decode(ids[:-1], skip_special_tokens=True) == text


def test_words_of_both_languages_are_learnt_and_rare_characters_are_bytes(processor) -> None:
    assert processor.tokenize("weather")[0].startswith("▁we")
    assert processor.tokenize("天气")[-2:] == ["天", "气"]  # each character alone, however often they stand together
    assert processor.tokenize("龘")[1:] == ["<0xE9>", "<0xBE>", "<0x98>"]
    assert all(number < len(processor) for number in processor.get_vocab().values())


def test_a_mark_in_a_text_is_no_token(processor) -> None:
    ids = processor("a</s>b")["input_ids"]
    assert ids.count(processor.eos_token_id) == 1


def test_a_decoder_s_text_has_a_beginning(processor) -> None:
    begun = subwords.learn("any", ROWS, begins=True)
    ids = begun("天气")["input_ids"]
    assert ids == [begun.bos_token_id, *processor("天气")["input_ids"]]


def test_saved_and_loaded_it_is_the_same(processor, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    processor.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in STRANGE:
        ids = tokens.encode(processor, text)["input_ids"].tolist()
        assert tokens.encode(again, text)["input_ids"].tolist() == ids
        assert again.decode(ids, skip_special_tokens=True) == text


def test_another_process_learns_the_same_numbers() -> None:
    """Where the order of a hash table had a part in it, two processes would differ."""
    code = f"from jishi.models import subwords; print(subwords.learn('any', {ROWS!r}).backend_tokenizer.to_str())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == subwords.learn("any", ROWS).backend_tokenizer.to_str()


def test_a_vocabulary_needs_rows() -> None:
    with pytest.raises(ModelError, match="training rows"):
        subwords.learn("any", [])


def test_in_many_texts_a_subword_must_be_frequent() -> None:
    """20,000 texts: what stands together ten times is one subword, what stands together nine times is not."""
    texts = ["qx"] * 10 + ["zw"] * 9 + ["q x z w"] * 19_981
    processor = subwords.learn("any", [{"source": text} for text in texts])
    assert processor.tokenize("qx") == ["▁qx"] and len(processor.tokenize("zw")) > 1
