"""Teach a small model the sentence vectors of a large one (arXiv:1503.02531): texts are enough, no labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import torch
from annotated_types import Ge, Gt
from torch.nn import functional

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.core.errors import ModelError
from jishi.models import tokens
from jishi.models.spec import ModelSpec
from jishi.objectives import _teacher


@dataclass(frozen=True)
class Distillation(Objective):
    """Rows: {"text"}, no target. The teacher is asked once for each text; its vocabulary may be another than the student's.

    The loss is one minus the cosine of both vectors, which for vectors of length one is half their squared distance; and
    `relations` times how far the student's similarities within a batch are from the teacher's (arXiv:2012.15828).
    """

    columns = {"text": "text"}
    targets = ((),)

    teacher: ModelSpec = option(
        factory=ModelSpec,
        en="The model that is imitated: an embedded model, a folder, a bundle that gives vectors.",
        zh="要模仿的模型：内置模型、文件夹，或可给出向量的模型包。",
    )
    vectors: Annotated[float, Ge(0)] = option(
        1.0,
        "What the distance of the vectors weighs; 0 where the student's have another width.",
        "向量距离的权重；学生向量维数不同时取 0。",
    )
    relations: Annotated[float, Ge(0)] = option(
        0.0,
        "What the difference of the similarities of a text to the others of its batch weighs.",
        "一条文本与同批其他文本相似度之差的权重。",
    )
    temperature: Annotated[float, Gt(0)] = option(
        0.05, "Divides the cosines of the relations.", "relations 中余弦的温度系数。"
    )
    max_length: int | None = option(
        None,
        "Tokens read of a text; the rest is cut off and counted.",
        "每条文本读取的最大词元数，超出部分截断并计数。",
        aliases=("max_seq_length",),
    )
    prefix: str | None = option(
        None,
        "Put before a text; empty: what the student's base expects.",
        "加在文本前的前缀；留空则用学生基座要求的前缀。",
    )
    pooling: str = option(
        "",
        "How the student's states become one vector: set from its base, which model.pooling changes.",
        "学生的状态如何汇聚为一个向量：取自其基座，用 model.pooling 修改。",
    )
    fingerprint: str = option(
        "", "SHA-256 of the teacher's files, set when training begins.", "教师模型文件的 SHA-256，训练开始时填入。"
    )

    @property
    def joint(self) -> bool:  # type: ignore[override]
        return self.relations > 0

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:  # noqa: ARG002
        return {"text": registry.get(Modality, self.columns["text"])().read(raw.get("text"))}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        return replace(
            self,
            max_length=min(self.max_length or base.max_length, base.max_length),
            prefix=base.prefix if self.prefix is None else self.prefix,
            pooling=base.pooling,
            fingerprint=_teacher.fingerprint(self.teacher, self.fingerprint),
        )

    def head(self) -> Head:
        return Head("")

    def encode(self, row: Row, processor: Any) -> Features:
        features = tokens.encode(processor, (self.prefix or "") + row["text"], max_length=self.max_length)
        return {**features, "teacher_ids": self._asked.encode(row["text"], self.max_length)}

    def enrich(self, features: Sequence[Features], processor: Any) -> Sequence[Features]:  # noqa: ARG002
        """The teacher's vectors in the place of its ids."""
        vectors = self._asked.vectors([row["teacher_ids"] for row in features])
        kept = [{name: value for name, value in row.items() if name != "teacher_ids"} for row in features]
        return [{**row, "vector": vector} for row, vector in zip(kept, vectors, strict=True)]

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        vectors = torch.stack([torch.from_numpy(row["vector"]) for row in features])
        return {**tokens.pad(features, processor), "vectors": vectors}

    def represent(self, model: Any, batch: Batch) -> Sequence[torch.Tensor]:
        """The student's unit vectors (D,)."""
        inputs = {name: value for name, value in batch.items() if name != "vectors"}
        return list(_teacher.pooled(model, inputs, self.pooling))

    def compare(self, represented: Sequence[torch.Tensor], batches: Sequence[Batch]) -> Loss:
        found, wanted = torch.stack(list(represented)), torch.cat([batch["vectors"] for batch in batches])
        if self.vectors and found.shape != wanted.shape:
            raise ModelError("objectives.other-width", given=found.shape[1], allowed=wanted.shape[1])
        with torch.autocast(found.device.type, enabled=False):  # cosines close to 1 need more digits than bf16 has
            apart = (1 - (found * wanted).sum(-1)).mean() if self.vectors else found.new_zeros(())
            related = _relations(found, wanted, self.temperature) if self.relations else found.new_zeros(())
        parts = {"vectors": float(apart.detach()), "relations": float(related.detach())}
        return Loss(self.vectors * apart + self.relations * related, list(represented), parts, len(found))

    def loss(self, model: Any, batch: Batch) -> Loss:
        return self.compare(self.represent(model, batch), [batch])

    @property
    def _asked(self) -> _teacher.Teacher:
        return _teacher.teacher(self.teacher, self.fingerprint)


def _relations(found: torch.Tensor, wanted: torch.Tensor, temperature: float) -> torch.Tensor:
    """How far the chances (softmax of the cosines, B × B - 1) of the student are from the teacher's: the mean divergence."""
    if len(found) < 3:  # one other text is always the likeliest
        return found.sum() * 0
    others = ~torch.eye(len(found), dtype=torch.bool, device=found.device)
    ours, theirs = (
        ((unit @ unit.T) / temperature)[others].view(len(unit), -1).log_softmax(-1) for unit in (found, wanted)
    )
    return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
