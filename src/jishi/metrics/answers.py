"""How right an answer taken from a text is: exact match and F1, in English as SQuAD counts them, in Chinese as CMRC does.

English (arXiv:1606.05250): case, ASCII punctuation and the articles a, an, the do not count; F1 is over the bag of words.
Chinese (arXiv:1810.07366): case and the marks of `CHINESE_MARKS` do not count; units are single Chinese characters, words and
numbers elsewhere; F1 is over the longest run of units that both share.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
CHINESE_MARKS = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"
_MARKS = str.maketrans("", "", CHINESE_MARKS)
_CHINESE_UNIT = re.compile(r"[\u4e00-\u9fa5]|(?:(?![\u4e00-\u9fa5])\w)+|[^\w\s]")


def exact(answers: Sequence[str], given: str, *, chinese: bool = False) -> float:
    """1 where `given` is one of the answers, else 0; no answers (an unanswerable question) are matched by "" only."""
    normal = _chinese if chinese else _english
    return float(any(normal(given) == normal(answer) for answer in answers or [""]))


def f1(answers: Sequence[str], given: str, *, chinese: bool = False) -> float:
    """The best F1 of `given` with one of the answers."""
    return max((_chinese_f1 if chinese else _english_f1)(answer, given) for answer in answers or [""])


def _english(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _chinese(text: str) -> str:
    return text.lower().strip().translate(_MARKS)


def _english_f1(answer: str, given: str) -> float:
    wanted, said = _english(answer).split(), _english(given).split()
    return _ratio((Counter(wanted) & Counter(said)).total(), len(wanted), len(said))


def _chinese_f1(answer: str, given: str) -> float:
    wanted, said = (_CHINESE_UNIT.findall(_chinese(text)) for text in (answer, given))
    return _ratio(_longest_run(wanted, said), len(wanted), len(said))


def _ratio(shared: int, wanted: int, said: int) -> float:
    """F1 of so many units shared; where one side has none, 1 if both have none."""
    return 2 * shared / (wanted + said) if wanted and said else float(wanted == said)


def _longest_run(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest run of items that stands in both."""
    best, before = 0, [0] * (len(other) + 1)
    for item in one:
        runs = [0, *(before[place] + 1 if item == there else 0 for place, there in enumerate(other))]
        best, before = max(best, *runs), runs
    return best
