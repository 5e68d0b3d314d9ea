"""Learnt words before the text, read like any other (prompt tuning, arXiv:2104.08691): the fewest weights, for large models.

They begin as the words of `text`, or as words of the vocabulary, and take no place from the text; with pictures they are patches
(arXiv:2203.12119). What is learnt can't be folded in: a bundle keeps it beside the plain model. Small models seldom reach `lora`
with it, as the paper says.
"""

import inspect
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import torch
from annotated_types import Ge
from torch import nn

from jishi.adaptation import _patches
from jishi.core.contracts import Adaptation, Objective, option
from jishi.core.errors import ModelError
from jishi.models import adapters, heads


@dataclass(frozen=True)
class PromptTuning(Adaptation):
    """The head learns in full, and the embeddings of some words before the text, or of some patches behind those of a picture."""

    learning_rate = 3e-2
    beside = True

    tokens: Annotated[int, Ge(1)] = option(
        16, "How many words.", "提示的长度（词元数）。", aliases=("num_virtual_tokens",)
    )
    text: str = option(
        "", "What they begin as; left out, words drawn at random.", "提示的初始文本；省略时随机选取词元。",
        aliases=("prompt_tuning_init_text",),
    )  # fmt: skip
    ids: tuple[int, ...] = option((), "Filled in: the tokens of `text`.", "由 `text` 得出的词元编号（自动填写）。")

    def initialize(self, processor: Any) -> Self:
        """Raises ModelError where the text has no token, or more than there are words, or pictures are read."""
        if not self.text:
            return self
        if not callable(getattr(processor, "tokenize", None)):
            raise ModelError("adaptation.text-of-pictures", given=self.text)
        ids = processor(self.text, add_special_tokens=False, verbose=False)["input_ids"]
        if not 0 < len(ids) <= self.tokens:
            raise ModelError("adaptation.prompt-length", given=len(ids), allowed=self.tokens)
        return replace(self, ids=tuple(ids))

    def apply(self, model: Any, objective: Objective) -> Any:  # noqa: ARG002
        reader = model.get_encoder() if model.config.is_encoder_decoder else heads.backbone(model)
        if model.main_input_name == "pixel_values" and (patches := _patches.among(reader, self.tokens)):
            heads.freeze(model)
            adapters.hold(reader, patches)
            return model
        table = next((one for one in reader.modules() if isinstance(one, nn.Embedding)), None)
        if model.main_input_name != "input_ids" or table is None:
            raise ModelError("adaptation.no-words", given=type(model).__name__)
        ids = [self.ids[place % len(self.ids)] for place in range(self.tokens)] if self.ids else None
        chosen = torch.tensor(ids) if ids else torch.randint(len(table.weight), (self.tokens,))
        heads.freeze(model)
        prompt = Prompt(table.weight.detach()[chosen], reader)
        adapters.hold(reader, prompt)
        reader.register_forward_pre_hook(prompt.before, with_kwargs=True)
        table.register_forward_hook(prompt.embed)
        reader.register_forward_hook(prompt.behind)
        return model


class Prompt(nn.Module):
    """The words (N, D). A reader is given N tokens more, which its embedding replaces by them, and says nothing of these."""

    def __init__(self, words: torch.Tensor, reader: Any) -> None:
        super().__init__()
        self.words = nn.Parameter(words)
        counts = any(
            hasattr(one, "padding_idx") and one is not reader and not isinstance(one, nn.Embedding)
            for one in reader.modules()
        )
        # Some count positions from the tokens; to others the text's own can be told, which leaves it all of them.
        self.places = "position_ids" in inspect.signature(reader.forward).parameters and not counts
        self.added = False

    def before(self, reader: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:  # noqa: ARG002
        """Makes room for the words before the tokens (B, T), unless those go on with what was read before."""
        named = {**named, "input_ids": given[0]} if given else dict(named)
        ids, count, cache = named["input_ids"], len(self.words), named.get("past_key_values")
        self.added = cache is None or not cache.get_seq_length()
        if named.get("attention_mask") is not None:
            named["attention_mask"] = nn.functional.pad(named["attention_mask"], (count, 0), value=1)
        if self.added:
            named["input_ids"] = nn.functional.pad(ids, (count, 0))
            if named.get("token_type_ids") is not None:
                named["token_type_ids"] = nn.functional.pad(named["token_type_ids"], (count, 0))
            if self.places:
                own = named.get("position_ids")
                own = torch.arange(ids.shape[1], device=ids.device)[None] if own is None else own
                first = torch.arange(count, device=ids.device).expand(len(own), -1)
                named["position_ids"] = torch.cat([first, own], 1)
        return (), named

    def embed(self, table: nn.Module, given: Any, said: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """The words in the place of the first embeddings (B, N + T, D)."""
        if not self.added:
            return said
        words = self.words.to(said.dtype).expand(len(said), -1, -1)
        return torch.cat([words, said[:, len(self.words) :]], 1)

    def behind(self, reader: Any, given: Any, said: Any) -> Any:  # noqa: ARG002
        """The states of the text alone."""
        if self.added:
            said.last_hidden_state = said.last_hidden_state[:, len(self.words) :]
        return said
