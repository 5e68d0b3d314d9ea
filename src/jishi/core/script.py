"""Which writing system a text is in: Chinese and Japanese put no spaces between words, so much turns on it."""

import re
from functools import cache
from unicodedata import category

_RANGES = {
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "kana": "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "hangul": "\u1100-\u11ff\uac00-\ud7af",
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",
    "cyrillic": "\u0400-\u052f",
    "arabic": "\u0600-\u06ff\u0750-\u077f",
}
_SCRIPTS = {name: re.compile(f"[{span}]") for name, span in _RANGES.items()}
NAMES = tuple(_RANGES)
_CJK_MARKS = "\u3001-\u303f\u3100-\u312f\ufe30-\ufe4f\uff00-\uff65"
_JOINER = "\u200d"
_SKINS = "".join(map(chr, range(0x1F3FB, 0x1F400)))
_FLAGS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
SPACELESS = re.compile(f"[{_RANGES['han']}{_RANGES['kana']}{_CJK_MARKS}]")
"""One character of a script written without spaces, its full-width punctuation included."""


@cache
def _unit() -> re.Pattern[str]:
    """One unit: what follows its characters without a width of its own (accents, vowel signs, joiners) belongs to it."""
    bare = (chr(code) for code in range(0x10000) if category(chr(code)) in ("Mn", "Mc", "Me", "Cf"))
    marks = f"[{re.escape(''.join(bare))}]*"
    other = rf"(?:(?!{SPACELESS.pattern})[^\W_]{marks})+"
    return re.compile(rf"{SPACELESS.pattern}{marks}|{other}|[^\w\s]{marks}|_{marks}")


def units(text: str) -> list[tuple[int, int]]:
    """Start and end of the smallest parts worth naming: words, single characters where words have no spaces, marks."""
    return [match.span() for match in _unit().finditer(text)]


def within(text: str, place: int) -> bool:
    """Whether a place lies inside what is read as one character: an accented letter, a joined emoji, a flag."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    if _JOINER in (before, after) or category(after) in ("Mn", "Mc", "Me") or after in _SKINS:
        return not before.isspace()
    if after in _FLAGS and before in _FLAGS:  # two letters a flag
        return (place - next((i for i in range(place - 1, -1, -1) if text[i] not in _FLAGS), -1) - 1) % 2 == 1
    return False


def spans(name: str) -> list[tuple[int, int]]:
    """First and last code point of every stretch of a script."""
    return [(ord(first), ord(last or first)) for first, last in re.findall("(.)(?:-(.))?", _RANGES[name])]


def script(text: str) -> str:
    """The script most letters of a text belong to: "han", "kana", "latin", …, "other" where there are none."""
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    name = max(counts, key=counts.__getitem__)
    return name if counts[name] else "other"


def spaceless(text: str) -> bool:
    """Whether a text is mainly written without spaces between words."""
    letters = sum(not character.isspace() for character in text)
    return 3 * len(SPACELESS.findall(text)) > letters > 0
