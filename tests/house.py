"""The rules of the house as functions: each takes the project's folder and returns its faults, one sentence each.

`test_architecture.py` holds the project to them, and each of them to a planted fault.
"""

import ast
import json
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path

RANKS = {
    "core": 0,
    "data": 1, "models": 1, "metrics": 1,
    "modalities": 2, "objectives": 2, "tasks": 2, "adaptation": 2, "operations": 2,
    "evaluation": 2, "explain": 2, "compress": 2, "monitor": 2,
    "predictor": 3, "training": 3,
    "lifecycle": 4, "serving": 5, "api": 6, "cli": 7, "web": 7, "apps": 7,
}  # fmt: skip
SUPPORT, PLUGINS, TOP = 1, 2, 8
HEAVY = {"torch", "transformers", "sklearn", "numpy", "pandas", "datasets", "peft", "accelerate", "PIL", "fastapi"}
FILE_LINES, FUNCTION_LINES = 400, 60
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "v2"}
CONTRACTS = {"Modality", "Objective", "Task", "Adaptation", "Evaluator", "Operation", "Explainer", "Compressor", "Detector"}
CODE_LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
CALLS = {"torch.load", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "compile", "__import__"}
FLAGS = {"trust_remote_code", "allow_pickle"}
MACHINE = re.compile(r"(?<![\w.~])/(?:work|root|home|Users)/\w")
TEXTS = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".jsonl", ".csv", ".html", ".js", ".css", ".txt", ""}
PROJECT = ("src", "tests", "docs", "recipes", "examples", "benchmarks", ".ci")


# --- Reading the tree -------------------------------------------------------------------------------------------------


def sources(root: Path) -> list[Path]:
    return sorted((root / "src" / "jishi").rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    parts = list(path.with_suffix("").parts)
    parts = parts[len(parts) - parts[::-1].index("jishi") - 1 :]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package(module: str) -> str:
    """The part of the house a module belongs to: "core", "tasks", "api"; "" for jishi itself."""
    return module.split(".")[1] if "." in module else ""


def imports(path: Path, *, deferred: bool = True) -> list[tuple[str, int]]:
    """Every module a file imports, with the line; without `deferred`, only those its own import brings in."""
    nodes = ast.walk(tree(path)) if deferred else _at_import(tree(path))
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


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: no function bodies, nothing under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _at_import(child)


def _at(path: Path, line: int) -> str:
    return f"{path.parent.name}/{path.name}:{line}"


def _plugin_files(root: Path) -> dict[str, Path]:
    """Plugin name → file, for every plugin folder."""
    folders = [name for name, rank in RANKS.items() if rank == PLUGINS]
    files = (file for folder in folders for file in (root / "src" / "jishi" / folder).glob("*.py"))
    return {file.stem.replace("_", "-"): file for file in files if not file.name.startswith("_")}


# --- Imports ----------------------------------------------------------------------------------------------------------


def imports_point_down(root: Path) -> list[str]:
    """A module imports only lower ranks, and of its own rank only its own package."""
    faults = []
    for path in sources(root):
        here = package(module_name(path))
        if here and here not in RANKS:
            faults.append(f"{path.name}: {here} has no rank in the house")
            continue
        for module, line in imports(path):
            there = package(module) if module.split(".")[0] == "jishi" else here
            if there in RANKS and there != here and RANKS[there] >= RANKS.get(here, TOP):
                faults.append(f"{_at(path, line)}: {here} ({RANKS.get(here)}) imports {there} ({RANKS[there]})")
    return faults


def no_cycles(root: Path) -> list[str]:
    """No module comes back to itself through the imports that run when it is imported."""
    modules = {module_name(path): path for path in sources(root)}
    graph = {}
    for name, path in modules.items():
        targets = {module if module in modules else module.rpartition(".")[0] for module, _ in imports(path, deferred=False)}
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
    """Importing core, the root, the api or the command line brings in no heavy library."""
    light = ("core", "api", "cli", "")
    return [
        f"{_at(path, line)}: {package(module_name(path)) or 'jishi'} imports {module} at module level"
        for path in sources(root)
        if package(module_name(path)) in light
        for module, line in imports(path, deferred=False)
        if module.split(".")[0] in HEAVY
    ]


# --- The folder is the registry ---------------------------------------------------------------------------------------


def no_plugin_names(root: Path) -> list[str]:
    """No plugin is named in a comparison, a `match` or as the key of a dict: the folder is the only list of them.

    A key that is also a column of rows ("text", "image") may stand in a dict.
    """
    files = _plugin_files(root)
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
            faults += [f"{_at(path, node.lineno)}: names the plugin “{name}”" for name in sorted(given)]
    return faults


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
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == "columns" and isinstance(node.value, ast.Dict):
            return _strings([key for key in node.value.keys if key])
    return set()


def plugins_are_values(root: Path) -> list[str]:
    """A plugin file holds one frozen dataclass, child of a contract, whose every field has help in both languages."""
    faults = []
    for name, path in _plugin_files(root).items():
        plugins = [
            node for node in tree(path).body
            if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & CONTRACTS
        ]  # fmt: skip
        if len(plugins) != 1:
            faults.append(f"{path.name}: {len(plugins)} plugins, one is allowed")
            continue
        plugin = plugins[0]
        if not any("dataclass(frozen=True" in ast.unparse(decorator) for decorator in plugin.decorator_list):
            faults.append(f"{path.name}: {plugin.name} is not a frozen dataclass")
        if any(isinstance(node, ast.FunctionDef) and node.name == "__init__" for node in plugin.body):
            faults.append(f"{path.name}: {plugin.name} has a constructor of its own")
        if not ast.get_docstring(plugin):
            faults.append(f"{path.name}: {plugin.name} says not what it is for")
        fields = [node for node in plugin.body if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation)]
        faults += [
            f"{_at(path, field.lineno)}: {name}.{ast.unparse(field.target)} has no help in English and Chinese"
            for field in fields
            if not _has_help(field.value)
        ]
    return faults


def _has_help(value: ast.expr | None) -> bool:
    if not (isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] == "option"):
        return False
    words = dict(zip(("default", "en", "zh"), value.args, strict=False))
    words.update({keyword.arg: keyword.value for keyword in value.keywords if keyword.arg})
    return all(isinstance(words.get(key), ast.Constant) and words[key].value for key in ("en", "zh"))


def registries_are_folders(root: Path) -> list[str]:
    """The `__init__.py` of a plugin folder lists nothing: it is a docstring."""
    return [
        f"{folder}/__init__.py holds more than a docstring"
        for folder, rank in RANKS.items()
        if rank == PLUGINS
        and (file := root / "src" / "jishi" / folder / "__init__.py").is_file()
        and not (len(tree(file).body) == 1 and ast.get_docstring(tree(file)))
    ]


# --- Sizes, names, endings --------------------------------------------------------------------------------------------


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
                    faults.append(f"{_at(path, node.lineno)}: {node.name} has {length} lines, {FUNCTION_LINES} are allowed")
    return faults


def names_say_something(root: Path) -> list[str]:
    """No file or folder is called utils, helpers, common, manager, v2."""
    paths = [path for path in (root / "src" / "jishi").rglob("*") if path.is_dir() or path.suffix == ".py"]
    return [f"{path.name} says nothing of what it holds" for path in paths if set(path.stem.lower().strip("_").split("_")) & VAGUE]


def nothing_is_unfinished(root: Path) -> list[str]:
    """No TODO, no NotImplementedError, no swallowed exception, no bare except."""
    faults = []
    for path in sources(root):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b|NotImplementedError", line):
                faults.append(f"{_at(path, number)}: unfinished: {line.strip()}")
        for node in ast.walk(tree(path)):
            broad = isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
            if broad and all(isinstance(inner, ast.Pass | ast.Constant) for inner in node.body):
                faults.append(f"{_at(path, node.lineno)}: an exception is swallowed")
    return faults


# --- Safety -----------------------------------------------------------------------------------------------------------


def no_code_from_data(root: Path) -> list[str]:
    """Nothing in src can run code that stands in a file: no pickle, torch.load, eval, yaml.load, trust_remote_code."""
    faults = []
    for path in sources(root):
        faults += [
            f"{_at(path, line)}: imports {module}"
            for module, line in imports(path)
            if module.split(".")[0] in CODE_LOADERS or module in CALLS
        ]
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in CALLS or name.startswith("torch.jit.load"):
                faults.append(f"{_at(path, node.lineno)}: calls {name}")
            for keyword in node.keywords:
                if keyword.arg in FLAGS and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
                    faults.append(f"{_at(path, node.lineno)}: passes {keyword.arg}")
    return faults


def no_machine_paths(root: Path) -> list[str]:
    """No file of the project names a place of the machine it was written on."""
    files = [file for folder in PROJECT for file in (root / folder).rglob("*") if file.is_file()]
    files += [file for file in root.glob("*") if file.is_file()]
    return [
        f"{file.relative_to(root)}:{number} names a path of one machine"
        for file in files
        if file.suffix in TEXTS and "__pycache__" not in file.parts
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="ignore").splitlines(), 1)
        if MACHINE.search(line)
    ]


# --- Words ------------------------------------------------------------------------------------------------------------


def catalogue_is_bilingual(root: Path) -> list[str]:
    """Every sentence stands in English and Chinese, with the same placeholders."""
    faults = []
    for code, entry in _entries(root).items():
        if set(entry) != {"en", "zh"} or not all(entry.values()):
            faults.append(f"{code} needs an en and a zh sentence, nothing else")
        elif _placeholders(entry["en"]) != _placeholders(entry["zh"]):
            faults.append(f"{code} names {_placeholders(entry['en'])} in English, {_placeholders(entry['zh'])} in Chinese")
        elif not re.search("[\u4e00-\u9fff]", entry["zh"]):
            faults.append(f"{code} has no Chinese in its Chinese sentence")
    return faults


def catalogue_is_complete(root: Path) -> list[str]:
    """Every code the source uses has an entry, and every entry is used."""
    entries = _entries(root)
    areas = "|".join(sorted({code.partition(".")[0] for code in entries})) or "-"
    exact = re.compile(rf"(?:{areas})\.[a-z][a-z0-9-]*")
    used: set[str] = set()
    prefixes: set[str] = set()
    faults = []
    for path in sources(root):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                start = str(node.values[0].value)
                prefixes |= {start} if exact.match(start) or start.rstrip(".") in areas.split("|") else set()
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and exact.fullmatch(node.value):
                used.add(node.value)
            elif isinstance(node, ast.Call) and _raises(node) and node.args:
                code = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
                if isinstance(code, str) and code not in entries:
                    faults.append(f"{_at(path, node.lineno)}: the code {code} has no sentence")
    for page in (root / "src" / "jishi").rglob("*"):
        if page.suffix in (".html", ".js", ".j2"):
            used |= set(exact.findall(page.read_text(encoding="utf-8")))
    unused = [code for code in entries if code not in used and not any(code.startswith(start) for start in prefixes)]
    return faults + [f"the sentence {code} is never used" for code in unused]


CODED = {
    "JishiError", "UsageError", "DataError", "RowError", "ModelError", "BundleError", "TrainingError", "LimitError",
    "ServingError", "i18n.text",
}  # fmt: skip


def _raises(node: ast.Call) -> bool:
    """Whether a call takes a catalogue code first."""
    return ast.unparse(node.func) in CODED or ast.unparse(node.func).split(".")[-1] in CODED


def _entries(root: Path) -> dict[str, dict[str, str]]:
    files = sorted((root / "src" / "jishi" / "core" / "messages").glob("*.json"))
    return {f"{file.stem}.{name}": entry for file in files for name, entry in json.loads(file.read_text(encoding="utf-8")).items()}


def _placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def docs_have_twins(root: Path) -> list[str]:
    """Every English page has a Chinese one, and the other way round."""
    english, chinese = ({page.name for page in (root / "docs" / lang).glob("*.md")} for lang in ("en", "zh"))
    return [f"docs: {page} stands in one language only" for page in sorted(english ^ chinese)]


RULES = [
    imports_point_down, no_cycles, core_is_light, no_plugin_names, plugins_are_values, registries_are_folders,
    files_stay_small, names_say_something, nothing_is_unfinished, no_code_from_data, no_machine_paths,
    catalogue_is_bilingual, catalogue_is_complete, docs_have_twins,
]  # fmt: skip
