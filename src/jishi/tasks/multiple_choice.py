"""Choose one of several texts: exam questions, the right reply, the best title."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Prediction, Rival, Row, Task, option
from jishi.core.errors import DataError, RowError
from jishi.metrics import classification, temperature
from jishi.models import tokens
from jishi.tasks import _choosing, _single
from jishi.tasks._outputs import array


@dataclass(frozen=True)
class MultipleChoice(Task):
    """Rows: {"question", "choices": two texts or more, "answer": the text of one, its letter, or its place from 0}.

    Each choice is read after the question and given one score, so that their number may differ from row to row and their order
    makes no difference.
    """

    columns = {"question": "text", "choices": "choices"}
    targets = (("answer",),)
    aliases = ({"choices": "options"},)
    metric = "accuracy"
    answers = {**_single.ANSWERS, "answer": int}

    prefix: str | None = option(
        None,
        "Put before every question; empty: what the base model expects.",
        "加在每个问题前的前缀；为空则用基座模型要求的前缀。",
    )
    max_length: int | None = option(
        None,
        "Tokens read of a question with one choice; the rest is cut off and counted.",
        "问题连同一个选项最多读取的词元数，超出部分截断并计数。",
        aliases=("max_seq_length",),
    )
    temperature: float = option(
        1.0, "Divides the scores; set by calibration.", "温度系数（除各选项的得分），由校准得到。"
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        """The canonical answer is a place from 0. A text that is a choice is taken as such before it is read as a letter."""
        read = {name: registry.get(Modality, kind)().read for name, kind in self.columns.items()}
        row = {name: read[name](raw.get(name)) for name in self.columns}
        answer = raw.get("answer")
        return row if answer is None and not training else {**row, "answer": place(answer, row["choices"])}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        if not len(rows):
            raise DataError("tasks.no-question")
        return replace(
            self,
            prefix=base.prefix if self.prefix is None else self.prefix,
            max_length=min(self.max_length or base.max_length, base.max_length),
        )

    def head(self) -> Head:
        return Head("ForSequenceClassification", {"num_labels": 1, "problem_type": None})

    def encode(self, row: Row, processor: Any) -> Features:
        """The choices' token features one after the other; "windows" says how many tokens each has."""
        question = (self.prefix or "") + row["question"]
        parts = [tokens.encode(processor, question, choice, max_length=self.max_length) for choice in row["choices"]]
        sizes = [part["length"] for part in parts]
        arrays = [name for name, value in parts[0].items() if isinstance(value, numpy.ndarray)]
        features: Features = {name: numpy.concatenate([part[name] for part in parts]) for name in arrays}
        features |= {"windows": sizes, "length": sum(sizes), "truncated": any(part["truncated"] for part in parts)}
        features["unknown"] = sum(part["unknown"] * part["length"] for part in parts) / sum(sizes)
        if row.get("answer") is not None:
            features["labels"] = row["answer"]
        return features

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.tensors(self.arrays(features, processor))

    def arrays(self, features: Sequence[Features], processor: Any) -> Batch:
        """Every choice a row of its own, (C, T); "counts" are the choices of each question."""
        batch = tokens.arrays([part for row in features for part in _parts(row)], processor)
        batch["counts"] = [len(row["windows"]) for row in features]
        if all("labels" in row for row in features):
            batch["labels"] = numpy.asarray([row["labels"] for row in features])
        return batch

    def forward(self, model: Any, batch: Batch) -> Any:
        """The scores of each question's choices: B tensors (n,), or arrays."""
        inputs = {key: value for key, value in batch.items() if key not in ("labels", "counts")}
        scores, counts = model(**inputs).logits.squeeze(-1), batch["counts"]
        if isinstance(scores, numpy.ndarray):
            return numpy.split(scores, numpy.cumsum(counts)[:-1])
        return list(scores.split(counts))

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Cross-entropy over the choices of each question."""
        import torch

        scores = self.forward(model, batch)
        padded = torch.nn.utils.rnn.pad_sequence([one.float() for one in scores], True, float("-inf"))
        return Loss(torch.nn.functional.cross_entropy(padded, batch["labels"]), scores)

    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:  # noqa: ARG002
        return [answer(temperature.softmax(array(output) / self.temperature)) for output in outputs]

    def calibrate(self, outputs: Sequence[Any], rows: Sequence[Row]) -> Self:
        most = max(len(row["choices"]) for row in rows)
        logits = numpy.full((len(rows), most), -numpy.inf)
        for line, output in zip(logits, outputs, strict=True):
            line[: len(output)] = array(output)
        return replace(self, temperature=temperature.fit(logits, numpy.array([row["answer"] for row in rows])))

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        right = [self.credit(prediction, row) for prediction, row in zip(predictions, rows, strict=True)]
        return {"accuracy": sum(right) / max(len(right), 1)}

    def credit(self, prediction: Prediction, row: Row) -> float:
        return float(prediction["answer"] == row["answer"])

    def details(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, Any]:
        """By place: a model that likes the first choice best is found out."""
        given, truth = [prediction["label"] for prediction in predictions], [letter(row["answer"]) for row in rows]
        labels = [letter(index) for index in range(max(len(row["choices"]) for row in rows))]
        table = classification.per_class(truth, given, labels)
        confusion = classification.confusion(truth, given, labels).tolist()
        return {"per_class": table, "confusion": {"labels": labels, "matrix": confusion}}

    def baseline(self, rows: Sequence[Row]) -> Rival:
        return _choosing.rival(rows, answer)


def place(answer: Any, choices: Sequence[str]) -> int:
    """Which of the choices an answer means. Raises RowError where it is none, or two that read the same."""
    text = "" if answer is None or isinstance(answer, bool) else str(answer).strip()
    if not isinstance(answer, int) and choices.count(text) == 1:
        return list(choices).index(text)
    letters = [letter(index) for index in range(len(choices))]
    found = int(text) if text.isdecimal() else letters.index(text.upper()) if text.upper() in letters else len(choices)
    if found >= len(choices) or (not isinstance(answer, int) and text in choices):
        raise RowError(
            "tasks.no-such-choice", given=repr(answer)[:80], allowed=f"{letters[0]}–{letters[-1]}, 0–{len(choices) - 1}"
        )
    return found


def letter(index: int) -> str:
    """What a choice is called: A to Z, then its number from 27."""
    return string.ascii_uppercase[index] if index < 26 else str(index + 1)


def answer(probabilities: numpy.ndarray) -> Prediction:
    """The likeliest choice and the probability of each."""
    best = int(probabilities.argmax())
    scores = {letter(index): float(value) for index, value in enumerate(probabilities)}
    return {"label": letter(best), "answer": best, "score": float(probabilities[best]), "scores": scores}


def _parts(row: Features) -> list[Features]:
    """The features of each choice."""
    ends = numpy.cumsum(row["windows"]).tolist()
    names = [name for name in ("input_ids", "token_type_ids") if name in row]
    return [
        {**{name: row[name][end - size : end] for name in names}, "length": size}
        for end, size in zip(ends, row["windows"], strict=True)
    ]
