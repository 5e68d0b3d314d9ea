"""A fast tokenizer by the library below it alone: to import transformers takes seconds, and a graph's answers need none of it.

The `tokenizer.json` that a tokenizer of transformers wrote holds all of what it does to a text; names, limits and sides stand in
`tokenizer_config.json`. That the two agree is held by tests for the kinds named here, and by a bundle's probes for each folder.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from jishi.models import folder

WHOLE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
PLAIN = ("input_ids", "attention_mask")
TYPED = ("input_ids", "token_type_ids", "attention_mask")
# The classes that are held to be equal, and what their models read where the folder does not say.
KINDS: Mapping[str, Sequence[str]] = {
    "TokenizersBackend": PLAIN,
    "PreTrainedTokenizerFast": PLAIN,
    "BertTokenizer": TYPED,
    "BertTokenizerFast": TYPED,
    "RobertaTokenizer": PLAIN,
    "XLMRobertaTokenizer": PLAIN,
}
ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
ENDLESS = int(1e30)  # the limit of those that have none


class PlainTokenizer:
    """What tokens, units and passages are made with. Whatever else is asked, the class of transformers answers, read then."""

    is_fast = True

    def __init__(self, folder: Path, backend: Tokenizer, settings: Mapping[str, Any]) -> None:
        self.folder, self.backend_tokenizer = folder, backend
        self.model_input_names = list(settings.get("model_input_names", KINDS[settings["tokenizer_class"]]))
        self.model_max_length = settings.get("model_max_length") or ENDLESS
        self.truncation_side = settings.get("truncation_side", "right")
        self.split_special_tokens = settings.get("split_special_tokens", False)
        names = {role: settings.get(f"{role}_token") for role in ROLES}
        names["pad"] = names["pad"] or names["eos"] or names["unk"]
        for role, name in names.items():
            setattr(self, f"{role}_token", name)
            setattr(self, f"{role}_token_id", None if name is None else backend.token_to_id(name))

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        """The pieces that ids stand for."""
        return [self.backend_tokenizer.id_to_token(int(token)) for token in ids]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._whole, name)

    @cached_property
    def _whole(self) -> Any:
        from jishi.models import processors

        return processors.read(self.folder, ours=True)


def read(path: Path) -> PlainTokenizer | None:
    """The tokenizer of a folder that we wrote; None where it is of a kind that is not known to be equal. Raises ModelError."""
    if not ((path / WHOLE).is_file() and (path / SETTINGS).is_file()):
        return None
    settings = folder.read_json(path / SETTINGS)
    if settings.get("tokenizer_class") not in KINDS:
        return None
    backend = Tokenizer.from_file(str(path / WHOLE))
    marks = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    extra = settings.get("extra_special_tokens") or []
    named = [*(settings.get(f"{role}_token") for role in ROLES), *(extra if isinstance(extra, list) else [extra])]
    if any(name is not None and (not isinstance(name, str) or name not in marks) for name in named):
        return None  # transformers would give it a token that it lacks
    return PlainTokenizer(path, backend, settings)
