"""Texts that read like texts."""

import zlib
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from jishi.core.contracts import Operation, Treated, option
from jishi.operations import _characters

Share = Annotated[float, Field(ge=0, le=1)]
SAMPLE = 2_000  # characters that are compressed, or looked through for function words
_ENGLISH = frozenset(["the", "be", "to", "of", "and", "that", "have", "with", "is", "in"])
_CHINESE = frozenset("的一是在不了有和之也而其以于为")
LONG = 200  # characters from which function words are expected


@dataclass(frozen=True)
class QualityFilter(Operation):
    """Drops texts by plain rules in the manner of Gopher's (arXiv:2112.11446): length, signs, repetition, function words."""

    least: Annotated[int, Field(ge=0)] = option(20, "The fewest characters.", "最少字符数。")
    most: Annotated[int, Field(ge=1)] | None = option(None, "The most characters.", "最多字符数。")
    symbols: Share = option(0.1, "The largest share of symbols, punctuation aside.", "符号（不含标点）所占的最大比例。")
    marks: Share = option(0.3, "The largest share of punctuation.", "标点所占的最大比例。")
    digits: Share = option(0.3, "The largest share of digits.", "数字所占的最大比例。")
    repeated_lines: Share = option(
        0.3, "The largest share of lines that stood before in the text.", "重复行所占的最大比例。"
    )
    compressed: Share = option(
        0.1,
        "The least a text may shrink to when it is compressed, as a share of its bytes: less means it repeats itself.",
        "文本压缩后与原字节数之比的下限：更小说明内容重复。",
    )
    function_words: Annotated[int, Field(ge=0)] = option(
        2,
        "The fewest different function words of English or Chinese in a text of 200 characters or more; 0 asks for none.",
        "不少于 200 字符的文本中，中文或英文虚词的最少种类；0 为不要求。",
    )

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        reason = self._reason(text)
        return Treated([], {reason: 1}) if reason else None

    def _reason(self, text: str) -> str | None:
        """The first rule that a text breaks."""
        size = len(text)
        if size < self.least:
            return "short"
        if self.most is not None and size > self.most:
            return "long"
        found = _characters.counts(text) / size
        for kind, limit, reason in (
            (_characters.SYMBOL, self.symbols, "symbols"),
            (_characters.MARK, self.marks, "marks"),
            (_characters.DIGIT, self.digits, "digits"),
        ):
            if found[kind] > limit:
                return reason
        lines = [line for line in text.split("\n") if line]
        if len(lines) - len(set(lines)) > self.repeated_lines * len(lines):
            return "repeated-lines"
        if size >= LONG:
            sample = text[:SAMPLE].encode("utf-8", "surrogatepass")
            if len(zlib.compress(sample, 1)) < self.compressed * len(sample):
                return "repeats"
            if self.function_words and not self._reads(text[:SAMPLE]):
                return "function-words"
        return None

    def _reads(self, text: str) -> bool:
        """Whether enough function words stand in a text."""
        found = len(_CHINESE & {*text}), len(_ENGLISH & {*text.lower().split()})
        return max(found) >= self.function_words
