"""Models and tokenizers small enough to make in a test, with nothing read from disk."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    PreTrainedTokenizerFast,
)

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer(words: str, max_length: int = 64) -> PreTrainedTokenizerFast:
    """A tokenizer whose vocabulary is the given words (split at spaces and punctuation), ids from 5 in their order."""
    vocabulary = {word: index for index, word in enumerate([*SPECIALS, *dict.fromkeys(words.split())])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=max_length, **names)


def _config(vocabulary: int, **config: object) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, **config,
    )  # fmt: skip


def masked_lm(vocabulary: int) -> BertForMaskedLM:
    torch.manual_seed(0)
    return BertForMaskedLM(_config(vocabulary))


def sequence_classifier(vocabulary: int, **config: object) -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(_config(vocabulary, **config))


def token_classifier(vocabulary: int, **config: object) -> BertForTokenClassification:
    torch.manual_seed(0)
    return BertForTokenClassification(_config(vocabulary, **config))


def question_answerer(vocabulary: int) -> BertForQuestionAnswering:
    torch.manual_seed(0)
    return BertForQuestionAnswering(_config(vocabulary))
