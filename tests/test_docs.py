"""What the documentation shows is what happens: its blocks are run, its twins agree, its reference is current."""

import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from jishi import cli

ROOT = Path(__file__).parent.parent
ENGLISH = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs" / "en").glob("*.md")])
RUN = [page for page in ENGLISH if re.search(r"^```(sh|python)$", page.read_text(encoding="utf-8"), re.MULTILINE)]
FENCE = re.compile(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    kind: str  # "sh" and "python" are run, "text", "yaml" and "json" are shown
    note: str  # "skip: why" where it can't be
    code: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


def twin(page: Path) -> Path:
    return ROOT / "README.zh-CN.md" if page.name == "README.md" else ROOT / "docs" / "zh" / page.name


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_the_page_does_what_it_says(page, tmp_path, monkeypatch):
    """Every block of a page in turn, a design that starts from nothing in the place of `e5-small`, so that it takes seconds."""
    run(page, tmp_path, monkeypatch, {"e5-small": "transformer-encoder"})


@pytest.mark.slow
@pytest.mark.embedded
def test_the_readme_holds_for_the_embedded_model_too(tmp_path, monkeypatch):
    run(ROOT / "README.md", tmp_path, monkeypatch, {})


def run(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, instead: dict[str, str]) -> None:
    for name in ("examples", "recipes"):
        shutil.copytree(ROOT / name, folder / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        instead = {**instead, "8123": str(free.getsockname()[1])}
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for block in blocks(page):
        code = block.code
        for shown, used in instead.items():
            code = code.replace(shown, used)
        if block.kind == "python" and not block.note:
            exec(compile(code, page.name, "exec"), {"__name__": "__main__"})
        elif block.kind == "sh" and not block.note:
            shell(code, monkeypatch)


def shell(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a block: plain `jishi` commands in this process, which has loaded torch already, anything else in bash."""
    lines = code.splitlines()
    if not all(re.match(r"jishi [^|<>&$]*$", line) for line in lines):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return
    for line in lines:
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert not left.value.code, line


@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.stem)
def test_every_block_is_run_shown_or_skipped_for_a_reason(page):
    for block in blocks(page):
        assert block.kind in {"sh", "python", "text", "yaml", "json", "mermaid"}, block
        assert not block.note or re.match(r"skip: \w", block.note), block


@pytest.mark.parametrize(
    "page", [page for page in ENGLISH if page.name != "CONTRIBUTING.md"], ids=lambda page: page.stem
)
def test_the_chinese_page_runs_the_same_blocks(page):
    def code(page: Path) -> list[Block]:
        return [block for block in blocks(page) if block.kind in ("sh", "python")]

    assert code(twin(page)) == code(page)


def test_every_link_leads_to_a_file():
    pages = [*ENGLISH, *(ROOT / "docs").rglob("*.md"), ROOT / "README.zh-CN.md"]
    for page in set(pages):
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_reference_is_what_the_options_say():
    spec = importlib.util.spec_from_file_location("build", ROOT / "docs" / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    for path, content in build.pages().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name} is out of date: run make docs"


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) < 60
