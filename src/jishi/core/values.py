"""The values that plugins are handed and hand back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from jishi.core.errors import ModelError

if TYPE_CHECKING:
    import numpy
    import torch

    from jishi.core.contracts import Batch, Prediction, Row


@dataclass(frozen=True)
class Base:
    """What an objective may know of the model it starts from, read before any weight is."""

    name: str
    modality: str  # "text", "image": the modality the processor reads; "image+text" both
    pooling: str = "cls"  # how a sentence vector is made: "cls", "mean", "max"
    prefix: str = ""  # what the base expects before a sentence ("query: " for e5)
    passage_prefix: str = ""  # and before a text that is searched ("passage: ")
    max_length: int = 512  # positions it can read, in tokens
    chat: str = ""  # the form of conversation it was trained on, where that is a known one
    fresh: bool = False  # its weights are random: a design to be trained from scratch

    def limit(self, asked: int | None) -> int:
        """Tokens read of a row, where so many are asked for. Raises ModelError where the base has no positions for them."""
        if asked is not None and asked > self.max_length:
            raise ModelError("objectives.too-long", name=self.name, given=asked, allowed=self.max_length)
        return asked or self.max_length


@dataclass(frozen=True)
class Head:
    """The new head an objective asks for: transformers' class suffix and the config keys to set."""

    architecture: str  # "ForSequenceClassification", "ForTokenClassification", "ForMaskedLM", …; "" the bare model
    config: Mapping[str, Any] = field(default_factory=dict)
    beside: Sequence[Head] = ()  # further heads on the same backbone


@dataclass(frozen=True)
class Loss:
    """`value` is what is minimised (scalar tensor), the mean over `count` targets; `parts` are named means to log.

    The count is what lets batches of different sizes, and processes, add up to one; left out, it is that of the rows.
    """

    value: torch.Tensor
    outputs: Any = None
    parts: Mapping[str, float] = field(default_factory=dict)
    count: float | None = None

    def weight(self, rows: int) -> float:
        """What the value weighs beside those of other batches, where its own batch had so many rows."""
        return rows if self.count is None else self.count


@dataclass(frozen=True)
class Teaching:
    """How much a model that was made small learns from the one it was made of, beside its task: the share of the loss that is
    how far its outputs are from the other's, the weight of how far states are, and which blocks of both are held together."""

    share: float
    states: float
    pairs: Sequence[tuple[int, int]]  # its own block, the other's


class Compressed(NamedTuple):
    """What a compressor makes: what answers now, and, where training rows can mend it, how it is taught by what answered.

    `written` makes what is saved of a model that can't be saved as it is, once it was taught.
    """

    model: Any
    processor: Any
    teaching: Teaching | None = None
    written: Callable[[Any], Any] = lambda model: model


@dataclass(frozen=True)
class Unlabelled:
    """What a model says of N rows that have no label yet, as far as a way to choose among them asks for it."""

    probabilities: numpy.ndarray  # (N, K), of each label
    several: bool = False  # a row may have any number of labels: K questions of yes and no, not one of K answers
    vectors: numpy.ndarray | None = None  # (N, D), what the head reads; None where it reads no one vector a row
    passes: numpy.ndarray | None = None  # (P, N, K), asked again with dropout
    labelled: numpy.ndarray | None = None  # (M, D), vectors of the rows that have a label


@dataclass(frozen=True)
class Treated:
    """What an operation made of a text: `texts` (changed, in parts, none), and why: reason → how often."""

    texts: Sequence[str]
    reasons: Mapping[str, int]


class Written(NamedTuple):
    """What an answer came to that was written step by step."""

    tokens: int
    complete: bool  # it came to its end before the tokens it may have


class Joint(Protocol):
    """What an objective has beside its own where it is `joint`: its `loss` is `compare` of what `represent` says."""

    def represent(self, model: Any, batch: Batch) -> Sequence[torch.Tensor]:
        """What each of the B rows is compared by; training asks for it piece by piece."""

    def compare(self, represented: Sequence[torch.Tensor], batches: Sequence[Batch]) -> Loss:
        """The loss of the rows of all batches of a step, which is theirs together."""


class Rival(Protocol):
    """A plain model that stands beside every score."""

    name: str

    def predict(self, rows: Sequence[Row]) -> list[Prediction]: ...


class Pool(Protocol):
    """Processes that wait for pieces of work."""

    processes: int

    def submit(self, piece: Any) -> Callable[[], Any]:
        """Begin with a piece; the answer waits for what comes of it, and raises the error of the work."""
