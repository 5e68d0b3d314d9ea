"""Without what tells who somebody is: numbers of people, phones, cards, cars, mail and machines; names, with a model."""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from jishi.core.contracts import Operation, Treated, option
from jishi.operations import _entities

_WEIGHTS, _CHECKS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), "10X98765432"  # GB 11643-1999


def _citizen(given: str) -> bool:
    """Whether 18 places are an ID number: a day of birth that was, and the check digit that belongs to it."""
    try:
        date(int(given[6:10]), int(given[10:12]), int(given[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, given, strict=False))
    return _CHECKS[total % 11] == given[17].upper() and 1900 <= int(given[6:10]) <= 2100


def _card(given: str) -> bool:
    """Whether digits are a card number (Luhn, ISO/IEC 7812)."""
    digits = [int(digit) for digit in reversed(given) if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


def _machine(given: str) -> bool:
    """Whether four numbers are an address (IPv4) of somebody, not a mask, and not one that every office has inside."""
    try:
        return ipaddress.ip_address(given).is_global
    except ValueError:
        return False


_OLD, _NEW = "[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳]", "[A-HJ-NP-Z0-9]{6}"  # what a plate's letter is followed by
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"


@dataclass(frozen=True)
class Kind:
    """`hint` is found fast wherever `pattern` may be; what matches is `real` or not."""

    hint: re.Pattern[str]
    pattern: re.Pattern[str]
    real: Callable[[str], object]


_DIGITS = re.compile(r"[0-9](?:[0-9 -]{10}|\.[0-9]{1,3}\.[0-9])")
KINDS: Mapping[str, Kind] = {  # in the order they are looked for
    "email": Kind(
        re.compile("@"),
        re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}", re.ASCII),
        bool,
    ),
    "id-card": Kind(_DIGITS, re.compile(r"(?<![0-9A-Za-z])[1-9]\d{16}[\dXx](?![0-9A-Za-z])", re.ASCII), _citizen),
    "bank-card": Kind(
        _DIGITS,
        re.compile(r"(?<![\w.-])[2-6]\d{3}(?:[ -]?\d{4}){2,3}(?:[ -]?\d{1,3})?(?![\w-]|\.\d)", re.ASCII),
        _card,
    ),
    "mobile": Kind(
        _DIGITS,
        re.compile(r"(?<![\w.-])(?:(?:\+|00)86[ -]?)?1[3-9]\d(?:\d{8}|[ -]\d{4}[ -]\d{4})(?![\w-]|\.\d)", re.ASCII),
        bool,
    ),
    "ip": Kind(
        _DIGITS,
        re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)", re.ASCII),
        _machine,
    ),
    "plate": Kind(
        re.compile(f"[{_PROVINCES}][A-HJ-NP-Z]"),
        re.compile(rf"[{_PROVINCES}][A-HJ-NP-Z][·• ]?(?:{_NEW}|{_OLD})(?![A-Za-z0-9])"),
        re.compile("[0-9]").search,
    ),
    "passport": Kind(
        re.compile("[EGPSD][A-Z0-9][0-9]{7}"),
        re.compile(r"(?<![A-Za-z0-9])(?:[EGPSD]\d{8}|E[A-HJ-NP-Z]\d{7})(?![A-Za-z0-9])", re.ASCII),
        bool,
    ),
}


_MARK = re.compile(f"<(?:{'|'.join(KINDS)})>")


def _known(kinds: tuple[str, ...]) -> tuple[str, ...]:
    if set(kinds) - set(KINDS):
        raise ValueError(f"some of {', '.join(KINDS)}")
    return kinds


@dataclass(frozen=True)
class MaskPersonalData(Operation):
    """Writes the kind, <email>, where such data stand. Form, check digit and date are checked; names need a model."""

    discreet = True

    kinds: Annotated[tuple[str, ...], AfterValidator(_known)] = option(
        tuple(KINDS),
        "What is looked for: email, id-card, bank-card, mobile, ip, plate, passport.",
        "查找的内容：email（邮箱）、id-card（身份证号）、bank-card（银行卡号）、mobile（手机号）、ip、plate（车牌）、passport（护照号）。",
    )

    model: str | None = option(
        None,
        "A bundle for token-classification that finds names and addresses too; a core reads a few KB a second with it.",
        "可找出姓名与地址的 token-classification 模型包；单核每秒只能读几 KB。",
    )
    labels: tuple[str, ...] = option((), "Which of its labels are masked; empty: all.", "遮盖它的哪些标签；空为全部。")

    def files(self) -> Sequence[Path]:
        return _entities.files(self.model) if self.model else ()

    def ready(self) -> None:
        if self.model:
            _entities.check(self.model, self.labels)

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        found: Counter[str] = Counter()
        hints = {hint for hint in {KINDS[name].hint for name in self.kinds} if hint.search(text)}
        for name in self.kinds if hints else ():
            kind = KINDS[name]
            if kind.hint not in hints:
                continue

            def masked(match: re.Match[str], name: str = name, kind: Kind = kind) -> str:
                if not kind.real(match.group()):
                    return match.group()
                found[name] += 1
                return f"<{name}>"

            text = kind.pattern.sub(masked, text)
        if self.model and text:
            text = self._unnamed(self.model, text, found)
        return Treated([text], found) if found else None

    def _unnamed(self, model: str, text: str, found: Counter[str]) -> str:
        """The text with the names that the model finds masked, and counted; a mark is none, whatever it thinks."""
        marks = [mark.span() for mark in _MARK.finditer(text)]
        for entity in reversed(_entities.find(model, text)):
            start, end = entity["start"], entity["end"]
            wanted = not self.labels or entity["label"] in self.labels
            if wanted and all(end <= first or last <= start for first, last in marks):
                name = entity["label"].lower().replace("_", "-")
                text = f"{text[:start]}<{name}>{text[end:]}"
                found[name] += 1
        return text
