"""The files by which a transformers folder says how its sentence vectors are made, in sentence-transformers' layout."""

import json
from collections.abc import Mapping
from pathlib import Path


def describe(
    folder: Path, *, width: int, max_length: int, pooling: str, prompts: Mapping[str, str], prompt: str
) -> None:
    """Write pooling, prompts and the default prompt's name beside the model's own files."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    pools = {f"pooling_mode_{kind}": kind.startswith(pooling) for kind in ("cls_token", "mean_tokens", "max_tokens")}
    (folder / "1_Pooling").mkdir()
    (folder / "2_Normalize").mkdir()
    _write(folder / "modules.json", modules)
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **pools})
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    _write(
        folder / "config_sentence_transformers.json",
        {"prompts": dict(prompts), "default_prompt_name": prompt, "similarity_fn_name": "cosine"},
    )


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
