"""One way to write each thing, so that equal words look equal."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from jishi.core.contracts import Operation, Treated, option
from jishi.core.errors import MissingExtra

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]")
_BROKEN = re.compile("[\xc2-\xdf][\x80-\xbf\u20ac\u2018-\u201d]|[\xe2-\xe9][\x80-\xbf\u20ac\u2018-\u201d]{2}|\ufffd")
_ENDS = re.compile("[\r\u2028\u2029\x85]\n?")
_WIDE = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_NARROW = {code: code - 0xFEE0 for code in range(0xFF10, 0xFF5B)}
_LOOSE = ("  ", "\t", "\xa0", "\u3000", " \n", "\n ", "\n\n\n")
_SPACES, _BLANK = re.compile("[ \t\xa0\u3000]{2,}|[\t\xa0\u3000]"), re.compile("\n{3,}")


@dataclass(frozen=True)
class Normalise(Operation):
    """Unicode composed, broken encodings mended, control characters and needless spaces gone, wide letters and digits narrow."""

    form: Literal["NFC", "NFKC", "none"] = option(
        "NFC",
        "The Unicode form; NFKC also makes Chinese punctuation narrow.",
        "Unicode 规范形式；NFKC 还会把中文标点变为半角。",
    )
    width: bool = option(
        True,
        "Whether full-width letters and digits become narrow; punctuation stays.",
        "是否将全角字母与数字变为半角；标点不变。",
    )
    han: Literal["keep", "simplified", "traditional"] = option(
        "keep", "Whether Chinese is converted (OpenCC).", "是否进行简繁转换（OpenCC）。"
    )
    mend: bool = option(
        True,
        "Whether texts that were read in a wrong encoding are mended (ftfy).",
        "是否修复以错误编码读取的文本（ftfy）。",
    )

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        reasons: Counter[str] = Counter()
        if self.mend and not text.isascii() and _BROKEN.search(text):
            text = _told(reasons, "encoding", text, _ftfy()(text))
        if not text.replace("\n", " ").isprintable():
            text = _told(reasons, "line-ends", text, _ENDS.sub("\n", text))
            text = _told(reasons, "control", text, _CONTROL.sub("", text))
        if self.form != "none" and not unicodedata.is_normalized(self.form, text):
            text = _told(reasons, "unicode", text, unicodedata.normalize(self.form, text))
        if self.width and not text.isascii() and _WIDE.search(text):
            text = _told(reasons, "width", text, text.translate(_NARROW))
        if self.han != "keep" and not text.isascii():
            text = _told(reasons, "script", text, _opencc(self.han).convert(text))
        if any(loose in text for loose in _LOOSE):
            narrow = _SPACES.sub(" ", text).replace(" \n", "\n").replace("\n ", "\n")
            text = _told(reasons, "spaces", text, _BLANK.sub("\n\n", narrow))
        text = _told(reasons, "spaces", text, text.strip())
        return Treated([text] if text else [], reasons if text else {"empty": 1}) if reasons or not text else None


def _told(reasons: Counter[str], reason: str, before: str, after: str) -> str:
    reasons.update([reason] if after != before and reason not in reasons else [])
    return after


@cache
def _ftfy() -> Any:
    try:
        import ftfy
    except ModuleNotFoundError as missing:
        raise MissingExtra("ftfy", "corpus") from missing
    return ftfy.fix_encoding


@cache
def _opencc(han: str) -> Any:
    try:
        import opencc
    except ModuleNotFoundError as missing:
        raise MissingExtra("opencc", "corpus") from missing
    return opencc.OpenCC("t2s" if han == "simplified" else "s2t")
