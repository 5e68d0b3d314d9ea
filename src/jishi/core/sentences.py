"""Where the sentences of a text end, in Chinese and English."""

import re

_TITLES = "".join(rf"(?<!\b{title}\.)" for title in ("Mr", "Ms", "Mrs", "Dr", "St", "Prof", "[A-Z]"))
_END = re.compile(
    rf"(?<=[。！？；])(?![”’」』）)])|(?<=[。！？；][”’」』）)])|(?<=[.!?]){_TITLES}\s+(?=[A-Z\"'“‘(\d])|\n+"
)
_PAUSE = re.compile(r"(?<=[，、：])|(?<=[,;:])\s+")
_SPACE = re.compile(r"\s+")
_ANYWHERE = re.compile(r"(?<=.)(?=.)", re.DOTALL)


def split(text: str) -> list[str]:
    """The sentences of a text: cut after 。！？； and after . ! ? before a capital letter, titles aside, and at ends of lines."""
    return [part.strip() for part in _END.split(text) if part and part.strip()]


def halves(text: str) -> tuple[str, str]:
    """A text in two, cut between the sentences nearest its middle; where it is one, at a pause, a space, or anywhere.

    The second is empty where the text has one character.
    """
    text = text.strip()
    for between in (_END, _PAUSE, _SPACE, _ANYWHERE):
        places = [match.span() for match in between.finditer(text) if match.start() > 0 and match.end() < len(text)]
        if places:
            start, end = min(places, key=lambda place: abs(sum(place) - len(text)))
            return text[:start].rstrip(), text[end:].lstrip()
    return text, ""
