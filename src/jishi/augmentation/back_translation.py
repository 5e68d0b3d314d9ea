"""Say a text in other words, by way of another language (arXiv:1511.06709; of training rows: arXiv:1904.12848).

Needs two bundles that translate, there and back, trained on texts like yours: what they get wrong is learnt. Every text is
translated once, before training, and kept for later runs; that takes far longer than any other way.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Self

import numpy
from annotated_types import Gt, Le

from jishi.core import bundle, manifest
from jishi.core.contracts import Augmentation, option
from jishi.core.errors import UsageError
from jishi.models import cache

FILE = "texts.json"


@dataclass(frozen=True)
class BackTranslation(Augmentation):
    """Puts what two bundles make of a text in its place."""

    modality = "text"

    there: str = option(en="The bundle that translates the rows' language.", zh="把数据的语言译出的模型包。")
    back: str = option(en="The bundle that translates back.", zh="再译回来的模型包。")
    share: Annotated[float, Gt(0), Le(1)] = option(
        0.5,
        "Share of the rows that are varied, drawn anew each epoch.",
        "被变换的行所占比例，每轮重新抽取。",
        aliases=("p",),
    )
    texts: dict[str, str] = option(factory=dict, en="Filled in: text → translated back.", zh="原文与回译（自动填写）。")

    def initialize(self, values: Iterable[str]) -> Self:
        """Raises UsageError where a bundle does not write."""
        given = sorted(set(values))
        seals = [(Path(path) / manifest.MANIFEST) for path in (self.there, self.back)]
        for path in (self.there, self.back):
            if not bundle.read(path).task.generates:
                raise UsageError("training.augment-writes-nothing", path=path)
        told = json.dumps([*(seal.read_text(encoding="utf-8") for seal in seals), given])
        key = f"back-translation/{hashlib.sha256(told.encode()).hexdigest()[:32]}"
        made = cache.folder(key, partial(_make, self, given)) / FILE
        return replace(self, texts=json.loads(made.read_text(encoding="utf-8")))

    def vary(self, raw: str, rng: numpy.random.Generator) -> str:  # noqa: ARG002
        return self.texts.get(raw, raw)


def _make(way: BackTranslation, given: list[str], folder: Path) -> None:
    back = _translated(way.back, _translated(way.there, given))
    (folder / FILE).write_text(json.dumps(dict(zip(given, back, strict=True)), ensure_ascii=False), encoding="utf-8")


def _translated(path: str, texts: list[str]) -> list[str]:
    """What a bundle writes of texts; a text it writes nothing of stays as it is."""
    from jishi.models import inference, load

    read = bundle.read(path, verify=False)  # `initialize` has
    task = read.task
    model, processor = load.trained(read)
    first = next(iter(task.columns))
    features = [task.encode(task.parse({first: text}, training=False), processor) for text in texts]
    written = task.decode(inference.outputs(task, model, features, processor), features, processor)
    return [answer["text"].strip() or text for answer, text in zip(written, texts, strict=True)]
