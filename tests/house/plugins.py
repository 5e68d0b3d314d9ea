"""The folder is the registry, and a plugin is a value."""

import ast
from pathlib import Path

from house.tree import PLUGINS, at, plugin_files, sources, tree
from jishi.core import contracts

CONTRACTS = {contract.__name__ for contract in contracts.CONTRACTS}


def no_plugin_names(root: Path) -> list[str]:
    """No plugin is named in a comparison, a `match` or as the key of a dict: the folder is the only list of them.

    A key that is also a column of rows ("text", "image") may stand in a dict.
    """
    files = plugin_files(root)
    names = {spelling for name in files for spelling in (name, name.replace("-", "_"))}
    keys = names - {column for file in files.values() for column in _columns(file)}
    faults = []
    for path in sources(root):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Compare):
                given = _strings([node.left, *node.comparators]) & names
            elif isinstance(node, ast.MatchValue):
                given = _strings([node.value]) & names
            elif isinstance(node, ast.Dict):
                given = _strings([key for key in node.keys if key]) & keys
            else:
                continue
            faults += [f"{at(path, node.lineno)}: names the plugin “{name}”" for name in sorted(given)]
    return faults


def plugins_are_values(root: Path) -> list[str]:
    """A plugin file holds one frozen dataclass, child of a contract, whose every field has help in both languages."""
    return [fault for name, path in plugin_files(root).items() for fault in _plugin_faults(name, path)]


def registries_are_folders(root: Path) -> list[str]:
    """The `__init__.py` of a plugin folder lists nothing: it is a docstring."""
    files = [root / "src" / "jishi" / folder / "__init__.py" for folder in PLUGINS]
    return [
        f"{file.parent.name}/__init__.py holds more than a docstring"
        for file in files
        if file.is_file() and not (len(tree(file).body) == 1 and ast.get_docstring(tree(file)))
    ]


def _plugin_faults(name: str, path: Path) -> list[str]:
    classes = [node for node in tree(path).body if isinstance(node, ast.ClassDef)]
    plugins = [node for node in classes if {ast.unparse(base) for base in node.bases} & CONTRACTS]
    if len(plugins) != 1:
        return [f"{path.name}: {len(plugins)} plugins, one is allowed"]
    (plugin,) = plugins
    fields = [node for node in plugin.body if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node)]
    faults = {
        "is not a frozen dataclass": not any("frozen=True" in ast.unparse(line) for line in plugin.decorator_list),
        "has a constructor of its own": any(getattr(node, "name", "") == "__init__" for node in plugin.body),
        "does not say what it is for": not ast.get_docstring(plugin),
        **{f"has no help in English and Chinese for {ast.unparse(f.target)}": not _has_help(f.value) for f in fields},
    }
    return [f"{name} {fault}" for fault, found in faults.items() if found]


def _has_help(value: ast.expr | None) -> bool:
    if not (isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] == "option"):
        return False
    words = dict(zip(("default", "en", "zh"), value.args, strict=False))
    words.update({keyword.arg: keyword.value for keyword in value.keywords if keyword.arg})
    return all(isinstance(words.get(key), ast.Constant) and words[key].value for key in ("en", "zh"))


def _strings(nodes: list[ast.expr]) -> set[str]:
    """The string constants of some expressions, those inside a literal tuple, list or set included."""
    found = set()
    for node in nodes:
        inner = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
        found |= {item.value for item in inner if isinstance(item, ast.Constant) and isinstance(item.value, str)}
    return found


def _columns(path: Path) -> set[str]:
    """The columns a plugin declares."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target) == "columns":
                return _strings([key for key in node.value.keys if key])
    return set()
