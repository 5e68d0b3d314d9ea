"""Words of a text that others may stand for, from two small tables of ours: Chinese by characters, English by words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy

_WORD = re.compile(r"[A-Za-z]+(?:[-'’][A-Za-z]+)*")
_ARTICLE = re.compile(r"\b(an?) $", re.IGNORECASE)
VOWELS = "aeiou"
Table = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Place:
    """Where a known word stands, and what may stand there instead."""

    start: int
    end: int
    others: Sequence[str]


def places(text: str) -> list[Place]:
    """The known words of a text in their order, the longest at each place, none within another."""
    return sorted([*_chinese(text), *_english(text)], key=lambda place: place.start)


def replaced(text: str, count: int, rng: numpy.random.Generator) -> str:
    """The text with `count` of its known words, or as many as there are, each replaced by one that may stand for it."""
    found = places(text)
    chosen = rng.permutation(len(found))[:count].tolist()
    for place in sorted((found[index] for index in chosen), key=lambda place: -place.start):  # later places stay true
        text = text[: place.start] + drawn(place, rng) + text[place.end :]
    return text


def drawn(place: Place, rng: numpy.random.Generator) -> str:
    return place.others[int(rng.integers(len(place.others)))]


@cache
def table(language: str) -> Table:
    """First word of a line → what may stand for it, () where it is to be left."""
    comma = None if language == "zh" else ","
    text = (Path(__file__).parent / f"_synonyms_{language}.txt").read_text(encoding="utf-8")
    lines = [[word.strip() for word in line.split(comma)] for line in text.splitlines() if not line.startswith("#")]
    return {first: tuple(others) for first, *others in lines}


@cache
def _longest(language: str) -> int:
    """Characters of the longest Chinese word, words of the longest English one."""
    return max(len(word if language == "zh" else word.split()) for word in table(language))


def _chinese(text: str) -> Iterator[Place]:
    known, start = table("zh"), 0
    while start < len(text):
        ends = range(start + min(_longest("zh"), len(text) - start), start, -1)
        end = next((end for end in ends if text[start:end] in known), None)
        if end and (others := known[text[start:end]]):
            yield Place(start, end, others)
        start = end or start + 1


def _english(text: str) -> Iterator[Place]:
    known, words, first = table("en"), [match.span() for match in _WORD.finditer(text)], 0
    while first < len(words):
        start = words[first][0]
        for last in range(min(first + _longest("en"), len(words)), first, -1):
            end = words[last - 1][1]
            if (others := known.get(text[start:end].lower())) is None:
                continue
            if others := _fitting(text, start, end, others):
                yield Place(start, end, others)
            first = last
            break
        else:
            first += 1


def _fitting(text: str, start: int, end: int, others: Sequence[str]) -> Sequence[str]:
    """What goes with an article before it, in the capitals of what it stands for."""
    word = text[start:end]
    if article := _ARTICLE.search(text, max(0, start - 3), start):
        others = [other for other in others if (other[0] in VOWELS) == (article[1].lower() == "an")]
    if word.isupper() and len(word) > 1:
        return [other.upper() for other in others]
    return [other[0].upper() + other[1:] for other in others] if word[0].isupper() else others
