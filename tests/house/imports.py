"""Imports point down and never in a circle, and a first look loads nothing heavy."""

import ast
import tomllib
from pathlib import Path

from house.tree import RANKS, at, imports, module_name, package, sources, tree

HEAVY = {"torch", "transformers", "sklearn", "numpy", "pandas", "datasets", "peft", "accelerate", "PIL", "fastapi"}
LIGHT = ("core", "api", "cli", "")
TOP = max(RANKS.values()) + 1


def imports_point_down(root: Path) -> list[str]:
    """A module imports only lower ranks; of its own rank, only its own package."""
    faults = []
    for path in sources(root):
        here = package(module_name(path))
        if here and here not in RANKS:
            faults.append(f"{path.name}: {here} has no rank in the house")
            continue
        for module, line in imports(path):
            there = package(module) if module.split(".")[0] == "jishi" else here
            if there in RANKS and there != here and RANKS[there] >= RANKS.get(here, TOP):
                faults.append(f"{at(path, line)}: {here} ({RANKS[here]}) imports {there} ({RANKS[there]})")
    return faults


def no_cycles(root: Path) -> list[str]:
    """No module comes back to itself through the imports that run when it is imported."""
    modules = {module_name(path): path for path in sources(root)}
    graph = {}
    for name, path in modules.items():
        named = [module for module, _ in imports(path, deferred=False)]
        targets = {module if module in modules else module.rpartition(".")[0] for module in named}
        graph[name] = (targets & modules.keys()) - {name}
    faults: list[str] = []
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            faults.append(" → ".join([*trail[trail.index(name) :], name]))
        elif name not in done:
            for target in sorted(graph[name]):
                visit(target, [*trail, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return faults


def core_is_light(root: Path) -> list[str]:
    """Importing core, jishi itself, the api or the command line brings in no heavy library."""
    return [
        f"{at(path, line)}: imports {module} at module level"
        for path in sources(root)
        if package(module_name(path)) in LIGHT
        for module, line in imports(path, deferred=False)
        if module.split(".")[0] in HEAVY
    ]


def extras_can_be_installed(root: Path) -> list[str]:
    """An error that asks for an extra asks for one that pyproject.toml has."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [
        f"{at(path, node.lineno)}: there is no extra {extra}"
        for path in sources(root)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingExtra" and len(node.args) == 2
        for extra in [getattr(node.args[1], "value", None)]
        if isinstance(extra, str) and extra not in project["optional-dependencies"]
    ]
