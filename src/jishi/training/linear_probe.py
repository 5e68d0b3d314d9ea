"""A linear probe: how much of a task the states of a model tell as they stand, in the middle of pretraining (arXiv:1610.01644).

The model holds still, a linear head is fitted on its states of labelled rows (`fit_head`), and the score on rows held out is what
the states are worth. Training goes on as if nobody had asked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from jishi.core.contracts import Row, Task
from jishi.core.errors import UsageError
from jishi.models import heads
from jishi.models.cross_entropy import whole
from jishi.training import random_state
from jishi.training.features import Encoded
from jishi.training.fit_head import fit_head
from jishi.training.validate import validate

A_TOKEN = "ForTokenClassification"
FITS = ("ForSequenceClassification", "ForImageClassification", A_TOKEN)  # heads that may be one linear layer
HEAD = "probe"


@dataclass(frozen=True)
class LinearProbe:
    """One task to be asked for at every so many steps, at the first and at the last; `rows` judge, `baseline` is the score of
    the plain rival on them."""

    name: str
    task: Task
    processor: Any
    learnt: Encoded
    held_out: Encoded
    rows: Sequence[Row]
    baseline: float
    every: int
    seed: int

    def __call__(self, model: Any) -> dict[str, Any]:
        """{"probe": name, "metric", "score", "baseline"}. Random state and the modes of all modules are left as they were."""
        with _undisturbed(model):
            probed = _Probed(model, self.task)
            fit_head(probed, self.task, self.processor, self.learnt, [HEAD], seed=self.seed)
            scores = validate(self.task, probed, self.processor, self.held_out, self.rows, seed=self.seed)
        metric = self.task.metric
        return {"probe": self.name, "metric": metric, "score": scores[metric], "baseline": self.baseline}


def check(task: Task) -> None:
    """Raises UsageError where the head of a task is more than a linear layer on states."""
    head = task.head()
    if head.architecture not in FITS or head.config.get("transitions"):
        raise UsageError("training.no-probe", given=head.architecture or type(task).__name__)


class _Probed(nn.Module):
    """What reads in a model, and a linear head on the mean of its states, or on each of them."""

    def __init__(self, model: Any, task: Task) -> None:
        super().__init__()
        inner, head = whole(model), task.head()
        self.backbone = inner.get_encoder() if inner.config.is_encoder_decoder else inner.base_model
        self.a_token, self.device = head.architecture == A_TOKEN, inner.device
        self.probe = nn.Linear(heads.width(self.backbone.config), head.config["num_labels"]).to(self.device)

    def forward(self, attention_mask: torch.Tensor | None = None, **inputs: torch.Tensor) -> SimpleNamespace:
        masked = {} if attention_mask is None else {"attention_mask": attention_mask}
        states = self.backbone(**inputs, **masked).last_hidden_state
        if states.dim() == 4:  # a feature map (B, C, H, W)
            states = states.flatten(2).transpose(1, 2)
        return SimpleNamespace(
            logits=self.probe(states if self.a_token else heads.pool(states, attention_mask, "mean"))
        )


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    random, modes = random_state.read(), [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        random_state.put(random)
