"""A small tokenizer learnt from the training rows, for text designs that start from nothing."""

from collections.abc import Iterable, Iterator
from typing import Any

from jishi.core.contracts import Row
from jishi.core.errors import ModelError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = 12_000
CHARACTERS = 6_000  # rarer ones become [UNK], so that the model learns what an unknown character is worth


def texts(rows: Iterable[Row]) -> Iterator[str]:
    """Every text that canonical rows hold."""
    for row in rows:
        for column in ("text", "text_pair"):
            if isinstance(row.get(column), str):
                yield row[column]


def train(name: str, rows: Iterable[Row] | None, max_length: int = 512) -> Any:
    """A lower-cased WordPiece tokenizer: one token a Chinese character, pieces of words elsewhere. Raises ModelError."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    words.normalizer = normalizers.BertNormalizer(lowercase=True, handle_chinese_chars=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        limit_alphabet=CHARACTERS,
        show_progress=False,
    )
    words.train_from_iterator(texts(rows or ()), trainer)
    if words.get_vocab_size() <= len(SPECIAL):
        raise ModelError("models.no-rows", name=name)
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", words.token_to_id("[CLS]")), ("[SEP]", words.token_to_id("[SEP]"))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        model_max_length=max_length,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
