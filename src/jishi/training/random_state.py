"""Every random state that training may draw from, as plain JSON: torch's on CPU and GPU, numpy's global one, and Python's."""

import base64
import random
from typing import Any

import numpy as np
import torch


def read() -> dict[str, Any]:
    """The states as they are now."""
    legacy = np.random.get_state(legacy=False)
    version, numbers, gauss = random.getstate()
    return dict(  # noqa: C408
        torch=_text(torch.get_rng_state()),
        cuda=[_text(state) for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
        numpy={**legacy, "state": {"key": legacy["state"]["key"].tolist(), "pos": legacy["state"]["pos"]}},
        python=[version, list(numbers), gauss],
    )


def put(state: dict[str, Any]) -> None:
    """Put back what `read` told. GPUs that were not there then keep theirs."""
    torch.set_rng_state(_tensor(state["torch"]))
    for device, told in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(_tensor(told), device)
    inner = state["numpy"]["state"]
    np.random.set_state({**state["numpy"], "state": {**inner, "key": np.asarray(inner["key"], dtype=np.uint32)}})
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


def _text(state: torch.Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode()


def _tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
