"""From texts without labels to a base that fine-tuning starts from."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from safetensors.numpy import load_file

import jishi
from jishi.core import i18n
from jishi.core.errors import DataError, ModelError, UsageError
from jishi.lifecycle import samples
from jishi.lifecycle.samples import SampleSpec
from jishi.objectives.masked_lm import MaskedLM
from jishi.training.loop import Event

TINY = {"model": {"name": "transformer-encoder", "size": "nano", "dropout": 0.0}, "seed": 0}
TRAIN = {"precision": "fp32", "threads": 1, "batch_size": 16, "learning_rate": 3e-3, "epochs": 4}


def lines():
    """Texts in which what stands in the second place follows from the first."""
    pairs = {"cats": "purr", "dogs": "bark", "cows": "moo", "ducks": "quack", "猫": "喵", "狗": "汪"}
    return [{"text": f"{who} {does} and {who} {does}"} for who, does in pairs.items() for _ in range(40)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    file = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    rows = [{"text": f"{row['text']} {number % 9}"} for number, row in enumerate(lines())]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def made(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain") / "run"
    events = []
    return jishi.pretrain(data=str(texts), out=str(folder), train=TRAIN, listen=events.append, **TINY), events


def test_what_was_held_out_is_foreseen_better_and_the_base_says_so(made):
    result, events = made
    loss = result.record["loss"]
    assert loss["trained"] < 0.7 * loss["untrained"]
    assert [event.kind for event in events][:2] == ["caution", "start"] and events[-1].kind == "end"
    assert json.loads((result.base / "pretraining.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(result.record)
    )
    best = min(event.values["loss"] for event in events if event.kind == "validation")
    assert loss["trained"] == pytest.approx(best, abs=1e-5)


def test_texts_that_repeat_are_counted_and_said_with_the_cure(made, texts):
    result, events = made
    distinct = set(texts.read_text(encoding="utf-8").splitlines())
    assert len(distinct) == 54  # six texts, each with the digits 0 to 8
    caution = events[0].values
    rows = result.record["data"]["rows"]
    assert (caution["rows"], caution["held_out"]) == (rows["train"], rows["validation"])
    assert rows["train"] - caution["repeated"] < 54 and caution["code"] == "repeated"
    assert caution["near"] <= caution["held_out"]
    told = i18n.text("cli.repeated", **{key: value for key, value in caution.items() if key != "code"})
    assert "operations=[deduplicate]" in told and str(texts) in told


def test_a_base_is_fine_tuned_from_and_keeps_what_it_learnt(made, tmp_path):
    said = {"a": "cats purr", "b": "dogs bark"}
    rows = [{"text": f"{text} {n}", "label": label} for n in range(9) for label, text in said.items()]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = jishi.finetune(
        data=str(file), out=str(tmp_path / "run"), model=str(made[0].base), adapt="frozen", train={"max_steps": 2},
        task="text-classification",
    )  # fmt: skip
    before, after = load_file(made[0].base / "model.safetensors"), load_file(run.bundle / "model.safetensors")
    name = "encoder.layer.0.attention.self.query.weight"
    (old,) = (value for key, value in before.items() if key.endswith(name))
    (new,) = (value for key, value in after.items() if key.endswith(name))
    assert (old == new).all()


def test_an_interrupted_pretraining_goes_on_to_the_same_weights(made, texts, tmp_path):
    def stop(event):
        if event.kind == "step" and event.step == 5:
            loops[-1].stop = True

    loops = []
    asked = {"data": str(texts), "out": str(tmp_path / "run"), "train": TRAIN, **TINY}
    assert jishi.pretrain(**asked, listen=stop, watch=loops.append).interrupted
    again = jishi.pretrain(**asked)
    weights = [(run.base / "model.safetensors").read_bytes() for run in (made[0], again)]
    assert weights[0] == weights[1]


@pytest.fixture(scope="module")
def beasts(tmp_path_factory):
    """What the texts tell of each animal: whether its sound is told with few letters."""
    file = tmp_path_factory.mktemp("labelled") / "beasts.jsonl"
    sounds = {"cats": "loud", "dogs": "loud", "cows": "soft", "ducks": "soft"}
    rows = [{"text": f"{beast} {number % 9}", "label": said} for number in range(15) for beast, said in sounds.items()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_a_base_is_judged_by_what_it_is_for_while_it_learns(texts, beasts, tmp_path):
    """Before the first step, at every tenth, and at the last; the same run without probes comes to the same weights."""
    asked = {"data": str(texts), "train": {**TRAIN, "max_steps": 25}, **TINY}
    plain = jishi.pretrain(**asked, out=str(tmp_path / "plain"))
    data = {"train": str(beasts), "split": (0.6, 0.0, 0.4)}
    probes = [{"data": data, "every": 10}, {"data": data, "every": 20, "name": "beasts"}]
    events = []
    run = jishi.pretrain(**asked, probes=probes, out=str(tmp_path / "run"), listen=events.append)
    weights = [(one.base / "model.safetensors").read_bytes() for one in (plain, run)]
    assert weights[0] == weights[1]
    told = json.loads((run.base / "pretraining.json").read_text(encoding="utf-8"))["probes"]
    assert {name: [step for step, _ in one["curve"]] for name, one in told.items()} == {
        "text-classification": [0, 10, 20, 25], "beasts": [0, 20, 25],
    }  # fmt: skip
    first = told["text-classification"]
    logged = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    heard = [event.values for event in events if event.kind == "probe"]
    assert [{**event, "kind": 0, "step": 0} for event in logged if event["kind"] == "probe"] == [
        {**values, "kind": 0, "step": 0} for values in heard
    ]
    assert first["curve"][0][1] == first["untrained"] and first["rows"] == {"train": 36, "test": 24}
    assert first["baseline"] == 1.0 and first["metric"] == "accuracy"  # tf-idf knows an animal when it sees one
    assert not plain.record["probes"]


def test_what_can_not_be_folded_in_makes_no_base(texts, tmp_path):
    with pytest.raises(ModelError, match="no base can be made with it"):
        jishi.pretrain(data=str(texts), out=str(tmp_path / "run"), train=TRAIN, adapt="parallel-adapter", **TINY)


def test_a_probe_that_no_linear_head_answers_is_refused(texts, tmp_path):
    with pytest.raises(UsageError, match="one label a row"):
        jishi.pretrain(data=str(texts), out=str(tmp_path / "run"), probes={"data": "x", "task": "translation"}, **TINY)


@pytest.mark.parametrize("name", ["transformer-decoder", "lstm", "gru"])
def test_a_decoder_learns_what_follows(name, texts, tmp_path):
    run = jishi.pretrain(
        data=str(texts), out=str(tmp_path / "run"), objective="causal-lm", train={**TRAIN, "epochs": 2},
        model={"name": name, "size": "nano"},
    )  # fmt: skip
    assert run.record["loss"]["trained"] < run.record["loss"]["untrained"]
    bits, loss = run.record["bits_per_character"], run.record["loss"]
    assert bits["trained"] / bits["untrained"] == pytest.approx(loss["trained"] / loss["untrained"])
    assert (run.base / "MANIFEST.json").is_file()


@pytest.fixture(scope="module")
def writer(texts, tmp_path_factory):
    return jishi.pretrain(
        data=str(texts), out=str(tmp_path_factory.mktemp("writer") / "run"), objective="span-corruption",
        train={**TRAIN, "epochs": 2}, model={"name": "transformer-encoder-decoder", "size": "nano"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("task", "read", "written"), [("translation", "source", "target"), ("summarization", "document", "summary")]
)
def test_what_wrote_spans_is_fine_tuned_to_write_texts(writer, task, read, written, tmp_path):
    """Not one step is taken at a rate that would move a weight by much: the base's own weights are in the bundle."""
    assert writer.record["loss"]["trained"] < writer.record["loss"]["untrained"]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({read: f"cats {n}", written: f"dogs {n}"}) + "\n" for n in range(24)))
    run = jishi.finetune(
        data=str(file), out=str(tmp_path / "run"), model=str(writer.base),
        task={"name": task, "decoding": {"method": "greedy", "max_new_tokens": 4}},
        train={"max_steps": 2, "learning_rate": 1e-6, "precision": "fp32", "threads": 1},
        evaluate={"name": "task-score", "samples": 20},
    )  # fmt: skip
    before, after = (load_file(folder / "model.safetensors") for folder in (writer.base, run.bundle))
    assert before.keys() == after.keys()
    assert all(abs(before[name] - after[name]).max() < 1e-4 for name in before)
    (answer,) = jishi.predict(run.bundle, ["cats 1"])
    assert "<extra_id" not in answer["text"]


@pytest.fixture(scope="module")
def shown(texts, tmp_path_factory):
    """The run of `made`, with looks at two texts every five steps."""
    folder, events = tmp_path_factory.mktemp("shown") / "run", []
    samples = {"texts": ["cats [MASK] and", "狗[MASK]"], "every": 5}
    asked = {"data": str(texts), "out": str(folder), "train": TRAIN, "samples": samples, **TINY}
    return jishi.pretrain(**asked, listen=events.append), events


def test_what_the_model_makes_of_texts_is_told_and_logged_as_it_learns(shown):
    run, events = shown
    told = [event for event in events if event.kind == "samples"]
    last = max(event.step for event in events)
    assert [event.step for event in told] == list(range(0, last + 1, 5))
    logged = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["texts"] for line in logged if line["kind"] == "samples"] == [event.values["texts"] for event in told]
    assert [sample["given"] for sample in told[-1].values["texts"]] == ["cats [MASK] and", "狗[MASK]"]
    first, final = (event.values["texts"][0]["written"] for event in (told[0], told[-1]))
    sounds = {f"cats {word} and" for word in ("purr", "bark", "moo", "quack")}
    assert final in sounds and first not in sounds


def test_looking_changes_nothing_of_what_is_learnt(made, shown):
    weights = [(run.base / "model.safetensors").read_bytes() for run in (made[0], shown[0])]
    assert weights[0] == weights[1]


def test_samples_that_can_not_be_shown_are_refused_before_the_first_step(texts, tmp_path, monkeypatch):
    events = []
    asked = {"data": str(texts), "out": str(tmp_path / "run"), "train": TRAIN, **TINY, "listen": events.append}
    with pytest.raises(UsageError, match="no blank"):
        jishi.pretrain(**asked, samples=["cats purr"])
    monkeypatch.setattr(MaskedLM, "sample", lambda *_: None)
    with pytest.raises(UsageError, match="masked-lm has nothing to show"):
        jishi.pretrain(**asked, samples=["cats [MASK]"], resume="never")
    assert {event.kind for event in events} == {"caution", "start"}  # of its texts many are equal
    with pytest.raises(UsageError, match="out of range"):
        jishi.pretrain(
            **asked, samples={"texts": ["a"], "decoding": {"top_k": -1}}, objective="causal-lm", resume="never"
        )


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_does_not_train_while_it_is_looked_at_and_does_afterwards(fails):
    seen, model = [], torch.nn.Dropout().train()

    def sample(*_):
        seen.append((model.training, torch.is_inference_mode_enabled()))
        if fails:
            raise DataError("data.no-rows", path="none")
        return "b"

    loop = SimpleNamespace(shards=None, model=model, processor=None, objective=SimpleNamespace(sample=sample))
    with pytest.raises(DataError) if fails else nullcontext():
        found = list(
            samples.add(SampleSpec(("a",)), loop, iter([Event("start", 0), Event("start", 8), Event("step", 8)]))
        )
        assert [event.kind for event in found] == ["start", "samples", "start", "step"]
    assert seen == [(False, True)] and model.training


def test_several_processes_that_share_a_model_out_show_nothing():
    loop = SimpleNamespace(shards=object())
    with pytest.raises(UsageError, match="train.shard cuts the model"):
        next(samples.add(SampleSpec(("a",)), loop, iter(())))


def test_what_pretraining_can_not_do_is_told(texts, tmp_path):
    with pytest.raises(UsageError, match="text-classification is a task"):
        jishi.pretrain(data=str(texts), out=str(tmp_path / "run"), objective="text-classification", **TINY)
    with pytest.raises(UsageError, match="model is required"):
        jishi.pretrain(data=str(texts), out=str(tmp_path / "run"))
    with pytest.raises(UsageError, match="train.fit_head fits the head of a task"):
        jishi.pretrain(data=str(texts), out=str(tmp_path / "run"), **TINY, train={"fit_head": "before"})
    with pytest.raises(ModelError, match="max_length=4096 was asked for, and transformer-encoder reads at most 512"):
        asked = {"name": "masked-lm", "max_length": 4096}
        jishi.pretrain(data=str(texts), out=str(tmp_path / "long"), objective=asked, **TINY)
    with pytest.raises(DataError, match="no row to judge"):
        jishi.pretrain(data={"train": str(texts), "split": (1, 0, 0)}, out=str(tmp_path / "run"), **TINY)


def test_a_plan_leaves_nothing_behind(texts, tmp_path):
    told = jishi.plan(verb="pretrain", data=str(texts), out=str(tmp_path / "run"), train=TRAIN, **TINY)
    assert 180 < told["rows"] < 210 and told["steps"] == 4 * -(-told["rows"] // 16) and told["seconds"] > 0
    assert not (tmp_path / "run").exists()


def test_a_plan_tells_what_is_computed_and_what_size_the_texts_are_for(texts, tmp_path):
    """For each token 6 operations a parameter, and for attention 12 times blocks, width and length (arXiv:2204.02311)."""
    model = {"name": "transformer-decoder", "size": "tiny"}
    asked = {"data": str(texts), "out": str(tmp_path / "run"), "model": model, "objective": "causal-lm"}
    told = jishi.plan(verb="pretrain", **asked, train={**TRAIN, "epochs": 3})
    assert told["trained_tokens"] == 3 * told["tokens"]
    length, width, blocks = told["tokens"] / told["rows"], 128, 2
    output = told["parameters"] - told["inner_parameters"]  # the table is the output layer
    attention = 12 * blocks * width * length
    by_hand = 6 * (told["inner_parameters"] + output * (1 - 1 / length)) + attention
    assert told["flops_per_token"] == pytest.approx(by_hand, rel=0.03)
    assert told["flops"] == pytest.approx(told["flops_per_token"] * told["trained_tokens"], rel=1e-6)
    scaling = told["scaling"]
    assert scaling["size"] is None and scaling["tokens"] == 20 * told["parameters"]
    assert [one["size"] for one in scaling["sizes"]] == ["nano", "tiny", "mini", "small", "base"]


def test_a_base_has_one_size_only(made, texts, tmp_path):
    told = jishi.plan(verb="pretrain", data=str(texts), out=str(tmp_path / "run"), model=str(made[0].base), train=TRAIN)
    assert [one["size"] for one in told["scaling"]["sizes"]] == [str(made[0].base)]
