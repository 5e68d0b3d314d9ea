"""Run commands of the terminal as a user would, and read what they say."""

import json
import os
from pathlib import Path

from typer.testing import CliRunner

from jishi.cli import app

SMALL = ["model.name=text-cnn", "model.size=nano", "train.max_steps=2", "train.threads=1"]
SMALL_RUN = {"model": {"name": "text-cnn", "size": "nano"}, "train": {"max_steps": 2, "threads": 1}}


def ask(*words, code=0):
    """The result of a command, its standard output and error apart."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def refusal(*words, code=1, left=()):
    """The sentence a command is refused with: alone on stderr, in both languages, with nothing half-written behind it."""
    folder = Path.cwd()
    before = below(folder)
    told = {}
    for lang in ("zh", "en"):
        result = ask(*words, "--lang", lang, code=code)
        told[lang] = result.stderr.strip()
        assert told[lang] and "\n" not in told[lang], result.stderr
        assert below(folder) - before <= set(left), below(folder) - before
    assert any("\u4e00" <= letter <= "\u9fff" for letter in told["zh"]) and told["zh"] != told["en"]
    as_json = json.loads(ask(*words, "--json", "--lang", "en", code=code).stdout.splitlines()[-1])
    assert as_json["error"]["message"] == told["en"]
    return as_json["error"]["code"], told["en"]


def lines(count=64, labels=("good", "bad")) -> list[dict[str, str]]:
    words = ["很好用", "质量很差", "works well", "broke at once"]
    return [{"text": f"{words[i % 4]} {i}", "label": labels[i % len(labels)]} for i in range(count)]


def jsonl(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "JISHI_LANG": "en", "PYTHONWARNINGS": "ignore"}
