"""How large a model the texts at hand are for: what is learnt with the least arithmetic.

For each parameter about 20 tokens should be seen (Chinchilla, arXiv:2203.15556), and texts teach nearly as much as new ones up
to the fourth time (arXiv:2305.16264). Both were found on decoders, mostly of 70 M parameters and more: a first guess for others.
"""

from collections.abc import Mapping
from typing import Any

from jishi.models.parameters import Parameters

TOKENS = 20  # seen for each parameter
PASSES = 4


def scaling(
    sizes: Mapping[str, Parameters], size: str, *, corpus: int, trained: float, seconds: float
) -> dict[str, Any]:
    """What each size would want of a corpus of so many tokens, and the largest that it is enough for.

    `sizes` of a design, or the one model there is; a run of `size` over `trained` tokens takes so many seconds, others as much
    longer as they have more inner parameters. Returns {"size": the fitting one, or None, "tokens": what `size` wants, "passes"
    over the corpus, "sizes": [{"size", "parameters", "tokens", "passes", "flops", "seconds"}]}.
    """
    pace = seconds / max(trained, 1) / max(sizes[size].inner, 1)  # seconds a token and inner parameter
    table = []
    for name, count in sizes.items():
        tokens = TOKENS * count.whole
        told = {"size": name, "parameters": count.whole, "tokens": tokens, "passes": tokens / max(corpus, 1)}
        table.append({**told, "flops": 6 * count.inner * tokens, "seconds": pace * count.inner * tokens})
    fitting = [one["size"] for one in table if one["passes"] <= PASSES]
    own = next(one for one in table if one["size"] == size)
    return {"size": fitting[-1] if fitting else None, "tokens": own["tokens"], "passes": own["passes"], "sizes": table}
