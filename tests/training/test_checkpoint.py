import errno
import json
import resource
import signal

import pytest
import torch

from jishi.core.errors import TrainingError
from jishi.training import checkpoint, optimizer, random_state
from jishi.training.spec import TrainSpec
from points import Net, same, weights


class Counted(Net):
    """With a buffer, as batch norm has."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.register_buffer("seen", torch.zeros(3))


def begun(seed=0, steps=3, kind="adamw", model=None):
    """A model and its optimizer after some steps."""
    model = model or Counted(seed)
    chosen = optimizer.build(model, ["head"], TrainSpec(optimizer=kind), 1e-2)
    for step in range(steps):
        one_step(model, chosen, step)
    return model, chosen


def one_step(model, chosen, step):
    model(torch.tensor([[1.0, step]])).sum().backward()
    chosen.step()
    chosen.zero_grad()
    model.seen += 1


def flip(file, place=-1):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_weights_optimizer_and_random_state_come_back_whole(kind, tmp_path):
    model, chosen = begun(kind=kind)
    path = checkpoint.save(tmp_path / "step-3", model, chosen, {"progress": {"step": 3}}, [random_state.read()])
    expected = torch.rand(5)
    one_step(model, chosen, 7)

    other, its = begun(seed=9, steps=0, kind=kind)
    torch.manual_seed(123)
    assert checkpoint.restore(path, other, its) == {"progress": {"step": 3}}
    assert torch.equal(torch.rand(5), expected)
    assert other.seen.tolist() == [3, 3, 3]
    one_step(other, its, 7)  # where the moments had not come back, this step would be another
    assert same(weights(other), weights(model))


def test_frozen_weights_are_not_stored(tmp_path):
    model, chosen = begun()
    model.body.requires_grad_(False)
    path = checkpoint.save(tmp_path / "step-1", model, chosen, {}, [])
    held = (path / "weights.safetensors").stat().st_size
    model.body.requires_grad_(True)
    assert held < (checkpoint.save(tmp_path / "step-2", model, chosen, {}, []) / "weights.safetensors").stat().st_size


def test_a_model_of_another_shape_is_refused(tmp_path):
    model, chosen = begun()
    path = checkpoint.save(tmp_path / "step-3", model, chosen, {}, [])
    wide = Counted()
    wide.head = torch.nn.Linear(4, 2)
    before = weights(wide)
    with pytest.raises(TrainingError) as caught:
        checkpoint.load_weights(path, wide)
    assert caught.value.code == "training.checkpoint-other-model" and str(path) in str(caught.value)
    assert same(weights(wide), before)
    deeper = Counted()
    deeper.more = torch.nn.Linear(1, 1)
    with pytest.raises(TrainingError):
        checkpoint.load_weights(path, deeper)


def test_a_folder_that_can_not_be_written_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    model, chosen = begun()
    first = checkpoint.save(tmp_path / "step-00000003", model, chosen, {}, [])
    calls = []

    def full(tensors, file):
        calls.append(file)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(TrainingError, match="No space left") as caught:
        checkpoint.save(tmp_path / "step-00000004", model, chosen, {}, [])
    assert caught.value.code == "training.checkpoint-not-written"
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert checkpoint.newest(tmp_path) == (first, [])


def test_a_disk_that_is_full_leaves_the_previous_checkpoint(tmp_path):
    """A real one: files may grow to 1000 bytes only, which the writer of tensors tells in an error of its own."""
    model, chosen = begun()
    first = checkpoint.save(tmp_path / "step-00000003", model, chosen, {}, [])
    model.large = torch.nn.Linear(100, 100)
    old_limit, old_handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old_limit[1]))
    try:
        with pytest.raises(TrainingError) as caught:
            checkpoint.save(tmp_path / "step-00000004", model, chosen, {}, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert caught.value.code == "training.checkpoint-not-written" and "too large" in str(caught.value)
    assert checkpoint.newest(tmp_path) == (first, [])
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_the_newest_that_verifies_is_taken_and_the_damaged_are_named(tmp_path):
    model, chosen = begun()
    paths = [checkpoint.save(tmp_path / f"step-{step:08d}", model, chosen, {}, []) for step in (2, 9, 10, 11)]
    flip(paths[3] / "weights.safetensors")
    (paths[2] / "state.json").unlink()
    assert checkpoint.newest(tmp_path) == (paths[1], [paths[3], paths[2]])


def test_no_checkpoint_is_no_fault(tmp_path):
    assert checkpoint.newest(tmp_path / "none") == (None, [])


def test_pruning_keeps_what_it_is_told(tmp_path):
    model, chosen = begun()
    paths = [checkpoint.save(tmp_path / f"step-{step:08d}", model, chosen, {}, []) for step in (1, 2, 3)]
    checkpoint.prune(tmp_path, {paths[0], paths[2]})
    assert sorted(tmp_path.iterdir()) == [paths[0], paths[2]]


def test_a_checkpoint_holds_plain_data_only(tmp_path):
    model, chosen = begun()
    path = checkpoint.save(tmp_path / "step-1", model, chosen, {"progress": {"step": 1}}, [random_state.read()])
    names = {file.name for file in path.iterdir()}
    assert names == {"weights.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"}
    assert set(json.loads((path / "state.json").read_text())) == {"progress", "optimizer", "random"}
