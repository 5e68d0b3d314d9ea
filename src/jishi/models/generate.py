"""Write answers: greedy, drawn, or by beam search; decoders and encoder-decoders alike, many rows at a time."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import torch

from jishi.core.contracts import Batch, Written
from jishi.models import beams, choice, together
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends, Pieces
from jishi.models.steps import Steps


@torch.inference_mode()
def generate(model: Any, batch: Batch, decoding: Decoding, ends: Ends) -> list[torch.Tensor]:
    """What is written after each prompt of a right-padded batch, (N, 3) a row.

    The token; its log-probability under the model; the margin by which it was chosen: where that is small, rounding
    may choose otherwise. The end token, where one was written, is the last.
    """
    decoding.check()
    if decoding.method == "beam":
        return beams.search(Steps(model, batch), decoding, ends)
    rows: list[list[torch.Tensor]] = [[] for _ in batch["input_ids"]]
    for alive, found in _walk(Steps(model, batch), decoding, ends):
        for row, token in zip(alive, found, strict=True):
            rows[row].append(token)
    return [torch.stack(row) for row in rows]


def begin(model: Any, batch: Batch, decoding: Decoding, ends: Ends) -> Sequence[Generator[None, None, torch.Tensor]]:
    """As `generate`, each row by itself and a step at a time; what is written at the same time shares its steps.

    None where rows are written as one batch: by beam search, and where the model's steps can't be shared.
    """
    decoding.check()
    if decoding.method == "beam" or not together.shares(model):
        return ()
    return together.begin(model, batch, decoding, ends)


def certain(output: torch.Tensor) -> torch.Tensor:
    """The tokens before the first one that was chosen by less than nothing.

    No answer has one; where rounding is imitated, as for probes, it says that another token might have been chosen.
    """
    tossed = (output[:, 2] < 0).nonzero()
    return output[: int(tossed[0])] if len(tossed) else output


def stream(model: Any, batch: Batch, decoding: Decoding, ends: Ends) -> Generator[str, None, Written]:
    """The answer to one prompt, a piece a step: what is certain by now, "" where nothing more is.

    A beam search is certain at its end only. Other streams of the same model share its steps, where the model allows it.
    """
    pieces = Pieces(ends)
    if decoding.method == "beam":
        pieces.ids = [int(token) for token in generate(model, batch, decoding, ends)[0][:, 0]]
    else:
        decoding.check()
        for token in together.write(model, batch, decoding, ends):
            yield pieces.add(int(token[0]))
    yield pieces.rest()
    return Written(len(pieces.ids), bool(pieces.ids) and ends.reached(pieces.ids))


def _walk(steps: Steps, decoding: Decoding, ends: Ends) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Step by step: the rows that are not complete yet, and what was chosen in each (R, 3). Complete rows cost nothing."""
    alive = list(range(len(steps.prompts)))
    keys = [choice.key(decoding.seed, prompt) for prompt in steps.prompts]
    said, written = steps.said, [[] for _ in alive]
    for step in range(decoding.max_new_tokens):
        chosen = choice.choose(
            steps.logits(), [said[row] for row in alive], [keys[row] for row in alive], step, decoding
        )
        yield alive, chosen
        tokens = [int(token) for token in chosen[:, 0]]
        for row, token in zip(alive, tokens, strict=True):
            said[row].append(token)
            written[row].append(token)
        stay = [
            place
            for place, row in enumerate(alive)
            if not ends.reached(written[row]) and len(written[row]) < steps.room[row]
        ]
        if not stay:
            return
        steps.follow(stay, [tokens[place] for place in stay])
        alive = [alive[place] for place in stay]
