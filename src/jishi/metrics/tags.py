"""Tag schemes: one tag a token as spans of tokens, and back."""

import re
from collections.abc import Iterable, Sequence

Span = tuple[int, int, str]  # start, end (exclusive), label

_TAG = re.compile(r"([BIESLUM])[-_](.+)", re.DOTALL)
_BEGINS, _ENDS = "BSU", "ESLU"


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of a row of tags: BIO, IOB1, BIOES, BILOU, BMES, or bare labels ("PER PER O").

    As conlleval reads them: a tag that continues nothing (I- after O, or after another label) begins an entity.
    """
    found: list[Span] = []
    start, current, open_ = 0, "", False
    for place, tag in enumerate([*tags, "O"]):
        prefix, label = _parts(tag)
        if open_ and (label != current or prefix in _BEGINS):
            found.append((start, place, current))
            open_ = False
        if label and not open_:
            start, current, open_ = place, label, True
        if open_ and prefix in _ENDS:
            found.append((start, place + 1, current))
            open_ = False
    return found


def bio(found: Iterable[Span], length: int) -> list[str]:
    """B- for the first token of an entity, I- for the others, O outside."""
    tags = ["O"] * length
    for start, end, label in found:
        tags[start:end] = [f"B-{label}"] + [f"I-{label}"] * (end - start - 1)
    return tags


def bioes(found: Iterable[Span], length: int) -> list[str]:
    """As BIO, with E- for the last token of an entity and S- for its only one."""
    tags = ["O"] * length
    for start, end, label in found:
        inner = [f"B-{label}"] + [f"I-{label}"] * (end - start - 2) + [f"E-{label}"]
        tags[start:end] = inner if end - start > 1 else [f"S-{label}"]
    return tags


def _parts(tag: str) -> tuple[str, str]:
    """(prefix, label); a bare label has the prefix "I", outside is ("O", "")."""
    if tag == "O":
        return "O", ""
    match = _TAG.fullmatch(tag)
    return (match[1], match[2]) if match else ("I", tag)
