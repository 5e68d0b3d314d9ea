"""Assign labels, a grade or a number to a text or a pair of texts: sentiment, intent, topic, entailment, marks, similarity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Prediction, Rival, Row, Task, option
from jishi.core.errors import DataError, RowError, UsageError
from jishi.models import tokens
from jishi.tasks import _multi, _ordinal, _regression, _rivals, _single
from jishi.tasks._outputs import matrix

PROBLEMS: Mapping[str, ModuleType] = {
    "single": _single,
    "multi": _multi,
    "ordinal": _ordinal,
    "regression": _regression,
}
# What the two texts of a pair are called elsewhere.
PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text_a", "text_b"),
    ("question", "answer"),
)


@dataclass(frozen=True)
class TextClassification(Task):
    """Rows: {"text", "text_pair"?, "label"}: a word (single, ordinal), a list of words (multi-label) or a float (regression).

    The two texts of a pair may also be called premise and hypothesis, sentence1 and sentence2, question and answer, …
    """

    columns = {"text": "text", "text_pair": "text?"}
    targets = (("label",),)
    aliases = tuple({"text": first, "text_pair": second} for first, second in PAIRS)

    problem: Literal["auto", "single", "multi", "ordinal", "regression"] = option(
        "auto",
        "One label a row, several, one of some grades in order (CORN, arXiv:2111.08851), or a number; auto reads it off the "
        "rows (lists: multi, floats: regression).",
        "每行一个标签（single）、多个标签（multi）、有序等级之一（ordinal，CORN，arXiv:2111.08851）还是一个数值（regression）；"
        "auto 根据数据判断（列表为多标签，浮点数为回归）。",
    )
    labels: tuple[str, ...] = option(
        (),
        "The labels, in order (ordinal: from worst to best); empty: those of the training rows.",
        "标签及其顺序（ordinal 时从最差到最好）；为空则取自训练数据。",
    )
    pairs: Literal["auto", "always", "never", "optional"] = option(
        "auto",
        "Whether a row needs a second text; auto: as the training rows, which must be alike. A row that is not so is refused.",
        "每行是否须有第二段文本；auto 依训练数据而定（须一致）。不符的行会被拒收。",
    )
    prefix: str | None = option(
        None,
        "Put before every text; empty: what the base model expects.",
        "加在每段文本前的前缀；为空则用基座模型要求的前缀。",
    )
    max_length: int | None = option(
        None,
        "Tokens read of a row; the rest is cut off and counted.",
        "每行读取的最大词元数，超出部分截断并计数。",
        aliases=("max_seq_length",),
    )
    label_smoothing: float = option(
        0.0,
        "Share of certainty given to the other labels.",
        "标签平滑：分给其他标签的概率份额。",
        aliases=("label_smoothing_factor",),
    )
    contrastive: Annotated[float, Field(ge=0, lt=1)] = option(
        0.0,
        "Share of the loss that draws texts of one label together and others apart (arXiv:2004.11362): for 8 to 64 rows a label, "
        "0.9 with train.fit_head=after.",
        "损失中对比学习所占的份额：让同一标签的文本相互靠近、其余远离（arXiv:2004.11362）；适用于每个标签 8–64 行，"
        "可取 0.9 并配合 train.fit_head=after。",
    )
    threshold: float = option(
        0.5, "Probability from which a label is given (multi-label).", "多标签时判为“是”的概率阈值。"
    )
    temperature: float = option(1.0, "Divides the logits; set by calibration.", "温度系数（除 logits），由校准得到。")
    mean: float = option(0.0, "Mean of the training targets (regression).", "训练目标的均值（回归）。")
    deviation: float = option(
        1.0, "Standard deviation of the training targets (regression).", "训练目标的标准差（回归）。"
    )

    @property
    def metric(self) -> str:  # type: ignore[override]
        """The score that decides: accuracy, micro F1 or Pearson's correlation."""
        return self._problem.METRIC

    @property
    def answers(self) -> Mapping[str, Any]:  # type: ignore[override]
        return self._problem.ANSWERS

    @property
    def _problem(self) -> ModuleType:
        return PROBLEMS.get(self.problem, _single)

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        read = registry.get(Modality, self.columns["text"])().read
        row, label = {"text": read(raw.get("text"))}, raw.get("label")
        if self._has_pair(raw, training=training):
            row["text_pair"] = read(raw["text_pair"])
        if label is None and not training:
            return row
        return {**row, "label": PROBLEMS[_kind(label) if self.problem == "auto" else self.problem].label(label)}

    def required(self) -> tuple[str, ...]:
        return tuple(self.columns) if self.pairs == "always" else super().required()

    def _has_pair(self, raw: Mapping[str, Any], *, training: bool) -> bool:
        """Whether the row has a second text. Raises RowError where it lacks one, or has one too many."""
        given = raw.get("text_pair") not in (None, "")
        told = training and self.pairs == "auto" and "text_pair" in raw
        if not given and (told or self.pairs == "always"):
            raise RowError("tasks.pair-missing")
        if given and self.pairs == "never":
            raise RowError("tasks.pair-unwanted")
        return given

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        found = [(row["label"], row.get("text_pair") is not None) for row in rows]
        values, pairs = [label for label, _ in found], sum(pair for _, pair in found)
        if self.pairs == "auto" and 0 < pairs < len(found):
            raise DataError("tasks.mixed-pairs", given=len(found) - pairs, rows=len(found))
        kinds = {_kind(value) for value in values} if self.problem == "auto" else {self.problem}
        if len(kinds) != 1:
            raise DataError("tasks.mixed-labels", given=", ".join(sorted(kinds)) or "0")
        problem = kinds.pop()
        if self.contrastive and not PROBLEMS[problem].CLASSES:
            raise UsageError("tasks.contrast-classes", given=problem)
        return replace(
            self,
            problem=problem,
            pairs=self.pairs if self.pairs != "auto" else "always" if pairs else "never",
            prefix=base.prefix if self.prefix is None else self.prefix,
            max_length=min(self.max_length or base.max_length, base.max_length),
            **PROBLEMS[problem].settle(self.labels, [PROBLEMS[problem].label(value) for value in values]),
        )

    def head(self) -> Head:
        return Head("ForSequenceClassification", self._problem.head(self))

    def encode(self, row: Row, processor: Any) -> Features:
        features = tokens.encode(
            processor, (self.prefix or "") + row["text"], row.get("text_pair"), max_length=self.max_length
        )
        if row.get("label") is not None and self.problem != "auto":
            features["labels"] = self._problem.target(self, row["label"])
        return features

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.tensors(self.arrays(features, processor))

    def arrays(self, features: Sequence[Features], processor: Any) -> Batch:
        batch = tokens.arrays(features, processor)
        if all("labels" in row for row in features):
            batch["labels"] = self._problem.gather([row["labels"] for row in features])
        return batch

    def forward(self, model: Any, batch: Batch) -> Any:
        return model(**{key: value for key, value in batch.items() if key != "labels"}).logits  # (B, K)

    def loss(self, model: Any, batch: Batch) -> Loss:
        if not self.contrastive:
            loss: Loss = self._problem.loss(self, self.forward(model, batch), batch["labels"])
            return loss
        from jishi.tasks import _contrastive

        with _contrastive.watched(model, self.head().config["num_labels"]) as seen:
            loss = self._problem.loss(self, self.forward(model, batch), batch["labels"])
        if seen and seen[-1].requires_grad:  # judged, and where the head alone learns, the loss is the head's
            return _contrastive.mixed(loss, seen[-1], batch["labels"], self.contrastive)
        return loss

    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:  # noqa: ARG002
        return self._problem.decode(self, matrix(outputs))

    def calibrate(self, outputs: Sequence[Any], rows: Sequence[Row]) -> Self:
        return replace(self, **self._problem.calibrate(self, matrix(outputs), [row["label"] for row in rows]))

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        return self._problem.score(self, predictions, [row["label"] for row in rows])

    def credit(self, prediction: Prediction, row: Row) -> float:
        return self._problem.credit(self, prediction, row["label"])

    def details(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, Any]:
        return self._problem.details(self, predictions, [row["label"] for row in rows])

    def baseline(self, rows: Sequence[Row]) -> Rival:
        return _rivals.text(self._problem, rows)


def _kind(label: Any) -> str:
    """What one label makes the problem: a whole number is a class, never guessed to be a quantity."""
    if isinstance(label, list | tuple | set):
        return "multi"
    return "regression" if isinstance(label, float) else "single"
