"""The model card: front matter the Hub can read, scores beside their rivals, and nothing a label could break."""

import yaml

from jishi.lifecycle.card import card

SCORE = {"value": 0.9, "low": 0.85, "high": 0.94}
RECORD = {
    "task": {
        "name": "text-classification", "problem": "single", "labels": ["good_one", "bad|`x`\n# Heading"],
        "prefix": "query: ", "max_length": 512, "temperature": 1.3,
    },
    "adaptation": {"name": "lora"},
    "model": {"name": "e5-small", "base": "e5-small"},
    "data": {"fingerprint": "ab" * 32, "rows": {"train": 1280, "test": 200}},
    "scores": {"part": "test", "rows": 200, "accuracy": SCORE, "macro_f1": SCORE},
    "rivals": {"tf-idf + logistic regression": {"accuracy": {"value": 0.7, "low": 0.6, "high": 0.8}}},
}  # fmt: skip


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_front_matter_is_what_the_hub_reads():
    assert front(card({**RECORD, "license": "mit", "languages": ["zh", "en"]})) == {
        "language": ["zh", "en"],
        "license": "mit",
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "base_model": "e5-small",
        "tags": ["jishi"],
        "metrics": ["accuracy", "macro_f1"],
    }


def test_what_is_not_recorded_is_left_out():
    text = card({"task": {"name": "masked-lm"}})
    assert front(text) == {"library_name": "transformers", "base_model": "scratch", "tags": ["jishi"]}
    assert "was not scored" in text and "AutoModelForMaskedLM" in text
    assert "No licence is stated" in text


def test_every_score_stands_beside_its_rival_with_its_interval():
    text = card(RECORD)
    assert "| metric | this model | tf-idf + logistic regression |\n|---|---:|---:|\n" in text
    assert (
        "| `accuracy` (decides) | 0.900 [0.850, 0.940] | 0.700 [0.600, 0.800] |\n| `macro_f1` | 0.900 [0.850, 0.940] | – |\n"
        in text
    )
    assert "On 200 test rows" in text
    assert "`accuracy` 为 0.900 [0.850, 0.940]；对照 tf-idf + logistic regression：0.700" in text


def test_names_keep_their_letters_and_lose_their_markup():
    text = card({**RECORD, "rivals": {"<b>|x_y": {"accuracy": SCORE}}})
    assert "`good_one`, `bad|'x' # Heading`." in text
    assert "\n# Heading" not in text
    assert "| \\<b\\>\\|x\\_y |" in text


def test_use_with_and_without_jishi_is_code_that_parses():
    text = card(RECORD)
    blocks = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "card", "exec")
    assert 'jishi.predict("path/to/bundle", [{"text": "…"}])' in blocks[0]
    assert 'processor("query: …", return_tensors="pt")' in blocks[1]
    assert "AutoModelForSequenceClassification" in blocks[1]


def test_data_calibration_and_limits_are_told():
    text = card({**RECORD, "calibration": {"ece": 0.031, "brier": 0.08}})
    assert "train 1,280, test 200" in text and "ab" * 32 in text
    assert "Expected calibration error 0.031" in text and "divided by 1.300" in text
    assert "reads 512 tokens" in text


def test_an_adapter_names_the_base_it_needs_and_shows_no_way_to_load_it_alone():
    text = card({**RECORD, "base": {"name": "e5-small", "sha256": "cd" * 32}})
    assert "cd" * 32 in text and ".from_pretrained(" not in text and "jishi.predict(" in text
    assert ".from_pretrained(" in card(RECORD)


def test_a_model_of_pairs_is_shown_two_texts():
    text = card({**RECORD, "task": {**RECORD["task"], "pairs": "always"}})
    assert "Give it `text` (text) and `text_pair` (text)" in text
    assert '{"text": "…", "text_pair": "…"}' in text
    assert '"query: …", "…"' in text
