"""The model card of a bundle: the page the Hub shows, filled from the bundle's own record (Mitchell et al. 2019)."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jishi.core import registry, spec
from jishi.core.contracts import Modality, Objective, Task
from jishi.core.document import Document
from jishi.lifecycle import wording


def card(record: Mapping[str, Any]) -> str:
    """The card of a bundle's record (`jishi.json`) as Markdown with YAML front matter; what is not recorded is left out."""
    given = record["task"]
    objective = spec.plugin(Objective, Document(given, "task"))
    scores = {name: score for name, score in (record.get("scores") or {}).items() if isinstance(score, Mapping)}
    decisive = getattr(objective, "metric", "")
    columns = list(objective.required()) or list(objective.columns)[:1]
    base = str((record.get("model") or {}).get("base") or "scratch")
    raw = _raw(objective, columns)
    return (
        _template()
        .render(
            front=_front(record, base, list(scores)),
            title=f"{given['name']} · {_text(base)}",
            task=given["name"],
            base=base,
            apart=record.get("base"),
            graph=record.get("graph"),
            compression=record.get("compression") or (),
            parent=record.get("parent"),
            adaptation=(record.get("adaptation") or {}).get("name"),
            inputs=" and ".join(f"`{column}` ({objective.columns[column].rstrip('?')})" for column in columns),
            labels=given.get("labels") or (),
            data={"rows": None, "fingerprint": None, **(record.get("data") or {})},
            scores=scores,
            rows=(record.get("scores") or {}).get("rows"),
            part=(record.get("scores") or {}).get("part", "held-out"),
            level=f"{100 * record.get('level', 0.95):g}",
            decisive=decisive,
            rivals=record.get("rivals") or {},
            calibration=record.get("calibration"),
            temperature=given.get("temperature"),
            max_length=given.get("max_length"),
            prefix=given.get("prefix"),
            license=record.get("license"),
            example=json.dumps(dict.fromkeys(columns, "…"), ensure_ascii=False),
            raw=raw,
            auto=f"AutoModel{objective.head().architecture}",
        )
        .strip()
        + "\n"
    )


def _front(record: Mapping[str, Any], base: str, metrics: list[str]) -> str:
    """The YAML front matter the Hub reads."""
    import yaml

    name = record["task"]["name"]
    front = {
        "language": record.get("languages"),
        "license": record.get("license"),
        "library_name": "transformers",
        "pipeline_tag": name if name in registry.names(Task) else None,
        "base_model": base,
        "tags": ["jishi"],
        "metrics": metrics,
    }
    return yaml.safe_dump(
        {key: value for key, value in front.items() if value}, allow_unicode=True, sort_keys=False
    ).strip()


def _raw(objective: Objective, columns: list[str]) -> str:
    """How plain transformers is called: one text or two, the first with the prefix; other inputs by keyword."""
    texts = [name for name in columns if not registry.get(Modality, objective.columns[name].rstrip("?")).binary]
    if not texts:
        return f"{columns[0]}s={columns[0]}"
    prefix = getattr(objective, "prefix", None) or ""
    return ", ".join(json.dumps(text, ensure_ascii=False) for text in [f"{prefix}…", *["…"] * (len(texts) - 1)])


def _text(value: Any) -> str:
    """A name of the user's as inert Markdown on one line."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(str(value).split()))


def _code(value: Any) -> str:
    """A name of the user's for between backticks."""
    return " ".join(str(value).replace("`", "'").split())


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "–"
    return f"{wording.number(score['value'])} [{wording.number(score['low'])}, {wording.number(score['high'])}]"


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # Markdown; what users wrote passes through `text` or `code`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(text=_text, code=_code, cell=_cell, number=wording.number, count=wording.count)
    return environment.get_template("card.md.j2")
