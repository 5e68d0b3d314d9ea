"""Tiny models that write, with weights wide enough that no two tokens are equally likely, and a tokenizer over bytes."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

END, PAD, WORDS = 1, 0, 16


def decoder(words: int = WORDS, seed: int = 0, positions: int = 64) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=words, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=positions, initializer_range=0.4, pad_token_id=PAD, bos_token_id=None,
        eos_token_id=END,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def positioned(seed: int = 3) -> GPT2LMHeadModel:
    """A decoder that has learnt a vector for each position: a row that is told another says something else."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=WORDS, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.4, pad_token_id=PAD,
        bos_token_id=None, eos_token_id=END,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def encoder_decoder(words: int = WORDS, seed: int = 2) -> T5ForConditionalGeneration:
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=words, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, initializer_factor=1.0, pad_token_id=PAD,
        eos_token_id=END, decoder_start_token_id=PAD, tie_word_embeddings=False,
    )  # fmt: skip
    return T5ForConditionalGeneration(config).eval()


def prompts(rows: int = 5, words: int = WORDS, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random prompts of different lengths, padded on the right."""
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 9, (rows,), generator=rng)
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    ids = torch.randint(2, words, mask.shape, generator=rng) * mask
    return {"input_ids": ids, "attention_mask": mask}


def bytewise() -> PreTrainedTokenizerFast:
    """One token a byte: ids 2 to 257; a Chinese character is three of them. `END` is no text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": PAD, "<end>": END, **{letter: index for index, letter in enumerate(alphabet, 2)}}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<end>")
