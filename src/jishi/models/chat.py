"""How a conversation is written as one text: what stands before and after each turn. Data, never code from a download.

A model that was trained on conversations expects the very marks it saw. Known forms have a name; any other is given part by
part. What a turn says never becomes a mark, whatever it says.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from jishi.core.contracts import option
from jishi.core.errors import ModelError, UnknownName

AUTO, UNRECOGNISED = "auto", "unrecognised"
Turn = Mapping[str, str]  # "role": system, user or assistant; "content"


class Piece(NamedTuple):
    """A part of the text: whether it is a mark, and whether the model is to learn to write it."""

    text: str
    mark: bool
    learnt: bool = False


@dataclass(frozen=True)
class Chat:
    """A form of conversation. A bare name takes a known form; each part given replaces that form's."""

    name: str = option(
        AUTO,
        "chatml, smollm2, llama-2, llama-3, alpaca, plain, or a name of your own with every part given; auto: what the base "
        "model says, else plain.",
        "chatml、smollm2、llama-2、llama-3、alpaca、plain，或自定义名称并给出各部分；auto 按基座的说明，没有则为 plain。",
    )
    begin: str | None = option(None, "Stands before everything.", "位于全文最前。")
    system: tuple[str, str] | None = option(None, "Before and after the system's text.", "系统消息的前、后文字。")
    user: tuple[str, str] | None = option(None, "Before and after what the user says.", "用户消息的前、后文字。")
    assistant: str | None = option(None, "Before an answer.", "答案之前的文字。")
    end: str | None = option(
        None,
        "Ends every answer, one token; empty: the tokenizer's end token.",
        "结束每个答案的词元；为空则用分词器的结束符。",
    )
    after: str | None = option(None, "Between an answer and the next turn.", "答案与下一轮之间的文字。")
    default_system: str | None = option(
        None, "The system's text where a conversation has none.", "对话没有系统消息时使用的系统文字。"
    )
    inside: bool | None = option(
        None, "The system's text stands inside the first user turn.", "系统文字是否写在第一条用户消息之内。"
    )

    def settled(self, base: str = "") -> "Chat":
        """With every part filled in; `base` names the form that the base model says. Raises UnknownName, ModelError."""
        name = (base or PLAIN) if self.name == AUTO else self.name
        if name == UNRECOGNISED:
            raise ModelError("models.chat-unrecognised", allowed=", ".join(KNOWN))
        known = KNOWN.get(name)
        if known is None:
            missing = [field.name for field in fields(self) if getattr(self, field.name) is None]
            if missing:
                raise UnknownName("chat form", name, KNOWN)
            return self
        parts = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}
        return replace(known, **{key: value for key, value in parts.items() if value is not None})

    def pieces(self, turns: Sequence[Turn]) -> Iterator[Piece]:
        """The text of the turns, up to where the next answer stands. An end that is learnt is a piece of its own."""
        system, user, (said, turns) = self.system or ("", ""), self.user or ("", ""), self._opening(turns)
        opening = [Piece(system[0], True), Piece(said, False), Piece(system[1], True)] if said else []
        yield Piece(self.begin or "", True)
        if not self.inside:
            yield from opening
        for turn in turns:
            if turn["role"] == "user":
                yield Piece(user[0], True)
                if self.inside:
                    yield from opening
                    opening = []
                yield from (Piece(turn["content"], False), Piece(user[1], True))
            else:
                yield from (Piece(self.assistant or "", True), Piece(turn["content"], False, True))
                yield from (Piece(self.end or "", True, True), Piece(self.after or "", True))
        yield Piece(self.assistant or "", True)

    def prompt(self, processor: Any, turns: Sequence[Turn]) -> tuple[list[int], list[bool]]:
        """The tokens of the turns, up to where the next answer stands, and which of them the model is to learn to write."""
        ids: list[int] = []
        learnt: list[bool] = []
        for piece in self.pieces(turns):
            ends = piece.mark and piece.learnt
            found = [self.end_id(processor)] if ends else _ids(processor, piece.text, marks=piece.mark)
            ids += found
            learnt += [piece.learnt] * len(found)
        return ids, learnt

    def answer(self, processor: Any, text: str) -> list[int]:
        """The tokens of an answer, its end with it."""
        return [*_ids(processor, text, marks=False), self.end_id(processor)]

    def end_id(self, processor: Any) -> int:
        """The token that ends an answer. Raises ModelError where the tokenizer has none."""
        found = processor.get_vocab().get(self.end) if self.end else processor.eos_token_id
        if found is None:
            raise ModelError(
                "models.chat-no-end", name=self.name, given=self.end or "eos_token", allowed=", ".join(KNOWN)
            )
        return int(found)

    def _opening(self, turns: Sequence[Turn]) -> tuple[str, Sequence[Turn]]:
        """The system's text, and the other turns."""
        if turns and turns[0]["role"] == "system":
            return turns[0]["content"], turns[1:]
        return self.default_system or "", turns


def _ids(processor: Any, text: str, *, marks: bool) -> list[int]:
    """The tokens of a text; without `marks`, "</s>" in it is four characters."""
    apart = not marks or processor.split_special_tokens
    found: list[int] = processor(text, add_special_tokens=False, split_special_tokens=apart, verbose=False)["input_ids"]
    return found


def _form(name: str, **parts: Any) -> Chat:
    empty = {"begin": "", "end": "", "after": "", "default_system": "", "inside": False}
    return Chat(name, **{**empty, **parts})


def recognise(template: str) -> str:
    """The form that a tokenizer's template writes: known by its text, which is never run; "" where there is none."""
    if not template:
        return ""
    digest = hashlib.sha256("".join(template.split()).encode()).hexdigest()
    return TEMPLATES.get(digest, UNRECOGNISED)


PLAIN = "plain"
IM = {
    "system": ("<|im_start|>system\n", "<|im_end|>\n"),
    "user": ("<|im_start|>user\n", "<|im_end|>\n"),
    "assistant": "<|im_start|>assistant\n",
    "end": "<|im_end|>",
    "after": "\n",
}
FORMS = (
    _form(PLAIN, system=("", "\n\n"), user=("User: ", "\n"), assistant="Assistant:", after="\n"),
    _form("chatml", **IM),
    _form("smollm2", **IM, default_system="You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    _form(
        "llama-2",
        begin="<s>",
        system=("<<SYS>>\n", "\n<</SYS>>\n\n"),
        user=("[INST] ", " [/INST]"),
        assistant=" ",
        end="</s>",
        after="<s>",
        inside=True,
    ),
    _form(
        "llama-3",
        begin="<|begin_of_text|>",
        system=("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
        user=("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
        assistant="<|start_header_id|>assistant<|end_header_id|>\n\n",
        end="<|eot_id|>",
    ),
    _form(
        "alpaca",
        system=("", "\n\n"),
        user=("### Instruction:\n", "\n\n"),
        assistant="### Response:\n",
        after="\n\n",
        default_system="Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.",
    ),
)
KNOWN: Mapping[str, Chat] = {form.name: form for form in FORMS}
TEMPLATES: Mapping[str, str] = {  # SHA-256 of a template without its spaces → the form it writes
    "5a113d44c08716a1e2009f76fda3e8351f858f8b83cbd9b11605351fea28fd4b": "chatml",
    "711863d9666538c88973a75fca644755eebef7fd211d93c1d088f0836d36ae35": "chatml",
    "1751cf9b9de9604008ca174932dc8079f0d2aa4455487225f3ac02c0d8d04cab": "chatml",
    "261e2b7e475f6b1eb9f8a77374ec1af3fa07abf509f61db950a35978860bd18e": "chatml",
    "185d3850ee57cda6787928ba675d86cba78d9a2311db6760c962edc69412580c": "smollm2",
    "b85639e34583e4599bb8912c5855e3be3643d9c886812e5db075bfa1056aeaad": "smollm2",
    "84c5e3b41276fd5188183acf1474b6cd9e2623b82403e696f468f8235f7270cf": "llama-3",
    "065d2c5e13237e5dd6496260bfad0bc5aac7088317140d13c6e23373c61b64fc": "llama-3",
}
