"""What a request wants and the values that go with it: one encoder, two heads, one loss (arXiv:1902.10909)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Prediction, Rival, Row, Task, option
from jishi.core.errors import DataError, RowError
from jishi.metrics import classification, entities, temperature
from jishi.models import tokens, windows
from jishi.tasks import _rivals, _single, _spans, _tagging
from jishi.tasks._dictionary import Dictionary
from jishi.tasks._outputs import array


@dataclass(frozen=True)
class IntentSlots(Task):
    """Rows: {"text", "intent", "slots": [{"start", "end", "label"}]}; slots also as {name: value} found in the text, or as tags.

    The heads are one linear layer: the columns of the intents, read from the mean of the tokens, then those of the tags.
    """

    columns = {"text": "text"}
    targets = (("intent", "slots"),)
    pointed = ("text",)
    metric = "exact"
    answers = {"intent": str, "score": float, "scores": dict, "slots": list}
    windows = True

    intents: tuple[str, ...] = option(
        (), "The intents, in order; empty: those of the training rows.", "意图及其顺序；为空则取自训练数据。"
    )
    slots: tuple[str, ...] = option(
        (),
        "The names of the slots, in order; empty: those of the training rows.",
        "槽位名称及其顺序；为空则取自训练数据。",
    )
    pooling: Literal["auto", "mean", "cls"] = option(
        "auto",
        "What tells the intent: the mean of the tokens, or the first; auto: as the base model pools.",
        "用什么判断意图：所有词元的平均，或第一个词元；auto 与基座模型的池化方式一致。",
    )
    max_length: int | None = option(
        None,
        "Tokens read at once; a longer text is read in windows that overlap.",
        "一次读取的最大词元数；更长的文本按重叠的窗口读取。",
        aliases=("max_seq_length",),
    )
    temperature: float = option(
        1.0, "Divides the logits of the intent; set by calibration.", "意图的温度系数（除 logits），由校准得到。"
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        clean = registry.get(Modality, self.columns["text"])().read
        text, spans = _spans.read({**raw, "slots": _spans_of(raw, clean)}, clean, ("slots", "spans", "entities"))
        if spans is None and training:
            raise RowError("tasks.slots-missing")
        row = {"text": text} if spans is None else {"text": text, "slots": spans}
        if raw.get("intent") is not None or training:
            row["intent"] = _single.label(raw.get("intent"))
        return row

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        intents = _single.settle(self.intents, [row["intent"] for row in rows])["labels"]
        found = {span["label"] for row in rows for span in row["slots"]}
        if self.slots and found - set(self.slots):
            raise DataError(
                "tasks.label-not-listed", given=min(found - set(self.slots)), allowed=", ".join(self.slots[:20])
            )
        if not found:
            raise DataError("tasks.no-entity")
        pooling = ("cls" if base.pooling == "cls" else "mean") if self.pooling == "auto" else self.pooling
        limit = min(self.max_length or base.max_length, base.max_length)
        slots = self.slots or tuple(sorted(found))
        return replace(self, intents=intents, slots=slots, pooling=pooling, max_length=limit)

    def head(self) -> Head:
        names = [*(f"intent {name}" for name in self.intents), *_tagging.names(self.slots)]
        return Head("ForTokenClassification", _single.names(names))

    def encode(self, row: Row, processor: Any) -> Features:
        """As `_tagging.encode`, with "intent", the place of the intent among all, where the row has it."""
        features = _tagging.encode(processor, row["text"], row.get("slots"), self.slots, max_length=self.max_length)
        if row.get("intent") is not None:
            features["intent"] = self.intents.index(row["intent"]) if row["intent"] in self.intents else tokens.IGNORED
        return features

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.tensors(self.arrays(features, processor))

    def arrays(self, features: Sequence[Features], processor: Any) -> Batch:
        """ "labels" (B, 1 + T): the intent, then the tags; every window of a long text has its intent."""
        batch = _tagging.arrays(features, processor)
        if "labels" in batch and all("intent" in row for row in features):
            intents = numpy.asarray([row["intent"] for row in features for _ in row.get("windows", [row])])
            batch["labels"] = numpy.concatenate([intents[:, None], batch["labels"]], axis=1)
        return batch

    def forward(self, model: Any, batch: Batch) -> Any:
        """Logits (B, T, K), intents first, or (T, K) a row."""
        return self._outputs(self._ask(model, batch), batch)

    def _ask(self, model: Any, batch: Batch) -> Any:
        return model(**{key: value for key, value in batch.items() if key not in ("labels", "own")}).logits

    def _outputs(self, logits: Any, batch: Batch) -> Any:
        return windows.stitch(logits, batch["own"]) if "own" in batch else logits

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Minus the log probability of the intent and of every tag, summed over a text; the mean over the texts."""
        import torch

        from jishi.models import heads

        logits, targets = self._ask(model, batch), batch["labels"]
        intents, marks = logits.float().tensor_split([len(self.intents)], dim=2)
        asked = heads.pool(intents, batch.get("attention_mask"), self.pooling)
        cost = {"ignore_index": tokens.IGNORED, "reduction": "sum"}
        intent = torch.nn.functional.cross_entropy(asked, targets[:, 0], **cost) / len(logits)
        slots = torch.nn.functional.cross_entropy(marks.flatten(0, 1), targets[:, 1:].flatten(), **cost) / len(logits)
        return Loss(intent + slots, self._outputs(logits, batch), count=len(logits))

    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:  # noqa: ARG002
        """The intent with the probability of each ("scores"), the slots, and "score", the probability that all of it is right."""
        return [self._answer(array(row), feature) for row, feature in zip(outputs, features, strict=True)]

    def _answer(self, output: numpy.ndarray, features: Features) -> Prediction:
        asked, marks = self._split(output[: len(features["input_ids"])])
        said = _single.answer(self.intents, temperature.softmax(asked[None] / self.temperature)[0])
        slots, sure = _tagging.found(marks, features, self.slots)
        return {"intent": said["label"], "score": said["score"] * sure, "scores": said["scores"], "slots": slots}

    def _split(self, output: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The logits of the intents, and those of the tags a token, from an output (T, K) without padding."""
        intents, marks = numpy.split(output, [len(self.intents)], axis=1)
        return intents[0] if self.pooling == "cls" else intents.mean(axis=0), marks

    def calibrate(self, outputs: Sequence[Any], rows: Sequence[Row]) -> Self:
        known = [place for place, row in enumerate(rows) if row["intent"] in self.intents]
        if not known:
            return self
        logits = numpy.stack([self._split(array(outputs[place]))[0] for place in known])
        targets = numpy.asarray([self.intents.index(rows[place]["intent"]) for place in known])
        return replace(self, temperature=temperature.fit(logits, targets))

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        """Share of texts with all of it right (sentence accuracy), accuracy of the intent, and F1 of whole slots."""
        slots = entities.entities(_tagging.spans(rows, "slots"), _tagging.spans(predictions, "slots"))
        wanted = [row["intent"] == said["intent"] for row, said in zip(rows, predictions, strict=True)]
        exact = [self.credit(said, row) for row, said in zip(rows, predictions, strict=True)]
        return {
            "exact": float(numpy.mean(exact)),
            "intent_accuracy": float(numpy.mean(wanted)),
            **{f"slot_{name}": slots[name] for name in ("precision", "recall", "f1")},
        }

    def credit(self, prediction: Prediction, row: Row) -> float:
        """1 where the intent and every slot are right, else 0."""
        same = _tagging.spans([row], "slots") == _tagging.spans([prediction], "slots")
        return float(same and prediction["intent"] == row["intent"])

    def details(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, Any]:
        wanted, said = [row["intent"] for row in rows], [answer["intent"] for answer in predictions]
        truth, given = _tagging.spans(rows, "slots"), _tagging.spans(predictions, "slots")
        intents = classification.per_class(wanted, said, self.intents)
        labels = [str(entry["label"]) for entry in intents]
        marked = [{**entry, "label": f"[{entry['label']}]"} for entry in entities.per_type(truth, given, self.slots)]
        return {
            "per_class": [*intents, *marked],
            "partial": entities.partial(truth, given),
            "confusion": {"labels": labels, "matrix": classification.confusion(wanted, said, labels).tolist()},
        }

    def baseline(self, rows: Sequence[Row]) -> Rival:
        return Apart.of(rows)


def _spans_of(raw: Mapping[str, Any], clean: Callable[[Any], str]) -> Any:
    """The slots of a raw row, values by name as their spans."""
    given = raw.get("slots")
    if isinstance(given, str) and given.lstrip().startswith("{"):
        try:
            given = json.loads(given)
        except ValueError:
            raise RowError("tasks.not-a-list", key="slots", given=given[:80]) from None
    if not isinstance(given, Mapping):
        return given
    text, _ = _spans.read({name: raw[name] for name in ("text", "tokens") if name in raw}, clean)
    return _spans.values(text, given)


@dataclass(frozen=True)
class Apart:
    """A rival in two parts that know nothing of each other: tf-idf for the intent, the slots of the training rows by heart."""

    intent: Rival
    slots: Dictionary

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Apart":
        labelled = [{"text": row["text"], "label": row["intent"]} for row in rows]
        return cls(_rivals.text(_single, labelled), Dictionary.of(rows, "slots"))

    @property
    def name(self) -> str:
        return f"{self.intent.name}, {self.slots.name}"

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        answers = []
        for row, said in zip(rows, self.intent.predict(rows), strict=True):
            slots = self.slots.find(row["text"])
            answers.append({"intent": said["label"], "score": said["score"], "scores": said["scores"], "slots": slots})
        return answers
