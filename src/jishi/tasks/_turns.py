"""Rows of a conversation in the forms that data come in, as one: the turns before, and the answer.

| form | columns |
|---|---|
| OpenAI | messages: [{"role", "content"}] |
| ShareGPT | conversations: [{"from", "value"}], system? |
| lists | turns: [text, …], the user's first, in turn |
| Alpaca | instruction, input?, output, system?, history? |
| pairs | prompt (text or messages), completion, answer or response |
| preference | prompt, chosen, rejected (texts or messages) |
| plain | text |
"""

import json
from collections.abc import Mapping
from typing import Any

from jishi.core import registry
from jishi.core.contracts import Modality, Row
from jishi.core.errors import RowError

ROLES = ("user", "assistant")
ANSWERS = ("answer", "completion", "response", "output", "chosen")


def parse(raw: Mapping[str, Any], *, training: bool) -> Row:
    """{"prompt", "answer"?, "rejected"?}, or {"text"} of a row that is no conversation. Raises RowError."""
    turns, answer = _read(raw)
    if turns is None:
        return {"text": registry.get(Modality, "text")().read(raw.get("text"))}
    turns = _conversation(turns)
    if answer is None and turns[-1]["role"] == "assistant":
        answer, turns = turns[-1]["content"], turns[:-1]
    if not turns or turns[-1]["role"] != "user":
        raise RowError("tasks.no-user-turn")
    row: dict[str, Any] = {"prompt": turns}
    if answer is None and not training:
        return row
    row["answer"] = _said(answer, "answer")
    if raw.get("rejected") is not None:
        row["rejected"] = _said(raw["rejected"], "rejected")
        if row["rejected"] == row["answer"]:
            raise RowError("tasks.same-answers")
    return row


def _read(raw: Mapping[str, Any]) -> tuple[Any, Any]:
    """The turns and, where it stands apart from them, the answer; no turns where the row is plain text."""
    answer = next((raw[name] for name in ANSWERS if raw.get(name) is not None), None)
    if raw.get("messages") is not None:
        return raw["messages"], answer
    if raw.get("conversations") is not None:
        return _with_system(raw, _listed(raw["conversations"])), answer
    if raw.get("turns") is not None:
        return _with_system(raw, _alternating(_listed(raw["turns"]))), answer
    if raw.get("instruction") is not None:
        asked = "\n".join(str(part) for part in (raw["instruction"], raw.get("input")) if part not in (None, ""))
        past = _alternating([said for pair in _listed(raw.get("history") or []) for said in pair])
        return _with_system(raw, [*past, {"role": "user", "content": asked}]), answer
    if raw.get("prompt") is not None:
        return raw["prompt"], answer
    return None, None


def _alternating(said: Any) -> Any:
    """What user and assistant say in turn, with their roles."""
    if not isinstance(said, list | tuple):
        return said
    return [{"role": ROLES[place % 2], "content": text} for place, text in enumerate(said)]


def _with_system(raw: Mapping[str, Any], turns: Any) -> Any:
    said = raw.get("system")
    return [{"role": "system", "content": said}, *turns] if said and isinstance(turns, list) else turns


def _conversation(value: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = registry.get(Modality, "conversation")().read(_listed(value))
    return found


def _listed(value: Any) -> Any:
    """A cell of a CSV file holds turns as JSON; any other text is what it says."""
    if isinstance(value, str) and value.lstrip().startswith(("[{", '["')):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _said(value: Any, column: str) -> str:
    """The text of an answer; of messages, the last one's."""
    value = _listed(value)
    if isinstance(value, list | tuple) and value:
        value = _conversation(value)[-1]["content"]
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise RowError("tasks.answer-missing", column=column)
    return str(registry.get(Modality, "text")().read(value))
