"""What the characters of a text are, told for all at once by a table: letters of a script, digits, spaces, marks, symbols."""

from functools import cache, lru_cache
from unicodedata import category

import numpy

from jishi.core import script

DIGIT, SPACE, MARK, SYMBOL, OTHER = range(5)  # then the scripts, in the order of `script.NAMES`
_CODES = 0x110000


@lru_cache(1)  # several operations ask for the same text in turn
def counts(text: str) -> numpy.ndarray:
    """How many characters of each kind, (5 + scripts,)."""
    codes = numpy.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=numpy.uint32)
    return numpy.bincount(_table()[codes], minlength=5 + len(script.NAMES))


@cache
def _table() -> numpy.ndarray:
    kinds = numpy.full(_CODES, OTHER, dtype=numpy.uint8)
    kinds[:0x3400] = [_kind(chr(code)) for code in range(0x3400)]
    kinds[0xA000:0x20000] = [_kind(chr(code)) for code in range(0xA000, 0x20000)]  # between stand ideographs only
    for place, name in enumerate(script.NAMES, 5):
        for first, last in script.spans(name):
            kinds[first : last + 1] = place
    return kinds


def _kind(character: str) -> int:
    return {"N": DIGIT, "Z": SPACE, "P": MARK, "S": SYMBOL}.get(category(character)[0], _control(character))


def _control(character: str) -> int:
    return SPACE if character.isspace() else OTHER
