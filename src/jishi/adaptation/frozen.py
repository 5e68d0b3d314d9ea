"""Keep the backbone as it is and train the head: fast, light, and hard to overfit with few rows."""

from dataclasses import dataclass
from typing import Any

from jishi.core.contracts import Adaptation, Objective, option
from jishi.core.errors import ModelError
from jishi.models import heads


@dataclass(frozen=True)
class Frozen(Adaptation):
    """The head learns, and `layers` of the backbone's blocks from the top; everything else keeps its weights and statistics."""

    layers: int = option(0, "Top blocks of the backbone that learn beside the head.", "与分类头一起训练的顶部层数。")

    @property
    def learning_rate(self) -> float:  # type: ignore[override]
        """1e-2 for a head alone, 2e-4 where pretrained blocks learn too."""
        return 2e-4 if self.layers else 1e-2

    def supports(self, objective: Objective) -> bool:
        return bool(self.layers or objective.head().architecture)

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        blocks = heads.layers(model)
        if not 0 <= self.layers <= len(blocks):
            raise ModelError("adaptation.too-many-layers", given=self.layers, allowed=len(blocks))
        learning = [model.get_submodule(name) for name in heads.head_modules(model)]
        learning += blocks[len(blocks) - self.layers :]
        if not learning:
            raise ModelError("adaptation.no-head", given=type(model).__name__)
        model.requires_grad_(False)
        for module in learning:
            module.requires_grad_(True)
        if model.get_output_embeddings() is not None:
            model.get_input_embeddings().requires_grad_(False)  # a language model's head shares them
        if not any(weight.requires_grad for weight in model.parameters()):  # and may have nothing else
            raise ModelError("adaptation.no-head", given=type(model).__name__)
        _still(model, learning)
        return model


def _still(module: Any, learning: list[Any]) -> None:
    """Make the largest parts in which nothing learns behave in training as they do in use: no dropout, no new statistics."""
    for child in module.children():
        if any(child is part for part in learning):
            continue
        if any(part is inner for inner in child.modules() for part in learning):
            _still(child, learning)
        elif any(True for _ in child.parameters()):
            child.register_forward_pre_hook(_evaluate)


def _evaluate(module: Any, inputs: Any) -> None:  # noqa: ARG001
    module.eval()
