"""Find entities in a text: names, places, personal data, slots. Character offsets are the truth."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy
import torch
from torch.nn.utils.rnn import pad_sequence

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Prediction, Rival, Row, Task, option
from jishi.core.errors import DataError, RowError
from jishi.core.script import units as split
from jishi.metrics import classification, entities, tags, temperature
from jishi.metrics.tags import Span
from jishi.models import tokens, units, windows
from jishi.tasks import _crf, _single, _spans, _viterbi
from jishi.tasks._outputs import array


@dataclass(frozen=True)
class TokenClassification(Task):
    """Rows: {"text", "spans": [{"start", "end", "label"}]}, read from spans, from entities, or from tokens and tags."""

    columns = {"text": "text"}
    targets = (("spans",),)
    metric = "f1"
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

    @property
    def _tags(self) -> list[str]:
        return ["O", *(f"{prefix}-{label}" for label in self.labels for prefix in "BI")]

    def head(self) -> Head:
        return Head(
            "ForTokenClassification", {**_single.names(self._tags), **({"transitions": True} if self._chained else {})}
        )

    @property
    def _chained(self) -> bool:
        return self.decoding == "crf"

    def encode(self, row: Row, processor: Any) -> Features:
        """As `models.units.encode`; "labels" (T,) names the tag of every unit's first token, "cut" counts spans lost."""
        features = units.encode(processor, row["text"], max_length=self.max_length, stride=self.stride)
        features["text"] = row["text"]
        if row.get("spans") is not None:
            found, features["cut"] = _spans.place(features["units"], row["spans"])
            index = {tag: number for number, tag in enumerate(self._tags)}
            named = tags.bio(found, len(features["units"]))
            features["labels"] = numpy.full(len(features["input_ids"]), tokens.IGNORED, dtype=numpy.int32)
            features["labels"][features["firsts"]] = [index.get(tag, tokens.IGNORED) for tag in named]
        return features

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        """Windows stand as rows of their own, and every token has its label in the one that speaks for it."""
        long = any("windows" in row for row in features)
        batch = windows.pad(features, processor) if long else tokens.pad(features, processor)
        if all("labels" in row for row in features):
            labels = [part for row in features for part in windows.spread(row["labels"], row, tokens.IGNORED)]
            batch["labels"] = tokens.stack(labels, tokens.IGNORED)
        return batch

    def forward(self, model: Any, batch: Batch) -> Any:
        """Logits (B, T, K), or (T, K) a row; above them, in the same K columns, the K + 1 rows of the transitions if learnt."""
        return self._outputs(*self._ask(model, batch), batch)

    def _ask(self, model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits (B, T, K), of windows (W, T, K), and the transitions."""
        said = model(**{key: value for key, value in batch.items() if key not in ("labels", "own")})
        return said.logits, getattr(said, "transitions", None)

    def _outputs(self, logits: torch.Tensor, transitions: torch.Tensor | None, batch: Batch) -> Any:
        rows = windows.stitch(logits, batch["own"]) if "own" in batch else logits
        if transitions is None:
            return rows
        lengths = map(len, rows) if "own" in batch else batch["attention_mask"].sum(1).tolist()
        return [torch.cat([transitions, row[:length]]) for row, length in zip(rows, lengths, strict=True)]

    def loss(self, model: Any, batch: Batch) -> Loss:
        """Cross-entropy, or the negative log likelihood of the sequences of tags; the mean over the units of the batch."""
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
        learnt, output = numpy.split(output, [output.shape[1] + 1 if self._chained else 0])
        logits, names, parts = output[features["firsts"]], self._tags, features["units"]
        if not len(logits):
            return []
        chain = learnt if self._chained else None
        best = logits.argmax(axis=1) if self.decoding == "argmax" else _viterbi.best(logits, chain)
        shares = temperature.softmax(logits) if chain is None else _viterbi.marginals(logits, chain)
        sure = shares[numpy.arange(len(best)), best]
        return [
            entity(features["text"], parts[first][0], parts[last - 1][1], label, sure[first:last].min())
            for first, last, label in tags.spans([names[tag] for tag in best])
        ]

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        return entities.entities(_truth(rows), _given(predictions))

    def credit(self, prediction: Prediction, row: Row) -> float:
        """F1 of the row's entities; 1 where there are none to find and none was found."""
        return classification.overlap(_truth([row])[0], _given([prediction])[0])

    def details(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, Any]:
        truth, given = _truth(rows), _given(predictions)
        return {"per_class": entities.per_type(truth, given, self.labels), "partial": entities.partial(truth, given)}

    def baseline(self, rows: Sequence[Row]) -> Rival:
        return Dictionary.of(rows)


@dataclass(frozen=True)
class Dictionary:
    """A rival that knows the training entities by heart: the longest match, with the type it mostly had.

    A surface that is more often no entity than one is left out.
    """

    known: Mapping[str, tuple[str, float]]  # surface → type, and its share of the surface's entities
    longest: int  # in units
    name: str = "dictionary"

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Dictionary":
        counts: dict[str, Counter[str]] = {}
        for row in rows:
            for span in row["spans"]:
                counts.setdefault(row["text"][span["start"] : span["end"]], Counter())[span["label"]] += 1
        known = {
            surface: (types.most_common(1)[0][0], max(types.values()) / types.total())
            for surface, types in counts.items()
        }
        rival = cls(known, max((len(split(surface)) for surface in known), default=0))
        found = Counter(span["text"] for answer in rival.predict(rows) for span in answer["entities"])
        kept = {surface: type_ for surface, type_ in known.items() if 2 * counts[surface].total() >= found[surface]}
        return replace(rival, known=kept)

    def predict(self, rows: Sequence[Row]) -> list[Prediction]:
        return [{"entities": self._find(row["text"])} for row in rows]

    def _find(self, text: str) -> list[dict[str, Any]]:
        found, parts, first = [], split(text), 0
        while first < len(parts):
            start, last = parts[first][0], min(first + self.longest, len(parts))
            while last > first and text[start : parts[last - 1][1]] not in self.known:
                last -= 1
            if last > first:
                found.append(entity(text, start, parts[last - 1][1], *self.known[text[start : parts[last - 1][1]]]))
            first = max(last, first + 1)
        return found


def entity(text: str, start: int, end: int, label: str, score: float) -> dict[str, Any]:
    return {"start": start, "end": end, "label": label, "text": text[start:end], "score": float(score)}


def _truth(rows: Sequence[Row]) -> list[set[Span]]:
    return [{(span["start"], span["end"], span["label"]) for span in row["spans"]} for row in rows]


def _given(predictions: Sequence[Prediction]) -> list[set[Span]]:
    return [{(found["start"], found["end"], found["label"]) for found in answer["entities"]} for answer in predictions]
