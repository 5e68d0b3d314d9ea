"""The folder is the registry: a plugin's name is its file's name, and nothing else lists it.

Third parties add a plugin by an entry point of the group `jishi.<folder>` whose name is the plugin's and whose value is
the class. Listing names imports no plugin.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from jishi.core.contracts import CONTRACTS
from jishi.core.errors import JishiError, UnknownName


@cache
def _found(folder: str) -> Mapping[str, str | EntryPoint]:
    """Plugin name → module path or entry point, for one folder."""
    package = importlib.import_module(f"jishi.{folder}")
    files = {
        info.name.replace("_", "-"): f"jishi.{folder}.{info.name}"
        for info in pkgutil.iter_modules(package.__path__)
        if not info.name.startswith("_")
    }
    return {**{point.name: point for point in entry_points(group=f"jishi.{folder}")}, **files}


def names(contract: type) -> list[str]:
    """The names of every plugin of a contract, sorted."""
    return sorted({name for folder in CONTRACTS[contract] for name in _found(folder)})


@cache
def get(contract: type, name: str) -> type[Any]:
    """The plugin class named `name`. Raises UnknownName with the nearest name."""
    wanted = name.replace("_", "-")
    for folder in CONTRACTS[contract]:
        place = _found(folder).get(wanted)
        if place is not None:
            return _load(contract, wanted, place)
    raise UnknownName(contract.__name__.lower(), name, names(contract))


def name_of(plugin: object) -> str:
    """The name users type for a plugin or its class."""
    cls = plugin if isinstance(plugin, type) else type(plugin)
    for contract, folders in CONTRACTS.items():
        if issubclass(cls, contract):
            for folder in folders:
                for name, place in _found(folder).items():
                    if (place.module if isinstance(place, EntryPoint) else place) == cls.__module__:
                        return name
    raise KeyError(cls)


def _load(contract: type, name: str, place: str | EntryPoint) -> type[Any]:
    try:
        if isinstance(place, EntryPoint):
            return place.load()
        module = importlib.import_module(place)
    except (ImportError, AttributeError) as error:
        raise JishiError("core.plugin-broken", kind=contract.__name__.lower(), given=name, reason=error) from error
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, contract) and value.__module__ == place
    )
