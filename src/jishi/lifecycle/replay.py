"""What a base knew already: rows of it mixed into what is learnt, and its loss on others before and after (arXiv:1811.11682)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, overload

import numpy
from pydantic import Field

from jishi.core.contracts import Base, Objective, Row, option
from jishi.core.errors import DataError
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec


@dataclass(frozen=True)
class Replay:
    """Rows like those the base was trained on."""

    data: DataSpec = option(
        en="Rows like those the base was trained on: a file, or the folder of a corpus.",
        zh="与基座原训练数据相近的数据：文件，或语料目录。",
    )
    share: Annotated[float, Field(ge=0, lt=1)] = option(
        0.1,
        "Their share of the rows learnt from; 0 only tells what is forgotten.",
        "它们在训练数据中的比例；0 表示只衡量遗忘。",
    )


class Mixed(Sequence[Row]):
    """Rows, and behind them so many others that these are the share asked for, at even distances: all of them at most."""

    def __init__(self, rows: Sequence[Row], others: Sequence[Row], share: float) -> None:
        count = min(round(len(rows) * share / (1 - share)), len(others))
        self._rows, self._others = rows, others
        self.places = (numpy.arange(count) * len(others) // max(count, 1)).tolist()

    def __len__(self) -> int:
        return len(self._rows) + len(self.places)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        own = len(self._rows)
        return self._rows[place] if place < own else self._others[self.places[place - own]]


def mix(
    replay: Replay, objective: Objective, rows: Sequence[Row], folder: Path, processor: Any, base: Base
) -> tuple[Mixed, Sequence[Row]]:
    """The rows to learn from, and those on which forgetting shows. Raises DataError where none is held out."""
    general = prepare(replay.data, objective, folder, processor=processor, base=base)
    held_out = general.validation if general.validation is not None else general.test
    if held_out is None:
        raise DataError("data.nothing-held-out", path=replay.data.train)
    return Mixed(rows, general.train, replay.share), held_out
