"""What passes between HTTP and models: plain values, so that the two may stand in different processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jishi.core.contracts import Prediction
from jishi.models.decoding import Decoding


@dataclass(frozen=True)
class Asked:
    """A raw row, and how its answer is to be written where that is not as the bundle says."""

    raw: Any
    decoding: Decoding | None = None


@dataclass(frozen=True)
class Answered:
    """The prediction, the tokens that were read, and those that were written where that was counted."""

    prediction: Prediction
    read: int
    written: int = 0


@dataclass(frozen=True)
class Ended:
    """How a streamed answer ended: whether it came to an end of its own, tokens read and written, whether some were not read."""

    complete: bool = False
    read: int = 0
    written: int = 0
    truncated: bool = False


@dataclass(frozen=True)
class Profile:
    """What is told of a model, and what decides where it can be asked; the names are those of `Task`."""

    task: str
    columns: Mapping[str, str]
    required: Sequence[str]
    learnt: Sequence[str]
    answers: Mapping[str, Any]
    generates: bool
    labels: Sequence[str] = ()
    pairs: str = ""
    decoding: Decoding | None = None
    calibrated: bool = False
    scores: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    examples: Sequence[Mapping[str, Any]] = ()
    fingerprint: str = ""  # the bundle's identity; "" where the model is of none
