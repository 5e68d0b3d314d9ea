"""Subwords learnt from the training rows, for designs that write text: nothing is unknown, and texts read back as they were.

Byte-pair encoding (arXiv:1508.07909) over the characters of all languages at once, within words: a Chinese character stands
alone, for without spaces few rows would merge into phrases that no other row has. A character too rare for the vocabulary is
written as its bytes. Case and punctuation are kept, for they are to be written too.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from jishi.core.contracts import Row
from jishi.core.errors import ModelError
from jishi.models import tokenizer

PAD, END, BEGIN = "<pad>", "</s>", "<s>"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
VOCABULARY = 8_000
CHARACTERS = 4_000  # rarer ones, and those seen once, are bytes: the model learns what bytes are worth
FREQUENT = 10  # times that two parts stand side by side in many texts before they are one subword
LONGEST = 16  # characters of a subword
SPACE = "▁"


def learn(name: str, rows: Iterable[Row] | None, *, begins: bool = False, max_length: int = 512) -> Any:
    """A tokenizer of at most VOCABULARY subwords; a text ends with END and, with `begins`, starts with BEGIN.

    The same rows always give the same tokens with the same numbers. Raises ModelError where there are no rows.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    texts = list(tokenizer.texts(rows or ()))
    if not texts:
        raise ModelError("models.no-rows", name=name)
    splitter = pre_tokenizers.Sequence(  # marks and digits stand alone too; a word carries the space before it
        [
            pre_tokenizers.Split(Regex(r"[\p{P}\p{S}\p{N}]"), "isolated"),
            pre_tokenizers.Metaspace(SPACE, prepend_scheme="first"),
            pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"),
        ]
    )
    words = Tokenizer(models.BPE(**_learnt(texts, splitter), byte_fallback=True))
    words.pre_tokenizer = splitter
    words.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    words.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}" if begins else f"$A {END}",
        pair=f"{BEGIN} $A {END} $B {END}" if begins else f"$A {END} $B {END}",
        special_tokens=[(token, words.token_to_id(token)) for token in (BEGIN, END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        pad_token=PAD,
        eos_token=END,
        bos_token=BEGIN if begins else None,
        split_special_tokens=True,  # "</s>" in a text is four characters of the text
        clean_up_tokenization_spaces=False,
    )


def _learnt(texts: list[str], splitter: Any) -> Mapping[str, Any]:
    """Vocabulary and merges: special tokens, bytes, then what the texts hold.

    A subword seen a few times is learnt worse than its parts (arXiv:1905.11901), but in few texts everything is rare.
    """
    from tokenizers import Tokenizer, models, trainers

    counts = Counter(character for text in texts for character in text)
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    alphabet = sorted({SPACE, *(one for one in ranked[:CHARACTERS] if counts[one] > 1 and one != " ")})
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(BYTES) - 3, initial_alphabet=alphabet, limit_alphabet=len(alphabet),
        min_frequency=max(2, min(FREQUENT, len(texts) // 2000)), max_token_length=LONGEST, show_progress=False,
    )  # fmt: skip
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = splitter
    learner.train_from_iterator(texts, trainer)
    found = json.loads(learner.to_str())["model"]
    order = sorted(found["vocab"], key=found["vocab"].__getitem__)
    tokens = dict.fromkeys([PAD, END, BEGIN, *BYTES, *order])
    return {
        "vocab": {token: number for number, token in enumerate(tokens)},
        "merges": list(map(tuple, found["merges"])),
    }
