"""Write examples/data/requests: what customers ask a shop, in Chinese and English, with the intent and the values named.

Made from the templates and values of requests.json. No value and no template of the test part occurs in the other parts. Slots
are given as values by name; where they stand is found in the text.

    python examples/requests.py
"""

import json
import random
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROWS = {"train": 300, "dev": 60, "test": 80}


def request(source: dict[str, Any], half: str, rng: random.Random) -> dict[str, Any]:
    """One row, made of what its half ("shared" or "held_out") may use."""
    said = source[rng.choice(sorted(source))]
    intent = rng.choice(sorted(said["templates"]))
    template = rng.choice(said["templates"][intent][half])
    slots = {name: rng.choice(said[name][half]) for name in re.findall(r"\{(\w+)\}", template)}
    return {"text": template.format(**slots), "intent": intent, "slots": slots}


def main() -> None:
    source = json.loads((HERE / "requests.json").read_text(encoding="utf-8"))
    rng, seen = random.Random(0), set()
    for part, count in ROWS.items():
        rows: list[dict[str, Any]] = []
        while len(rows) < count:
            row = request(source, "held_out" if part == "test" else "shared", rng)
            if row["text"] not in seen:
                rows.append(row)
                seen.add(row["text"])
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (HERE / "data" / "requests" / f"{part}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()
