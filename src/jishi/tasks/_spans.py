"""Entities of a text as character spans: read from whatever form they come in, and checked."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from jishi.core.errors import RowError
from jishi.core.script import SPACELESS, units, within
from jishi.metrics import tags

LABEL = ("label", "type", "slot")  # what the kind of a span is called
CharacterSpan = dict[str, Any]  # {"start", "end" (exclusive), "label"}, in characters


def join(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Tokens as one text, and where each of them stands in it: a space between two, none beside a Chinese or Japanese one."""
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    end = 0
    for before, token in zip(["", *tokens], tokens, strict=False):
        if before and not (SPACELESS.match(before[-1]) or SPACELESS.match(token[0])):
            parts.append(" ")
            end += 1
        parts.append(token)
        places.append((end, end + len(token)))
        end += len(token)
    return "".join(parts), places


def locate(text: str, tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Where each token stands in a text that they make up, white space aside. Raises RowError where they don't."""
    places: list[tuple[int, int]] = []
    end = 0
    for token in tokens:
        start = text.find(token, end)
        if start < 0 or text[end:start].strip():
            raise RowError("tasks.tokens-not-in-text", given=token, place=end)
        end = start + len(token)
        places.append((start, end))
    if text[end:].strip():
        raise RowError("tasks.tokens-not-in-text", given="", place=end)
    return places


def read(
    raw: Mapping[str, Any], clean: Callable[[Any], str], forms: Sequence[str] = ("spans", "entities")
) -> tuple[str, list[CharacterSpan] | None]:
    """Text and spans of a row that says them in one form or several: `forms`, columns of spans, and "tokens" with "tags".

    None where no form says any. `clean` is what makes a text of a raw value. Raises RowError where two forms differ.
    """
    text, tokens, places = raw.get("text"), raw.get("tokens"), None
    if tokens is not None:
        tokens = listed(tokens, "tokens")
        if not tokens or not all(isinstance(token, str) and token.strip() for token in tokens):
            raise RowError("tasks.bad-tokens", given=repr(tokens)[:80])
        text, places = join(tokens) if text is None else (text, locate(clean(text), tokens))
    text = clean(text)
    given = {name: listed(raw[name], name) for name in forms if raw.get(name) is not None}
    if raw.get("tags") is not None:
        given["tags"] = from_tags(listed(raw["tags"], "tags"), places)
    checked = [(name, check(text, spans)) for name, spans in given.items()]
    for (first, before), (second, after) in pairwise(checked):
        if before != after:
            odd = next(span for span in [*before, *after] if (span in before) != (span in after))
            raise RowError("tasks.forms-differ", first=first, second=second, given=_show(odd))
    return text, checked[0][1] if checked else None


def values(text: str, given: Mapping[str, Any]) -> list[CharacterSpan]:
    """Values by name as spans of a text that holds each of them once, as whole units; the longest are found first.

    A list gives one name several values; None and what is empty give it none. Raises RowError.
    """
    every = [
        (name, value) for name, said in given.items() for value in (said if isinstance(said, list | tuple) else [said])
    ]
    wanted = Counter((name, _plain(name, value)) for name, value in every if value not in (None, "", [], {}))
    starts, ends = ({edges[side] for edges in units(text)} for side in (0, 1))
    found: list[CharacterSpan] = []
    for (name, value), times in sorted(wanted.items(), key=lambda item: -len(item[0][1])):
        spans = [
            {"start": place.start(), "end": place.end(), "label": name}
            for place in re.finditer(re.escape(value), text)
            if place.start() in starts and place.end() in ends
        ]
        free = [span for span in spans if not any(_share(span, other) for other in found)]
        if len(free) != times:
            raise RowError(f"tasks.slot-{'not-found' if len(free) < times else 'ambiguous'}", name=name, given=value)
        found += free
    return found


def _share(one: CharacterSpan, other: CharacterSpan) -> bool:
    return bool(one["start"] < other["end"] and other["start"] < one["end"])


def _plain(name: str, value: Any) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).strip():
        raise RowError("tasks.bad-slot", name=name, given=repr(value)[:80])
    return str(value).strip()


def from_tags(row_tags: Sequence[Any], places: Sequence[tuple[int, int]] | None) -> list[CharacterSpan]:
    """Spans of tags (BIO, IOB1, BIOES, BILOU or bare labels) of tokens at these places."""
    if places is None:
        raise RowError("tasks.tags-alone")
    if not all(isinstance(tag, str) for tag in row_tags):
        raise RowError("tasks.tags-not-words", given=repr(row_tags)[:80])
    if len(row_tags) != len(places):
        raise RowError("tasks.tags-length", tokens=len(places), tags=len(row_tags))
    return [
        {"start": places[start][0], "end": places[end - 1][1], "label": label}
        for start, end, label in tags.spans(row_tags)
    ]


def listed(value: Any, name: str) -> list[Any]:
    """A list, or the JSON text of one (as CSV files hold it)."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise RowError("tasks.not-a-list", key=name, given=value[:80]) from None
    if not isinstance(value, list | tuple):
        raise RowError("tasks.not-a-list", key=name, given=repr(value)[:80])
    return list(value)


def check(text: str, spans: Sequence[Any]) -> list[CharacterSpan]:
    """The spans in order, without the white space at their edges.

    Raises RowError where one is empty, outside the text, cuts a character, or shares characters with another.
    """
    found = sorted((_span(text, span) for span in spans), key=lambda span: (span["start"], span["end"]))
    for before, after in pairwise(found):
        if after["start"] < before["end"]:
            nested = after["end"] <= before["end"] or after["start"] == before["start"]
            raise RowError(
                "tasks.spans-nested" if nested else "tasks.spans-overlap", first=_show(before), second=_show(after)
            )
    return found


def _span(text: str, given: Any) -> CharacterSpan:
    span = dict(zip(("start", "end", "label"), given, strict=False)) if isinstance(given, list | tuple) else given
    names = [span[key] for key in LABEL if key in span] if isinstance(span, Mapping) else []
    label = names[0] if names else None
    if not isinstance(label, str) or not label.strip():
        raise RowError("tasks.bad-span", given=repr(given)[:80])
    start, end = span.get("start"), span.get("end")
    if not all(isinstance(place, int) and not isinstance(place, bool) for place in (start, end)):
        raise RowError("tasks.bad-span", given=repr(given)[:80])
    if not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise RowError("tasks.span-outside", given=repr(given)[:80], length=len(text))
    if span.get("text") not in (None, text[start:end]):
        raise RowError("tasks.span-text", given=repr(given)[:80], found=text[start:end][:80])
    if within(text, start) or within(text, end):
        raise RowError(
            "tasks.span-cuts-character", given=repr(given)[:80], found=text[max(start - 2, 0) : end + 2][:80]
        )
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    return {"start": start, "end": start + len(inner.strip()), "label": label.strip()}


def _show(span: CharacterSpan) -> str:
    return f"{span['label']} {span['start']}–{span['end']}"


def place(parts: Sequence[tuple[int, int]], spans: Sequence[CharacterSpan]) -> tuple[list[tags.Span], int]:
    """Spans counted in parts of the text instead of characters, and how many of them the parts can't tell."""
    starts = {start: index for index, (start, _) in enumerate(parts)}
    ends = {end: index + 1 for index, (_, end) in enumerate(parts)}
    found = [
        (starts[span["start"]], ends[span["end"]], span["label"])
        for span in spans
        if span["start"] in starts and span["end"] in ends
    ]
    return found, len(spans) - len(found)


def to_bio(text: str, spans: Sequence[CharacterSpan]) -> tuple[list[str], list[str]]:
    """A text as words (single characters in Chinese) and their BIO tags."""
    parts = units(text)
    return [text[start:end] for start, end in parts], tags.bio(place(parts, spans)[0], len(parts))


def to_bioes(text: str, spans: Sequence[CharacterSpan]) -> tuple[list[str], list[str]]:
    """A text as words (single characters in Chinese) and their BIOES tags."""
    parts = units(text)
    return [text[start:end] for start, end in parts], tags.bioes(place(parts, spans)[0], len(parts))
