"""What a model can be asked, and where: told by what its task reads and answers, never by its name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from jishi.core import registry
from jishi.core.contracts import Modality, Task
from jishi.core.errors import UsageError
from jishi.serving.service import Service

EVERYTHING = "/api/v1/predict"
SIDES = ("query", "passage")


def turns(task: Task) -> str | None:
    """The column that holds a conversation."""
    return next((name for name, kind in task.columns.items() if registry.get(Modality, kind.rstrip("?")).turns), None)


def prompt(task: Task) -> str:
    """The column of the text that is gone on with, or else of the one that is read."""
    return next(iter(task.learnt), next(iter(task.columns)))


def pair(task: Task) -> tuple[str, str] | None:
    """The columns of two texts that are judged together; None where the task takes no two."""
    kinds = {name: registry.get(Modality, kind.rstrip("?")) for name, kind in task.columns.items()}
    first = next(iter(kinds.values()))
    texts = [name for name, kind in kinds.items() if kind is first and not (kind.binary or kind.turns)]
    fit = len(texts) > 1 and set(task.required()) <= set(texts[:2]) and getattr(task, "pairs", "") != "never"
    return (texts[0], texts[1]) if fit else None


def sides(task: Task) -> tuple[str, str]:
    """The columns of what is searched for and of what is searched; where they do not differ, twice the first."""
    first = next(iter(task.columns))
    return SIDES if set(SIDES) <= set(task.columns) else (first, first)


def _compares(task: Task) -> bool:
    """Whether two texts get a score."""
    return pair(task) is not None and not {"embedding", "value", "scores"}.isdisjoint(task.answers)


def _classifies(task: Task) -> bool:
    """Whether one value gets labels, each with its probability."""
    return "scores" in task.answers and not {"label", "labels"}.isdisjoint(task.answers) and _single(task)


def _single(task: Task) -> bool:
    """Whether one value is all that a row needs."""
    return len(task.required()) <= 1


PATHS: Mapping[str, Callable[[Task], bool]] = MappingProxyType(
    {
        "/v1/chat/completions": lambda task: task.generates and turns(task) is not None,
        "/v1/completions": lambda task: task.generates and _single(task),
        "/v1/embeddings": lambda task: "embedding" in task.answers and _single(task),
        "/classify": _classifies,
        "/rerank": _compares,
        "/score": _compares,
    }
)


def check(service: Service, path: str) -> None:
    """Raises UsageError where a model can't be asked at a path, naming those where it can."""
    task = service.predictor.task
    if not PATHS[path](task):
        able = [other for other, holds in PATHS.items() if holds(task)]
        raise UsageError(
            "serving.not-asked-so", name=service.name, task=registry.name_of(task), path=path,
            allowed=", ".join([*able, EVERYTHING]),
        )  # fmt: skip
