"""Answers: sums in English with a small instruct model, small talk in two languages from nothing."""

from cases.case import LAST_ONLY, Case

SUMS = {
    "model": "smollm2-135m",
    "task": {"name": "text-generation", "max_length": 320, "decoding": {"max_new_tokens": 128}},
    "adapt": {"name": "lora", "rank": 8},
    "train": {"epochs": 1, "batch_size": 8, "validate_every": LAST_ONLY},
    "data": {"columns": {"prompt": "question"}, "validation_rows": 8, "test_rows": 24},
}
TALK = {
    "model": {"name": "transformer-decoder", "size": "tiny"},
    "task": {"name": "text-generation", "max_length": 128, "decoding": {"max_new_tokens": 40}},
    "train": {"epochs": 20, "batch_size": 32, "validate_every": LAST_ONLY},
    "data": {"on_bad_row": "skip"},  # a few dialogues end with the user
}
CASES = [
    Case("gsm8k 160 lora", "gsm8k", SUMS, 160, seeds=1),
    Case("chatterbot_dialogs all scratch", "chatterbot_dialogs", TALK, seeds=1),
]
