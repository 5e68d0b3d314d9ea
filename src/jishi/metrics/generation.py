"""Scores of written text: BLEU, chrF and ROUGE, for Chinese and English alike; every score is 0 to 1.

Words are those of the reference's script: where it is written without spaces, a word is a character.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from jishi.core.errors import MissingExtra
from jishi.core.script import spaceless, units

ORDER, BETA = 6, 2  # of chrF: the longest character n-gram, and how much recall weighs
ROUGE = ("rouge1", "rouge2", "rougeL")
KEPT = 2**16  # pairs whose counts are kept: resampled scores ask for the same rows again and again


def bleu(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU as sacreBLEU computes it (arXiv:1804.08771): tokenizer `zh` for a reference without spaces, else `13a`."""
    counts = [_bleu_counts(given, truth) for given, truth in zip(predictions, references, strict=True)]
    if not counts:
        return 0.0
    right, said, given, wanted = (_columns(part) for part in zip(*counts, strict=True))
    found = _bleu_of("13a").compute_bleu(right, said, given[0], wanted[0], smooth_method="exp")
    return float(found.score) / 100


def chrf(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2 (Popović 2015, W15-3049): F2 of character n-grams of 1 to 6, spaces left out."""
    counts = [_chrf_counts(given, truth) for given, truth in zip(predictions, references, strict=True)]
    return _chrf([_columns(part) for part in zip(*counts, strict=True)]) if counts else 0.0


def rouge(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Mean F1 of ROUGE-1, -2 and -L (Lin 2004, W04-1013) over words, lower-cased, marks left out; no stemming."""
    rows = [_rouge(given, truth) for given, truth in zip(predictions, references, strict=True)]
    return {name: sum(row[place] for row in rows) / max(len(rows), 1) for place, name in enumerate(ROUGE)}


def distinct(predictions: Sequence[str], order: int) -> float:
    """Distinct-n (arXiv:1510.03055): the share of n-grams of words, over all answers, that are not repetitions."""
    found: Counter[tuple[str, ...]] = Counter()
    for given in predictions:
        found.update(_grams(words(given), order))
    return len(found) / found.total() if found else 0.0


def words(text: str) -> tuple[str, ...]:
    """Lower-cased words, single characters where words have no spaces; marks are none."""
    found = (text[start:end].lower() for start, end in units(text))
    return tuple(word for word in found if any(map(str.isalnum, word)))


@lru_cache(KEPT)
def _bleu_counts(given: str, truth: str) -> tuple[tuple[int, ...], ...]:
    """Matching and all n-grams by order, and the two lengths."""
    found = _bleu_of("zh" if spaceless(truth) else "13a").sentence_score(given, [truth])
    return tuple(found.counts), tuple(found.totals), (found.sys_len,), (found.ref_len,)


@cache
def _bleu_of(tokenizer: str) -> Any:
    try:
        from sacrebleu.metrics import BLEU
    except ModuleNotFoundError as missing:
        raise MissingExtra("sacrebleu", "eval") from missing
    return BLEU(tokenize=tokenizer, effective_order=True)  # of which only the counts are used


@lru_cache(KEPT)
def _chrf_counts(given: str, truth: str) -> tuple[tuple[int, ...], ...]:
    """By order of n-grams: those given, those wanted, those in both."""
    said, wanted = ("".join(text.split()) for text in (given, truth))
    pairs = [(_grams(said, order), _grams(wanted, order)) for order in range(1, ORDER + 1)]
    return (
        tuple(left.total() if right else 0 for left, right in pairs),  # as sacreBLEU counts
        tuple(right.total() for _, right in pairs),
        tuple((left & right).total() for left, right in pairs),
    )


def _chrf(counts: Sequence[Sequence[int]]) -> float:
    """F of the mean precision and the mean recall over the orders that both texts are long enough for."""
    kept = [(said, wanted, both) for said, wanted, both in zip(*counts, strict=True) if said and wanted]
    precision = sum(both / said for said, _, both in kept) / max(len(kept), 1)
    recall = sum(both / wanted for _, wanted, both in kept) / max(len(kept), 1)
    weighed = BETA**2 * precision + recall
    return (1 + BETA**2) * precision * recall / weighed if weighed else 0.0


@lru_cache(KEPT)
def _rouge(given: str, truth: str) -> tuple[float, ...]:
    found: Mapping[str, Any] = _scorer().score(truth, given)
    return tuple(found[name].fmeasure for name in ROUGE)


@cache
def _scorer() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError as missing:
        raise MissingExtra("rouge-score", "eval") from missing
    return RougeScorer(ROUGE, tokenizer=_Words(words))


class _Words:
    """Words in the form the library asks for; its own tokenizer finds none in Chinese."""

    def __init__(self, tokenize: Callable[[str], Sequence[str]]) -> None:
        self.tokenize = tokenize


def _grams(items: Sequence[str], order: int) -> Counter[Any]:
    return Counter(tuple(items[start : start + order]) for start in range(len(items) - order + 1))


def _columns(rows: Sequence[Sequence[int]]) -> list[int]:
    """The sum of each column."""
    return [sum(column) for column in zip(*rows, strict=True)]
