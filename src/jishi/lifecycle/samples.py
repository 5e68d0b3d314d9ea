"""What a model makes of a few texts while it learns: told as events between those of the loop, which knows nothing of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Len

from jishi.core import registry
from jishi.core.contracts import option
from jishi.core.errors import UsageError
from jishi.models.decoding import Decoding
from jishi.training.loop import Event, Loop


@dataclass(frozen=True)
class SampleSpec:
    """Texts to look at; a list alone reads as `texts`."""

    texts: Annotated[tuple[str, ...], Len(1)] = option(
        en="What a decoder goes on with; for masked-lm, texts with [MASK] where a word is missing.",
        zh="解码器续写的开头；masked-lm 则为在缺词处写 [MASK] 的文本。",
    )
    every: Annotated[int, Ge(1)] = option(500, "Optimizer steps between two looks.", "两次展示之间的优化器步数。")
    decoding: Decoding = option(
        factory=lambda: Decoding("sampling", max_new_tokens=40, top_p=0.9),
        en="How a decoder goes on; left out, 40 tokens drawn from the likeliest (top_p 0.9).",
        zh="解码器如何续写；省略时从最可能的词元中抽取 40 个（top_p 0.9）。",
    )


def add(wanted: SampleSpec | None, loop: Loop, events: Iterator[Event]) -> Iterator[Event]:
    """The events with "samples" among them: before the first step, then every so many. Training goes on as without them.

    Raises UsageError where the objective has nothing to show, or no process holds the whole model.
    """
    if wanted and loop.shards:
        raise UsageError("training.shard-samples")
    for event in events:
        yield event
        first = event.kind == "start" and not event.step
        if wanted and (first or (event.kind == "step" and event.step % wanted.every == 0)):
            yield Event("samples", event.step, {"texts": list(_looked_at(wanted, loop))})


def _looked_at(wanted: SampleSpec, loop: Loop) -> Iterator[dict[str, str]]:
    training = loop.model.training
    loop.model.eval()
    try:
        with torch.inference_mode():
            for text in wanted.texts:
                written = loop.objective.sample(loop.model, text, loop.processor, wanted.decoding)
                if written is None:
                    raise UsageError("objectives.no-samples", given=registry.name_of(loop.objective))
                yield {"given": text, "written": written}
    finally:
        loop.model.train(training)
