"""What is made of a written answer: its text, its scores, and the plain rivals that stand beside it."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from jishi.core.contracts import Batch, Prediction, Row
from jishi.metrics import generation, language_model
from jishi.models.ends import Ends
from jishi.models.generate import certain
from jishi.tasks import _rivals

ANSWERS = {"text": str, "log_probability": float, "complete": bool}
METRIC_OF_ANSWERS, METRIC_OF_TEXT = "chrf", "likelihood"


def prediction(output: Any, ends: Ends) -> Prediction:
    """The text of an answer (N, 3), the mean log-probability of its tokens, and whether it came to an end."""
    table = certain(output)
    ids = [round(token) for token in table[:, 0].tolist()]
    return {
        "text": ends.text(ids).strip(),
        "log_probability": float(table[:, 1].mean()) if ids else 0.0,
        "complete": bool(ids) and ends.reached(ids),
    }


def chosen(batch: Batch) -> Batch:
    """Of a batch of pairs, the chosen answers alone."""
    names = ("input_ids", "attention_mask", "labels")
    return {**batch, **{name: batch[name][: len(batch[name]) // 2] for name in names}}


def score(predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
    """Of answers: chrF, BLEU, ROUGE, exact matches, distinct-2. Where the reference was weighed ("nats"), how well it was
    foreseen; of pairs, the share in which the chosen answer was likelier than the rejected one."""
    found: dict[str, float] = {}
    answered = [(given, row) for given, row in zip(predictions, rows, strict=True) if row.get("answer") is not None]
    if answered:
        texts = [given["text"] for given, _ in answered]
        truth = [row["answer"].strip() for _, row in answered]
        found = {
            "chrf": generation.chrf(texts, truth),
            "bleu": generation.bleu(texts, truth),
            **generation.rouge(texts, truth),
            "exact": sum(map(str.__eq__, texts, truth)) / len(truth),
            "distinct2": generation.distinct(texts, 2),
        }
    if all("nats" in given for given in predictions):
        nats = sum(given["nats"] for given in predictions)
        length = sum(map(characters_of, rows))
        found["likelihood"] = language_model.likelihood(nats, length)
        found["bits_per_character"] = language_model.bits_per_character(nats, length)
        if all("targets" in given for given in predictions):
            found["perplexity"] = language_model.perplexity(nats, sum(given["targets"] for given in predictions))
    if predictions and all("preferred" in given for given in predictions):
        found["preferred"] = sum(given["preferred"] for given in predictions) / len(predictions)
    return found


def characters_of(row: Row) -> int:
    """Characters of what is to be learnt of a row: its text, or its answer and those before it."""
    if row.get("prompt") is None:
        return len(row["text"])
    said = [turn["content"] for turn in row["prompt"] if turn["role"] == "assistant"]
    return sum(map(len, [*said, row.get("answer") or ""]))


def nearest(rows: Sequence[Row]) -> _rivals.Plain:
    """The answer of the training prompt that is nearest by tf-idf."""
    from sklearn.metrics.pairwise import linear_kernel

    answers = [row["answer"] for row in rows]
    front = _rivals.vectors(_asked(rows))
    try:
        known = front.fit_transform(_asked(rows))
    except ValueError:  # no prompt holds a term
        common = Counter(answers).most_common(1)[0][0]
        return _rivals.Plain("majority", len, lambda count: [{"text": common}] * count)
    return _rivals.Plain(
        "nearest prompt",
        _asked,
        lambda asked: [{"text": answers[place]} for place in linear_kernel(front.transform(asked), known).argmax(1)],
    )


def characters(rows: Sequence[Row]) -> _rivals.Plain:
    """How frequent each character of the training texts is; one never seen counts as seen once."""
    counts = Counter(character for row in rows for character in row["text"])
    total = math.log(counts.total() + len(counts) + 1)

    def weigh(texts: Sequence[str]) -> list[Prediction]:
        return [{"text": "", "nats": sum(total - math.log(counts[one] + 1) for one in text)} for text in texts]

    return _rivals.Plain("character frequencies", lambda given: [row["text"] for row in given], weigh)


def _asked(rows: Sequence[Row]) -> list[str]:
    """What the conversation says last before the answer, and what was said before it."""
    return ["\n".join(turn["content"] for turn in row["prompt"] if turn["role"] != "system") for row in rows]
