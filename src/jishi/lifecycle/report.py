"""The page of a run: one HTML file, in English and Chinese, that needs nothing but itself.

It runs no script and loads nothing, by its own content security policy; rows are untrusted text and are always escaped.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jishi.core import i18n, publish
from jishi.lifecycle import figures, findings

NAME = "report.html"


def write(folder: Path, run: Mapping[str, Any], language: str | None = None) -> Path:
    """Write `report.html` into a run's folder."""
    path = Path(folder) / NAME
    publish.write_text(path, html(run, language))
    return path


def html(run: Mapping[str, Any], language: str | None = None) -> str:
    """The page of `run`: any of "spec", "data", "events", "evaluation", "resources" and "versions".

    Both languages are in the page; `language` ("en" or "zh") is the one it opens in, by default the one in force.
    """
    evaluation = run.get("evaluation") or {}
    details = evaluation.get("details") or {}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            evaluation=evaluation,
            verdict=findings.verdict(evaluation),
            cautions=findings.cautions(run),
            panels=figures.curves(run.get("events") or (), evaluation.get("metric", "")),
            classes=sorted(details.get("per_class") or (), key=lambda entry: (entry["f1"], -entry["support"])),
            confusion=details.get("confusion"),
            opened=language or i18n.language(),
        )
    )


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        sentence=sentence, title=title, figures=figures, p_value=p_value, languages=i18n.LANGUAGES, yaml=_yaml
    )
    environment.filters.update(number=number, count=count, size=size, duration=duration)
    return environment


def sentence(code: str, lang: str, **values: object) -> str:
    """A sentence of the page's catalogue in one language."""
    return i18n.text(f"report.{code}", lang, **values)


def title(key: str, lang: str) -> str:
    """The heading of a key: its own where the catalogue has one, else the key itself."""
    known = i18n.catalogue().get(f"report.key-{key.replace('_', '-')}")
    return known[lang] if known else key.replace("_", " ")


def number(value: float | None) -> str:
    """A score or a measured value, three decimals or four digits; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.3f}" if 0.001 <= abs(value) < 10 or value == 0 else f"{value:.4g}"


def count(value: float) -> str:
    """A whole number in groups of three."""
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes for reading."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def duration(seconds: float) -> str:
    """Seconds for reading."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def p_value(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"


def _yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
