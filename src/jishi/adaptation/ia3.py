"""Learn how much each key, value and feed-forward unit weighs ((IA)³, arXiv:2205.05638): the fewest numbers of all; folded in."""

from dataclasses import dataclass
from typing import Any

from jishi.adaptation import _peft
from jishi.core.contracts import Adaptation, Objective
from jishi.core.errors import ModelError
from jishi.models import heads
from jishi.models.sublayers import QUERIES, sublayers


@dataclass(frozen=True)
class IA3(Adaptation):
    """The head learns in full, and one factor for each number that is a key, a value or inside a feed-forward layer."""

    learning_rate = 1e-2

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        import peft

        found = sublayers(model)
        if not found:
            raise ModelError("adaptation.no-attention", given=type(model).__name__)
        within = [name for one in found if one.attention is None for name in one.names[-1:]]
        states = [name for one in found if one.attention is not None for name in one.names[:-1]]
        states = [name for name in states if name.rpartition(".")[2] not in QUERIES]
        wrapped = _peft.wrap(model, peft.IA3Config(target_modules=states + within, feedforward_modules=within))
        for name in heads.fresh(model):  # peft's copies of a head can't be taken back where one is more than a layer
            model.get_submodule(name).requires_grad_(True)
        return wrapped

    def merge(self, model: Any) -> Any:
        return model.merge_and_unload()
