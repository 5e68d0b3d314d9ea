"""A transformers folder as it lies on disk, judged before anything of it is loaded."""

import json
import math
from pathlib import Path
from typing import Any

from jishi.core.contracts import Base
from jishi.core.errors import ModelError
from jishi.models.chat import recognise

MAX_JSON = 64 * 1024 * 1024  # a tokenizer.json of 250,000 pieces has 16 MB
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model")
IMAGES = ("preprocessor_config.json", "processor_config.json")
ADAPTER = "adapter.safetensors"  # what an adaptation added to the model of a bundle and could not fold in
LEARNT = "adapter_model.safetensors"  # what was learnt beside a base that lies elsewhere, by the name peft gives it
GRAPH = "model.onnx"  # what stands in the place of weights where a bundle was exported
READER = "encoder.onnx"  # and what reads for it, where it is the step of a model that reads with an encoder
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


def check(path: Path, *, weights: bool = True) -> dict[str, Any]:
    """The folder's config. Raises ModelError where it is no model folder, holds code or pickles, or (`weights`) is cut off."""
    if not (path / "config.json").is_file():
        raise ModelError("models.no-config", path=path)
    config = read_json(path / "config.json")
    for name in ("config.json", "tokenizer_config.json", *IMAGES):
        if (path / name).is_file() and "auto_map" in read_json(path / name):
            raise ModelError("models.remote-code", path=path / name)
    if weights:
        _check_weights(path)
    return config


def read_json(path: Path) -> dict[str, Any]:
    """A bounded JSON object. Raises ModelError."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError(f"{path.stat().st_size} bytes")
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError(type(value).__name__)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("models.bad-json", path=path, reason=error) from None
    return value


def has_tokenizer(path: Path) -> bool:
    return any((path / name).is_file() for name in TOKENIZERS)


def has_image_processor(path: Path) -> bool:
    return any((path / name).is_file() for name in IMAGES)


def modality(path: Path) -> str:
    """What the folder's processor reads: "text", "image", "image+text". Raises ModelError where it has none."""
    reads = {"image": has_image_processor(path), "text": has_tokenizer(path)}
    if not any(reads.values()):
        raise ModelError("models.no-modality", path=path)
    return "+".join(name for name, held in reads.items() if held)


def size(path: Path) -> int:
    """Bytes of the folder's weights in memory, where they are fp32, or of its graphs. Raises ModelError for a damaged file."""
    from safetensors import SafetensorError, safe_open

    numbers = 0
    for file in path.glob("*.safetensors"):
        try:
            with safe_open(file, framework="np") as held:
                numbers += sum(math.prod(held.get_slice(name).get_shape()) for name in held.keys())  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelError("models.broken-weights", path=file, reason=error) from None
    return 4 * numbers + sum(path.joinpath(name).stat().st_size for name in (GRAPH, READER) if (path / name).is_file())


def base(name: str, path: Path) -> Base:
    """What the folder says of itself: in our own config key, else in sentence-transformers' files, else the defaults."""
    config = check(path)
    if (path / LEARNT).is_file():
        raise ModelError("models.adapter-alone", path=path)
    if (path / ADAPTER).is_file():
        raise ModelError("models.adapter-beside", path=path)
    said = config["jishi"] if isinstance(config.get("jishi"), dict) else _sentence(path)
    return Base(
        name=name,
        modality=modality(path),
        pooling=str(said.get("pooling") or config.get("pooling") or "cls"),
        prefix=str(said.get("prefix") or ""),
        passage_prefix=str(said.get("passage_prefix") or ""),
        max_length=_max_length(path, config),
        chat=recognise(_template(path)),
    )


def _check_weights(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    files = sorted(path.glob("*.safetensors"))
    if not files:
        pickles = [file.name for pattern in PICKLES for file in path.glob(pattern)]
        if pickles:
            raise ModelError("models.pickle-weights", path=path, given=pickles[0])
        if (path / GRAPH).is_file():
            raise ModelError("models.graph-no-base", path=path)
        raise ModelError("models.no-weights", path=path)
    for file in files:
        try:
            with safe_open(file, framework="np"):
                pass
        except (SafetensorError, OSError) as error:
            raise ModelError("models.broken-weights", path=file, reason=error) from None
    index = path / "model.safetensors.index.json"
    if index.is_file():
        shards = read_json(index).get("weight_map")
        missing = (
            sorted({str(shard) for shard in shards.values()} - {file.name for file in files})
            if isinstance(shards, dict)
            else ["?"]
        )
        if missing:
            raise ModelError("models.broken-weights", path=index, reason=missing[0])


def _sentence(path: Path) -> dict[str, str]:
    """Pooling and default prompt as sentence-transformers records them; empty where the folder has none of its files."""
    said: dict[str, str] = {}
    pooling = path / "1_Pooling" / "config.json"
    if pooling.is_file():
        modes = read_json(pooling)
        for key, kind in (("cls_token", "cls"), ("mean_tokens", "mean"), ("max_tokens", "max")):
            if modes.get(f"pooling_mode_{key}") or modes.get("pooling_mode") == kind:
                said["pooling"] = kind
    settings = path / "config_sentence_transformers.json"
    if settings.is_file():
        found = read_json(settings)
        prompts, chosen = found.get("prompts"), found.get("default_prompt_name")
        if isinstance(prompts, dict) and chosen in prompts:
            said["prefix"] = str(prompts[chosen])
            said["passage_prefix"] = str(prompts.get("passage") or prompts.get("document") or "")
    return said


def _template(path: Path) -> str:
    """The text of the tokenizer's chat template, which is looked at and never run."""
    apart, settings = path / "chat_template.jinja", path / "tokenizer_config.json"
    if apart.is_file():
        return apart.read_text(encoding="utf-8", errors="replace")
    said = read_json(settings).get("chat_template") if settings.is_file() else None
    return said if isinstance(said, str) else ""


def _max_length(path: Path, config: dict[str, Any]) -> int:
    """Tokens the model can read: its positions and its tokenizer's limit, whichever is less.

    RoBERTa's table has a few rows more than it can use (514 for 512), so positions are rounded down to eights.
    """
    inner = next((config[key] for key in ("backbone", "text_config") if isinstance(config.get(key), dict)), config)
    positions = inner.get("max_position_embeddings") or inner.get("n_positions") or 512
    tokenizer = path / "tokenizer_config.json"
    limit = read_json(tokenizer).get("model_max_length") if tokenizer.is_file() else None
    found = min(int(positions) // 8 * 8, int(limit) if isinstance(limit, int | float) else 1_000_000)
    return max(found, 8)
