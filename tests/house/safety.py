"""No code from data, and nothing that only one machine has."""

import ast
import re
from pathlib import Path

from house.tree import at, imports, sources, tree

LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
YAML = {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"}
CALLS = {"torch.load", "torch.jit.load", *YAML, "eval", "exec", "compile", "__import__"}
FLAGS = {"trust_remote_code", "allow_pickle"}
MACHINE = re.compile(r"(?<![\w.~])/(?:work|root|home|Users)/\w")
TEXTS = {".py", ".md", ".toml", ".yaml", ".json", ".jsonl", ".csv", ".html", ".j2", ".js", ".css", ".txt", ""}
PROJECT = ("src", "tests", "docs", "recipes", "examples", "benchmarks", ".ci")


def no_code_from_data(root: Path) -> list[str]:
    """Nothing in src can run code that stands in a file: no pickle, torch.load, eval, yaml.load, trust_remote_code."""
    faults = []
    for path in sources(root):
        for module, line in imports(path):
            if module.split(".")[0] in LOADERS or module in CALLS:
                faults.append(f"{at(path, line)}: imports {module}")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                flags = {word.arg for word in node.keywords if ast.unparse(word.value) != "False"} & FLAGS
                faults += [f"{at(path, node.lineno)}: calls {name}"] if name in CALLS else []
                faults += [f"{at(path, node.lineno)}: passes {flag}" for flag in sorted(flags)]
    return faults


def no_machine_paths(root: Path) -> list[str]:
    """No file of the project names a place of the machine it was written on."""
    files = [file for folder in PROJECT for file in (root / folder).rglob("*")] + list(root.glob("*"))
    return [
        f"{file.relative_to(root)}:{number} names a path of one machine"
        for file in files
        if file.is_file() and file.suffix in TEXTS and "__pycache__" not in file.parts
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="ignore").splitlines(), 1)
        if MACHINE.search(line)
    ]
