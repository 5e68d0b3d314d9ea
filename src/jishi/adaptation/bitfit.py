"""Train the biases alone (BitFit, arXiv:2106.10199): a thousandth of the weights, nothing added, nothing to fold in."""

from dataclasses import dataclass
from typing import Any

from jishi.core.contracts import Adaptation, Objective
from jishi.core.errors import ModelError
from jishi.models import heads


@dataclass(frozen=True)
class BitFit(Adaptation):
    """The head learns in full, and of the backbone its biases, those of its normalisations among them."""

    learning_rate = 1e-3

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        biases = [
            weight
            for module in heads.backbone(model).modules()
            for name, weight in module.named_parameters(recurse=False)
            if name == "bias"
        ]
        if not biases:
            raise ModelError("adaptation.no-bias", given=type(model).__name__)
        heads.freeze(model)
        for bias in biases:
            bias.requires_grad_(True)
        return model
