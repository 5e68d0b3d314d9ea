"""A vocabulary of a size that is asked for, learnt from texts: four ways to cut a text into tokens, and how well each does."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jishi.core import script
from jishi.core.errors import MissingExtra, ModelError
from jishi.models.tokenizer import SPECIAL

LONGEST = 16  # characters of a token
INSIDE = "##"  # before a word piece that does not begin its word
PAD, UNKNOWN, BEGIN, END, MASK = SPECIAL


def learn(kind: str, texts: Sequence[str], size: int, *, lowercase: bool, max_length: int) -> Any:
    """A tokenizer of at most `size` tokens. The same texts in the same order always give the same one.

    `wordpiece` (as BERT reads it, with the pieces that BPE finds), `bpe` of bytes (arXiv:1508.07909), which knows every text,
    `unigram` (arXiv:1804.10959), `character`. Raises ModelError where the texts do not fill half of the size.
    """
    from tokenizers import normalizers, processors
    from transformers import PreTrainedTokenizerFast

    words = KINDS[kind](texts, size, normalizers.Lowercase() if lowercase else normalizers.Sequence([]))
    if words.get_vocab_size() < size / 2:
        raise ModelError("models.vocabulary-too-large", given=size, found=words.get_vocab_size())
    marks = [(mark, words.token_to_id(mark)) for mark in (BEGIN, END)]
    words.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", pair=f"{BEGIN} $A {END} $B:1 {END}:1", special_tokens=marks
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=max_length, clean_up_tokenization_spaces=False, split_special_tokens=True,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"], pad_token=PAD, unk_token=UNKNOWN,
        cls_token=BEGIN, sep_token=END, mask_token=MASK, bos_token=BEGIN, eos_token=END,
    )  # fmt: skip


def report(processor: Any, texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """What the tokens come to, over "all" texts and by the script most letters are of.

    "unknown": the share of tokens the vocabulary lacks; "fertility": tokens a word, a Chinese character being one;
    "bytes": of UTF-8 a token stands for; "coverage": the share of distinct words that are one token, alone or behind a space.
    """
    parts: dict[str, list[str]] = {"all": list(texts)}
    for text in texts:
        parts.setdefault(script.script(text), []).append(text)
    return {name: _measure(processor, part) for name, part in parts.items()}


def _measure(processor: Any, texts: Sequence[str]) -> dict[str, float]:
    def ids(text: str) -> list[int]:
        found: list[int] = processor(text, add_special_tokens=False, verbose=False)["input_ids"]
        return found

    cut = [ids(text) for text in texts]
    words = [text[start:end] for text in texts for start, end in script.units(text)]
    known = [any(_whole(processor, ids(form)) for form in (word, f" {word}")) for word in dict.fromkeys(words)]
    tokens = sum(map(len, cut))
    return {
        "texts": len(texts),
        "tokens": tokens,
        "unknown": sum(one.count(processor.unk_token_id) for one in cut) / max(tokens, 1),
        "fertility": tokens / max(len(words), 1),
        "bytes": sum(len(text.encode()) for text in texts) / max(tokens, 1),
        "coverage": sum(known) / max(len(known), 1),
    }


def _whole(processor: Any, ids: Sequence[int]) -> bool:
    return len(ids) == 1 and ids[0] != processor.unk_token_id


def _wordpiece(texts: Sequence[str], size: int, lower: Any) -> Any:
    """The library's own trainer breaks ties by chance: BPE finds the pieces, and those that words are made of are counted."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    normalizer = normalizers.Sequence([normalizers.BertNormalizer(lowercase=False, strip_accents=False), lower])
    splitter = pre_tokenizers.BertPreTokenizer()
    counted = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    characters, inside = Counter[str](), set[str]()
    for word, count in counted.items():
        inside.update(word[1:])
        for character in word:
            characters[character] += count
    alphabet = [one for one, _ in _ranked(characters)[: size // 2]]
    learner = Tokenizer(models.BPE(unk_token=UNKNOWN))
    learner.pre_tokenizer, learner.normalizer = splitter, normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=sorted(alphabet), limit_alphabet=len(alphabet), special_tokens=[UNKNOWN],
        show_progress=False, max_token_length=LONGEST,
    )  # fmt: skip
    learner.train_from_iterator(texts, trainer)
    pieces: Counter[str] = Counter()
    for word, count in counted.items():
        for place, piece in enumerate(learner.model.tokenize(word)):
            pieces[piece.value if not place else INSIDE + piece.value] += count
    del pieces[UNKNOWN]
    known = [*alphabet, *(INSIDE + one for one in alphabet if one in inside)]
    ranked = dict.fromkeys([*SPECIAL, *known, *(piece for piece, _ in _ranked(pieces))])
    vocabulary = {piece: number for number, piece in enumerate(list(ranked)[:size])}
    words: Any = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=100))
    words.normalizer, words.pre_tokenizer, words.decoder = normalizer, splitter, decoders.WordPiece()
    return words


def _bpe(texts: Sequence[str], size: int, lower: Any) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    words: Any = Tokenizer(models.BPE())
    words.normalizer, words.decoder = lower, decoders.ByteLevel()
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), show_progress=False, max_token_length=LONGEST,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    words.train_from_iterator(texts, trainer)
    return words


def _unigram(texts: Sequence[str], size: int, lower: Any) -> Any:
    """Learnt by sentencepiece, whose trainer, unlike the library's own, gives the same pieces every time."""
    import io

    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    try:
        import sentencepiece
    except ModuleNotFoundError as missing:
        raise MissingExtra("sentencepiece", "corpus") from missing
    written = io.BytesIO()
    lines = (line for text in texts for line in lower.normalize_str(text).split("\n") if line.strip())
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_writer=written, model_type="unigram", vocab_size=size, hard_vocab_limit=False,
        normalization_rule_name="identity", max_sentencepiece_length=LONGEST, num_threads=1, bos_id=-1, eos_id=-1,
        minloglevel=2,
    )  # fmt: skip
    learnt = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    pieces = [(learnt.id_to_piece(number), learnt.get_score(number)) for number in range(1, learnt.get_piece_size())]
    vocabulary = [(UNKNOWN, 0.0), *pieces][
        : size - len(SPECIAL) + 1
    ]  # the other marks stand apart: no text may spell one
    words: Any = Tokenizer(models.Unigram(vocabulary, 0, False))
    words.add_special_tokens([mark for mark in SPECIAL if mark != UNKNOWN])
    words.normalizer, words.pre_tokenizer, words.decoder = lower, pre_tokenizers.Metaspace(), decoders.Metaspace()
    return words


def _character(texts: Sequence[str], size: int, lower: Any) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    counted = Counter(character for text in texts for character in lower.normalize_str(text))
    ranked = [*SPECIAL, *(character for character, _ in _ranked(counted))][:size]
    words: Any = Tokenizer(models.WordLevel({one: number for number, one in enumerate(ranked)}, unk_token=UNKNOWN))
    words.normalizer, words.decoder = lower, decoders.Fuse()
    words.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return words


def _ranked(counted: Counter[str]) -> list[tuple[str, int]]:
    """The commonest first; of equal ones the first by its letters."""
    return sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))


KINDS: Mapping[str, Callable[[Sequence[str], int, Any], Any]] = {
    "wordpiece": _wordpiece, "bpe": _bpe, "unigram": _unigram, "character": _character,
}  # fmt: skip
