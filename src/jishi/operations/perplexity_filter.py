"""Texts that are neither too strange nor too plain to who has read others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy
from pydantic import Field

from jishi.core.contracts import Operation, Treated, option
from jishi.core.errors import DataError, RowError
from jishi.data import places
from jishi.data.characters import CharacterModel
from jishi.data.rows import read
from jishi.data.sources.limits import Limits

Bits = Annotated[float, Field(ge=0, le=64)]


@dataclass(frozen=True)
class PerplexityFilter(Operation):
    """Drops texts too strange or plain to a model of character n-grams, learnt from texts you trust (arXiv:1911.00359)."""

    surveys = True

    reference: str = option(
        en="Texts that read as all should, of every language that is wanted: a file, or the folder of a corpus.",
        zh="可作范例的文本，应包含所需的每种语言：文件，或语料目录。",
    )
    column: str = option("text", "The column of their text.", "其存放文本的列。")
    most: Bits = option(
        4.0,
        "The most bits a byte of UTF-8, above which a text is too strange; texts like the reference take 1 to 3.5.",
        "每个 UTF-8 字节的最大比特数，超过者过于反常；与范例相似的文本为 1 至 3.5。",
    )
    least: Bits = option(
        0.0,
        "The fewest bits a byte, below which a text is too plain: formulas, or what the reference holds itself.",
        "每字节的最小比特数，低于者过于平淡：套话，或范例中已有的文本。",
    )

    def files(self) -> Sequence[Path]:
        return places.parts(Path(self.reference)).get("train", [])

    def ready(self) -> None:
        _model.cache_clear()
        _model(self)

    def survey(self, texts: Sequence[str]) -> numpy.ndarray:
        """(texts,) fp32, the bits a byte."""
        sizes = numpy.array([max(len(text.encode()), 1) for text in texts])
        return (_model(self).bits(texts) / sizes).astype(numpy.float32)

    def settle(self, surveys: Sequence[numpy.ndarray], count: int) -> Sequence[Any]:  # noqa: ARG002
        bits = numpy.concatenate(surveys)
        return numpy.select([bits > self.most, bits < self.least], ["strange", "plain"], "").tolist()

    def treat(self, text: str, known: Any = None) -> Treated | None:  # noqa: ARG002
        return Treated([], {known: 1}) if known else None


@cache
def _model(asked: PerplexityFilter) -> CharacterModel:
    return CharacterModel.fit(_texts(asked))


def _texts(asked: PerplexityFilter) -> Iterator[str]:
    """All texts of the reference. Raises RowError at a row without one, DataError where there is no row."""
    where = None
    for file in asked.files():
        for where, row in read(file, Limits(2**30)):
            text = row.get(asked.column)
            if not isinstance(text, str):
                reason = RowError("data.no-text", column=asked.column, allowed=", ".join(map(str, row)))
                raise RowError("data.bad-row", where=where, reason=reason)
            yield text
    if where is None:
        raise DataError("data.no-rows", path=asked.reference)
