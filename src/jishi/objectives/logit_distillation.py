"""Teach a language model the chances that a larger one gives every token (arXiv:1503.02531): texts are enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy
import torch
from annotated_types import Ge, Gt, Le
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from jishi.core import registry
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Objective, Row, option
from jishi.core.errors import ModelError
from jishi.models.cross_entropy import AT_ONCE, whole
from jishi.models.spec import ModelSpec
from jishi.objectives import _teacher

FORETELL = ("ForMaskedLM", "ForCausalLM")


@dataclass(frozen=True)
class LogitDistillation(Objective):
    """Rows: what the objective that is held reads. Both models have the same vocabulary and that objective's head.

    The loss is that objective's own, and `share` of it the divergence of the chances of each token it foretells, both softened
    by the temperature and scaled by its square.
    """

    targets = ((),)

    teacher: ModelSpec = option(
        factory=ModelSpec,
        en="The model that is imitated: a folder, or an embedded model, with the head of the objective.",
        zh="要模仿的模型：带有该目标所需输出头的文件夹或内置模型。",
    )
    objective: Objective = option(
        factory=lambda: registry.get(Objective, "masked-lm")(),
        en="What is foretold: masked-lm (encoders), causal-lm (decoders).",
        zh="预测什么：masked-lm（编码器）、causal-lm（解码器）。",
    )
    share: Annotated[float, Ge(0), Le(1)] = option(
        0.5,
        "Share of the teacher's chances in the loss; the rest is the text itself.",
        "教师概率在损失中的比例，其余为文本本身。",
    )
    temperature: Annotated[float, Gt(0)] = option(
        2.0,
        "Divides the logits of both; higher shows more of what is unlikely.",
        "除以双方的 logits；越高越体现小概率部分。",
    )
    fingerprint: str = option(
        "", "SHA-256 of the teacher's files, set when training begins.", "教师模型文件的 SHA-256，训练开始时填入。"
    )

    @property
    def columns(self) -> Mapping[str, str]:  # type: ignore[override]
        """What the objective that is held reads."""
        return self.objective.columns

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        return self.objective.parse(raw, training=training)

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        head = self.objective.head()
        if head.architecture not in FORETELL or head.beside:
            raise ModelError("objectives.no-language", given=registry.name_of(self.objective))
        return replace(
            self,
            objective=self.objective.initialize(rows, base),
            fingerprint=_teacher.fingerprint(self.teacher, self.fingerprint),
        )

    def head(self) -> Head:
        return self.objective.head()

    def encode(self, row: Row, processor: Any) -> Features:
        return self.objective.encode(row, processor)

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:
        return self.objective.vary(features, processor, rng, training=training)

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        numbers = _teacher.numbers(processor, self._asked.processor)
        if not torch.equal(numbers, torch.arange(len(self._asked.processor))):
            raise ModelError("objectives.other-logits", given=len(numbers), allowed=len(self._asked.processor))
        return self.objective.collate(features, processor)

    def loss(self, model: Any, batch: Batch) -> Loss:
        hard = self.objective.loss(model, batch)
        teacher = self._asked.on(batch["input_ids"].device)
        with torch.no_grad():
            known = self.objective.loss(teacher, batch).outputs
        count = max(len(known), 1)
        step = max(1, AT_ONCE // _layer(teacher).out_features)
        soft = hard.value.new_zeros(())
        for ours, theirs in zip(hard.outputs.split(step), known.split(step), strict=True):
            # The logits of large vocabularies are not kept for the way back, but made again.
            soft = soft + checkpoint(self._divergence, model, teacher, ours, theirs, use_reentrant=False)
        soft = soft / count
        value = (1 - self.share) * hard.value + self.share * soft
        return Loss(value, hard.outputs, {**hard.parts, "soft": float(soft.detach())}, hard.count)

    @property
    def _asked(self) -> _teacher.Teacher:
        head = self.head()
        return _teacher.teacher(self.teacher, self.fingerprint, head.architecture, tuple(head.config.items()))

    def _divergence(self, model: Any, teacher: Any, ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        """The summed divergence at n positions from what the objective gave: logits (n, V), or the states (n, D) they are of."""
        logs = [
            (_logits(one, given).float() / self.temperature).log_softmax(-1)
            for one, given in ((model, ours), (teacher, theirs))
        ]
        return functional.kl_div(logs[0], logs[1], reduction="sum", log_target=True) * self.temperature**2


def _layer(model: Any) -> Any:
    return whole(model).get_output_embeddings()


def _logits(model: Any, given: torch.Tensor) -> torch.Tensor:
    layer = _layer(model)
    logits: torch.Tensor = given if given.shape[-1] == layer.out_features else layer(given)
    return logits
