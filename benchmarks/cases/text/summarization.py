"""A title for an abstract, the conclusion of a study. A few hundred rows and no pretraining: the first words are hard to beat."""

from cases.case import LAST_ONLY, Case


def summaries(data: str, document: str, summary: str, epochs: int, tokens: int, seeds: int = 3) -> Case:
    """A two-layer encoder-decoder of width 128 that may copy, judged on 300 of the official test rows."""
    settings = {
        "model": {"name": "pointer-generator", "size": "tiny"},
        "task": {
            "name": "summarization",
            "max_length": 384,
            "decoding": {"method": "beam", "beams": 3, "max_new_tokens": tokens, "no_repeat_ngram": 3},
        },
        "train": {"epochs": epochs, "batch_size": 8, "learning_rate": 1e-3, "validate_every": LAST_ONLY},
        "data": {"columns": {"document": document, "summary": summary}, "validation_rows": 50, "test_rows": 300},
    }
    return Case(data, data, settings, seeds=seeds)


CASES = [
    summaries("csl_abstracts_zh", "abstract", "title", 24, 40, seeds=1),
    summaries("pubmedqa", "contexts", "long_answer", 12, 80),
]
