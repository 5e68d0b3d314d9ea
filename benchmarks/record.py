"""What benchmarks keep of their runs, and how it comes into the pages of both languages."""

import json
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LANGUAGES = ("en", "zh")


def kept(name: str) -> dict[str, Any]:
    """The figures of `results/<name>.json`; none where nothing has been run."""
    file = _file(name)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def keep(name: str, found: Any) -> None:
    """Write them, in the order of their keys."""
    file = _file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True)
    file.write_text(text + "\n", encoding="utf-8")


def into_docs(page: str, table: Callable[[str], str], mark: str = "table", end: str = "end") -> None:
    """Put the table of each language between its marks: `<!-- table -->` and `<!-- end -->`. Raises ValueError without them."""
    for language in LANGUAGES:
        file = ROOT / "docs" / language / f"{page}.md"
        head, begun, rest = file.read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
        _, ended, tail = rest.partition(f"<!-- {end} -->")
        if not (begun and ended):
            raise ValueError(f"{file} has no <!-- {mark} --> and <!-- {end} --> on lines of their own")
        file.write_text(f"{head}{begun}{table(language)}\n{ended}{tail}", encoding="utf-8")


def most_memory(pid: int) -> float:
    """The most KiB that a process and its children have held, each by itself (Linux)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    told = [Path(f"/proc/{one}/status").read_text() for one in (pid, *children)]
    return sum(float(status.partition("VmHWM:")[2].split()[0]) for status in told)


def spread(scores: Sequence[float]) -> str:
    """The mean, and ± the standard deviation where there are several."""
    return f"{statistics.mean(scores):.3f}" + (f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else "")


def machine() -> str:
    """The processor, and the numbers of matrix products it has."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    flags = next((line for line in lines if line.startswith("flags")), "")
    return ", ".join([model, *(name for name in ("amx_bf16", "avx512_bf16") if name in flags)][:2])


def _file(name: str) -> Path:
    return ROOT / "benchmarks" / "results" / f"{name}.json"
