"""Write examples/data/questions: short texts about shops in Chinese and English with questions, in the form of SQuAD 2.

The texts are made from the sentences and values of questions.json; each leaves out two facts, and one question asks for one of
them: it has no answer. No value of the test part occurs in the other parts.

    python examples/questions.py
"""

import json
import random
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TEXTS = {"train": 60, "dev": 12, "test": 24}
LEFT_OUT = 2


def paragraph(source: dict[str, Any], half: str, rng: random.Random, name: str) -> dict[str, Any]:
    """One text of what its half ("shared" or "held_out") may use: a question a fact, and one that it does not answer."""
    facts, values = source["facts"], source["values"]
    chosen = {slot: rng.choice(given[half]) for slot, given in values.items()}
    order = rng.sample(sorted(facts), len(facts))
    text, qas = "", []
    for fact in order[LEFT_OUT:]:
        sentence, questions = facts[fact]
        slot = sentence.rpartition("{")[2].partition("}")[0]  # the last one is what is asked for
        before = (" " if text.endswith(".") else "") + sentence.partition(f"{{{slot}}}")[0].format(**chosen)
        answer = {"text": chosen[slot], "answer_start": len(text) + len(before)}
        text += (" " if text.endswith(".") else "") + sentence.format(**chosen)
        qas.append(
            {"id": f"{name}-{fact}", "question": rng.choice(questions), "answers": [answer], "is_impossible": False}
        )
    asked = facts[order[0]][1]
    qas.append({"id": f"{name}-none", "question": rng.choice(asked), "answers": [], "is_impossible": True})
    return {"context": text, "qas": qas}


def main() -> None:
    source = json.loads((HERE / "questions.json").read_text(encoding="utf-8"))
    rng, seen = random.Random(0), set()
    for part, count in TEXTS.items():
        articles: list[dict[str, Any]] = []
        for language in sorted(source):
            paragraphs: list[dict[str, Any]] = []
            while len(paragraphs) < count:
                half = "held_out" if part == "test" else "shared"
                made = paragraph(source[language], half, rng, f"{part}-{language}-{len(paragraphs)}")
                if made["context"] not in seen:
                    paragraphs.append(made)
                    seen.add(made["context"])
            articles.append({"title": language, "paragraphs": paragraphs})
        whole = json.dumps({"version": "v2.0", "data": articles}, ensure_ascii=False)
        lines = whole.replace('{"context"', '\n{"context"')  # a text a line
        (HERE / "data" / "questions" / f"{part}.json").write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
