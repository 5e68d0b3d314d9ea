"""transformer-encoder-decoder that may also copy: each next token is written or taken from the text read (arXiv:1704.04368).

For texts written anew in much the same words, of which there are too few to learn copying from: old forms of a language into new
ones, titles, corrections. Importing this module makes transformers' Auto classes read folders of `model_type` "jishi-pointer".
"""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, MarianConfig, MarianModel, MarianMTModel
from transformers.modeling_outputs import Seq2SeqLMOutput

from jishi.models.scratch import transformer_encoder_decoder
from jishi.models.scratch._design import Design
from jishi.models.scratch._processors import rewriting

RAREST = torch.finfo(torch.float32).tiny  # a chance that has a logarithm
SURE = 6.0  # the score of what stands behind the token written last, at first; that of others is about 0


class PointerConfig(MarianConfig):
    """Marian's own settings."""

    model_type = "jishi-pointer"


class PointerModel(MarianModel):
    """The states of what is read and of what is written, without the head."""

    config_class = PointerConfig


class PointerForSeq2SeqLM(MarianMTModel):
    """Log-probabilities (B, U, V) of every next token: p · written + (1 - p) · the attention paid to that token in the text.

    `input_ids` (B, T), the text read, is needed beside `encoder_outputs` too.
    """

    config_class = PointerConfig
    reads_rows = True  # its head looks back at the text, see `cross_entropy.logits_at`

    def __init__(self, config: PointerConfig) -> None:
        super().__init__(config)
        self.query = nn.Linear(2 * config.d_model, config.d_model, bias=False)
        self.key = nn.Linear(2 * config.d_model, config.d_model, bias=False)
        self.gate = nn.Linear(2 * config.d_model, 1)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, *, decoder_input_ids: torch.Tensor,
        **inputs: Any,
    ) -> Seq2SeqLMOutput:  # fmt: skip
        found = super().forward(
            input_ids, attention_mask, decoder_input_ids=decoder_input_ids, output_hidden_states=True, **inputs
        )
        read, states = found.encoder_last_hidden_state, found.decoder_hidden_states[-1]  # (B, T, D), (B, U, D)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        pointed = self._pointed(input_ids, mask, decoder_input_ids, read, states)
        gate = self.gate(torch.cat([states, pointed.to(read.dtype) @ read], -1)).float().sigmoid()  # (B, U, 1)
        chances = found.logits.float().softmax(-1) * gate
        places = input_ids[:, None].expand_as(pointed)
        chances = chances.scatter_add(-1, places, pointed * (1 - gate))
        return Seq2SeqLMOutput(logits=chances.clamp(min=RAREST).log(), past_key_values=found.past_key_values)

    def _pointed(self, ids: torch.Tensor, mask: torch.Tensor, written: torch.Tensor, read: Any, states: Any) -> Any:
        """Attention (B, U, T) to each token of the text, which is asked for by the state and by the token written last; a token
        answers by its own state and by the token before it."""
        before = torch.cat([torch.full_like(ids[:, :1], self.config.decoder_start_token_id), ids[:, :-1]], 1)
        table = self.get_input_embeddings()
        asked = self.query(torch.cat([states, table(written)], -1))
        told = self.key(torch.cat([read, table(before)], -1))
        return (asked @ told.mT).float().masked_fill(~mask.bool()[:, None], -torch.inf).softmax(-1)


@torch.no_grad()
def _begin(model: Any) -> None:
    """Pointing begins as going on in the text: to what stands behind the token written last."""
    transformer_encoder_decoder.begin(model)
    for layer in (model.query, model.key):
        layer.weight[:, : layer.out_features] *= layer.out_features**-0.25
        layer.weight[:, layer.out_features :] = SURE**0.5 * torch.eye(layer.out_features)


def _config(size: str, processor: Any) -> PointerConfig:
    return PointerConfig(**transformer_encoder_decoder.values(size, processor))


AutoConfig.register(PointerConfig.model_type, PointerConfig)
AutoModel.register(PointerConfig, PointerModel)
AutoModelForSeq2SeqLM.register(PointerConfig, PointerForSeq2SeqLM)

DESIGN = Design("text", "cls", _config, rewriting, learns=True, begin=_begin)
