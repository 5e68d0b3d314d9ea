"""Files and functions stay small, names say something, nothing is left half done."""

import ast
import re
from pathlib import Path

from house.tree import at, sources, tree

FILE_LINES, FUNCTION_LINES = 400, 60
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "v2"}


def files_stay_small(root: Path) -> list[str]:
    """400 lines a file, 60 a function."""
    faults = []
    for path in sources(root):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES:
            faults.append(f"{path.name} has {lines} lines, {FILE_LINES} are allowed")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    faults.append(
                        f"{at(path, node.lineno)}: {node.name} has {length} lines, {FUNCTION_LINES} are allowed"
                    )
    return faults


def names_say_something(root: Path) -> list[str]:
    """No file or folder is called utils, helpers, common, manager, v2."""
    paths = [path for path in (root / "src" / "jishi").rglob("*") if path.is_dir() or path.suffix == ".py"]
    return [f"{path.name} says nothing of what it holds" for path in paths if set(path.stem.lower().split("_")) & VAGUE]


def nothing_is_unfinished(root: Path) -> list[str]:
    """No TODO, no NotImplementedError, no exception swallowed whole."""
    faults = []
    for path in sources(root):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b|NotImplementedError", line):
                faults.append(f"{at(path, number)}: unfinished: {line.strip()}")
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            if broad and all(isinstance(inner, ast.Pass) for inner in node.body):
                faults.append(f"{at(path, node.lineno)}: an exception is swallowed")
    return faults
