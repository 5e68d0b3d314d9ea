"""What a model can be asked, and where: told by what its task reads and answers, never by its name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from jishi.core import registry
from jishi.core.contracts import Modality
from jishi.core.errors import UsageError
from jishi.serving.service import Service
from jishi.serving.values import Profile

EVERYTHING = "/api/v1/predict"
SIDES = ("query", "passage")


def turns(profile: Profile) -> str | None:
    """The column that holds a conversation."""
    return next(
        (name for name, kind in profile.columns.items() if registry.get(Modality, kind.rstrip("?")).turns), None
    )


def prompt(profile: Profile) -> str:
    """The column of the text that is gone on with, or else of the one that is read."""
    return next(iter(profile.learnt), next(iter(profile.columns)))


def pair(profile: Profile) -> tuple[str, str] | None:
    """The columns of two texts that are judged together; None where the task takes no two."""
    kinds = {name: registry.get(Modality, kind.rstrip("?")) for name, kind in profile.columns.items()}
    first = next(iter(kinds.values()))
    texts = [name for name, kind in kinds.items() if kind is first and not (kind.binary or kind.turns)]
    fit = len(texts) > 1 and set(profile.required) <= set(texts[:2]) and profile.pairs != "never"
    return (texts[0], texts[1]) if fit else None


def sides(profile: Profile) -> tuple[str, str]:
    """The columns of what is searched for and of what is searched; where they do not differ, twice the first."""
    first = next(iter(profile.columns))
    return SIDES if set(SIDES) <= set(profile.columns) else (first, first)


def _compares(profile: Profile) -> bool:
    """Whether two texts get a score."""
    return pair(profile) is not None and not {"embedding", "value", "scores"}.isdisjoint(profile.answers)


def _classifies(profile: Profile) -> bool:
    """Whether one value gets labels, each with its probability."""
    return "scores" in profile.answers and not {"label", "labels"}.isdisjoint(profile.answers) and _single(profile)


def _single(profile: Profile) -> bool:
    """Whether one value is all that a row needs."""
    return len(profile.required) <= 1


PATHS: Mapping[str, Callable[[Profile], bool]] = MappingProxyType(
    {
        "/v1/chat/completions": lambda profile: profile.generates and turns(profile) is not None,
        "/v1/completions": lambda profile: profile.generates and _single(profile),
        "/v1/embeddings": lambda profile: "embedding" in profile.answers and _single(profile),
        "/classify": _classifies,
        "/rerank": _compares,
        "/score": _compares,
    }
)


def check(service: Service, path: str) -> None:
    """Raises UsageError where a model can't be asked at a path, naming those where it can."""
    profile = service.profile
    if not PATHS[path](profile):
        able = [other for other, holds in PATHS.items() if holds(profile)]
        raise UsageError(
            "serving.not-asked-so", name=service.name, task=profile.task, path=path,
            allowed=", ".join([*able, EVERYTHING]),
        )  # fmt: skip
