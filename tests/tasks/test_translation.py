"""Translation: what rows it takes, what is learnt, written and scored. What every task promises is in contracts/."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

import jishi
from eight import PARALLEL
from jishi.core.contracts import Base
from jishi.core.errors import ModelError, RowError, UsageError
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec
from jishi.models import load, subwords
from jishi.models.decoding import Decoding
from jishi.models.inference import outputs
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from jishi.tasks.translation import Translation
from jishi.training.packing import packable

ROWS = [{"source": chinese, "target": english} for chinese, english in PARALLEL]
BASE = Base("x", "text", max_length=64, fresh=True)
SHORT = Decoding("beam", max_new_tokens=12, beams=3)


@pytest.fixture(scope="module")
def processor():
    return subwords.learn("any", ROWS)


def model(processor, seed: int = 0):
    torch.manual_seed(seed)
    spec = ModelSpec("transformer-encoder-decoder", size="nano", dropout=0.0)
    return load.model(spec, Translation().head(), load.base(spec), processor).eval()


@pytest.mark.parametrize(
    "raw",
    [
        {"source": "你好", "target": "Hello", "more": 1},
        {"text": "你好", "translation": "Hello"},
        {"source": ["你好"], "target": "Hello"},
        {"source": "", "target": "", "text": "你好", "translation": "Hello"},
    ],
)
def test_rows_are_read_under_their_usual_names(raw) -> None:
    assert Translation().parse(raw) == {"source": "你好", "target": "Hello"}


@pytest.mark.parametrize(
    "raw", [{"source": "你好"}, {"source": "你好", "target": " "}, {"text": "你好", "target": "Hello"}]
)
def test_a_row_without_a_reference_is_refused_in_training_and_answered_later(raw) -> None:
    with pytest.raises(RowError, match="no text to be written"):
        Translation().parse(raw)
    assert Translation().parse(raw, training=False) == {"source": "你好"}


def test_a_row_without_a_source_is_refused() -> None:
    for training in (True, False):
        with pytest.raises(RowError, match="no text to read"):
            Translation().parse({"target": "Hello"}, training=training)


def test_an_empty_reference_is_refused_with_its_line_and_copies_are_counted(tmp_path: Path) -> None:
    """Twenty thousand different targets would be no labels: none is told, and no row is refused for being new."""
    rows = [*ROWS, {"source": "OK.", "target": "OK."}]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = prepare(DataSpec(str(file), split=[0.5, 0.25, 0.25]), Translation(), tmp_path / "a")
    assert sum(found.report["copied"].values()) == 1
    assert not any(found.report["labels"].values()) and not found.report["missing_in_train"]
    file.write_text(json.dumps(ROWS[0]) + "\n" + json.dumps({"source": "你好", "target": ""}) + "\n", encoding="utf-8")
    with pytest.raises(RowError, match=r"a\.jsonl:2: .*no text to be written"):
        prepare(DataSpec(str(file)), Translation(), tmp_path / "b")


def test_targets_end_and_cut_ones_do_not(processor) -> None:
    task = Translation(decoding=replace(SHORT, max_new_tokens=5)).initialize(ROWS, BASE)
    short = task.encode({"source": "茶", "target": "I"}, processor)
    assert short["labels"].tolist()[-1] == processor.eos_token_id and not short["truncated"]
    cut = task.encode(ROWS[0], processor)
    assert len(cut["labels"]) == 5 and processor.eos_token_id not in cut["labels"] and cut["truncated"]
    assert cut["length"] == len(cut["input_ids"]) + 5
    assert not task.encode({"source": ROWS[0]["source"]}, processor)["truncated"]


def test_the_loss_is_the_mean_over_the_tokens_to_be_written_and_smoothed_in_training_only(processor) -> None:
    """Against a sum over rows one by one, from the model's own logits and log-probabilities."""
    task, net = Translation(label_smoothing=0.2).initialize(ROWS, BASE), model(processor)
    features = [task.encode(row, processor) for row in ROWS]
    plain = smooth = count = 0.0
    for row in features:
        labels = torch.tensor(row["labels"], dtype=torch.long)[None]
        logits = net(input_ids=torch.tensor(row["input_ids"], dtype=torch.long)[None], labels=labels).logits[0]
        chances = logits.log_softmax(-1)
        plain -= float(chances.gather(1, labels.T).sum().detach())
        smooth -= float(chances.mean(1).sum().detach())
        count += labels.shape[1]
    batch = task.collate(features, processor)
    found = task.loss(net, batch)
    assert found.value.item() == pytest.approx(plain / count, abs=1e-5) and found.count == count
    net.train()
    assert task.loss(net, batch).value.item() == pytest.approx((0.8 * plain + 0.2 * smooth) / count, abs=1e-5)


def test_eight_pairs_are_learnt_by_heart_and_written_down(tmp_path: Path) -> None:
    """From the rows to the bundle, and from the bundle's own processes to the text."""
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    found = jishi.finetune(
        data={"train": str(tmp_path / "train.jsonl"), "test": str(tmp_path / "train.jsonl"), "split": [1, 0, 0]},
        task={"name": "translation", "decoding": {"method": "beam", "max_new_tokens": 40, "beams": 2}},
        model={"name": "transformer-encoder-decoder", "size": "nano", "dropout": 0.0},
        train={"epochs": 150, "batch_size": 8, "learning_rate": 1e-3, "scheduler": "constant", "precision": "fp32"},
        evaluate={"name": "task-score", "samples": 20},
        out=str(tmp_path / "run"),
    )
    scores = {name: entry["value"] for name, entry in found.evaluation["scores"].items()}
    assert scores["chrf"] == pytest.approx(1) and scores["bleu"] == pytest.approx(1)
    assert found.evaluation["rivals"]["untuned"]["scores"]["chrf"]["value"] < 0.5
    assert found.baseline == "nearest row"
    answer = jishi.predict(found.bundle, ["我喜欢喝茶。"])[0]
    assert answer["text"] == "I like to drink tea." and answer["complete"] and answer["log_probability"] < 0


def test_what_is_not_brought_to_an_end_says_so(processor) -> None:
    task = Translation(decoding=replace(SHORT, max_new_tokens=3)).initialize(ROWS, BASE)
    answers = Predictor(model(processor), task, processor, {}).predict(["今天天气很好。"])
    assert answers[0]["complete"] is False and not math.isnan(answers[0]["log_probability"])


def test_stop_strings_cut_the_text(processor) -> None:
    task = Translation(decoding=SHORT).initialize(ROWS, BASE)
    rows = torch.tensor([[token, -1.0, 1.0] for token in processor("I like to drink tea.")["input_ids"]])
    assert task.decode([rows], [{}], processor)[0]["text"] == "I like to drink tea."
    stopping = replace(task, decoding=replace(SHORT, stop=(" drink",)))
    assert stopping.decode([rows], [{}], processor)[0]["text"] == "I like to"


def test_wrong_decoding_is_refused_before_training() -> None:
    with pytest.raises(UsageError, match="beams"):
        Translation(decoding=Decoding("beam", beams=1)).initialize(ROWS, BASE)


def test_scores_are_zero_to_one_and_credit_is_that_of_the_row() -> None:
    task = Translation()
    said = [{"text": "abc"}, {"text": "I like to drink tea."}]
    rows = [{"source": "x", "target": "abd"}, ROWS[1]]
    assert task.score(said[1:], rows[1:]) == pytest.approx({"chrf": 1.0, "bleu": 1.0})
    assert task.credit(said[0], rows[0]) == pytest.approx((2 / 3 + 1 / 2) / 3)  # by hand in metrics/


def test_padding_is_not_packed_away_where_two_texts_are_read(processor) -> None:
    task = Translation().initialize(ROWS, BASE)
    batch = task.collate([task.encode(row, processor) for row in ROWS[:2]], processor)
    assert not packable(model(processor), task, batch)


def folder(path: Path, kind: str, processor):
    """A checkpoint with random weights, as transformers writes it."""
    torch.manual_seed(1)
    words, pad, end = len(processor), processor.pad_token_id, processor.eos_token_id
    if kind == "t5":
        config = T5Config(
            vocab_size=words, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, pad_token_id=pad, eos_token_id=end,
            decoder_start_token_id=pad,
        )  # fmt: skip
        built = T5ForConditionalGeneration(config)
    else:  # the one begins with padding, the other, which shifts no labels by itself, with the end
        config = (MarianConfig if kind == "marian" else M2M100Config)(
            vocab_size=words, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, pad_token_id=pad,
            eos_token_id=end, decoder_start_token_id=pad if kind == "marian" else end, forced_eos_token_id=None, init_std=0.2,
        )  # fmt: skip
        built = (MarianMTModel if kind == "marian" else M2M100ForConditionalGeneration)(config)
    built.save_pretrained(path)
    processor.save_pretrained(path)
    return built.eval()


@pytest.mark.parametrize("kind", ["t5", "marian", "m2m100"])
def test_a_folder_of_transformers_writes_as_its_own_generate_does(kind: str, processor, tmp_path: Path) -> None:
    theirs = folder(tmp_path, kind, processor)
    spec = ModelSpec(str(tmp_path))
    words, base = load.processor(spec), load.base(spec)
    task = Translation(decoding=Decoding(max_new_tokens=10)).initialize(ROWS, base)
    ours = load.model(spec, task.head(), base, words).eval()
    features = [task.encode({"source": row["source"]}, words) for row in ROWS[:4]]
    found = [row[:, 0].long().tolist() for row in outputs(task, ours, features, words)]
    for row, feature in zip(found, features, strict=True):
        ids = torch.tensor(feature["input_ids"], dtype=torch.long)[None]
        expected = theirs.generate(ids, max_new_tokens=10, do_sample=False, num_beams=1)[0, 1:].tolist()
        assert row == expected[: len(row)] and (len(row) == 10 or row[-1] == words.eos_token_id)
    batch = task.collate([task.encode(row, words) for row in ROWS], words)
    with torch.no_grad():
        expected = theirs(**{name: batch[name] for name in ("input_ids", "attention_mask", "labels")}).loss.item()
    assert task.loss(ours, batch).value.item() == pytest.approx(expected, abs=1e-5)


def test_a_model_that_says_no_start_is_refused_in_a_sentence(processor) -> None:
    config = MBartConfig(
        vocab_size=len(processor), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
    )  # fmt: skip
    task, net = Translation().initialize(ROWS, BASE), MBartForConditionalGeneration(config)
    with pytest.raises(ModelError, match="decoder_start_token_id"):
        task.loss(net, task.collate([task.encode(row, processor) for row in ROWS], processor))


def test_no_more_is_written_than_the_model_has_positions_for() -> None:
    assert Translation(decoding=Decoding(max_new_tokens=500)).initialize(ROWS, BASE).decoding.max_new_tokens == 64


@pytest.mark.parametrize("decoding", [SHORT, Decoding(max_new_tokens=12)])
def test_a_stream_makes_up_the_answer(processor, decoding) -> None:
    asked = Predictor(model(processor), Translation(decoding=decoding, prefix="", max_length=64), processor, {})
    assert "".join(asked.generate_stream(ROWS[0]["source"])).strip() == asked.predict([ROWS[0]["source"]])[0]["text"]
