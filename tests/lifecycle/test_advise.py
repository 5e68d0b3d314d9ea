"""Candidates are measured apart, ranked on validation rows, and a plain rival that is as good is said to be."""

import json
import math
import subprocess
import sys

import pytest

import jishi
import tiny
from jishi.core import document, spec
from jishi.core.contracts import Adaptation
from jishi.core.errors import DataError, UsageError
from jishi.core.registry import get
from jishi.data.spec import DataSpec
from jishi.lifecycle import advise, candidate, finetune
from jishi.lifecycle.finetune import FinetuneSpec
from jishi.models.licence import licence
from jishi.models.spec import ModelSpec
from jishi.predictor import Predictor
from jishi.training.spec import TrainSpec

GOOD, BAD = ["fine", "great", "lovely", "solid"], ["awful", "poor", "broken", "dull"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Texts of two words, of which the first tells the class."""
    folder = tmp_path_factory.mktemp("rows")
    numbers = iter(range(200))
    for part, count in (("train", 56), ("validation", 56), ("test", 8)):
        told = []
        for place in range(count):
            words, label = ((GOOD, "good"), (BAD, "bad"))[place % 2]
            told.append(json.dumps({"text": f"{words[place // 2 % 4]} {next(numbers)}", "label": label}))
        (folder / f"{part}.jsonl").write_text("\n".join(told) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base that knows the words and has learnt nothing."""
    folder = tmp_path_factory.mktemp("base")
    words = " ".join([*GOOD, *BAD, *map(str, range(200))])
    processor = tiny.tokenizer(words)
    processor.save_pretrained(folder)
    tiny.masked_lm(len(processor)).base_model.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: bsd-3-clause\n---\nA model.\n", encoding="utf-8")
    return folder


@pytest.fixture
def asked(monkeypatch):
    """Answers given in the place of measuring, by model and way; what was asked is kept."""
    seen, given = [], {}

    def ask(wanted, how, limits, *, cpu=False):
        seen.append((wanted.model.name, how, dict(limits), cpu))
        rows = advise.Dataset.load(wanted.data.train).validation
        found = given[wanted.model.name, how]
        if isinstance(found, dict):
            return found
        right, milliseconds = found
        labels = [row["label"] if place < right else "none" for place, row in enumerate(rows)]
        answers = [{"label": label, "score": 0.9, "scores": {label: 0.9}} for label in labels]
        score = sum(one == row["label"] for one, row in zip(labels, rows, strict=True)) / len(rows)
        return {
            "milliseconds": milliseconds,
            "score": score,
            "predictions": answers,
            "beyond": [],
            "curve": [],
            "logme": 0.0,
        }

    monkeypatch.setattr(candidate, "ask", ask)
    monkeypatch.setattr(advise, "plan", lambda _: {**dict.fromkeys(KEPT, 0), "rows": 40, "seconds": 20.0})
    return seen, given


KEPT = ("rows", "seconds", "memory", "trainable_parameters", "precision")


def lookalike(base, folder):
    """Another folder of the same base."""
    for file in base.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return str(folder)


def test_the_best_on_validation_rows_is_first(rows, base, asked, tmp_path):
    seen, given = asked
    names = [str(base)]
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
        names.append(lookalike(base, tmp_path / name))
    given |= {(names[0], "probe"): (54, 2.0), (names[1], "probe"): (55, 8.0), (names[2], "probe"): (20, 1.0)}
    # the plain rival is right on every row: the best probes are looked at again
    given |= {(names[0], "train"): (54, 2.0), (names[1], "train"): (56, 8.0), (names[2], "train"): (20, 1.0)}
    found = jishi.advise(rows, models=names, latency_ms=50, device="cpu", out=tmp_path / "advice")
    assert [one["name"] for one in found["candidates"]] == [names[1], names[0], names[2]]
    first, second, third = found["candidates"]
    assert (first["score"], first["untrained"], first["how"]) == (1.0, 55 / 56, "train")
    assert second["behind"] == pytest.approx(2 / 56) and third["behind"] == pytest.approx(36 / 56)
    told = {one["name"]: {reason["code"]: reason for reason in one["reasons"]} for one in found["candidates"]}
    assert set(told[names[0]]) == {"alike", "faster", "confirmed"} and told[names[0]]["faster"]["times"] == 4
    assert set(told[names[1]]) == set(told[names[2]]) == {"confirmed"}
    assert [limits.get("milliseconds") for _, _, limits, _ in seen] == [50] * 3 + [None] * 3
    assert all(cpu for *_, cpu in seen)
    assert first["licence"] == "bsd-3-clause"


def test_probes_that_are_not_told_apart_are_settled_by_fine_tuning(rows, base, asked, tmp_path, monkeypatch):
    seen, given = asked
    rival = advise._Advice._rival
    monkeypatch.setattr(advise._Advice, "_rival", lambda self: {**rival(self), "score": 0.1})
    names = [str(base)]
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
        names.append(lookalike(base, tmp_path / name))
    given |= {(names[0], "probe"): (50, 1.0), (names[1], "probe"): (48, 1.0), (names[2], "probe"): (20, 1.0)}
    given |= {
        (names[0], "train"): (51, 1.0),
        (names[1], "train"): (56, 1.0),
    }  # the third is told apart: it is not trained
    found = jishi.advise(rows, models=names, device="cpu")
    assert [(one["name"], one["how"]) for one in found["candidates"]] == [
        (names[1], "train"), (names[0], "train"), (names[2], "probe"),
    ]  # fmt: skip
    assert [how for _, how, *_ in seen] == ["probe"] * 3 + ["train"] * 2


def test_what_is_written_is_what_is_run_next(rows, base, asked, tmp_path, monkeypatch):
    _, given = asked
    rival = advise._Advice._rival
    monkeypatch.setattr(advise._Advice, "_rival", lambda self: {**rival(self), "score": 0.5})
    given[str(base), "probe"] = (30, 2.0)
    settings = {"models": [str(base)], "task": {"name": "text-classification", "max_length": 16}}
    found = jishi.advise(rows, **settings, rows=40, out=tmp_path / "advice")
    assert json.loads((tmp_path / "advice" / advise.REPORT).read_text(encoding="utf-8"))["next"] == found["next"]
    asked_next = spec.build(FinetuneSpec, document.read(tmp_path / "advice" / advise.SPEC))
    assert (asked_next.model.name, asked_next.task.max_length) == (str(base), 16)
    assert (asked_next.data.train, asked_next.train.fit_head) == (str(rows), "before")
    assert asked_next.adapt == get(Adaptation, "full")() and (found["plan"]["rows"], found["plan"]["seconds"]) == (
        56,
        28.0,
    )


def test_a_plain_rival_that_no_candidate_beats_is_the_advice(rows, base, asked):
    _, given = asked
    given |= {(str(base), "probe"): (50, 2.0), (str(base), "train"): (51, 2.0)}
    found = jishi.advise(rows, models=[str(base)])
    assert (found["plain"], found["first"], found["next"]) == (True, found["rival"]["name"], None)
    assert found["rival"]["score"] == 1.0  # words tell the classes
    assert found["candidates"][0]["score"] == 51 / 56


def test_those_that_fail_or_are_beyond_a_limit_come_last(rows, base, asked, tmp_path):
    _, given = asked
    names = [str(base)]
    for name in ("slow", "broken"):
        (tmp_path / name).mkdir()
        names.append(lookalike(base, tmp_path / name))
    given |= {(names[0], "probe"): (56, 2.0), (names[0], "train"): (56, 2.0)}
    given |= {(names[1], "probe"): {"milliseconds": 90.0, "beyond": ["milliseconds"]}}
    given |= {(names[2], "probe"): {"failed": "SIGKILL"}}
    found = jishi.advise(rows, models=[names[2], names[1], names[0]])
    assert [one["name"] for one in found["candidates"]] == [names[0], names[2], names[1]]


def begun(rows, base, tmp_path, **limits):
    wanted = FinetuneSpec(
        DataSpec(str(rows)), str(tmp_path / "run"), ModelSpec(str(base), pooling="mean"), adapt=get(Adaptation, "frozen")(),
        train=TrainSpec(epochs=0, fit_head="before"),
    )  # fmt: skip
    return wanted, limits


def test_answers_from_states_are_those_of_the_whole_model(rows, base, tmp_path):
    wanted, _ = begun(rows, base, tmp_path)
    run = finetune.start(wanted, tmp_path / "run", untuned=False)
    found = candidate._probe(run)
    whole = Predictor(run.loop.model, run.task, run.processor, {}).examine(run.data.validation)
    for given, other in zip(found["predictions"], whole, strict=True):
        assert given["label"] == other["label"] and given["score"] == pytest.approx(other["score"], abs=1e-5)
    assert [count for count, _ in found["curve"]] == [14, 28, 56]
    assert found["curve"][-1][1] > 0.9 and math.isfinite(found["logme"])  # the words tell the class, so their states do


def test_nothing_beyond_a_limit_is_probed(rows, base, tmp_path):
    wanted, limits = begun(rows, base, tmp_path, bytes=1, milliseconds=1e9)
    found = candidate.measure(wanted, "probe", limits)
    assert found["beyond"] == ["bytes"] and "score" not in found
    assert found["bytes"] == 4 * found["parameters"] and found["tokens"]["unknown"] == 0


def test_candidates_are_measured_in_processes_of_their_own(rows, base, tmp_path):
    (tmp_path / "strange").mkdir()
    strange = lookalike(base, tmp_path / "strange")
    tiny.tokenizer("nothing of these").save_pretrained(strange)
    heard = []
    found = jishi.advise(rows, models=[strange, str(base)], rows=40, listen=heard.append)
    able, failed = found["candidates"]
    assert able["name"] == str(base) and able["memory"] > 2**26 and able["score"] > 0.8
    assert "unknown" in failed["failed"]  # tokens
    assert found["rows"] == {"train": 40, "validation": 40}
    assert [event.values["name"] for event in heard][:2] == [strange, str(base)]


def kinds(place):
    """A row of every kind of task that is measured, by its name."""
    good, word = place % 2 == 0, [*GOOD, *BAD][place % 8]
    text = f"{word} {place}"
    return {
        "one label": {"text": text, "label": "good" if good else "bad"},
        "several labels": {"text": text, "label": ["even"] * good + ["early"] * (place < 20)},
        "a number": {"text": text, "label": place / 10},
        "a pair": {"text": text, "text_pair": word, "label": "good" if good else "bad"},
        "entities": {"text": text, "spans": [{"start": 0, "end": len(word), "label": "good" if good else "bad"}]},
        "intent and slots": {
            "text": text, "intent": "praise" if good else "blame",
            "slots": [{"start": 0, "end": len(word), "label": "word"}],
        },
        "vectors": {"text": text, "text_pair": f"{word} {place + 1}", "score": float(good)},
    }  # fmt: skip


@pytest.mark.parametrize("kind", kinds(0))
def test_every_kind_of_task_is_measured(kind, base, tmp_path, monkeypatch):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(kinds(place)[kind]) + "\n" for place in range(80)), encoding="utf-8")

    def ask(wanted, how, limits, *, cpu=False):
        return json.loads(json.dumps(candidate.measure(wanted, how, limits)))

    monkeypatch.setattr(candidate, "ask", ask)
    monkeypatch.setattr(advise, "WHOLE", TrainSpec(epochs=1, fit_head="before"))
    found = jishi.advise(file, models=[str(base)])
    one = found["candidates"][0]
    assert math.isfinite(one["score"]) and one["interval"][0] <= one["score"] <= one["interval"][1]
    assert found["plain"] == (found["rival"]["score"] >= one["score"]) == (found["next"] is None)


def test_a_handful_of_rows_has_no_curve(base, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(kinds(place)["one label"]) + "\n" for place in range(12)), encoding="utf-8")
    found = candidate.measure(begun(file, base, tmp_path)[0], "probe", {})
    assert [count for count, _ in found["curve"]] == [10]


def test_a_candidate_that_can_not_be_had_is_told_and_an_unknown_name_refused_at_once(rows, base, asked, tmp_path):
    seen, given = asked
    given |= {(str(base), "probe"): (56, 2.0), (str(base), "train"): (56, 2.0)}
    (tmp_path / "empty").mkdir()
    found = jishi.advise(rows, models=[str(tmp_path / "empty"), str(base)])
    assert [one["name"] for one in found["candidates"]] == [str(base), str(tmp_path / "empty")]
    assert "config.json" in found["candidates"][1]["failed"]
    seen.clear()
    with pytest.raises(UsageError, match="minilm"):
        jishi.advise(rows, models=[str(base), "minilmm"])
    assert not seen


def test_a_folder_that_can_not_be_written_is_refused_before_anything_is_measured(rows, base, asked, tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(UsageError) as refused:
        jishi.advise(rows, models=[str(base)], out=tmp_path / "file" / "advice")
    assert refused.value.code == "advise.not-written" and not asked[0]


def test_fine_tuning_that_fails_leaves_the_probe(rows, base, asked):
    _, given = asked
    given |= {(str(base), "probe"): (50, 2.0), (str(base), "train"): {"failed": "SIGKILL"}}
    found = jishi.advise(rows, models=[str(base)])
    assert (found["candidates"][0]["score"], found["candidates"][0]["how"]) == (50 / 56, "probe")


def test_an_advice_without_a_next_step_takes_an_older_one_away(rows, base, asked, tmp_path):
    _, given = asked
    given |= {(str(base), "probe"): (50, 2.0), (str(base), "train"): (51, 2.0)}
    (tmp_path / advise.SPEC).write_text("model: older\n")
    jishi.advise(rows, models=[str(base)], out=tmp_path)
    assert (tmp_path / advise.REPORT).exists() and not (tmp_path / advise.SPEC).exists()


def test_a_measurement_ends_with_who_asked_for_it(tmp_path):
    code = "from jishi.lifecycle import alone; alone._until_alone()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as waiting:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(timeout=0.5)
            waiting.stdin.close()
            assert waiting.wait(timeout=60) == 1
        finally:
            waiting.kill()


@pytest.mark.parametrize(
    ("task", "code"), [("text-generation", "advise.writes"), ("question-answering", "advise.no-probe")]
)
def test_tasks_that_no_probe_can_judge_are_refused(tmp_path, task, code):
    file = tmp_path / "rows.jsonl"
    row = {"question": "who", "context": "it is me", "answers": {"text": ["me"], "answer_start": [6]}}
    row = {"text": "a b c"} if "generation" in task else row
    file.write_text("".join(json.dumps({**row, "id": str(one)}) + "\n" for one in range(40)), encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        jishi.advise(file, task=task)
    assert refused.value.code == code


def test_rows_to_judge_on_are_asked_for(rows):
    with pytest.raises(DataError) as refused:
        jishi.advise(data={"train": str(rows / "train.jsonl"), "split": [1, 0, 0]})
    assert refused.value.code == "advise.no-validation"


def test_the_licence_is_what_the_card_says(base):
    assert licence(ModelSpec(str(base))) == "bsd-3-clause"
    assert licence(ModelSpec("minilm")) == "Apache-2.0"
    assert licence(ModelSpec("text-cnn")) is None
