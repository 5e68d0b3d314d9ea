"""Sentences, one a line or one a text."""

import re
from dataclasses import dataclass
from typing import Any

from jishi.core.contracts import Operation, Treated, option

_TITLES = "".join(rf"(?<!\b{title}\.)" for title in ("Mr", "Ms", "Mrs", "Dr", "St", "Prof", "[A-Z]"))
_END = re.compile(
    rf"(?<=[。！？；])(?![”’」』）)])|(?<=[。！？；][”’」』）)])|(?<=[.!?]){_TITLES}\s+(?=[A-Z\"'“‘(\d])|\n+"
)


@dataclass(frozen=True)
class SplitSentences(Operation):
    """Cuts texts after 。！？； and after . ! ? before a capital letter, titles aside; closing quotation marks stay."""

    apart: bool = option(
        False,
        "Whether each sentence becomes a text of its own; otherwise it becomes a line.",
        "是否每句成为一篇文本；否则每句一行。",
    )

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        sentences = [part.strip() for part in _END.split(text) if part and part.strip()]
        texts = sentences if self.apart else ["\n".join(sentences)]
        return None if texts == [text] else Treated(texts, {"sentences": len(sentences)})
