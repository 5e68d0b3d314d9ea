"""A convolutional network over token embeddings (Kim 2014, arXiv:1408.5882): windows of 3, 4 and 5 tokens, max over time."""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from jishi.models import tokenizer
from jishi.models.scratch._design import Design

SIZES = {
    "nano": (64, 32),
    "tiny": (128, 100),
    "mini": (256, 128),
    "small": (300, 256),
    "base": (512, 512),
}  # embedding width, filters a window


class TextCNNConfig(PreTrainedConfig):
    model_type = "jishi-text-cnn"

    def __init__(
        self,
        vocab_size: int = 0,
        embedding_size: int = 128,
        filters: int = 100,
        windows: list[int] | None = None,
        hidden_dropout_prob: float = 0.5,
        pad_token_id: int = 0,
        initializer_range: float = 0.05,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.filters = filters
        self.windows = windows or [3, 4, 5]
        self.hidden_size = filters * len(self.windows)
        self.hidden_dropout_prob = hidden_dropout_prob
        self.initializer_range = initializer_range
        kwargs.pop("hidden_size", None)  # it follows from the others
        super().__init__(pad_token_id=pad_token_id, **kwargs)


class TextCNNModel(PreTrainedModel):
    """States (B, T, filters·windows); a padded position counts as zero, as the edge of the text does."""

    config_class = TextCNNConfig
    base_model_prefix = "text_cnn"

    def __init__(self, config: TextCNNConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size, config.pad_token_id)
        self.convolutions = nn.ModuleDict(
            {str(window): nn.Conv1d(config.embedding_size, config.filters, window) for window in config.windows}
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embeddings = value

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> BaseModelOutput:
        words = self.embeddings(input_ids)  # (B, T, E)
        if attention_mask is not None:
            words = words * attention_mask.unsqueeze(-1)
        columns = words.transpose(1, 2)  # (B, E, T)
        found = []
        for window, convolution in self.convolutions.items():
            before = (int(window) - 1) // 2
            padded = nn.functional.pad(columns, (before, int(window) - 1 - before))
            found.append(convolution(padded).relu())
        return BaseModelOutput(last_hidden_state=torch.cat(found, 1).transpose(1, 2))


def _config(size: str, processor: Any) -> TextCNNConfig:
    width, filters = SIZES[size]
    return TextCNNConfig(len(processor), width, filters, pad_token_id=processor.pad_token_id)


AutoConfig.register(TextCNNConfig.model_type, TextCNNConfig)
AutoModel.register(TextCNNConfig, TextCNNModel)
DESIGN = Design("text", "max", _config, tokenizer.train, learns=True)
