import json
from pathlib import Path

import pytest

from jishi.core.errors import ModelError
from jishi.models import folder


def edit(path: Path, **values: object) -> None:
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**content, **values}))


def no_config(path: Path) -> None:
    (path / "config.json").unlink()


def bad_json(path: Path) -> None:
    (path / "config.json").write_text('{"model_type": ')


def a_list(path: Path) -> None:
    (path / "config.json").write_text("[1]")


def remote_code(path: Path) -> None:
    edit(path / "config.json", auto_map={"AutoModel": "modeling.Model"})


def remote_tokenizer(path: Path) -> None:
    edit(path / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokens.Tokens", None]})


def no_weights(path: Path) -> None:
    (path / "model.safetensors").unlink()


def only_pickles(path: Path) -> None:
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def cut_off(path: Path) -> None:
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])


def shard_missing(path: Path) -> None:
    edit(path / "model.safetensors.index.json", weight_map={"a": "model-00002-of-00002.safetensors"})


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (no_config, "models.no-config"),
        (bad_json, "models.bad-json"),
        (a_list, "models.bad-json"),
        (remote_code, "models.remote-code"),
        (remote_tokenizer, "models.remote-code"),
        (no_weights, "models.no-weights"),
        (only_pickles, "models.pickle-weights"),
        (cut_off, "models.broken-weights"),
        (shard_missing, "models.broken-weights"),
    ],
)
def test_a_broken_folder_is_refused_in_one_sentence(copied: Path, damage, code: str) -> None:
    folder.check(copied)
    damage(copied)
    with pytest.raises(ModelError) as caught:
        folder.check(copied)
    assert caught.value.code == code
    assert str(copied) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plain_folder_pools_at_its_first_token(bert: Path) -> None:
    found = folder.base("name", bert)
    assert (found.modality, found.pooling, found.prefix, found.max_length) == ("text", "cls", "", 64)


@pytest.mark.parametrize("mode", [{"pooling_mode_mean_tokens": True}, {"pooling_mode": "mean"}])
def test_pooling_and_prompt_travel_in_sentence_transformers_files(copied: Path, mode: dict[str, object]) -> None:
    (copied / "1_Pooling").mkdir()
    edit(copied / "1_Pooling" / "config.json", **mode)
    edit(
        copied / "config_sentence_transformers.json",
        prompts={"query": "q: ", "other": "o: "},
        default_prompt_name="query",
    )
    found = folder.base("name", copied)
    assert (found.pooling, found.prefix) == ("mean", "q: ")


def test_positions_that_roberta_cannot_use_are_not_offered(copied: Path) -> None:
    edit(copied / "config.json", max_position_embeddings=514)
    edit(copied / "tokenizer_config.json", model_max_length=10**30)
    assert folder.base("name", copied).max_length == 512


def test_a_folder_without_a_processor_is_refused(copied: Path) -> None:
    for name in folder.TOKENIZERS:
        (copied / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match="neither a tokenizer nor an image processor"):
        folder.base("name", copied)
    edit(copied / "preprocessor_config.json", image_processor_type="ViTImageProcessor")
    assert folder.base("name", copied).modality == "image"
