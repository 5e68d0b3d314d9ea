"""Every sentence a user sees stands in English and in Chinese, and is used."""

import ast
import json
import re
import string
from collections.abc import Iterator
from pathlib import Path

from house.tree import at, sources, tree
from jishi.core import errors

CODED = {name for name, value in vars(errors).items() if isinstance(value, type)} | {"i18n.text", "text"}


def catalogue_is_bilingual(root: Path) -> list[str]:
    """Every sentence stands in English and Chinese, with the same placeholders."""
    faults = []
    for code, entry in _entries(root).items():
        if set(entry) != {"en", "zh"} or not all(entry.values()):
            faults.append(f"{code} needs an en and a zh sentence, nothing else")
        elif _placeholders(entry["en"]) != _placeholders(entry["zh"]):
            faults.append(f"{code} names other values in English than in Chinese")
        elif re.search("[a-z]{3}", re.sub("{.*?}", "", entry["en"])) and not re.search("[\u4e00-\u9fff]", entry["zh"]):
            faults.append(f"{code} has no Chinese in its Chinese sentence")
    return faults


def catalogue_is_complete(root: Path) -> list[str]:
    """Every code the source raises has an entry, and every entry is used: whole, or by a prefix that an f-string fills."""
    entries = _entries(root)
    faults = [f"{where}: the code {code} has no sentence" for where, code in _raised(root) if code not in entries]
    words, prefixes = _words(root)
    unused = [code for code in entries if code not in words and not any(code.startswith(start) for start in prefixes)]
    return faults + [f"the sentence {code} is never used" for code in unused]


def docs_have_twins(root: Path) -> list[str]:
    """Every English page has a Chinese one, and the other way round."""
    english, chinese = ({page.name for page in (root / "docs" / lang).glob("*.md")} for lang in ("en", "zh"))
    return [f"docs: {page} stands in one language only" for page in sorted(english ^ chinese)]


def _entries(root: Path) -> dict[str, dict[str, str]]:
    files = sorted((root / "src" / "jishi" / "core" / "messages").glob("*.json"))
    read = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    return {f"{area}.{name}": entry for area, sentences in read.items() for name, entry in sentences.items()}


def _raised(root: Path) -> Iterator[tuple[str, str]]:
    """Where an error is made or a sentence fetched, and the code it is given."""
    for path in sources(root):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name, code = ast.unparse(node.func), node.args[0].value
                if name in CODED and isinstance(code, str) and re.fullmatch(r"[a-z]+\.[a-z0-9-]+", code):
                    yield at(path, node.lineno), code


def _words(root: Path) -> tuple[set[str], set[str]]:
    """Every string of the source and every word of its pages that could be a code; and what f-strings begin with."""
    words: set[str] = set()
    prefixes: set[str] = set()
    for path in sources(root):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                start = str(node.values[0].value)
                prefixes |= {start} if re.fullmatch(r"[a-z]+\.[a-z-]*", start) else set()
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    for page in (root / "src" / "jishi").rglob("*"):
        if page.suffix in (".html", ".js", ".j2"):
            words |= set(re.findall(r"[a-z]+\.[a-z][a-z0-9-]*", page.read_text(encoding="utf-8")))
    return words, prefixes


def _placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}
