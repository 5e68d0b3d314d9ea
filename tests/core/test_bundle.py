import errno

import pytest
from safetensors import SafetensorError

from jishi.core import bundle, registry, spec
from jishi.core.contracts import Adaptation, Task
from jishi.core.errors import BundleError, UsageError

TASK = registry.get(Task, "text-classification")(problem="single", labels=("坏", "好"))


class Saved:
    """Stands for a model or a processor: it writes one file."""

    def __init__(self, name: str, content: bytes = b"content") -> None:
        self.name, self.content = name, content

    def save_pretrained(self, folder, **options):
        (folder / self.name).write_bytes(self.content)


def written(path, **record):
    record = {"task": spec.dump(TASK), "adaptation": {"name": "full"}, **record}
    probes = [{"row": {"text": "很好用"}, "prediction": {"label": "好"}, "outputs": [0.0, 1.0]}]
    return bundle.write(
        path,
        model=Saved("model.safetensors"),
        processor=Saved("tokenizer.json"),
        record=record,
        probes=probes,
        card="# 卡",
    )


def test_what_is_written_is_read_back(tmp_path):
    saved = written(tmp_path / "bundle", scores={"accuracy": 0.9})
    read = bundle.read(tmp_path / "bundle")
    assert read.record == saved.record
    assert read.record["format"] == bundle.FORMAT
    assert read.record["scores"] == {"accuracy": 0.9}
    assert read.probes == [{"row": {"text": "很好用"}, "prediction": {"label": "好"}, "outputs": [0.0, 1.0]}]
    assert sorted(file.name for file in (tmp_path / "bundle").iterdir()) == [
        "MANIFEST.json", "README.md", "jishi.json", "model.safetensors", "probes.jsonl", "tokenizer.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left on device (os error 28)")],
)
def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path, fault, monkeypatch):
    """The tensors are written by safetensors, which has an error of its own; all else by Python."""
    before = written(tmp_path / "bundle").fingerprint

    def full(*_, **__):
        raise fault

    monkeypatch.setattr(Saved, "save_pretrained", full)
    with pytest.raises(BundleError, match="No space left") as raised:
        written(tmp_path / "bundle")
    assert raised.value.code == "core.bundle-not-written"
    assert bundle.read(tmp_path / "bundle").fingerprint == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_task_comes_back_with_its_labels(tmp_path):
    read = written(tmp_path / "bundle")
    assert read.task == TASK
    assert read.objective == TASK
    assert read.adaptation == registry.get(Adaptation, "full")()


def test_a_bundle_of_no_task_says_so(tmp_path):
    read = written(tmp_path / "bundle", task={"name": "no-such-task"})
    with pytest.raises(UsageError, match="no-such-task"):
        _ = read.task


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "jishi.json", "probes.jsonl", "README.md"])
def test_one_flipped_byte_is_named(tmp_path, name):
    written(tmp_path / "bundle")
    file = tmp_path / "bundle" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=f"is damaged: {name} does not have the SHA-256"):
        bundle.read(tmp_path / "bundle")


def test_a_lost_and_a_strange_file_are_named(tmp_path):
    written(tmp_path / "bundle")
    (tmp_path / "bundle" / "extra.bin").write_bytes(b"x")
    with pytest.raises(BundleError, match="holds extra.bin, which its manifest does not list"):
        bundle.read(tmp_path / "bundle")
    (tmp_path / "bundle" / "extra.bin").unlink()
    (tmp_path / "bundle" / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match="is incomplete: tokenizer.json"):
        bundle.read(tmp_path / "bundle")


def test_a_folder_that_is_no_bundle_says_what_to_give(tmp_path):
    with pytest.raises(BundleError, match=r"has no jishi.json; give the bundle folder of a run"):
        bundle.read(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "\x00", "3", "[]", "{}"])
def test_an_unreadable_record_is_damage_even_unverified(tmp_path, content):
    written(tmp_path / "bundle")
    (tmp_path / "bundle" / "jishi.json").write_text(content)
    with pytest.raises(BundleError, match="is damaged"):
        bundle.read(tmp_path / "bundle", verify=False)


def test_a_newer_format_asks_for_an_update(tmp_path, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(bundle, "FORMAT", 6)
        written(tmp_path / "bundle")
    with pytest.raises(BundleError, match="has format 6, this Jishi reads up to 5: update Jishi"):
        bundle.read(tmp_path / "bundle")


def test_a_record_that_is_handed_on_gets_the_format_of_today(tmp_path):
    assert written(tmp_path / "bundle", format=2).record["format"] == bundle.FORMAT


def test_a_record_that_is_no_json_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        written(tmp_path / "bundle", scores={"accuracy": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_the_fingerprint_changes_with_any_content(tmp_path):
    first, second = written(tmp_path / "a"), written(tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert written(tmp_path / "c", seed=1).fingerprint != first.fingerprint
