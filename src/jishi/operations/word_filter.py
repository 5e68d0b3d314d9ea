"""Without words that are not wanted, from a list of one's own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jishi.core.contracts import Operation, Treated, option
from jishi.core.errors import DataError

Tree = dict[str, "Tree"]
END = ""


@dataclass(frozen=True)
class WordFilter(Operation):
    """Drops texts with words of a list, or masks the words. Letter case is set aside; words of letters are found whole."""

    file: str = option(en="The list: a text file, a word a line.", zh="词表：文本文件，每行一词。")
    then: Literal["drop", "mask"] = option(
        "drop", "What to do with a text that has some.", "对含有这些词的文本如何处理：丢弃或遮盖。"
    )
    most: int = option(
        0, "Words of the list that a text may have before it is dropped.", "文本被丢弃前最多可含的词数。"
    )

    def files(self) -> Sequence[Path]:
        return [Path(self.file)] if Path(self.file).is_file() else []  # `ready` says what is wrong

    def ready(self) -> None:
        _pattern.cache_clear()
        _pattern(self.file)

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        found = _pattern(self.file).findall(text)
        if not found or (self.then == "drop" and len(found) <= self.most):
            return None
        masked = [_pattern(self.file).sub(lambda match: "*" * len(match.group()), text)]
        return Treated(masked if self.then == "mask" else [], {"word": len(found)})


@cache
def _pattern(file: str) -> re.Pattern[str]:
    """All words as one pattern, a tree of their letters, so that a long list costs little more than a short one."""
    if not Path(file).is_file():
        raise DataError("operations.no-words", path=file)
    words = [line.strip() for line in Path(file).read_text(encoding="utf-8").splitlines()]
    tree: Tree = {}
    for word in filter(None, words):
        place = tree
        for letter in word.casefold():
            place = place.setdefault(letter, {})
        place[END] = {}
    if not tree:
        raise DataError("operations.no-words", path=file)
    return re.compile(
        rf"(?:(?<![a-z0-9])(?=[a-z0-9])|(?![a-z0-9])){_joined(tree)}(?!(?<=[a-z0-9])[a-z0-9])", re.IGNORECASE
    )


def _joined(tree: Tree) -> str:
    ways = [re.escape(letter) + _joined(rest) for letter, rest in tree.items() if letter != END]
    if not ways:
        return ""
    return f"(?:{'|'.join(ways)}){'?' if END in tree else ''}"
