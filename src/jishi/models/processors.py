"""What stands between rows and a model: the tokenizer or image processor of a transformers folder, or both."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jishi.core.bundle import Bundle
from jishi.core.errors import ModelError
from jishi.models import folder, plain_tokenizer


@dataclass(frozen=True)
class Processor:
    """The tokenizer of texts and the processor of pictures, side by side."""

    tokenizer: Any
    image_processor: Any

    def save_pretrained(self, folder: Path) -> None:
        """Both into one folder, their files as they are alone."""
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)


def read(path: Path, *, ours: bool = False) -> Any:
    """The tokenizer or image processor (Pillow's, not torchvision's) of a folder, or both. Raises ModelError.

    Of a folder that is `ours` the tokenizer is what the folder says it is; of others transformers decides, which loads torch.
    """
    import transformers

    pictures = tokenizer = None
    with one_sentence("models.broken-processor", path), quiet():
        folder.modality(path)  # raises where there is neither
        if folder.has_image_processor(path):
            pictures = transformers.AutoImageProcessor.from_pretrained(path, backend="pil", local_files_only=True)
        if folder.has_tokenizer(path):
            kind = (_named(path) if ours else None) or transformers.AutoTokenizer
            tokenizer = kind.from_pretrained(path, local_files_only=True)
    if tokenizer is None:
        return pictures
    if tokenizer.pad_token is None:  # decoders have none; the mask hides what stands there
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer if pictures is None else Processor(tokenizer, pictures)


def of_graph(made: Bundle) -> Any:
    """What a bundle's graph is asked through: where tokens are all it needs, of a kind held equal, transformers is not loaded.

    Raises ModelError.
    """
    plain = None
    if not (made.task.generates or folder.has_image_processor(made.path)):
        with one_sentence("models.broken-processor", made.path):
            plain = plain_tokenizer.read(made.path)
    return plain or read(made.path, ours=True)


def _named(path: Path) -> Any:
    """The class that the folder of a whole tokenizer names; None where that says nothing."""
    import transformers
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

    settings = path / "tokenizer_config.json"
    if not (settings.is_file() and (path / "tokenizer.json").is_file()):
        return None
    kind = getattr(transformers, str(folder.read_json(settings).get("tokenizer_class")), None)
    return kind if isinstance(kind, type) and issubclass(kind, TokenizersBackend) else None


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no load report: what the report would tell is checked where it is asked for, and raised."""
    log = importlib.import_module("transformers.utils.logging")
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


@contextmanager
def one_sentence(code: str, path: Path) -> Iterator[None]:
    """Whatever transformers raises over a broken folder, as one sentence."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ModelError(code, path=path, reason=reason) from error
