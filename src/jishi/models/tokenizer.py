"""A small tokenizer learnt from the training rows, for text designs that start from nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jishi.core.contracts import Row
from jishi.core.errors import ModelError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = 12_000
CHARACTERS = 6_000  # rarer ones become [UNK], so that the model learns what an unknown character is worth


def texts(rows: Iterable[Row]) -> Iterator[str]:
    """Every text that canonical rows hold, the one to be written among them; a label is none."""
    for row in rows:
        for column, value in row.items():
            if column != "label":
                for text in value if isinstance(value, list) else [value]:
                    said = text.get("content") if isinstance(text, Mapping) else text  # a turn of a conversation
                    yield from (said,) if isinstance(said, str) else ()


def train(name: str, rows: Iterable[Row] | None, pattern: str | None = None, max_length: int = 512) -> Any:
    """A lower-cased WordPiece tokenizer: one token a Chinese character, words or their letters elsewhere.

    With a `pattern`, a token is what it matches, as it stands. The vocabulary is counted, not searched for, so that the same
    rows always give the same tokens with the same numbers (a resumed run depends on it). Raises ModelError where there are no
    rows, and for a pattern that is none.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    plain = normalizers.BertNormalizer(lowercase=True, handle_chinese_chars=True)
    normalizer = normalizers.Sequence([]) if pattern else plain
    splitter = _splitter(pattern) if pattern else pre_tokenizers.BertPreTokenizer()
    counted = Counter(
        word for text in texts(rows or ()) for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    if not counted:
        raise ModelError("models.no-rows", name=name)
    ranked = _vocabulary(counted) if pattern is None else [*SPECIAL, *_commonest(counted)]
    vocabulary = {token: number for number, token in enumerate(ranked[:VOCABULARY])}
    if pattern:
        words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        words.decoder = decoders.Fuse()
    else:
        words = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
        words.decoder = decoders.WordPiece()
    words.normalizer, words.pre_tokenizer = normalizer, splitter
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", words.token_to_id("[CLS]")), ("[SEP]", words.token_to_id("[SEP]"))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _splitter(pattern: str) -> Any:
    """Cuts a text into what the pattern matches and what lies between. Raises ModelError."""
    from tokenizers import Regex, pre_tokenizers

    try:
        return pre_tokenizers.Split(Regex(pattern), "isolated")
    except Exception as error:  # the library's own class is Exception itself
        raise ModelError("models.bad-pattern", given=pattern, reason=str(error)) from None


def _commonest(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda token: (-counts[token], token))


def _vocabulary(counted: Counter[str]) -> list[str]:
    """Special tokens, the commonest characters (alone and inside a word), then the commonest words seen twice or more."""
    characters: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    for word, count in counted.items():
        characters[word[0]] += count
        for character in word[1:]:
            inside[f"##{character}"] += count
    found = dict.fromkeys(SPECIAL)
    for counts, limit in ((characters, CHARACTERS), (inside, CHARACTERS), (counted, VOCABULARY)):
        found |= dict.fromkeys(
            token for token in _commonest(counts)[:limit] if counts is not counted or counts[token] > 1
        )
    return list(found)[:VOCABULARY]
