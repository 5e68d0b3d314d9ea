"""A model of the Hugging Face hub as a local folder: only what a transformers folder needs, never a pickle."""

from pathlib import Path

from jishi.core.errors import ModelError

FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "1_Pooling/*", "2_Normalize/*")


def known(name: str) -> bool:
    """Whether a name can be a hub id: `owner/name`, or one that the local cache holds."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return False
    return name.count("/") == 1 or isinstance(cached, str)


def folder(name: str, revision: str | None, alternatives: tuple[str, ...]) -> Path:
    """The snapshot's folder, downloaded where it is not cached. Raises ModelError with the cure where it can't be had."""
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelError("models.hub-unreachable", name=name, reason=reason, allowed=", ".join(alternatives)) from None
