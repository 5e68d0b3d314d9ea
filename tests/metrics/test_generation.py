import random
import sys

import pytest
from sacrebleu.metrics import BLEU, CHRF

from jishi.core.errors import MissingExtra
from jishi.metrics import generation

CAT, MAT = "the cat sat on the mat", "the cat is on the mat"
WORDS = [
    "the",
    "a",
    "cat",
    "sat",
    "mat",
    "on",
    "is",
    "big",
    "我",
    "爱",
    "北",
    "京",
    "上",
    "海",
    "天气",
    "，",
    ".",
    "!",
    "12",
    "it's",
]


def sentences(seed: int, count: int = 60) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choice(WORDS) + rng.choice(["", " "]) for _ in range(rng.randint(1, 12))) for _ in range(count)]


def test_bleu_by_hand() -> None:
    """Of the words 5 of 6 match, of the pairs 3 of 5, of three 1 of 4, of four none of 3, which counts as a half."""
    assert generation.bleu([CAT], [MAT]) == pytest.approx((5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25)
    assert generation.bleu([MAT], [MAT]) == pytest.approx(1)
    assert generation.bleu(["the cat is on"], [MAT]) == pytest.approx(2.718281828 ** (1 - 6 / 4))  # too short


def test_chinese_bleu_counts_characters() -> None:
    """2 of 4 characters, 1 of 3 pairs; none of 2 and none of 1 count as a half and a quarter."""
    assert generation.bleu(["我爱北京"], ["我爱上海"]) == pytest.approx((1 / 2 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25)


def test_chrf_by_hand() -> None:
    """abc for abd: 2 of 3 characters, 1 of 2 pairs, 0 of 1 triple; longer n-grams there are none."""
    assert generation.chrf(["abc"], ["abd"]) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert generation.chrf(["a b"], ["ab"]) == 1.0
    # 天 for 天气: precision 1, recall 1/2 over characters; the pair counts for neither, as only one side has any.
    assert generation.chrf(["天"], ["天气"]) == pytest.approx(5 * 1 * 0.5 / (4 * 1 + 0.5))


def test_rouge_by_hand_in_english_and_chinese() -> None:
    assert generation.rouge([CAT], [MAT]) == pytest.approx({"rouge1": 5 / 6, "rouge2": 3 / 5, "rougeL": 5 / 6})
    assert generation.rouge(["我爱北京。"], ["我爱上海！"]) == pytest.approx(
        {"rouge1": 1 / 2, "rouge2": 1 / 3, "rougeL": 1 / 2}
    )
    assert generation.rouge(["The Cat", "x"], ["the cat!", "y"])["rouge1"] == pytest.approx(0.5)


def test_distinct_by_hand() -> None:
    assert generation.distinct(["a b a", "b a"], 1) == pytest.approx(2 / 5)
    assert generation.distinct(["a b a", "b a"], 2) == pytest.approx(2 / 3)
    assert generation.distinct([], 1) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_corpus_scores_are_those_of_sacrebleu(seed: int) -> None:
    given, truth = sentences(seed), sentences(seed + 100)
    english = [text.encode("ascii", "ignore").decode() + " x" for text in truth]
    chinese = [f"天气{text}很好" * 2 for text in truth]
    assert generation.chrf(given, truth) == pytest.approx(CHRF().corpus_score(given, [truth]).score / 100)
    for tokenizer, references in (("13a", english), ("zh", chinese)):
        if tokenizer == "zh":
            references = [text for text in references if generation.spaceless(text)]
        said = given[: len(references)]
        expected = BLEU(tokenize=tokenizer).corpus_score(said, [references]).score / 100
        assert generation.bleu(said, references) == pytest.approx(expected)


def test_nothing_written_scores_nothing() -> None:
    for given, truth in (([""], ["a b"]), ([], []), (["。"], ["天气"])):
        found = [generation.bleu(given, truth), generation.chrf(given, truth), *generation.rouge(given, truth).values()]
        assert found == [0.0] * 5


@pytest.mark.parametrize(("module", "score"), [("sacrebleu.metrics", "bleu"), ("rouge_score.rouge_scorer", "rouge")])
def test_a_missing_library_is_named_with_its_cure(module: str, score: str, monkeypatch) -> None:
    generation._bleu_of.cache_clear()
    generation._scorer.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"jishi\[eval\]"):
        getattr(generation, score)(["never seen"], ["before"])
