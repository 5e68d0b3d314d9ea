"""The answers of a question as places in its passage: read from whatever form they come in, and checked.

An answer that is not at its offset is moved where it occurs exactly once, and refused elsewhere; one without an offset
stands where it first occurs.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from jishi.core import script
from jishi.core.errors import RowError

# What a prediction holds; no place where there is no answer.
HELD = {"answer": str, "start": int | None, "end": int | None, "score": float, "candidates": list}
Answer = dict[str, Any]  # {"text", "start"}, in characters of the passage


def read(raw: Mapping[str, Any], passage: str) -> tuple[list[Answer], str] | None:
    """The answers of a row, none where it is unanswerable, and how the first that needed it was placed ("" where none did).

    None where the row says nothing of answers. Raises RowError.
    """
    given, impossible = raw.get("answers", raw.get("answer")), raw.get("is_impossible")
    if given is None and impossible is None:
        return None
    listed = _listed(given)
    if impossible is not None and _yes(impossible) != (not listed):
        raise RowError("tasks.answers-impossible", given=repr(impossible)[:40], count=len(listed))
    placed = [_placed(answer, passage) for answer in listed]
    answers = [answer for answer, _ in placed]
    different = [answer for place, answer in enumerate(answers) if answer not in answers[:place]]
    return different, next((how for _, how in placed if how), "")


def _yes(value: Any) -> bool:
    return value.strip().lower() in ("true", "1", "yes") if isinstance(value, str) else bool(value)


def _listed(given: Any) -> list[Any]:
    """One entry an answer: a text, or an object of "text" with "answer_start" or "start"."""
    if isinstance(given, str) and given.strip()[:1] in ("[", "{"):
        try:
            given = json.loads(given)
        except ValueError:
            given = [given]
    if given is None or given == "":
        return []
    if isinstance(given, Mapping):
        text, starts = given.get("text"), given.get("answer_start", given.get("start"))
        if not isinstance(text, list | tuple):
            return [given]
        if not isinstance(starts, list | tuple) or len(starts) != len(text):
            raise RowError("tasks.bad-answer", given=repr(given)[:80])
        return [{"text": one, "start": start} for one, start in zip(text, starts, strict=True)]
    return list(given) if isinstance(given, list | tuple) else [given]


def _placed(given: Any, passage: str) -> tuple[Answer, str]:
    """The answer without the white space at its edges, and how it was placed: "" where it says."""
    found = given if isinstance(given, Mapping) else {"text": given}
    text, start = found.get("text"), found.get("answer_start", found.get("start"))
    whole = start is None or (isinstance(start, int) and not isinstance(start, bool))
    if not isinstance(text, str) or not text.strip() or not whole:
        raise RowError("tasks.bad-answer", given=repr(given)[:80])
    inner = text.strip()
    how = ""
    if start is None:
        start, how = passage.find(inner), "first"
    elif start >= 0 and passage[start : start + len(text)] == text:
        start += len(text) - len(text.lstrip())
    else:
        start, how = (passage.find(inner), "moved") if _once(inner, passage) else (-1, "")
    if start < 0:
        code = "answer-elsewhere" if inner in passage else "answer-absent"
        raise RowError(f"tasks.{code}", given=repr(given)[:80], length=len(passage))
    if script.within(passage, start) or script.within(passage, start + len(inner)):
        raise RowError("tasks.answer-cuts", given=repr(given)[:80])
    return {"text": inner, "start": start}, how


def _once(text: str, passage: str) -> bool:
    first = passage.find(text)
    return first >= 0 and passage.find(text, first + 1) < 0


def located(answers: Sequence[Answer], units: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Answers as the (first, last) of the units of the passage that hold them, each once."""
    starts, ends = [start for start, _ in units], [end for _, end in units]
    found = set()
    for answer in answers:
        first = bisect_right(ends, answer["start"])
        last = bisect_left(starts, answer["start"] + len(answer["text"])) - 1
        if first <= last:
            found.add((first, last))
    return sorted(found)


def shown(text: str, start: int, end: int, score: float) -> dict[str, Any]:
    return {"answer": text[start:end], "start": start, "end": end, "score": score}
