"""Under which licence a model may be used, where that is said beside it."""

from pathlib import Path

import yaml

from jishi.core.errors import JishiError
from jishi.models import embedded, origin
from jishi.models.spec import ModelSpec

CARD = "README.md"
MAX_CARD = 2**20  # bytes


def licence(spec: ModelSpec) -> str | None:
    """The name of the licence: of an embedded model, or what the card of a folder says at its head; None where nobody says."""
    known = {str(entry["name"]): str(entry["licence"]) for entry in embedded.listing()}
    if spec.name in known:
        return known[spec.name]
    try:
        place = origin.locate(spec)
        card = place / CARD if isinstance(place, Path) else Path()
        if not card.is_file() or card.stat().st_size > MAX_CARD:
            return None
        head, mark, _ = card.read_text(encoding="utf-8").removeprefix("---\n").partition("\n---")
        said = yaml.safe_load(head) if mark else None
    except (JishiError, OSError, ValueError, yaml.YAMLError):
        return None
    return str(said["license"]) if isinstance(said, dict) and said.get("license") else None
