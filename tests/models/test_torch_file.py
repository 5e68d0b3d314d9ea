import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from jishi.core.errors import ModelError
from jishi.models import torch_file


def save(path: Path, value: object) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=False)
    return path


def test_tensors_are_those_that_were_saved(tmp_path: Path) -> None:
    """Views share a storage, transposed ones have strides of their own, scalars have no shape."""
    whole = torch.arange(12.0).reshape(3, 4)
    state = OrderedDict(
        whole=whole, part=whole[1:, 2:], turned=whole.T, scalar=torch.tensor(7), half=torch.tensor([0.5]).half()
    )
    found = torch_file.read(save(tmp_path / "a.pth", state))
    assert list(found) == list(state)
    for name, tensor in state.items():
        assert found[name].dtype == tensor.numpy().dtype
        assert found[name].tolist() == tensor.tolist()


class Harmful:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


def test_code_is_never_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    path = save(tmp_path / "a.pth", {"weight": torch.zeros(2), "other": Harmful(witness)})
    with pytest.raises(ModelError, match="no plain tensor"):
        torch_file.read(path)
    assert not witness.exists()


@pytest.mark.parametrize("content", [{"weight": 3}, {"weight": [torch.zeros(1)]}, torch.nn.Linear(1, 1)])
def test_what_is_no_tensor_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(ModelError, match="no plain tensor"):
        torch_file.read(save(tmp_path / "a.pth", content))


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pth", {"weight": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cut off"):
        torch_file.read(path)


def test_a_tensor_may_not_reach_outside_its_storage(tmp_path: Path) -> None:
    """The shape is enlarged in the opcodes: 1000 rows of a storage that holds 3 numbers."""
    path = save(tmp_path / "a.pth", {"weight": torch.zeros(3)})
    old, new = b"K\x03\x85", b"M\xe8\x03\x85"
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    with pytest.raises(ModelError, match="outside its storage"):
        torch_file.read(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(3), struct.pack("<q", 5)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(io.BytesIO(content).getvalue())
    with pytest.raises(ModelError):
        torch_file.read(path)
