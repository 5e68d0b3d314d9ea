"""A run kept at a URL goes on from any machine: what is published there counts, and what is cut off or damaged does not."""

import json
import shutil
import sys
from pathlib import Path

import fsspec
import pytest

import jishi
from commands import SMALL_RUN, jsonl, lines
from jishi.core import manifest
from jishi.core.errors import TrainingError
from jishi.training import checkpoint
from jishi.training.ranks import Ranks
from jishi.training.storage import Store
from points import loop, rows, run, same, steps, weights


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    yield "memory://bucket/run" if request.param == "memory" else (tmp_path / "mount" / "run").as_uri()
    forget()


def forget() -> None:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def sealed(folder: Path, name: str = "step-00000001", content: str = "1") -> Path:
    path = folder / "checkpoints" / name
    path.mkdir(parents=True)
    (path / "weights").write_text(content)
    manifest.seal(path)
    return path


def test_a_plain_path_has_no_store():
    assert Store.of("runs/a") is None and Store.of("/mnt/nfs/run") is None


def test_training_goes_on_elsewhere_bit_for_bit(url, tmp_path):
    """Stopped on one machine and gone on with on another, which has nothing but the URL; the best weights come along."""
    settings = {"epochs": 4, "batch_size": 4, "patience": 9}
    held_out = rows(12)[8:]
    run(whole := loop(tmp_path / "whole", rows(12), held_out, **settings))
    first = loop(tmp_path / "a", rows(12), held_out, **settings)
    first.store = Store.of(url, tmp_path / "a")
    run(first, stop_at=7)
    second = loop(tmp_path / "b", rows(12), held_out, **settings)
    second.store = Store.of(url, tmp_path / "b")
    events = run(second)
    assert events[0].step == 7 and steps(events, "step") == [8, 9, 10, 11, 12]
    assert same(weights(second.model), weights(whole.model))


def test_what_is_pruned_here_is_pruned_there(url, tmp_path):
    one = loop(tmp_path, rows(8), batch_size=4, epochs=3)
    one.store = Store.of(url, tmp_path)
    run(one)
    found = Store.of(url, tmp_path / "elsewhere")
    assert [Path(path).name for path in found.files.glob(f"{found.root}/checkpoints/*")] == ["step-00000006"]


@pytest.mark.parametrize("harm", ["no manifest", "torn manifest", "other bytes", "a file missing"])
def test_a_checkpoint_that_does_not_verify_is_passed_over(harm, url, tmp_path):
    store = Store.of(url, tmp_path / "a")
    for number in (1, 2):
        store.put(sealed(store.folder, f"step-0000000{number}", str(number)))
    at = f"{store.root}/checkpoints/step-00000002"
    if harm == "no manifest":
        store.files.rm_file(f"{at}/MANIFEST.json")
    elif harm == "torn manifest":
        store.files.pipe_file(f"{at}/MANIFEST.json", b'{"weights": "ab')
    elif harm == "other bytes":
        store.files.pipe_file(f"{at}/weights", b"3")
    else:
        store.files.rm_file(f"{at}/weights")
    elsewhere = Store.of(url, tmp_path / "b")
    assert [path.name for path in elsewhere.get_newest()] == ["step-00000002"]
    found, damaged = checkpoint.newest(elsewhere.folder / "checkpoints")
    assert found.name == "step-00000001" and (found / "weights").read_text() == "1" and not damaged


def test_the_manifest_is_copied_last(url, tmp_path, monkeypatch):
    """A writer that is lost at any file leaves nothing that counts, not even over an older folder of that name."""
    store = Store.of(url, tmp_path / "a")
    path = sealed(store.folder)
    store.put(path)
    (path / "weights").write_text("2")
    manifest.seal(path)
    put = store.files.put_file

    def lost(source, target):
        if source.endswith("weights"):
            raise ConnectionError("gone")
        put(source, target)

    monkeypatch.setattr(store.files, "put_file", lost)
    with pytest.raises(TrainingError, match="gone") as raised:
        store.put(path)
    assert raised.value.code == "training.store-fails"
    assert not store.files.exists(f"{store.root}/checkpoints/{path.name}/MANIFEST.json")
    elsewhere = Store.of(url, tmp_path / "b")
    assert not elsewhere.get(elsewhere.folder / "checkpoints" / path.name)


def test_a_run_that_starts_over_leaves_no_old_state_there_or_here(url, tmp_path):
    store = Store.of(url, tmp_path / "a")
    store.put(sealed(store.folder))
    (store.folder / "spec.yaml").write_text("seed: 1")
    store.put_files()
    (store.folder / "spec.yaml").write_text("seed: 2")  # what this machine remembers, of another run
    store.begin(["spec.yaml"], resume=True)
    assert (store.folder / "spec.yaml").read_text() == "seed: 1" and not (store.folder / "checkpoints").exists()
    store.begin(["spec.yaml"], resume=False)
    assert not (store.folder / "spec.yaml").exists()
    assert store.get_newest() == [] and not (store.folder / "checkpoints").exists()


def test_a_name_that_leads_out_of_the_folder_is_not_written(tmp_path, monkeypatch):
    store = Store.of((tmp_path / "mount").as_uri(), tmp_path / "a")
    path = sealed(store.folder)
    store.put(path)
    shutil.rmtree(path)
    monkeypatch.setattr(store.files, "find", lambda at: [f"{at}/MANIFEST.json", f"{at}/../../../out"])
    assert not store.get(path) and not path.exists()


def test_processes_that_see_different_checkpoints_do_not_train(tmp_path, monkeypatch):
    """As where a run directory is not shared, and the processes are started again."""
    monkeypatch.setattr(Ranks, "gather", lambda self, value: [value, "step-00000009"])
    with pytest.raises(TrainingError) as raised:
        run(loop(tmp_path, rows(8)))
    assert raised.value.code == "training.not-shared"


def test_an_unknown_store_and_a_missing_library_are_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(TrainingError, match="nowhere") as unknown:
        Store.of("nowhere://bucket/run")
    assert unknown.value.code == "training.store-fails"
    with pytest.raises(TrainingError, match="pip install|[Ii]nstall") as missing:
        Store.of("s3://bucket/run")
    assert missing.value.code == "training.store-library"


def test_a_run_at_a_url_ends_in_a_bundle_there_and_can_start_over(tmp_path, monkeypatch):
    url = (tmp_path / "mount").as_uri()
    data = jsonl(tmp_path / "reviews.jsonl", lines())
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "one machine"))
    done = jishi.finetune(data=data, out=url, **SMALL_RUN)
    store = Store.of(url, tmp_path / "look")
    names = {Path(path).name for path in store.files.ls(store.root, detail=False)}
    assert {
        "spec.yaml",
        "metrics.jsonl",
        "run.json",
        "report.html",
        "progress.html",
        "progress.zh.html",
        "evaluation.json",
        "bundle",
        "checkpoints",
    } == names
    assert json.loads(store.files.cat_file(f"{store.root}/run.json"))["status"] == "complete"
    assert store.get(store.folder / "bundle") and jishi.load(store.folder / "bundle").replay().flips == 0

    monkeypatch.setenv("JISHI_CACHE", str(tmp_path / "another machine"))
    with pytest.raises(TrainingError) as raised:
        jishi.finetune(data=data, out=url, seed=1, **SMALL_RUN)
    assert raised.value.code == "training.run-other-spec"
    again = []
    jishi.finetune(data=data, out=url, listen=again.append, **SMALL_RUN)
    assert again[0].step == 2 and str(done.folder) not in again[0].values["resumed_from"]
    over = []
    jishi.finetune(data=data, out=url, seed=1, resume="never", listen=over.append, **SMALL_RUN)
    assert over[0].step == 0
    told = [json.loads(line) for line in store.files.cat_file(f"{store.root}/metrics.jsonl").splitlines()]
    assert [event["kind"] for event in told] == ["start", "step", "step", "validation", "checkpoint", "end"]
