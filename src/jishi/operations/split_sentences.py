"""Sentences, one a line or one a text."""

from dataclasses import dataclass
from typing import Any

from jishi.core import sentences
from jishi.core.contracts import Operation, Treated, option


@dataclass(frozen=True)
class SplitSentences(Operation):
    """Cuts texts after 。！？； and after . ! ? before a capital letter, titles aside; closing quotation marks stay."""

    apart: bool = option(
        False,
        "Whether each sentence becomes a text of its own; otherwise it becomes a line.",
        "是否每句成为一篇文本；否则每句一行。",
    )

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        found = sentences.split(text)
        texts = found if self.apart else ["\n".join(found)]
        return None if texts == [text] else Treated(texts, {"sentences": len(found)})
