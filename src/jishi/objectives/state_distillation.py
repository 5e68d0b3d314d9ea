"""Teach a small model what a large one holds of every token, block by block (TinyBERT, arXiv:1909.10351): texts are enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import torch
from annotated_types import Ge

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Objective, Row, option
from jishi.core.errors import ModelError
from jishi.models import depth, tokens
from jishi.models.spec import ModelSpec
from jishi.models.watched import watched
from jishi.objectives import _teacher


@dataclass(frozen=True)
class StateDistillation(Objective):
    """Rows: {"text"}, no target. Student and teacher read the same tokens and have the same width; the student's vocabulary
    may be a part of the teacher's. The loss is the mean squared difference of the states of each pair of blocks."""

    columns = {"text": "text"}
    targets = ((),)

    teacher: ModelSpec = option(
        factory=ModelSpec,
        en="The model that is imitated: an embedded model, a folder, a bundle that gives vectors.",
        zh="要模仿的模型：内置模型、文件夹，或可给出向量的模型包。",
    )
    blocks: tuple[Annotated[int, Ge(0)], ...] | None = option(
        None,
        "For each block of the student the number of the teacher's block it imitates; empty: evenly spaced, as model.layers is.",
        "学生每一层所模仿的教师层号；留空则均匀对应，与 model.layers 相同。",
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
    fingerprint: str = option(
        "", "SHA-256 of the teacher's files, set when training begins.", "教师模型文件的 SHA-256，训练开始时填入。"
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:  # noqa: ARG002
        return {"text": registry.get(Modality, self.columns["text"])().read(raw.get("text"))}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        return replace(
            self,
            max_length=min(self.max_length or base.max_length, base.max_length),
            prefix=base.prefix if self.prefix is None else self.prefix,
            fingerprint=_teacher.fingerprint(self.teacher, self.fingerprint),
        )

    def head(self) -> Head:
        return Head("")

    def encode(self, row: Row, processor: Any) -> Features:
        return tokens.encode(processor, (self.prefix or "") + row["text"], max_length=self.max_length)

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        batch = tokens.pad(features, processor)
        return {**batch, "teacher_ids": _teacher.numbers(processor, self._asked.processor)[batch["input_ids"]]}

    def loss(self, model: Any, batch: Batch) -> Loss:
        inputs = {name: value for name, value in batch.items() if name != "teacher_ids"}
        teacher, mask = self._asked.on(batch["input_ids"].device), batch["attention_mask"].bool()
        with watched(model) as found:
            outputs = model(**inputs).last_hidden_state
        with torch.no_grad(), watched(teacher) as wanted:
            teacher(**{**inputs, "input_ids": batch["teacher_ids"]})
        pairs = list(zip(found, (wanted[number] for number in self._pairs(len(found), len(wanted))), strict=True))
        apart = [_apart(ours, theirs, mask) for ours, theirs in pairs]
        parts = {f"block_{number}": float(one.detach()) for number, one in enumerate(apart)}
        return Loss(torch.stack(apart).mean(), outputs, parts, int(mask.sum()))

    @property
    def _asked(self) -> _teacher.Teacher:
        return _teacher.teacher(self.teacher, self.fingerprint)

    def _pairs(self, student: int, teacher: int) -> Sequence[int]:
        """The teacher's block for each of the student's. Raises ModelError where they can't be paired."""
        if not student or not teacher:
            raise ModelError("objectives.few-blocks", student=student, teacher=teacher)
        given = depth.spaced(teacher, student) if self.blocks is None else list(self.blocks)
        if len(given) != student or given != sorted(given) or not all(number < teacher for number in given):
            raise ModelError("objectives.bad-blocks", given=given, student=student, teacher=teacher)
        return given


def _apart(found: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean squared difference of states (B, T, D) at the real tokens."""
    if found.shape[:2] != mask.shape:  # the blocks were given the tokens of all rows as one
        raise ValueError(found.shape)
    if found.shape[2] != wanted.shape[2]:
        raise ModelError("objectives.other-width", given=found.shape[2], allowed=wanted.shape[2])
    return (found[mask].float() - wanted[mask].float()).square().mean()
