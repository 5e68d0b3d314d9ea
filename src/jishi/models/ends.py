"""Where an answer ends, and its text: end tokens, stop strings across the borders of tokens, whole characters only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

BROKEN = "\ufffd"  # what a decoder writes for the bytes of a character that is not complete


@dataclass(frozen=True)
class Ends:
    """When to stop writing. `ids` end an answer and are no part of its text; neither is a stop string."""

    processor: Any
    ids: frozenset[int] = frozenset()
    stop: tuple[str, ...] = ()

    @classmethod
    def of(cls, processor: Any, stop: tuple[str, ...] = (), also: Iterable[int] = ()) -> Self:
        """The tokenizer's end token, `also` others, and stop strings."""
        end = processor.eos_token_id
        return cls(processor, frozenset([*([] if end is None else [end]), *also]), stop)

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether the answer is complete with its last token."""
        if ids[-1] in self.ids:
            return True
        return bool(self.stop) and self._cut(self._decode(ids)) is not None

    def text(self, ids: Sequence[int]) -> str:
        """The answer's text, up to its end."""
        whole = self._decode(ids)
        cut = self._cut(whole)
        return whole if cut is None else whole[:cut]

    def settled(self, ids: Sequence[int]) -> str:
        """The part of the text that no further token can change: whole characters, and no beginning of a stop string."""
        whole = self._decode(ids)
        cut = self._cut(whole)
        if cut is not None:
            return whole[:cut]
        text = whole.rstrip(BROKEN)
        beginnings = (stop[:length] for stop in self.stop for length in range(1, len(stop)))
        held = max((len(part) for part in beginnings if text.endswith(part)), default=0)
        return text[: len(text) - held]

    def _decode(self, ids: Sequence[int]) -> str:
        plain = [token for token in ids if token not in self.ids]
        text: str = self.processor.decode(plain, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _cut(self, text: str) -> int | None:
        """Where the first stop string begins."""
        return min((place for place in map(text.find, self.stop) if place >= 0), default=None)


@dataclass
class Pieces:
    """The text of an answer as it is written: each `add` gives what is certain by now and was not given before."""

    ends: Ends
    ids: list[int] = field(default_factory=list)
    given: str = ""

    def add(self, token: int) -> str:
        self.ids.append(token)
        return self._give(self.ends.settled(self.ids))

    def rest(self) -> str:
        """What was held back, once the answer is complete; where bytes before it never became characters, what comes after."""
        text = self.ends.text(self.ids) if self.ids else ""
        return self._give(self.given + text[len(self.given) :])

    def _give(self, text: str) -> str:
        if not text.startswith(self.given):  # a decoder that looks back: wait until it agrees again
            return ""
        piece, self.given = text[len(self.given) :], text
        return piece
