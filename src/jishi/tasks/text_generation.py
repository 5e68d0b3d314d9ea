"""Write text: answers in conversations (instruction tuning), or more of a text (language modelling)."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy
from torch.nn import functional

from jishi.core.contracts import Base, Batch, Features, Head, Loss, Prediction, Rival, Row, Task, Written, option
from jishi.core.errors import DataError, UsageError
from jishi.models import tokens
from jishi.models.chat import Chat
from jishi.models.cross_entropy import cross_entropy
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.generate import begin, generate, stream
from jishi.tasks import _preference, _turns, _written


@dataclass(frozen=True)
class TextGeneration(Task):
    """Rows: {"prompt", "answer"} in any usual form (messages, ShareGPT, Alpaca, pairs, preferences), or {"text"}.

    The loss is over answers only; in plain text, over all of it (arXiv:2203.02155, arXiv:2005.14165).
    """

    columns = {"prompt": "conversation?", "text": "text?"}
    targets = (("answer",), ())
    learnt = ("text",)
    generates = True
    answers = _written.ANSWERS

    chat: Chat = option(
        factory=Chat,
        en="How a conversation is written as one text: a known form's name, or its parts.",
        zh="对话如何写成一段文本：已知格式的名称，或其各部分。",
        aliases=("template", "chat_template"),
    )
    decoding: Decoding = option(factory=Decoding, en="How answers are written.", zh="答案如何生成。")
    max_length: int | None = option(
        None,
        "Tokens of prompt and answer; of a longer prompt the beginning is cut off, of a longer answer the end, and counted.",
        "提示与答案的最大词元数；提示过长时截去开头，答案过长时截去结尾，并计数。",
        aliases=("max_seq_length", "cutoff_len"),
    )
    form: Literal["auto", "conversation", "plain"] = option(
        "auto", "What the rows hold; auto reads it off them.", "数据是对话还是纯文本；auto 根据数据判断。"
    )

    preference: Literal["none", "dpo", "ipo"] = option(
        "none",
        "Learn from chosen and rejected answers, held to the model as it was (adapt=lora): dpo (arXiv:2305.18290) or ipo "
        "(arXiv:2310.12036); none learns the chosen answers alone.",
        "从优选与劣选答案中学习，以训练前的模型为参照（需 adapt=lora）：dpo（arXiv:2305.18290）或 ipo"
        "（arXiv:2310.12036）；none 只学优选答案。",
    )
    beta: float = option(
        0.1,
        "Preference: how dearly the model leaves what it was; larger stays nearer.",
        "偏好学习：偏离原模型的代价，越大越接近原模型。",
    )

    @property
    def metric(self) -> str:  # type: ignore[override]
        """chrF of answers; of plain text, the mean probability of a character."""
        return _written.METRIC_OF_TEXT if self.form == "plain" else _written.METRIC_OF_ANSWERS

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        return _turns.parse(raw, training=training)

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        self.decoding.check()
        chats = sum(row.get("prompt") is not None for row in rows)
        if 0 < chats < len(rows):
            raise DataError("tasks.mixed-forms", chats=chats, texts=len(rows) - chats)
        if self.preference != "none" and any(row.get("rejected") is None for row in rows):
            raise DataError("tasks.no-preferences", given=self.preference)
        if not self.beta > 0:
            raise UsageError("tasks.beta-range", given=self.beta)
        return replace(
            self,
            form="conversation" if chats else "plain",
            chat=self.chat.settled(base.chat),
            max_length=min(self.max_length or base.max_length, base.max_length),
        )

    def head(self) -> Head:
        return Head("ForCausalLM")

    def encode(self, row: Row, processor: Any) -> Features:
        """ "prompt_ids": what is gone on with; "input_ids" (T,): prompt and answer; "labels": what is to be learnt of them.

        A prompt leaves room for an answer, whether there is one or not, so that training and answering see the same.
        """
        if row.get("prompt") is None:
            return self._plain(row["text"], processor)
        features = self._chat(row["prompt"], row.get("answer"), processor)
        if self.preference != "none" and row.get("rejected") is not None:
            other = self._chat(row["prompt"], row["rejected"], processor)
            features |= {"rejected_ids": other["input_ids"], "rejected_labels": other["labels"]}
            features["length"] = 2 * max(features["length"], other["length"])  # what the two cost side by side
            features["truncated"] |= other["truncated"]
        return features

    def _chat(self, turns: Sequence[Mapping[str, str]], said: str | None, processor: Any) -> Features:
        limit = tokens.limit(processor, self.max_length)
        room = limit - min(self.decoding.max_new_tokens, limit // 2)
        prompt, learnt = self.chat.prompt(processor, turns)
        kept = prompt[-room:]
        answer = [] if said is None else self.chat.answer(processor, said)
        written = answer[: limit - len(kept)]
        features = tokens.describe(processor, [*kept, *written])
        features["prompt_ids"] = numpy.asarray(kept, dtype=numpy.int32)
        features["truncated"] = len(kept) < len(prompt) or len(written) < len(answer)
        if answer:
            learns = numpy.asarray([*learnt[-room:], *(True for _ in written)])
            features["labels"] = numpy.where(learns, features["input_ids"], tokens.IGNORED).astype(numpy.int32)
        return features

    def _plain(self, text: str, processor: Any) -> Features:
        """A text from its beginning, with an end token where it was not cut; what it says last is gone on with."""
        features = tokens.encode(processor, text, max_length=self.max_length)
        ids, end = features["input_ids"].tolist(), processor.eos_token_id
        begun = ids[:-1] if ids[-1:] == [end] else ids
        limit = tokens.limit(processor, self.max_length)
        whole = ids if len(begun) < len(ids) or end is None else [*ids, end][:limit]
        found = {**tokens.describe(processor, whole), "truncated": features["truncated"]}
        room = limit - min(self.decoding.max_new_tokens, limit // 2)
        found["prompt_ids"] = numpy.asarray(begun[-room:] or ids, dtype=numpy.int32)
        found["labels"] = found["input_ids"].copy()
        return found

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        rows = [{**row, "length": len(row["input_ids"])} for row in features]
        if paired := all("rejected_ids" in row for row in features):
            rows += [
                {**tokens.describe(processor, row["rejected_ids"]), "labels": row["rejected_labels"]}
                for row in features
            ]
        batch = tokens.pad(rows, processor)
        prompts = [tokens.describe(processor, row["prompt_ids"]) for row in features]
        batch["prompts"] = tokens.pad(prompts, processor)
        batch["ends"] = self._ends(processor, whole=bool(self.decoding.stop))
        batch["paired"] = paired
        if all("labels" in row for row in features):
            batch["labels"] = tokens.stack([row["labels"] for row in rows], tokens.IGNORED)
        return batch

    def forward(self, model: Any, batch: Batch) -> Any:
        """B answers (N, 3): token, log-probability, margin."""
        return generate(model, _prompts(batch), self.decoding, batch["ends"])

    def begin(self, model: Any, batch: Batch) -> Sequence[Generator[None, None, Any]]:
        return begin(model, _prompts(batch), self.decoding, batch["ends"])

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Cross-entropy, the mean over the tokens to be learnt; of pairs, the preference loss."""
        if batch["paired"] and _preference.applies(model):
            return _preference.loss(model, batch, method=self.preference, beta=self.beta)
        parts = {}
        if batch["paired"]:
            parts = {} if model.training else {"preferred": _preference.likelier(model, batch)}
            batch = _written.chosen(batch)
        targets = batch["labels"][:, 1:]  # (B, T-1)
        follows = targets != tokens.IGNORED
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        places = functional.pad(follows, (0, 1))  # (B, T), the tokens that are followed by one to be learnt
        total, outputs = cross_entropy(model, {**inputs, "use_cache": False}, places, targets[follows])
        count = int(follows.sum())
        return Loss(total / max(count, 1), outputs, {**parts, "learnt": float(count)}, count)

    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:  # noqa: ARG002
        """The text, the mean log-probability of its tokens, and whether it came to an end before the tokens it may have."""
        ends = self._ends(processor)
        return [_written.prediction(output, ends) for output in outputs]

    def stream(self, model: Any, features: Features, processor: Any) -> Generator[str, None, Written]:
        prompts = tokens.pad([tokens.describe(processor, features["prompt_ids"])], processor)
        prompts = {name: value.to(model.device) for name, value in prompts.items()}
        return stream(model, prompts, self.decoding, self._ends(processor))

    def _ends(self, processor: Any, *, whole: bool = True) -> Ends:
        """Where answers end; the tokenizer is needed for stop strings and texts only, and heavy to hand on."""
        also = () if self.form == "plain" else (self.chat.end_id(processor),)
        ends = Ends.of(processor, self.decoding.stop, also)
        return ends if whole else replace(ends, processor=None)

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        return _written.score(predictions, rows)

    def credit(self, prediction: Prediction, row: Row) -> float:
        """chrF of the answer; of plain text, the mean probability of a character."""
        return _written.score([prediction], [row])[self.metric]

    def baseline(self, rows: Sequence[Row]) -> Rival:
        """The answer of the training prompt that is most like this one; of plain text, how frequent each character is."""
        return _written.characters(rows) if self.form == "plain" else _written.nearest(rows)


def _prompts(batch: Batch) -> Batch:
    """What is gone on with, where the batch is."""
    return {name: value.to(batch["input_ids"].device) for name, value in batch["prompts"].items()}
