"""Write examples/data/entities: short sentences in Chinese and English with people, places and organisations marked.

The sentences are made from the templates and names of entities.json. No name and no template of the test part occurs in the
other parts: a model that has only learnt names by heart finds nothing there.

    python examples/entities.py
"""

import json
import random
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROWS = {"train": 360, "dev": 60, "test": 120}


def sentence(source: dict[str, Any], half: str, rng: random.Random) -> dict[str, Any]:
    """One row, made of what its half ("shared" or "held_out") may use; no name comes twice."""
    language = rng.choice(sorted(source))
    text, spans = "", []
    for piece in re.split(r"(\{\w+\})", rng.choice(source[language]["templates"][half])):
        if piece.startswith("{"):
            label = piece.strip("{}")
            name = rng.choice([name for name in source[language][label][half] if name not in text])
            spans.append({"start": len(text), "end": len(text) + len(name), "label": label})
            piece = name
        text += piece
    return {"text": text, "spans": spans}


def main() -> None:
    source = json.loads((HERE / "entities.json").read_text(encoding="utf-8"))
    rng, seen = random.Random(0), set()
    for part, count in ROWS.items():
        rows: list[dict[str, Any]] = []
        while len(rows) < count:
            row = sentence(source, "held_out" if part == "test" else "shared", rng)
            if row["text"] not in seen:
                rows.append(row)
                seen.add(row["text"])
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (HERE / "data" / "entities" / f"{part}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
