"""Names are masked where a bundle finds them, and nothing else changes."""

import json

import pytest

import jishi
from jishi.core.errors import BundleError, UnknownName, UsageError
from jishi.operations.mask_personal_data import MaskPersonalData

NAMES, PLACES = ("anna", "otto", "mary", "hugo", "lena"), ("rome", "oslo", "bonn", "york", "lima")


def row(name, place):
    text = f"mr {name} lives in {place} now"
    spans = [(3, 3 + len(name), "PERSON"), (text.index(place), text.index(place) + len(place), "HOME_TOWN")]
    return {"text": text, "spans": [dict(zip(("start", "end", "label"), span, strict=True)) for span in spans]}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Finds who and where, which the words before tell."""
    folder = tmp_path_factory.mktemp("names")
    rows = [row(name, place) for name in NAMES for place in PLACES] * 6
    (folder / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    run = jishi.finetune(
        data=str(folder / "rows.jsonl"), out=str(folder / "run"), task="token-classification",
        model={"name": "text-cnn", "size": "nano"}, train={"epochs": 8, "learning_rate": 1e-2, "threads": 1, "batch_size": 8},
    )  # fmt: skip
    assert run.evaluation["scores"]["f1"]["value"] == 1
    return str(run.bundle)


def test_what_the_bundle_finds_is_masked_beside_what_has_a_form(bundle):
    treated = MaskPersonalData(model=bundle).treat("mr anna lives in rome now 13812345678")
    assert list(treated.texts) == ["mr <person> lives in <home-town> now <mobile>"]
    assert treated.reasons == {"mobile": 1, "person": 1, "home-town": 1}
    assert MaskPersonalData(model=bundle).treat("it is now") is None
    assert MaskPersonalData().treat("mr anna lives in rome now") is None


def test_labels_choose_what_is_masked(bundle):
    operation = MaskPersonalData(model=bundle, labels=("PERSON",))
    assert list(operation.treat("mr otto lives in oslo now").texts) == ["mr <person> lives in oslo now"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_corpus_is_masked_by_several_processes_and_shows_no_name(bundle, tmp_path, processes):
    rows = [row(name, place) for name in NAMES for place in PLACES]
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps({"text": one["text"]}) + "\n" for one in rows))
    made = jishi.prepare(
        corpus={
            "sources": str(tmp_path / "raw.jsonl"), "processes": processes,
            "operations": {"name": "mask-personal-data", "model": bundle, "labels": ["PERSON"]},
        },
        out=tmp_path / "out",
    )  # fmt: skip
    assert made.report["ledger"][1]["reasons"] == {"person": 25}
    told = (made.path / "corpus.json").read_text() + (made.path / "train.jsonl").read_text()
    assert not any(name in told for name in NAMES) and all(place in told for place in PLACES)


def test_a_bundle_that_finds_no_such_thing_is_told(bundle, tmp_path):
    with pytest.raises(UnknownName, match="PERSON"):
        MaskPersonalData(model=bundle, labels=("PERSONS",)).ready()
    with pytest.raises(BundleError):
        MaskPersonalData(model=str(tmp_path)).ready()
    rows = [{"text": f"{word} {n}", "label": word} for n in range(20) for word in ("good", "bad")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    run = jishi.finetune(
        data=str(tmp_path / "rows.jsonl"), out=str(tmp_path / "run"), model={"name": "text-cnn", "size": "nano"},
        task="text-classification", train={"max_steps": 4, "threads": 1},
    )  # fmt: skip
    with pytest.raises(UsageError, match="finds no spans"):
        MaskPersonalData(model=str(run.bundle)).ready()
