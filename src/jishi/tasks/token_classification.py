"""Find entities in a text: names, places, personal data, slots. Character offsets are the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Prediction, Rival, Row, Task, option
from jishi.core.errors import DataError, RowError
from jishi.metrics import classification, entities
from jishi.models import tokens, windows
from jishi.tasks import _single, _spans, _tagging
from jishi.tasks._dictionary import Dictionary
from jishi.tasks._outputs import array


@dataclass(frozen=True)
class TokenClassification(Task):
    """Rows: {"text", "spans": [{"start", "end", "label"}]}, read from spans, from entities, or from tokens and tags."""

    columns = {"text": "text"}
    targets = (("spans",),)
    pointed = ("text",)
    metric = "f1"
    answers = {"entities": list}
    windows = True

    labels: tuple[str, ...] = option(
        (), "The entity types, in order; empty: those of the training rows.", "实体类型及其顺序；为空则取自训练数据。"
    )
    decoding: Literal["viterbi", "argmax", "crf"] = option(
        "viterbi",
        "viterbi: the likeliest tags that make sense together; argmax: each token's likeliest; crf: transitions are learnt too.",
        "viterbi：最可能且合法的标签序列；argmax：逐词元取最可能的标签；crf：同时学习标签之间的转移。",
    )
    max_length: int | None = option(
        None,
        "Tokens read at once; a longer text is read in windows that overlap.",
        "一次读取的最大词元数；更长的文本按重叠的窗口读取。",
        aliases=("max_seq_length",),
    )
    stride: int | None = option(
        None,
        "Tokens from the beginning of one window to that of the next; empty: three quarters of a window.",
        "相邻窗口起点之间的词元数；为空则为窗口的四分之三。",
        aliases=("doc_stride",),
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        text, spans = _spans.read(raw, registry.get(Modality, self.columns["text"])().read)
        if spans is not None:
            return {"text": text, "spans": spans}
        if training:
            raise RowError("tasks.spans-missing")
        return {"text": text}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        found = {span["label"] for row in rows for span in row["spans"]}
        if self.labels and found - set(self.labels):
            raise DataError(
                "tasks.label-not-listed", given=min(found - set(self.labels)), allowed=", ".join(self.labels[:20])
            )
        if not found:
            raise DataError("tasks.no-entity")
        limit = min(self.max_length or base.max_length, base.max_length)
        if self.stride is not None and not 1 <= self.stride <= limit:
            raise DataError("tasks.bad-stride", given=self.stride, allowed=limit)
        return replace(self, labels=self.labels or tuple(sorted(found)), max_length=limit)

    def head(self) -> Head:
        chain = {"transitions": True} if self._chained else {}
        return Head("ForTokenClassification", {**_single.names(_tagging.names(self.labels)), **chain})

    @property
    def _chained(self) -> bool:
        return self.decoding == "crf"

    def encode(self, row: Row, processor: Any) -> Features:
        return _tagging.encode(
            processor, row["text"], row.get("spans"), self.labels, max_length=self.max_length, stride=self.stride
        )

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.tensors(self.arrays(features, processor))

    def arrays(self, features: Sequence[Features], processor: Any) -> Batch:
        return _tagging.arrays(features, processor)

    def forward(self, model: Any, batch: Batch) -> Any:
        """Logits (B, T, K), or (T, K) a row; above them, in the same K columns, the K + 1 rows of the transitions if learnt."""
        return self._outputs(*self._ask(model, batch), batch)

    def _ask(self, model: Any, batch: Batch) -> tuple[Any, Any]:
        """Logits (B, T, K), of windows (W, T, K), and the transitions."""
        said = model(**{key: value for key, value in batch.items() if key not in ("labels", "own")})
        return said.logits, getattr(said, "transitions", None)

    def _outputs(self, logits: Any, transitions: Any, batch: Batch) -> Any:
        rows = windows.stitch(logits, batch["own"]) if "own" in batch else logits
        if transitions is None:
            return rows
        lengths = map(len, rows) if "own" in batch else batch["attention_mask"].sum(1).tolist()
        return [windows.joined([transitions, row[:length]]) for row, length in zip(rows, lengths, strict=True)]

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Cross-entropy, or the negative log likelihood of the sequences of tags; the mean over the units of the batch."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        from jishi.tasks import _crf

        (logits, transitions), targets = self._ask(model, batch), batch["labels"]
        count = int((targets != tokens.IGNORED).sum())
        if transitions is None:
            total = torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1), targets.flatten(), ignore_index=tokens.IGNORED, reduction="sum"
            )
            return Loss(total / max(count, 1), self._outputs(logits, None, batch), count=count)
        chains, tagged = logits, targets
        if "own" in batch:
            chains = pad_sequence(windows.stitch(logits, batch["own"]), batch_first=True)
            tagged = pad_sequence(windows.stitch(targets, batch["own"]), batch_first=True, padding_value=tokens.IGNORED)
        total = -_crf.log_likelihood(chains.float(), tagged, transitions.float()).sum()
        return Loss(total / max(count, 1), self._outputs(logits, transitions, batch), count=count)

    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:  # noqa: ARG002
        """Entities with their text and score, which is the probability of their least sure unit."""
        return [
            {"entities": self._entities(array(row), feature)} for row, feature in zip(outputs, features, strict=True)
        ]

    def _entities(self, output: numpy.ndarray, features: Features) -> list[dict[str, Any]]:
        learnt, logits = numpy.split(output, [output.shape[1] + 1 if self._chained else 0])
        chain, free = learnt if self._chained else None, self.decoding == "argmax"
        return _tagging.found(logits, features, self.labels, chain, free=free)[0]

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        return entities.entities(_tagging.spans(rows, "spans"), _tagging.spans(predictions, "entities"))

    def credit(self, prediction: Prediction, row: Row) -> float:
        """F1 of the row's entities; 1 where there are none to find and none was found."""
        return classification.overlap(_tagging.spans([row], "spans")[0], _tagging.spans([prediction], "entities")[0])

    def details(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, Any]:
        truth, given = _tagging.spans(rows, "spans"), _tagging.spans(predictions, "entities")
        return {"per_class": entities.per_type(truth, given, self.labels), "partial": entities.partial(truth, given)}

    def baseline(self, rows: Sequence[Row]) -> Rival:
        return Dictionary.of(rows)
