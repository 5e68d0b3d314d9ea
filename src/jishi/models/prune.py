"""Cut a vocabulary down to what a corpus uses: the embedding table is most of a small multilingual model.

Kept are the special tokens, every piece the full tokenizer gives for the corpus, and the single characters of the scripts
the corpus is written in, so that new text of the same language stays known. On the corpus itself nothing changes; words it
lacks are read letter by letter, which costs accuracy where the corpus is small. With `scripts` every piece of its main scripts
is kept, and new text in them is read as before.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from jishi.core.errors import ModelError

MAIN = 0.05  # share of the corpus's letters from which a script is a main one
WORD_STARTS = "▁"  # how Unigram marks the beginning of a word
BATCH = 1000
CATEGORY = 2  # letters in the name of a Unicode category ("Po"); the names of scripts have more


def prune(model: PreTrainedModel, full: Any, texts: Iterable[str]) -> tuple[PreTrainedModel, Any]:
    """The model (changed in place) and a tokenizer that share the smaller vocabulary."""
    cut = tokenizer(full, texts)
    embeddings(model, full, cut)
    return model, cut


def tokenizer(
    full: Any, texts: Iterable[str], *, prefix: str = "", scripts: bool = False, seen: int = 1
) -> PreTrainedTokenizerFast:
    """The tokenizer cut down to the pieces that the texts use `seen` times, and to the `prefix` that is put before each.

    Raises ModelError for kinds whose pieces hang on one another (BPE).
    """
    described = json.loads(full.backend_tokenizer.to_str())
    kept = _kept(full, described["model"], texts, prefix, scripts, seen)
    place = {old: new for new, old in enumerate(kept)}
    pieces = described["model"]["vocab"]
    if isinstance(pieces, list):
        described["model"]["vocab"] = [pieces[old] for old in kept]
        described["model"]["unk_id"] = place[described["model"]["unk_id"]]
    else:
        described["model"]["vocab"] = {piece: place[old] for piece, old in pieces.items() if old in place}
    for token in described["added_tokens"]:
        token["id"] = place[token["id"]]
    _renumber(described["post_processor"], place)
    return rebuilt(full, described)


def rebuilt(full: Any, described: Mapping[str, Any]) -> PreTrainedTokenizerFast:
    """A tokenizer of another description, with all else as `full` has it."""
    from tokenizers import Tokenizer

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(described)),
        model_max_length=full.model_max_length,
        model_input_names=full.model_input_names,
        padding_side=full.padding_side,
        truncation_side=full.truncation_side,
        split_special_tokens=full.split_special_tokens,
        chat_template=full.chat_template,
        **full.special_tokens_map,
    )


@torch.no_grad()
def embeddings(model: PreTrainedModel, full: Any, cut: Any) -> None:
    """The model's embedding rows, and its output rows where it predicts tokens, brought to the smaller vocabulary."""
    old = full.get_vocab()
    pieces = sorted(cut.get_vocab().items(), key=lambda entry: entry[1])
    kept = torch.tensor([old[piece] for piece, _ in pieces])
    layers = [layer for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None]
    tables = [table for layer in layers for table in (layer.weight, getattr(layer, "bias", None)) if table is not None]
    for table in {table.data_ptr(): table for table in tables}.values():  # tied tables once
        table[: len(kept)] = table[kept]
    model.resize_token_embeddings(len(kept), mean_resizing=False)


def _kept(full: Any, model: dict[str, Any], texts: Iterable[str], prefix: str, whole: bool, times: int) -> list[int]:
    """The ids to keep, ascending.

    The piece with the lowest score stays too: Unigram prices an unknown character by it, and with another price the best
    split of a text could change.
    """
    if model["type"] not in ("Unigram", "WordPiece", "WordLevel"):
        raise ModelError("models.prune-unsupported", given=model["type"])
    listed = isinstance(model["vocab"], list)
    pieces = {entry[0]: index for index, entry in enumerate(model["vocab"])} if listed else model["vocab"]
    kept = set(full.all_special_ids) | set(full.added_tokens_decoder)
    seen: Counter[str] = Counter()
    used: Counter[int] = Counter(full.backend_tokenizer.encode(prefix, add_special_tokens=False).ids * times)
    for batch in _batches(texts):
        for encoded in full.backend_tokenizer.encode_batch([prefix + text for text in batch], add_special_tokens=False):
            used.update(encoded.ids)
        seen.update(_script(letter) for text in batch for letter in text)
    kept.update(index for index, count in used.items() if count >= times)
    kept.update(index for piece, index in pieces.items() if _is_letter_of(piece, seen))
    if whole:
        letters = sum(count for name, count in seen.items() if len(name) > CATEGORY)
        main = {name for name, count in seen.items() if len(name) > CATEGORY and count >= MAIN * letters}
        kept.update(
            index
            for piece, index in pieces.items()
            if {_script(letter) for letter in piece if letter.isalpha()} <= main
        )
    if listed:
        kept.add(model["unk_id"])
        kept.add(min(range(len(model["vocab"])), key=lambda index: model["vocab"][index][1]))
    return sorted(kept)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(texts)
    while batch := list(islice(remaining, BATCH)):
        yield batch


@cache
def _script(letter: str) -> str:
    """The first word of a letter's Unicode name (CJK, LATIN, ARABIC); for what is no letter, its category."""
    return unicodedata.name(letter, "").split(" ")[0] if letter.isalpha() else unicodedata.category(letter)


def _is_letter_of(piece: str, scripts: Container[str]) -> bool:
    letter = piece.removeprefix(WORD_STARTS).removeprefix("##")
    return len(letter) == 1 and _script(letter) in scripts


def _renumber(described: Any, place: dict[int, int]) -> None:
    """Special tokens in a post-processor by their new ids."""
    for inner in (described or {}).get("processors", ()):
        _renumber(inner, place)
    for token in ((described or {}).get("special_tokens") or {}).values():
        token["ids"] = [place[old] for old in token["ids"]]
    for key in ("sep", "cls"):
        if key in (described or {}):
            described[key][1] = place[described[key][1]]
