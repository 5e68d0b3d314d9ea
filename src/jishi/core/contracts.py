"""The contracts: what a plugin promises. With `api.py`, one of the two pages that tell the project.

A plugin is a frozen dataclass in one file of its folder; the file's name is the name users type, the fields (made by
`option`) are the YAML keys, CLI flags, docs and JSON Schema. `__init__` has no logic. One word per thing:

    raw row → `parse` → row → `encode` → features → `vary` → `collate` → batch → `forward` → outputs → `decode` → predictions

Training and serving call the same methods, so they cannot drift apart. Shapes: B batch, T tokens, C channels, H, W, K classes.
What plugins are handed and hand back (`Base`, `Head`, `Loss`, …) is in `core/values.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import MISSING, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from jishi.core.values import Base, Compressed, Head, Loss, Pool, Rival, Treated, Unlabelled, Written

if TYPE_CHECKING:
    from pathlib import Path

    import numpy
    import torch

    from jishi.core.bundle import Bundle

# One example, canonical: the keys are the task's `columns` and `targets`; "mended" tells how `parse` put it right.
Row = Mapping[str, Any]
Features = dict[str, Any]  # one encoded row: lists or arrays; "length" is its cost in tokens (1 where rows are equal),
# "windows" its parts where a model reads it in several, "cut" how many of its targets can't be taught, "characters" how many
# of a text its targets stand for
Batch = dict[str, Any]  # collated tensors, keyed as the model's forward names them, targets under "labels"
Prediction = dict[str, Any]  # one answer, plain JSON


def option(
    default: Any = MISSING, en: str = "", zh: str = "", *, aliases: tuple[str, ...] = (), factory: Any = MISSING
) -> Any:
    """A dataclass field with its sentence of help in both languages and the names other tools give it."""
    metadata = {"en": en, "zh": zh, "aliases": aliases}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


class Modality(ABC):
    """How values of one kind (text, image) are read, varied and described."""

    binary: ClassVar[bool] = True  # base64 in JSON, where a string is never taken for a path; text says False
    turns: ClassVar[bool] = False  # a value is what several say in turn

    @abstractmethod
    def read(self, value: Any) -> Any:
        """The raw value from what a row holds (text, or a path, bytes or picture). Raises RowError, never loads code."""

    @abstractmethod
    def augment(self, raw: Any, rng: numpy.random.Generator) -> Any:
        """A variation that keeps the meaning, for training."""

    @abstractmethod
    def corrupt(self, raw: Any, severity: float, rng: numpy.random.Generator) -> Any:
        """A damaged copy, severity 0 (unchanged) to 1, for robustness tests."""

    @abstractmethod
    def statistics(self, raw: Any) -> dict[str, float | str]:
        """Facts that slices and drift are made of (length, script; width, height, brightness)."""

    def preview(self, value: Any, side: int = 160) -> str | None:  # noqa: ARG002
        """A picture of a row's value of so many pixels a side at most, as a data URL; None where the value itself can be read."""
        return None


class Objective(ABC):
    """What training minimises. `targets` lists alternative sets of target columns; () where none is needed."""

    columns: ClassVar[Mapping[str, str]]  # input column → modality; "text?" marks an optional one
    targets: ClassVar[tuple[tuple[str, ...], ...]] = ((),)
    labelled: ClassVar[bool] = True  # targets are labels, counted and split evenly; a text written or found is none
    joint: ClassVar[bool] = False  # rows' losses hang on each other, see `values.Joint`
    mixes: ClassVar[bool] = False  # `vary` is given another row's features as "other", and may take some of them
    windows: ClassVar[bool] = False  # a text longer than the model reads is read in several parts, not cut off
    aliases: ClassVar[tuple[Mapping[str, str], ...]] = ()  # sets of column → the name other data give it
    marks: ClassVar[tuple[str, ...]] = ()  # special tokens it puts into rows; a design is given those it lacks
    pointed: ClassVar[tuple[str, ...]] = ()  # input columns that targets point into: no character of them may move
    learnt: ClassVar[tuple[str, ...]] = ()  # input columns that are targets themselves: nothing varies them

    @abstractmethod
    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        """The canonical row of a raw one; without `training`, targets may be absent. Raises RowError with a reason."""

    def required(self) -> tuple[str, ...]:
        """The input columns that no row may lack."""
        return tuple(name for name, modality in self.columns.items() if not modality.endswith("?"))

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        """This objective with what it must know of the training rows (labels) and the base (prefix, length) filled in."""
        return self

    @abstractmethod
    def head(self) -> Head:
        """The head the model needs."""

    @abstractmethod
    def encode(self, row: Row, processor: Any) -> Features:
        """One row as features, deterministic; cached across epochs. Targets are encoded where the row has them."""

    def enrich(self, features: Sequence[Features], processor: Any) -> Sequence[Features]:  # noqa: ARG002
        """The features of many rows with what a model that never learns says of each; kept as they are, like the rest."""
        return features

    def revise(self, features: Features, row: Row, processor: Any, change: Callable[[str, Any], Any]) -> Features:
        """The features of a training row whose inputs `change(column, value)` varies: encoded anew where they were."""
        given = {column: row[column] for column in self.columns if row.get(column) is not None}
        varied = {column: change(column, value) for column, value in given.items()}
        return features if varied == given else self.encode({**row, **varied}, processor)

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        """The random part of encoding (masking, augmentation). `rng` depends on seed, epoch and sample only."""
        return features

    @abstractmethod
    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        """Features as one padded batch. Padding never changes an answer."""

    def arrays(self, features: Sequence[Features], processor: Any) -> Batch:
        """As `collate`; in numpy's arrays where a model that is a graph may be asked so, which needs no torch then."""
        return self.collate(features, processor)

    @abstractmethod
    def loss(self, model: Any, batch: Batch) -> Loss:
        """The mean loss of a batch, with the weight of one row independent of the padding."""

    def sample(self, model: Any, text: str, processor: Any, decoding: Any) -> str | None:  # noqa: ARG002
        """What a model in training makes of a text (goes on with it, fills its blank), for a reader; None where it can't."""
        return None


class Task(Objective):
    """An objective that can also answer and be scored. References are canonical rows."""

    metric: ClassVar[str]  # the key of `score` that decides (best checkpoint, paired test, gate), higher is better
    generates: ClassVar[bool] = False  # answers are made step by step: validation then judges by the loss
    # What predictions hold: key → str, float, bool, list[float] (a vector), dict or list. A prediction may lack some.
    answers: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def forward(self, model: Any, batch: Batch) -> Any:
        """What the model says of each of the B rows: one tensor (B, …), or B tensors where their sizes differ."""

    @abstractmethod
    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:
        """One prediction a row from its output, as `forward` gave it."""

    def begin(self, model: Any, batch: Batch) -> Sequence[Generator[None, None, Any]]:  # noqa: ARG002
        """What `forward` says, each row by itself and a step at a time; none where the rows are worked out together."""
        return ()

    def stream(self, model: Any, features: Features, processor: Any) -> Generator[str, None, Written]:  # noqa: ARG002
        """The answer to one row, where answers are written step by step: a piece each, "" where none is certain yet."""
        yield from ()
        return Written(0, True)

    def relate(
        self,
        predictions: Sequence[Prediction],
        outputs: Sequence[Any],  # noqa: ARG002
        rows: Sequence[Row],  # noqa: ARG002
    ) -> list[Prediction]:
        """The predictions of held-out rows with what only all of them together tell (places in a ranking), to be scored."""
        return list(predictions)

    def calibrate(self, outputs: Sequence[Any], rows: Sequence[Row]) -> Self:  # noqa: ARG002
        """This task with its confidences, and its thresholds, fitted on held-out rows (temperature scaling, arXiv:1706.04599)."""
        return self

    @abstractmethod
    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        """The task's true metrics, `metric` among them."""

    @abstractmethod
    def credit(self, prediction: Prediction, row: Row) -> float:
        """How right one answer is, 0 to 1: what bad cases, slices and paired tests are made of."""

    def details(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, Any]:  # noqa: ARG002
        """Behind the score: "per_class" [{label, precision, recall, f1, support}], "confusion" {labels, matrix}, "partial"
        {kind of mistake: entities}."""
        return {}

    @abstractmethod
    def baseline(self, rows: Sequence[Row]) -> Rival:
        """A plain rival fitted on the training rows (tf-idf + logistic regression, majority, …)."""


class Adaptation(ABC):
    """Which weights learn, and how."""

    learning_rate: ClassVar[float]  # the peak rate that suits the method where the spec names none
    beside: ClassVar[bool] = (
        False  # what it adds can't be folded in: a bundle keeps it in a file beside the plain model
    )

    def initialize(self, processor: Any) -> Self:  # noqa: ARG002
        """This adaptation with what it must know of the processor filled in."""
        return self

    def supports(self, objective: Objective) -> bool:  # noqa: ARG002
        """Whether the method makes sense for the objective."""
        return True

    @abstractmethod
    def apply(self, model: Any, objective: Objective) -> Any:
        """The model ready to train: `requires_grad` marks what learns. Raises ModelError where the model has no place for it."""

    def rates(self, model: Any, progress: float) -> Mapping[str, float]:  # noqa: ARG002
        """Module name → what its learning rate is multiplied by, where that is not 1; `progress` is the share of training
        that is over. The names stay the same."""
        return {}

    def advance(self, model: Any, step: int, steps: int) -> None:  # noqa: B027
        """What else changes as training goes on, told after each of the `steps`, counted from 1, while its gradients still stand.

        What it must remember is a buffer of the model, so that a resumed run has it.
        """

    def merge(self, model: Any) -> Any:
        """The plain model with the adaptation folded in as far as that can be, answers unchanged."""
        return model


class Augmentation(ABC):
    """One way to vary the inputs of training rows so that their targets stay true; several follow one another."""

    modality: ClassVar[str]  # of the columns it varies
    in_place: ClassVar[bool] = False  # every character keeps its place and kind: what points into a text stays true
    share: float  # of the rows that are varied, drawn anew each time they are read

    def initialize(self, values: Iterable[Any]) -> Self:  # noqa: ARG002
        """This, with what it must know of all values of its columns filled in."""
        return self

    @abstractmethod
    def vary(self, raw: Any, rng: numpy.random.Generator) -> Any:
        """A variation of a text or picture, drawn from `rng` alone, never empty; the same where there is nothing to vary."""


class Regularization(ABC):
    """What makes learning harder, so that its result holds against noise; several are laid one around another."""

    replaces: ClassVar[bool] = False  # it works a loss of its own out from the outputs, so that it comes first

    def initialize(self, features: Sequence[Features]) -> Self:  # noqa: ARG002
        """This, with what it must know of the training rows filled in."""
        return self

    @abstractmethod
    def loss(self, model: Any, batch: Batch, ask: Callable[[Batch], Loss]) -> Loss:
        """The loss to minimise in the place of `ask(batch)`, which may be asked more than once, of other batches or while the
        model is changed. Raises TrainingError where the batch has nothing it could work on."""


class SemiSupervision(ABC):
    """How a classifier learns from rows without labels: from what it says of them itself, in every step, or, with `rounds`,
    trained again from the base so often, on what the training before came to."""

    rounds: int = 0
    # In every step:
    ratio: int = 1  # unlabelled rows beside each labelled one
    weight: float = 1.0  # of their loss
    ramp: float = 0.0  # share of the steps in which it rises to that
    strong: Sequence[Augmentation] | None = None  # how rows are varied much; None: as suits their kind

    def settle(self, probabilities: numpy.ndarray, right: numpy.ndarray, shares: numpy.ndarray) -> Self:  # noqa: ARG002
        """This, with what validation rows tell filled in: calibrated `probabilities` (N, K), the `right` labels' places (N,),
        and the `shares` (K,) of the labels among the training rows."""
        return self

    @abstractmethod
    def teach(self, probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What rows of which the model says `probabilities` (N, K) are to be learnt as (N, K), and how much each counts (N,):
        0 where nothing is learnt from it."""


class Acquisition(ABC):
    """Which rows without a label are most worth one (active learning)."""

    passes: int = 0  # how often rows are asked again with dropout
    vectors: ClassVar[bool] = False  # whether it can't do without them
    known: ClassVar[bool] = False  # whether it looks at those of labelled rows too

    @abstractmethod
    def choose(self, rows: Unlabelled, count: int, rng: numpy.random.Generator) -> Sequence[int]:
        """The places of `count` rows, or of all where there are fewer, the one most worth a label first."""


class Evaluator(ABC):
    """One way to judge a predictor on held-out rows."""

    @abstractmethod
    def evaluate(self, predictor: Any, rows: Sequence[Row], **context: Any) -> dict[str, Any]:
        """A plain JSON report."""


class Compressor(ABC):
    """One way to make a bundle smaller or quicker. What comes out is a bundle again, held to the answers of the first."""

    lossless: ClassVar[bool] = False  # nothing but rounding may change
    learns: ClassVar[bool] = False  # `rows` are training rows, which it fits itself to; else any, to try it on
    searched: ClassVar[bool] = False  # tried where the way is searched for and none is named

    @abstractmethod
    def apply(self, predictor: Any, rows: Sequence[Row]) -> Compressed | tuple[Any, Any]:
        """What takes the place of a predictor's model and processor, which stay as they are; both have `save_pretrained`.
        A model that comes with its `teaching` is trained on the rows before it is judged.

        Raises ModelError or UsageError where there is nothing it could work on.
        """


class Runtime(ABC):
    """What works a bundle's answers out."""

    reads: ClassVar[str]  # the files of a bundle that it works from, as a pattern

    @abstractmethod
    def open(self, read: Bundle, shared: Any = None) -> tuple[Any, Any]:
        """The model, ready to answer when a task asks it, and the processor. Weights of a base that are `shared` are not held
        a second time. Raises MissingExtra, ModelError."""


class Operation(ABC):
    """One step of cleaning a corpus: a text stays, is changed, falls into parts or is dropped, and the reason is counted.

    Where it `surveys`, it looks at every text before it treats the first, so that it may hold them against each other.
    """

    surveys: ClassVar[bool] = False
    discreet: ClassVar[bool] = False  # what it takes out is shown to nobody

    @abstractmethod
    def treat(self, text: str, known: Any = None) -> Treated | None:
        """What becomes of a text; None where it stays as it is. `known` is what `settle` says of it."""

    def survey(self, texts: Sequence[str]) -> numpy.ndarray:
        """What must be known of texts before any is treated; other processes ask for other texts."""
        import numpy

        return numpy.zeros(len(texts))

    def settle(self, surveys: Sequence[numpy.ndarray], count: int) -> Sequence[Any]:  # noqa: ARG002
        """From the surveys of all `count` texts, in order, one value for each."""
        return [None] * count

    def files(self) -> Sequence[Path]:
        """What it reads besides the texts; a corpus is made again where one of them has changed."""
        return ()

    def ready(self) -> None:  # noqa: B027
        """Read them anew, before other processes begin as copies of this one. Raises where they are not what they should be."""


class Launcher(ABC):
    """Where the processes of a run are started."""

    @abstractmethod
    def run(self, work: Callable[..., Any], listen: Callable[[Any], None], watch: Callable[[Any], None]) -> Any:
        """Have every process that trains one model do `work(tell, watch)`; what the first of them returns.

        `listen` hears what the first tells; `watch` is handed a value here whose `stop` reaches the one handed out there.
        What is told and returned crosses machines: plain values. A JishiError of the work is raised here.
        """

    @abstractmethod
    def pool(self, work: Callable[[Any], Any]) -> AbstractContextManager[Pool]:
        """Processes that do the work on one piece each, none of which needs another."""


CONTRACTS: Mapping[type, tuple[str, ...]] = {
    Modality: ("modalities",),
    Objective: ("tasks", "objectives"),
    Task: ("tasks",),
    Adaptation: ("adaptation",),
    Augmentation: ("augmentation",),
    Regularization: ("regularization",),
    SemiSupervision: ("semi_supervision",),
    Acquisition: ("acquisition",),
    Evaluator: ("evaluation",),
    Compressor: ("compression",),
    Runtime: ("runtimes",),
    Operation: ("operations",),
    Launcher: ("launch",),
}
