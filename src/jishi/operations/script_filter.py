"""Texts in the writing systems that are wanted."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from jishi.core import script
from jishi.core.contracts import Operation, Treated, option
from jishi.operations import _characters


def _known(scripts: tuple[str, ...]) -> tuple[str, ...]:
    if not scripts or set(scripts) - set(script.NAMES):
        raise ValueError(f"one or more of {', '.join(script.NAMES)}")
    return scripts


@dataclass(frozen=True)
class ScriptFilter(Operation):
    """Drops a text with too few letters of the scripts asked for. It tells scripts apart, not languages that share one."""

    scripts: Annotated[tuple[str, ...], AfterValidator(_known)] = option(
        ("han", "latin"),
        "The scripts: han, kana, hangul, latin, cyrillic, arabic.",
        "文字种类：han、kana、hangul、latin、cyrillic、arabic。",
    )
    share: Annotated[float, Field(ge=0, le=1)] = option(
        0.9, "The least share of letters that are of them.", "属于这些文字的字母的最小比例。"
    )

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        found = _characters.counts(text)
        letters = found[_characters.OTHER] + found[5:].sum()
        wanted = sum(found[5 + script.NAMES.index(name)] for name in self.scripts)
        if letters and wanted >= self.share * letters:
            return None
        return Treated([], {"other-script" if letters else "no-letters": 1})
