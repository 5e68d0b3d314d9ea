"""A long text cut at few tokens, in time that grows with the text alone.

`tokenizers` makes an encoding of every rest of what it cuts, and of two texts one of each pair of rests, which nobody asks for:
two texts of 8,000 characters cut at 16 tokens take it 3 s.
"""

import json
from collections.abc import Sequence

from tokenizers import Encoding, Tokenizer

LONG = 16  # characters to each token that may be read, beyond which something is probably cut


def encode(backend: Tokenizer, texts: Sequence[str], length: int, side: str) -> tuple[Encoding, bool]:
    """One or two texts as the backend, which does not cut, encodes what is kept of them; and whether anything was cut.

    Of two texts the longer one is cut at `side`, and both where it is not enough to make them equally long.
    """
    found = backend.encode_batch(list(texts), add_special_tokens=False)
    counts = [len(one.ids) for one in found]
    room = length - backend.num_special_tokens_to_add(len(texts) > 1)
    kept = shares(counts, room) if room >= 0 else counts  # what stands around them is never cut, nor then they
    parts = [_part(one, count, side) for one, count in zip(found, kept, strict=True)]
    return backend.post_process(*parts), sum(kept) < sum(counts)


def shares(counts: Sequence[int], room: int) -> list[int]:
    """How many tokens are kept of one or two texts: all of the shorter one, or half of the room (rounded down)."""
    if sum(counts) <= room or len(counts) == 1:
        return [min(count, room) for count in counts]
    least = min(min(counts), room // 2)
    first, second = counts
    return [least, room - least] if first <= second else [room - least, least]


def _part(whole: Encoding, count: int, side: str) -> Encoding:
    """So many of the tokens, as before anything was put around them: of no text yet, and with no rest."""
    where = slice(count) if side == "right" else slice(len(whole.ids) - count, None)
    state = json.loads(whole.__getstate__())
    kept = {key: value[where] if isinstance(value, list) else value for key, value in state.items()}
    part = Encoding()
    part.__setstate__(json.dumps({**kept, "overflowing": [], "sequence_ranges": {}}).encode())
    return part
