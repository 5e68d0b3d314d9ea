"""Conversation: turns of system, user and assistant, each a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy

from jishi.core import registry
from jishi.core.contracts import Modality, option
from jishi.core.errors import RowError
from jishi.core.script import script

ROLES = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "bot": "assistant",
    "chatgpt": "assistant", "model": "assistant",
}  # fmt: skip


@dataclass(frozen=True)
class Conversation(Modality):
    """A list of turns {"role", "content"} (or {"from", "value"}), or a bare text, which is what the user says."""

    binary = False
    turns = True

    most: int = option(1000, "Most turns accepted.", "可接受的最多轮数。")

    def read(self, value: Any) -> list[dict[str, str]]:
        """The turns, a system turn first where there is one. Raises RowError for a second one, an empty turn, another role."""
        text = registry.get(Modality, "text")().read
        if isinstance(value, str | int | float) or value is None:
            return [{"role": "user", "content": text(value)}]
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= self.most:
            raise RowError("modalities.no-turns", given=repr(value)[:80], allowed=self.most)
        turns = []
        for place, turn in enumerate(value, 1):
            if not isinstance(turn, Mapping):
                raise RowError("modalities.no-turns", given=repr(turn)[:80], allowed=self.most)
            given = turn.get("role", turn.get("from"))
            role = ROLES.get(str(given).lower())
            if role is None:
                raise RowError("modalities.turn-role", place=place, given=given, allowed=", ".join(ROLES))
            if role == "system" and place > 1:
                two = turns[0]["role"] == role
                raise RowError("modalities.turn-two-systems" if two else "modalities.turn-late-system", place=place)
            try:
                content = text(turn.get("content", turn.get("value")))
            except RowError as reason:
                raise RowError("modalities.turn-content", place=place, reason=reason) from None
            turns.append({"role": role, "content": content})
        return turns

    def augment(self, raw: list[dict[str, str]], rng: numpy.random.Generator) -> list[dict[str, str]]:
        last = registry.get(Modality, "text")().augment(raw[-1]["content"], rng)
        return [*raw[:-1], {**raw[-1], "content": last}]

    def corrupt(self, raw: list[dict[str, str]], severity: float, rng: numpy.random.Generator) -> list[dict[str, str]]:
        last = registry.get(Modality, "text")().corrupt(raw[-1]["content"], severity, rng)
        return [*raw[:-1], {**raw[-1], "content": last}]

    def statistics(self, raw: list[dict[str, str]]) -> dict[str, float | str]:
        """Turns, characters of all, and the script of the last."""
        return {
            "turns": float(len(raw)),
            "characters": float(sum(len(turn["content"]) for turn in raw)),
            "script": script(raw[-1]["content"]),
        }
