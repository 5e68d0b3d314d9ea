"""Where a name leads: an existing folder, an embedded model, a design to train from scratch, or a hub id, in this order."""

from pathlib import Path

from jishi.core.errors import UnknownName
from jishi.models import dual, embedded, hub
from jishi.models.scratch import _design as scratch
from jishi.models.spec import ModelSpec


def locate(spec: ModelSpec) -> Path | scratch.Design:
    """The folder or the design of a spec's name. Raises UnknownName with the nearest name, ModelError, MissingExtra."""
    path = Path(spec.name).expanduser()
    if path.is_dir():
        return path
    name = spec.name.replace("_", "-")
    if name in embedded.names():
        return embedded.folder(name)
    if name in scratch.names():
        return scratch.get(name)
    if not path.is_absolute() and hub.known(spec.name):
        return hub.folder(spec.name, spec.revision, embedded.names())
    raise UnknownName("model", spec.name, names())


def names() -> tuple[str, ...]:
    """Every name that works without a hub."""
    return tuple(sorted({*embedded.names(), *scratch.names(), dual.NAME}))
