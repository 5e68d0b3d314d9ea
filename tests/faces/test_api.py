"""The Python face: one function a verb, the same fields as the spec file and the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import jishi
from jishi import api
from jishi.core import spec
from jishi.core.errors import UnknownName, UsageError
from jishi.lifecycle.finetune import FinetuneSpec
from jishi.serving.spec import ServeSpec

SMALL = {"model": {"name": "text-cnn", "size": "nano"}, "train": {"max_steps": 2, "threads": 1}}


@pytest.fixture
def reviews(tmp_path) -> Path:
    file = tmp_path / "reviews.jsonl"
    words = ["很好用", "质量很差", "works well", "broke at once"]
    rows = [{"text": f"{words[i % 4]} {i}", "label": "bad" if i % 2 else "good"} for i in range(64)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def test_a_spec_file_a_mapping_keywords_and_overrides_say_the_same(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text("data: a.csv\nout: o\nadapt: lora\ntrain: {epochs: 2}\n", encoding="utf-8")
    wanted = spec.dump(api.read(FinetuneSpec, file))
    assert wanted["adapt"]["name"] == "lora" and wanted["train"]["epochs"] == 2
    mapping = {"data": "a.csv", "out": "o", "adapt": "lora", "train": {"epochs": 2}}
    assert spec.dump(api.read(FinetuneSpec, mapping)) == wanted
    assert spec.dump(api.read(FinetuneSpec, None, mapping)) == wanted
    assert spec.dump(api.read(FinetuneSpec, "a.csv", {"out": Path("o")}, ["adapt=lora", "train.epochs=2"])) == wanted


def test_what_comes_later_wins_and_touches_nothing_else():
    base = {"data": "a.csv", "out": "o", "train": {"epochs": 2, "batch_size": 8}}
    found = api.read(FinetuneSpec, base, {"train": {"epochs": 3}}, ["train.epochs=4"])
    assert (found.train.epochs, found.train.batch_size) == (4, 8)
    assert base["train"] == {"epochs": 2, "batch_size": 8}


def test_a_bare_main_value_fills_the_first_field():
    assert api.read(ServeSpec, "runs/a/bundle").bundle == "runs/a/bundle"
    assert api.read(FinetuneSpec, "a.csv", {"out": "o"}).data.train == "a.csv"


def test_a_keyword_that_is_none_of_the_verbs_is_refused(reviews, tmp_path):
    with pytest.raises(UsageError, match=r'Did you mean "adapt"\?'):
        jishi.finetune(data=reviews, out=tmp_path / "run", adapted="lora")
    assert not (tmp_path / "run").exists()


def test_every_verb_has_a_spec_and_a_schema():
    for verb in ("prepare", "finetune", "evaluate", "serve"):
        schema = api.schema(verb)
        assert schema["$schema"].endswith("2020-12/schema") and schema["additionalProperties"] is False
        assert set(schema["properties"]) == set(api.spec_of(verb).__dataclass_fields__)
    with pytest.raises(UnknownName, match="finetune"):
        api.spec_of("finetun")


def test_prepare_finetune_evaluate_and_predict_hand_on_to_each_other(reviews, tmp_path):
    data = jishi.prepare(reviews, out=tmp_path / "data")
    assert (len(data.train), len(data.validation), len(data.test)) == (51, 7, 6)
    heard = []
    run = jishi.finetune(data=tmp_path / "data", out=tmp_path / "run", listen=heard.append, **SMALL)
    assert run.bundle == tmp_path / "run" / "bundle"
    assert [event.kind for event in heard] == ["start", "step", "step", "validation", "checkpoint", "end"]
    answers = jishi.predict(run.bundle, ["很好用", {"text": "broke at once"}])
    assert [set(answer["scores"]) for answer in answers] == [{"good", "bad"}] * 2
    assert sum(answers[0]["scores"].values()) == pytest.approx(1)
    assert jishi.load(run.bundle).predict(["很好用"])[0]["label"] == answers[0]["label"]
    assert jishi.evaluate(run.bundle, data=tmp_path / "data")["rows"] == 6
    assert jishi.list_models(tmp_path)[-1]["name"] == str(run.bundle)


def test_importing_jishi_loads_no_heavy_library():
    """`jishi --help` must be there at once."""
    heavy = {"torch", "transformers", "datasets", "sklearn", "fastapi"}
    call = f"import sys, jishi, jishi.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_no_verb_is_hidden_by_a_part_of_the_package():
    """`jishi.models` the package would take the place of a function of that name once it is imported."""
    import jishi.models
    import jishi.serving.spec

    assert all(callable(getattr(jishi, name)) for name in jishi.__all__)
