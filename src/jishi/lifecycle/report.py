"""The page of a run: one HTML file, in English and Chinese, that needs nothing but itself.

It runs no script and loads nothing, by its own content security policy; rows are untrusted text and are always escaped.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jishi.core import i18n, publish
from jishi.lifecycle import figures, findings, parts, wording

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
        environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            evaluation=evaluation,
            verdict=findings.verdict(evaluation),
            cautions=findings.cautions(run),
            panels=figures.curves(run.get("events") or (), evaluation.get("metric", "")),
            classes=sorted(details.get("per_class") or (), key=lambda entry: (entry["f1"], -entry["support"])),
            confusion=details.get("confusion"),
            partial=details.get("partial"),
            opened=language or i18n.language(),
        )
    )


@cache
def environment() -> Any:
    """The templates of this folder, with what they may say and draw."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    speech = (wording.sentence, wording.title, wording.p_value, wording.fact, wording.brief, wording.transposed)
    environment.globals.update({function.__name__: function for function in speech})
    environment.globals.update(figures=figures, by_part=parts.table, languages=i18n.LANGUAGES, yaml=_yaml)
    environment.filters.update(number=wording.number, count=wording.count, short=wording.short)
    environment.tests.update(counts=wording.is_counts, grid=wording.is_grid, listing=wording.is_listing)
    return environment


def _yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
