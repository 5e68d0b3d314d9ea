"""A model too large for one device: each process holds a shard of every weight, gradient and average (FSDP, arXiv:2304.11277).

A block's weights are gathered just before it computes and given up behind it; its gradients are summed over all processes and
cut in the same way. The optimizer sees plain tensors, the shards of this process, and a checkpoint is that of a whole model.
"""

import copy
import warnings
from typing import Any

import torch
from torch import nn

from jishi.models import heads
from jishi.training import memory
from jishi.training.ranks import Ranks, local
from jishi.training.used_rows import UsedRows


class Shards:
    """`parts` are this process's shards of what learns, by name, which stand in for the weights in the optimizer.

    An embedding with used rows stays whole in every process: what is optimised of it is small.
    """

    def __init__(self, model: nn.Module, ranks: Ranks, used: UsedRows | None) -> None:
        self.model, self.ranks = model, ranks
        ranks.align(model)
        empty = {id(weight): _empty(weight) for weight in model.parameters()}
        self.form = copy.deepcopy(model, empty)  # the plain model without its weights, to be filled at the end
        if used:
            used.to(ranks.device)
        self._cut({used.table.weight} if used else set())
        self.weights: dict[str, Any] = {
            n: weight for n, weight in model.named_parameters() if hasattr(weight, "to_local")
        }
        self.parts = {
            name: nn.Parameter(local(weight.detach())) for name, weight in self.weights.items() if weight.requires_grad
        }
        self._cut_from = {id(part): self.weights[name] for name, part in self.parts.items()}

    def _cut(self, whole: set[nn.Parameter]) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        # An operation in place on the outputs would go unseen; no objective has one.
        warnings.filterwarnings("ignore", "FSDP2-wrapped module", UserWarning)
        mesh = init_device_mesh(self.ranks.device.type, (self.ranks.count,))
        module: Any
        for module in [*heads.layers(self.model), self.model]:
            fully_shard(module, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
            module.set_gradient_divide_factor(1.0)  # the sum: what a process's gradient weighs, its loss says
            module.set_force_sum_reduction_for_comms(True)

    def gather(self) -> list[torch.Tensor]:
        """Hand the gradients, which are sums over all processes by now, to the parts; the list of them."""
        found = []
        for name, part in self.parts.items():
            weight = self.weights[name]
            part.grad = torch.zeros_like(part) if weight.grad is None else local(weight.grad)
            weight.grad = None
            found.append(part.grad)
        return found

    def own(self, whole: torch.Tensor) -> torch.Tensor:
        """This process's rows of a whole tensor."""
        shares = whole.chunk(self.ranks.count)
        return shares[self.ranks.rank] if self.ranks.rank < len(shares) else whole[:0]

    def whole(self, tensor: Any, part: nn.Parameter | None = None) -> torch.Tensor:
        """A weight, or a value of the optimizer that lies as a part does, of all processes as one; empty beyond the first."""
        from torch.distributed.tensor import DTensor

        weight = self._cut_from.get(id(part))
        if weight is not None and part is not None and tensor.dim() and tensor.shape == part.shape:
            tensor = DTensor.from_local(
                tensor,
                weight.device_mesh,
                weight.placements,
                shape=weight.shape,
                stride=weight.stride(),
                run_check=False,
            )
        if isinstance(tensor, DTensor):
            tensor = tensor.full_tensor()
        return tensor.detach().cpu() if self.ranks.rank == 0 else torch.empty(0)

    def cut(self, value: torch.Tensor, part: nn.Parameter) -> torch.Tensor:
        """A whole value of the optimizer as the part of this process has it."""
        weight = self._cut_from.get(id(part))
        return self.own(value) if weight is not None and value.dim() and value.shape == weight.shape else value

    def assemble(self) -> Any:
        """The plain model with its weights, in the first process, on the device if it has room; the others keep their shards."""
        filled: dict[int, Any] = {}
        for name, weight in self.model.named_parameters():
            value = self.whole(weight)
            filled[id(self.form.get_parameter(name))] = nn.Parameter(value, requires_grad=weight.requires_grad)
        if self.ranks.rank:
            return self.model
        for name, buffer in self.model.named_buffers():
            self.form.get_buffer(name).copy_(buffer)
        found = copy.deepcopy(self.form, filled)
        size = sum(weight.nbytes for weight in found.parameters())
        return found.to(self.ranks.device) if size < memory.SHARE * memory.free(self.ranks.device) else found


def _empty(weight: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(torch.empty_like(weight, device="meta"), requires_grad=weight.requires_grad)
