"""A bidirectional LSTM over token embeddings (Graves & Schmidhuber 2005): every state has read the text from both ends."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from jishi.models import tokenizer
from jishi.models.scratch._design import Design

SIZES = {
    "nano": (64, 64, 1),
    "tiny": (128, 128, 1),
    "mini": (256, 256, 2),
    "small": (300, 512, 2),
    "base": (512, 1024, 3),
}  # embedding, D, layers


class BiLSTMConfig(PreTrainedConfig):
    model_type = "jishi-bilstm"

    def __init__(
        self,
        vocab_size: int = 0,
        embedding_size: int = 128,
        hidden_size: int = 128,
        num_hidden_layers: int = 1,
        hidden_dropout_prob: float = 0.3,
        pad_token_id: int = 0,
        initializer_range: float = 0.05,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.hidden_dropout_prob = hidden_dropout_prob
        self.initializer_range = initializer_range
        super().__init__(pad_token_id=pad_token_id, **kwargs)


class BiLSTMModel(PreTrainedModel):
    """States (B, T, D), half of D from each direction; the backward one begins at the last real token."""

    config_class = BiLSTMConfig
    base_model_prefix = "bilstm"

    def __init__(self, config: BiLSTMConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size, config.pad_token_id)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        widths = [config.embedding_size] + [config.hidden_size] * (config.num_hidden_layers - 1)
        self.layers = nn.ModuleList(
            nn.LSTM(width, config.hidden_size // 2, batch_first=True, bidirectional=True) for width in widths
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embeddings = value

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> BaseModelOutput:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        lengths = mask.sum(1).clamp(min=1).cpu()
        states = self.embeddings(input_ids)  # (B, T, E)
        for layer in self.layers:
            packed = pack_padded_sequence(self.dropout(states), lengths, batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=input_ids.shape[1])
        return BaseModelOutput(last_hidden_state=states)


def _config(size: str, processor: Any) -> BiLSTMConfig:
    embedding, width, layers = SIZES[size]
    return BiLSTMConfig(len(processor), embedding, width, layers, pad_token_id=processor.pad_token_id)


AutoConfig.register(BiLSTMConfig.model_type, BiLSTMConfig)
AutoModel.register(BiLSTMConfig, BiLSTMModel)
DESIGN = Design("text", "max", _config, tokenizer.train, learns=True)
