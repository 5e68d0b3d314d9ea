"""Reading the tree: the source files, what each imports, and which of them are plugins."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

RANKS = {
    "core": 0,
    "data": 1, "models": 1, "metrics": 1, "retrieval": 1,
    "modalities": 2, "objectives": 2, "tasks": 2, "adaptation": 2, "regularization": 2, "augmentation": 2,
    "semi_supervision": 2, "operations": 2, "acquisition": 2, "evaluation": 2, "launch": 2,
    "explain": 2, "compression": 2, "runtimes": 2, "monitor": 2,
    "predictor": 3, "training": 3,
    "lifecycle": 4, "serving": 5, "api": 6, "terminal": 7, "command": 7, "labelling": 8, "compressing": 8,
    "cli": 9, "web": 9, "apps": 9, "__main__": 10,
}  # fmt: skip
PLUGINS = [folder for folder, rank in RANKS.items() if rank == 2]


def sources(root: Path) -> list[Path]:
    return sorted((root / "src" / "jishi").rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def at(path: Path, line: int) -> str:
    return f"{path.parent.name}/{path.name}:{line}"


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    parts = parts[len(parts) - 1 - parts[::-1].index("jishi") :]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package(module: str) -> str:
    """The part of the house a module belongs to: "core", "tasks", "api"; "" for jishi itself."""
    return module.split(".")[1] if "." in module else ""


def imports(path: Path, *, deferred: bool = True) -> list[tuple[str, int]]:
    """Every module or name a file imports, with the line; without `deferred`, only what its own import brings in."""
    nodes = ast.walk(tree(path)) if deferred else at_import(tree(path))
    here = module_name(path).split(".")
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = here[: len(here) - node.level + (path.name == "__init__.py")] if node.level else []
            start = ".".join([*up, *([node.module] if node.module else [])])
            found += [(f"{start}.{alias.name}", node.lineno) for alias in node.names]
    return found


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: no function bodies, nothing under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_import(child)


def plugin_files(root: Path) -> dict[str, Path]:
    """Plugin name → file, over every plugin folder."""
    files = (file for folder in PLUGINS for file in (root / "src" / "jishi" / folder).glob("*.py"))
    return {file.stem.replace("_", "-"): file for file in files if not file.name.startswith("_")}
