"""Language models that read from the left through recurrent layers: what `lstm` and `gru` share.

Importing this module makes transformers' Auto classes read folders of `model_type` "jishi-recurrent".
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from jishi.models.scratch._design import Design
from jishi.models.scratch._processors import writing

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentConfig(PreTrainedConfig):
    """`hidden_size` D is the width of embeddings and of the states handed on, `cell_size` H that of the layers between."""

    model_type = "jishi-recurrent"

    def __init__(
        self, vocab_size: int = 0, cell: str = "lstm", hidden_size: int = 128, cell_size: int = 160,
        num_hidden_layers: int = 2, hidden_dropout_prob: float = 0.1, pad_token_id: int = 0,
        initializer_range: float = 0.09, tie_word_embeddings: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.vocab_size = vocab_size
        self.cell = cell
        self.hidden_size = hidden_size
        self.cell_size = cell_size
        self.num_hidden_layers = num_hidden_layers
        self.hidden_dropout_prob = hidden_dropout_prob
        self.initializer_range = initializer_range
        super().__init__(pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs)


class Memory:
    """What the layers know after the last token read, which stands where attention has its keys and values."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = layers  # (1, B, H) of each layer, an LSTM's with its cells (1, B, H)

    def batch_select_indices(self, rows: torch.Tensor) -> None:
        """Keep these rows; one may be named more than once."""
        self.layers = [
            tuple(part[:, rows] for part in one) if isinstance(one, tuple) else one[:, rows] for one in self.layers
        ]


class RecurrentModel(PreTrainedModel):
    """States (B, T, D), each from its token and those before it; padding on either side changes none."""

    config_class = RecurrentConfig
    base_model_prefix = "model"

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.scale = config.hidden_size**0.5  # the table is the output layer too, where its rows are better short
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        widths = [config.hidden_size] + [config.cell_size] * (config.num_hidden_layers - 1)
        self.layers = nn.ModuleList(CELLS[config.cell](width, config.cell_size, batch_first=True) for width in widths)
        self.projection = nn.Linear(config.cell_size, config.hidden_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embeddings = value

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, past_key_values: Memory | None = None,
        use_cache: bool = False, **_: Any,
    ) -> BaseModelOutputWithPast:  # fmt: skip
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask[:, -input_ids.shape[1] :]
        padded = not bool(mask.all())
        order = mask.argsort(
            dim=1, descending=True, stable=True
        )  # real tokens first: they do not see what is behind them
        states = self.embeddings(input_ids.gather(1, order) if padded else input_ids) * self.scale  # (B, T, D)
        lengths = mask.sum(1).cpu() if padded and use_cache else None  # only what is remembered must end with its row
        memory = []
        for place, layer in enumerate(self.layers):
            before = past_key_values.layers[place] if past_key_values else None
            states, after = _through(layer, self.dropout(states), before, lengths)
            memory.append(after)
        states = self.projection(self.dropout(states))
        if padded:
            states = states.gather(1, order.argsort(dim=1)[..., None].expand_as(states))
        return BaseModelOutputWithPast(states, Memory(memory) if use_cache else None)  # type: ignore[arg-type]


class RecurrentForCausalLM(PreTrainedModel):
    """Logits (B, T, V) of every next token; the output layer is the table of embeddings."""

    config_class = RecurrentConfig
    base_model_prefix = "model"
    _tied_weights_keys = {"lm_head.weight": "model.embeddings.weight"}

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.model = RecurrentModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.lm_head = value

    def forward(self, input_ids: torch.Tensor, logits_to_keep: int = 0, **inputs: Any) -> CausalLMOutputWithPast:
        found = self.model(input_ids, **inputs)
        logits = self.lm_head(found.last_hidden_state[:, -logits_to_keep:])
        return CausalLMOutputWithPast(logits=logits, past_key_values=found.past_key_values)


def design(cell: str, sizes: dict[str, tuple[int, int, int]], begin: Callable[[Any], None] = lambda _: None) -> Design:
    """The design of a cell in these sizes: D, H, layers."""

    def config(size: str, processor: Any) -> RecurrentConfig:
        width, inner, layers = sizes[size]
        return RecurrentConfig(
            len(processor), cell, width, inner, layers, initializer_range=width**-0.5,
            pad_token_id=processor.pad_token_id, bos_token_id=processor.bos_token_id, eos_token_id=processor.eos_token_id,
        )  # fmt: skip

    return Design("text", "mean", config, writing, learns=True, begin=begin)


def _through(
    layer: nn.Module, states: torch.Tensor, before: Any, lengths: torch.Tensor | None
) -> tuple[torch.Tensor, Any]:
    """States (B, T, H) and what is remembered; with `lengths`, as it is at the end of each row."""
    if lengths is None:
        return layer(states, before)  # type: ignore[no-any-return]
    packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
    found, after = layer(packed, before)
    return pad_packed_sequence(found, batch_first=True, total_length=states.shape[1])[0], after


AutoConfig.register(RecurrentConfig.model_type, RecurrentConfig)
AutoModel.register(RecurrentConfig, RecurrentModel)
AutoModelForCausalLM.register(RecurrentConfig, RecurrentForCausalLM)
