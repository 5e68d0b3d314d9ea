"""Vectors of texts whose cosine tells how alike they are: search, duplicates, grouping, answers to questions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Prediction, Rival, Row, Task, option
from jishi.core.errors import DataError, RowError
from jishi.metrics import ranking, regression
from jishi.models import pooling, tokens
from jishi.tasks import _alike
from jishi.tasks._criteria import CRITERIA
from jishi.tasks._outputs import array

if TYPE_CHECKING:
    import torch

ALIKE, SIDES = (
    ("text", "text_pair"),
    ("query", "passage"),
)  # both sides are of one kind, or one is searched with the other


@dataclass(frozen=True)
class SentenceSimilarity(Task):
    """Rows: {"text", "text_pair", "score"}, {"query", "passage", "negative"?} or {"text", "text_pair"} that belong together,
    or {"text"} alone with criterion=simcse. Answers: the cosine of a pair, the vector of a single text."""

    columns = {"text": "text?", "text_pair": "text?", "query": "text?", "passage": "text?", "negative": "text?"}
    targets = (("score",), ())
    aliases = (
        {"text": "text_a", "text_pair": "text_b"},
        {"text": "sentence1", "text_pair": "sentence2"},
        {"text": "question1", "text_pair": "question2"},
        {"query": "anchor", "passage": "positive"},
        {"query": "question", "passage": "answer"},
    )

    criterion: Literal["auto", "cosine", "cosent", "contrastive", "simcse", "triplet"] = option(
        "auto",
        "What is learnt from: cosent (order of scores) or cosine (their value); contrastive (each finds its own among the "
        "batch), triplet (given negatives), simcse (single texts); auto: cosent where rows have scores, else contrastive.",
        "学习目标：cosent（分数的顺序）或 cosine（分数的值）；contrastive（在批内找到自己的配对）、triplet（使用给定负例）、"
        "simcse（单句）；auto 在有分数时用 cosent，否则用 contrastive。",
        aliases=("loss",),
    )
    judged_by: Literal["auto", "spearman", "mrr"] = option(
        "auto",
        "The score that decides: spearman needs scores in the held-out rows, mrr ranks their pairs; auto: by the loss.",
        "决定优劣的指标：spearman 要求评估数据有分数，mrr 对评估数据中的配对排序；auto 由损失决定。",
    )
    temperature: float = option(
        0.05, "Divides the cosines in cosent, contrastive and simcse.", "cosent、contrastive、simcse 中余弦的温度系数。"
    )
    margin: float = option(0.2, "By how much the right cosine must lead (triplet).", "triplet 中正例余弦应领先的幅度。")
    prefix: str | None = option(
        None,
        "Put before a text or a query; empty: what the base model expects.",
        "加在文本或查询前的前缀；为空则用基座模型要求的前缀。",
    )
    passage_prefix: str | None = option(
        None,
        "Put before a passage; empty: what the base model expects.",
        "加在段落前的前缀；为空则用基座模型要求的前缀。",
    )
    pooling: str = option(
        "",
        "How the states of a text become one vector: set from the base, which model.pooling changes.",
        "文本状态如何汇聚为一个向量：取自基座，用 model.pooling 修改。",
    )
    max_length: int | None = option(
        None,
        "Tokens read of each text; the rest is cut off and counted.",
        "每段文本读取的最大词元数，超出部分截断并计数。",
        aliases=("max_seq_length",),
    )
    lowest: float = option(0.0, "The least score of the training rows.", "训练数据的最低分。")
    highest: float = option(1.0, "The greatest score of the training rows.", "训练数据的最高分。")

    answers = {"similarity": float, "embedding": list[float]}  # of a pair, of a single text

    @property
    def metric(self) -> str:  # type: ignore[override]
        """Spearman's correlation with the scores, or the mean reciprocal rank of the right passage."""
        ranks = self._needs in ("pair", "negative") if self.judged_by == "auto" else self.judged_by == "mrr"
        return "mrr" if ranks else "spearman"

    @property
    def joint(self) -> bool:  # type: ignore[override]
        return self.criterion in CRITERIA and CRITERIA[self.criterion].joint

    @property
    def _twice(self) -> bool:
        """Whether single texts are learnt from."""
        return self.criterion in CRITERIA and CRITERIA[self.criterion].twice

    @property
    def _needs(self) -> str:
        return CRITERIA[self.criterion].needs if self.criterion in CRITERIA else ""

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        read = registry.get(Modality, "text")().read
        found = {name: read(raw[name]) if raw.get(name) not in (None, "") else None for name in self.columns}
        given = [name for name, text in found.items() if text is not None]
        if not set(given) & {*ALIKE, *SIDES}:
            raise RowError("tasks.no-sentence")
        if set(given) & set(ALIKE) and set(given) & set(SIDES):
            raise RowError("tasks.sides-mixed", given=", ".join(given))
        first, second = SIDES if set(given) & set(SIDES) else ALIKE
        alone = not training and len(given) == 1 and given[0] != ALIKE[1]
        if len({first, second} & set(given)) == 1 and not alone and not (given == [ALIKE[0]] and self._twice):
            missing = second if first in given else first
            raise RowError("tasks.one-side", given=", ".join(given), missing=missing)
        return {**found, "score": _score(raw["score"]) if raw.get("score") is not None else None}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        held = [{name for name, value in row.items() if value is not None} for row in rows]
        scores = [row["score"] for row in rows if row.get("score") is not None]
        kind = self.criterion
        if kind not in CRITERIA:
            if scores and len(scores) < len(held):
                raise DataError("tasks.scores-in-part", given=len(scores), rows=len(held))
            kind = "cosent" if scores else "contrastive"
        needs = CRITERIA[kind].needs
        lacking = sum(not _has(names, needs) for names in held)
        if lacking:
            raise DataError(
                "tasks.loss-needs", loss=kind, needs=needs, given=lacking, rows=len(held), allowed=", ".join(CRITERIA)
            )
        if needs == "score" and min(scores) == max(scores):
            raise DataError("tasks.one-score", given=scores[0])
        return replace(
            self,
            criterion=kind,
            prefix=base.prefix if self.prefix is None else self.prefix,
            passage_prefix=base.passage_prefix if self.passage_prefix is None else self.passage_prefix,
            pooling=base.pooling,
            max_length=min(self.max_length or base.max_length, base.max_length),
            **({"lowest": min(scores), "highest": max(scores)} if needs == "score" else {}),
        )

    def head(self) -> Head:
        return Head("")

    def encode(self, row: Row, processor: Any) -> Features:
        given = [name for name in self.columns if row.get(name) is not None]
        alike = ALIKE[0] in given
        before = {name: self.prefix if alike or name == SIDES[0] else self.passage_prefix for name in given}
        parts = [
            tokens.encode(processor, (before[name] or "") + row[name], max_length=self.max_length) for name in given
        ]
        sizes = numpy.asarray([part["length"] for part in parts], dtype=numpy.int32)
        features = {
            "input_ids": numpy.concatenate([part["input_ids"] for part in parts]),  # one text after the other
            "sizes": sizes,
            "keys": numpy.asarray([_key(row[name]) for name in given], dtype=numpy.int64),
            "length": int(sizes.sum()),
            "truncated": any(part["truncated"] for part in parts),
            "unknown": sum(part["unknown"] * part["length"] for part in parts) / max(int(sizes.sum()), 1),
        }
        if row.get("score") is not None:
            features["labels"] = self._scaled(row["score"])
        return features

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.tensors(self.arrays(features, processor))

    def arrays(self, features: Sequence[Features], processor: Any) -> Batch:
        texts = [part for row in features for part in numpy.split(row["input_ids"], numpy.cumsum(row["sizes"])[:-1])]
        batch = tokens.arrays([{"input_ids": part, "length": len(part)} for part in texts], processor)
        return {
            **batch,
            "keys": [row["keys"].tolist() for row in features],
            "labels": numpy.asarray([row.get("labels", numpy.nan) for row in features], dtype=numpy.float32),
        }

    def forward(self, model: Any, batch: Batch) -> Any:
        states = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        sizes = [len(keys) for keys in batch["keys"]]
        if isinstance(states, numpy.ndarray):
            vectors = pooling.unit(pooling.pool(states, batch["attention_mask"], self.pooling))
            return numpy.split(vectors, numpy.cumsum(sizes)[:-1])
        import torch

        from jishi.models import heads

        pooled = heads.pool(states, batch["attention_mask"], self.pooling).float()
        return list(torch.nn.functional.normalize(pooled, dim=-1).split(sizes))  # B × (texts of the row, D)

    def represent(self, model: Any, batch: Batch) -> Sequence[torch.Tensor]:
        """The vectors of each row's texts; where dropout makes the difference, its first text once more."""
        found: list[torch.Tensor] = self.forward(model, batch)
        if not self._twice:
            return found
        import torch

        again = self.forward(model, batch) if model.training else found
        return [torch.cat([row, other[:1]]) for row, other in zip(found, again, strict=True)]

    def compare(self, represented: Sequence[torch.Tensor], batches: Sequence[Batch]) -> Loss:
        import torch

        from jishi.tasks import _contrast

        keys = [row for batch in batches for row in batch["keys"]]
        total, count = _contrast.SUMS[self.criterion](
            self, represented, keys, torch.cat([batch["labels"] for batch in batches])
        )
        return Loss(total / max(count, 1), list(represented), count=count)

    def loss(self, model: Any, batch: Batch) -> Loss:
        return self.compare(self.represent(model, batch), [batch])

    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:  # noqa: ARG002
        vectors = [array(output) for output in outputs]
        return [
            {"similarity": float(row[0] @ row[1])} if len(feature["sizes"]) > 1 else {"embedding": row[0].tolist()}
            for row, feature in zip(vectors, features, strict=True)
        ]

    def relate(
        self, predictions: Sequence[Prediction], outputs: Sequence[Any], rows: Sequence[Row]
    ) -> list[Prediction]:
        """For mrr, the place of each row's passage among all. Raises DataError where a row lacks what the metric needs."""
        needs, other = ("pair", "spearman") if self.metric == "mrr" else ("score", "mrr")
        lacking = sum(not _has({name for name in row if row[name] is not None}, needs) for row in rows)
        if lacking:
            raise DataError(
                "tasks.held-out-lack", given=lacking, rows=len(rows), needs=needs, metric=self.metric, other=other
            )
        if self.metric != "mrr" or not rows:
            return list(predictions)
        vectors = [array(output) for output in outputs]
        left, right = (numpy.stack([row[side] for row in vectors]) for side in (0, 1))
        return _alike.ranked(predictions, left, right, rows)

    def calibrate(self, outputs: Sequence[Any], rows: Sequence[Row]) -> Self:  # noqa: ARG002
        """The range of the scores, where training had none."""
        scores = [row["score"] for row in rows if row.get("score") is not None]
        if self._needs == "score" or not scores or min(scores) == max(scores):
            return self
        return replace(self, lowest=min(scores), highest=max(scores))

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        if self.metric == "mrr":
            return ranking.ranking([[prediction["rank"]] for prediction in predictions])
        found = regression.regression(
            [row["score"] for row in rows], [prediction["similarity"] for prediction in predictions]
        )
        return {name: found[name] for name in ("spearman", "pearson")}

    def credit(self, prediction: Prediction, row: Row) -> float:
        """The reciprocal rank, or how near the cosine is to the score, both as 0 to 1."""
        if self.metric == "mrr":
            return 1 / float(prediction["rank"])
        cosine, score = numpy.clip([prediction["similarity"], self._scaled(row["score"])], 0, 1)
        return float(1 - abs(cosine - score))

    def baseline(self, rows: Sequence[Row]) -> Rival:
        return _alike.Plain.fit(rows, ranks=self.metric == "mrr")

    def _scaled(self, score: float) -> float:
        return (score - self.lowest) / (self.highest - self.lowest)


def _score(value: Any) -> float:
    """A score as a number. Raises RowError where it is none, or not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = numpy.nan
    if not numpy.isfinite(number):
        raise RowError("tasks.score-no-number", given=repr(value)[:80])
    return number


def _has(names: set[str], needs: str) -> bool:
    """Whether a row that holds these columns has what a loss or a metric needs."""
    return any(side in names for side in (ALIKE[1], SIDES[1])) if needs == "pair" else needs in names


def _key(text: str) -> int:
    """The same number for the same text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)
