"""A vocabulary that goes on: new pieces behind the old ones, whose numbers stay, made of old pieces that often stand together.

Characters that it lacks come first; then BPE (arXiv:1508.07909) joins, within words, what the old vocabulary cuts the texts into.
A model's row of a new piece begins as the mean of those of the old pieces it is made of.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import Any

import torch
from transformers import PreTrainedModel

from jishi.core.errors import ModelError
from jishi.models import prune
from jishi.models.vocabulary import LONGEST

KINDS = ("BPE", "WordPiece", "Unigram")  # of the last only those whose marks stand among the pieces, as in XLM-R
STAND_IN = 0x10000  # code points from here on stand for pieces while these are joined; none of them is a space
GAP = " "  # between words, and in place of what is unknown: over it nothing is joined
Run = tuple[int, ...]  # pieces that follow each other


def tokenizer(full: Any, texts: Sequence[str], size: int) -> Any:
    """The tokenizer with at most `size` pieces, its own first.

    Raises ModelError where it has as many, where the texts fill less than half of the room, and for kinds without pieces.
    """
    described = json.loads(full.backend_tokenizer.to_str())
    model, room = described["model"], size - len(full)
    held = full.get_vocab()
    apart = {piece: held[piece] for piece in held.keys() - _held(model)}  # marks that the model itself does not know
    if model["type"] not in KINDS or (apart and isinstance(model["vocab"], list)):  # a text could spell a priced mark
        raise ModelError("models.grow-unsupported", given=model["type"], allowed=", ".join(KINDS))
    if room <= 0:
        raise ModelError("models.grow-too-small", given=size, found=len(full))
    if apart:
        model["vocab"] |= apart
    words = [_words(full.backend_tokenizer, text) for text in texts]
    counted = Counter(word for text in words for word in text)
    total = sum(len(word) * count for word, count in counted.items())
    _add(model, len(full), _lacking(model, counted).most_common(room // 2), total)
    wider = prune.rebuilt(full, described)
    cut = wider.backend_tokenizer.model.tokenize
    signs = {word: _signs([piece.id for piece in cut(word)], wider.unk_token_id) for word in counted}
    held = wider.get_vocab()
    pieces = {number: piece for piece, number in held.items()}
    prefix, new = _prefix(model), {}
    for left, right, count in _joined(words, counted, signs, size - len(wider)):
        first, second, both = (_written(run, pieces, prefix) for run in (left, right, left + right))
        if "merges" in model:
            model["merges"].append([first, second])
        if both not in held:
            new.setdefault(both, count)
    _add(model, len(wider), new.items(), total)
    grown = prune.rebuilt(full, described)
    assert continues(full, grown)
    if len(grown) - len(full) < room / 2:
        raise ModelError("models.vocabulary-too-large", given=size, found=len(grown))
    return grown


def continues(full: Any, grown: Any) -> bool:
    """Whether every piece of the one has the same number in the other."""
    numbers = grown.get_vocab()
    return all(numbers.get(piece) == number for piece, number in full.get_vocab().items())


@torch.no_grad()
def embeddings(model: PreTrainedModel, full: Any, grown: Any) -> None:
    """The model's embedding rows, and its output rows where it predicts tokens, for the larger vocabulary.

    A piece of characters that the old vocabulary lacks begins as the mean of all rows.
    """
    old, cut = full.get_vocab(), full.backend_tokenizer.model.tokenize
    prefix = _prefix(json.loads(full.backend_tokenizer.to_str())["model"])
    made_of = {
        number: [part.id for part in cut(piece.removeprefix(prefix)) if part.id != full.unk_token_id]
        for piece, number in grown.get_vocab().items()
        if piece not in old
    }
    rows = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(max(len(grown), rows), mean_resizing=False)
    layers = [layer for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None]
    tables = [table for layer in layers for table in (layer.weight, getattr(layer, "bias", None)) if table is not None]
    for table in {table.data_ptr(): table for table in tables}.values():  # tied tables once
        mean = table[: len(full)].mean(dim=0)
        for number, parts in made_of.items():
            table[number] = table[parts].mean(dim=0) if parts else mean


def _words(backend: Any, text: str) -> list[str]:
    """A text as the model of a tokenizer is given it."""
    normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal)] if backend.pre_tokenizer else [normal]


def _prefix(model: Mapping[str, Any]) -> str:
    """What a piece begins with that does not begin its word."""
    return model.get("continuing_subword_prefix") or ""


def _held(model: Mapping[str, Any]) -> set[str]:
    return {entry[0] for entry in model["vocab"]} if isinstance(model["vocab"], list) else set(model["vocab"])


def _lacking(model: Mapping[str, Any], counted: Counter[str]) -> Counter[str]:
    """The characters that are no piece, as pieces, and how often they stand there."""
    held, found = _held(model), Counter[str]()
    for word, count in sorted(counted.items()):
        for place, character in enumerate(word):
            piece = _prefix(model) + character if place else character
            if piece not in held:
                found[piece] += count
    return found


def _add(model: dict[str, Any], start: int, counted: Iterable[tuple[str, int]], total: int) -> None:
    """Pieces with numbers from `start` on; where pieces have prices, theirs tell how often they stand in `total` characters."""
    if isinstance(model["vocab"], list):
        model["vocab"] += [[piece, log(max(count, 1) / total)] for piece, count in counted]
    else:
        model["vocab"] |= {piece: number for number, (piece, _) in enumerate(counted, start)}


def _signs(numbers: Sequence[int], unknown: int | None) -> str:
    return "".join(GAP if number == unknown else chr(STAND_IN + number) for number in numbers)


def _joined(
    texts: Sequence[Sequence[str]], counted: Mapping[str, int], signs: Mapping[str, str], room: int
) -> list[tuple[Run, Run, int]]:
    """What is joined with what, in this order, and how often the two stand there as one in the end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = len({sign for word in signs.values() for sign in word} - {GAP})
    trainer = trainers.BpeTrainer(
        vocab_size=alphabet + room, min_frequency=2, show_progress=False, max_token_length=LONGEST
    )
    learner.train_from_iterator((GAP.join(signs[word] for word in text) for text in texts), trainer)
    found: Counter[str] = Counter()
    for word, count in counted.items():
        for part in signs[word].split():
            found.update({piece.value: count for piece in learner.model.tokenize(part)})
    merges = json.loads(learner.to_str())["model"]["merges"]
    return [(_run(left), _run(right), found[left + right]) for left, right in merges]


def _run(signs: str) -> Run:
    return tuple(ord(sign) - STAND_IN for sign in signs)


def _written(run: Run, pieces: Mapping[int, str], prefix: str) -> str:
    """A run of pieces as one."""
    first, *others = (pieces[number] for number in run)
    return first + "".join(piece.removeprefix(prefix) for piece in others)
