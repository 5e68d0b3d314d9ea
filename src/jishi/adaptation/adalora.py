"""LoRA whose rank goes to the layers that use it (AdaLoRA, arXiv:2303.10512): what matters least is cut as training goes on.

The change of a weight is P · diag(λ) · Q. Ranks are cut by how much the loss hangs on them, until as many are left as `rank`
says for each layer on average. The paper keeps P and Q near orthogonal by a penalty; here they begin so, and every step takes
them a share of the way back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Lt
from torch import nn

from jishi.adaptation import _peft
from jishi.core.contracts import Adaptation, Objective, option
from jishi.core.errors import UsageError
from jishi.models import heads

NAME = "default"  # what peft calls the one adapter of a model
BEGIN, END = 0.1, 0.7  # the shares of training between which ranks are cut
CUTS = 50  # how often, at most
SMOOTH = 0.85  # both averages of the paper
PULL = 0.1  # the share of the way back to orthogonality
PARTS = ("lora_A", "lora_E", "lora_B")  # Q (r, in), λ (r, 1), P (out, r)
KEPT = "kept"


@dataclass(frozen=True)
class AdaLoRA(Adaptation):
    """The head learns in full; linear layers of the backbone learn a change whose rank depends on the layer."""

    learning_rate = 2e-3

    rank: Annotated[int, Ge(1)] = option(
        8, "Rank that is left, on average over the layers.", "最终平均保留的秩。", aliases=("r", "target_r")
    )
    begin: Annotated[int, Ge(1)] = option(
        12, "Rank that each layer begins with.", "每层起始的秩。", aliases=("init_r",)
    )
    alpha: float = option(32.0, "The change is multiplied by alpha / begin.", "增量的缩放系数（乘以 alpha / begin）。")
    dropout: Annotated[float, Ge(0), Lt(1)] = option(0.0, "Dropout before the thin matrices.", "低秩分支前的 dropout。")
    target: str | list[str] = option(
        "auto",
        "Names of the layers to adapt (query, value, …); auto: every linear layer of the backbone.",
        "要适配的层名（如 query、value）；auto 表示骨干网络的全部线性层。",
        aliases=("target_modules",),
    )

    def __post_init__(self) -> None:
        """Raises UsageError where more ranks should be left than there are to begin with."""
        if self.rank > self.begin:
            raise UsageError("adaptation.rank-above-begin", rank=self.rank, begin=self.begin)

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        import peft

        config = peft.AdaLoraConfig(
            init_r=self.begin, target_r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout,
            total_step=3, tfinal=1,  # peft's own cutting, whose averages no checkpoint would hold, is not used
            target_modules=_peft.targets(model, self.target), modules_to_save=heads.fresh(model) or None,
        )  # fmt: skip
        wrapped = _peft.wrap(model, config)
        for layer in _layers(wrapped):
            nn.init.orthogonal_(layer.lora_A[NAME])
            nn.init.orthogonal_(layer.lora_B[NAME])
            for part in PARTS:
                for kind in ("average", "uncertainty"):
                    layer.register_buffer(f"{part}_{kind}", torch.zeros_like(_weight(layer, part)), persistent=False)
            layer.register_buffer(KEPT, torch.ones_like(layer.lora_E[NAME]), persistent=False)
        return wrapped

    @torch.no_grad()
    def advance(self, model: Any, step: int, steps: int) -> None:
        layers, last = list(_layers(model)), max(1, round(END * steps))
        if step <= last:
            _weigh(layers)
        first, every = round(BEGIN * steps), max(1, steps // CUTS)
        if first < step <= last and (step % every == 0 or step == last):
            left = ((last - step) / (last - first)) ** 3
            _cut(layers, round(len(layers) * (self.rank + (self.begin - self.rank) * left)))
        for layer in layers:
            if step > last:
                layer.lora_E[NAME].mul_(layer.get_buffer(KEPT))
            _straighten(layer.lora_A[NAME])
            _straighten(layer.lora_B[NAME].T)

    def merge(self, model: Any) -> Any:
        return model.merge_and_unload()


def _layers(model: Any) -> Iterator[Any]:
    return (module for module in model.modules() if NAME in getattr(module, "lora_E", {}))


def _weight(layer: Any, part: str) -> Any:
    return getattr(layer, part)[NAME]


def _weigh(layers: Sequence[Any]) -> None:
    """Go on with the averages of how much the loss hangs on each number, and of how unsteady that is."""
    for layer in layers:
        for part in PARTS:
            weight = _weight(layer, part)
            found = torch.zeros_like(weight) if weight.grad is None else (weight * weight.grad).abs()
            average = layer.get_buffer(f"{part}_average").lerp_(found, 1 - SMOOTH)
            layer.get_buffer(f"{part}_uncertainty").lerp_((found - average).abs(), 1 - SMOOTH)


def _cut(layers: Sequence[Any], budget: int) -> None:
    """Leave so many ranks in all, those that matter most."""
    scores = [_scores(layer) for layer in layers]
    least = torch.cat(scores).sort(descending=True).values[budget - 1]
    for layer, found in zip(layers, scores, strict=True):
        layer.get_buffer(KEPT).copy_((found >= least)[:, None])
        layer.lora_E[NAME].mul_(layer.get_buffer(KEPT))


def _scores(layer: Any) -> torch.Tensor:
    """How much each of the r ranks of a layer matters: λ, and the mean of its vectors."""
    q, scale, p = (layer.get_buffer(f"{part}_average") * layer.get_buffer(f"{part}_uncertainty") for part in PARTS)
    return scale[:, 0] + q.mean(1) + p.mean(0)


def _straighten(rows: torch.Tensor) -> None:
    """Take the rows (r, D) of a matrix a share of the way to where each is of length one and no two are alike."""
    rows -= PULL * (rows @ rows.T - torch.eye(len(rows), device=rows.device)) @ rows
