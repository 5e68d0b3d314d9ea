"""Answers that are written at the same time share every step (iteration-level scheduling: Orca, OSDI 2022).

A row joins when it comes and leaves when it is complete. Who asks for the next token of one row has a token written in all that
share its steps; the others find theirs ready. What a row is given does not depend on its company.
"""

import threading
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch

from jishi.core.contracts import Batch
from jishi.models import choice, memory
from jishi.models.cross_entropy import whole
from jishi.models.decoding import Decoding
from jishi.models.ends import Ends
from jishi.models.graph import Graph
from jishi.models.steps import PLACE, Steps, taken


@dataclass(eq=False)
class Row:
    """One answer: what was said, prompt and all; what was written; and what nobody has asked for yet, each (3,)."""

    said: list[int]
    room: int
    key: int
    decoding: Decoding
    ends: Ends
    written: list[int] = field(default_factory=list)
    ready: deque[torch.Tensor] = field(default_factory=deque)
    open: bool = True
    gone: bool = False  # nobody will ask any more

    def take(self, token: torch.Tensor) -> None:
        self.ready.append(token)
        self.said.append(int(token[0]))
        self.written.append(int(token[0]))
        most = min(self.room, self.decoding.max_new_tokens)
        self.open = len(self.written) < most and not self.ends.reached(self.written)


@dataclass(eq=False)
class Group:
    """Rows that share their steps."""

    steps: Steps
    rows: Sequence[Row]

    @torch.inference_mode()
    def advance(self) -> None:
        """Write a token in every row, and go on with those that are not complete and still asked for."""
        chosen = _chosen(self.steps.logits(), self.rows)
        for row, token in zip(self.rows, chosen, strict=True):
            row.take(token)
        stay = [place for place, row in enumerate(self.rows) if row.open and not row.gone]
        if stay:
            self.steps.follow(stay, [self.rows[place].written[-1] for place in stay])
        self.rows = [self.rows[place] for place in stay]

    @torch.inference_mode()
    def join(self, other: "Group") -> None:
        self.steps.join(other.steps)
        self.rows = [*self.rows, *other.rows]


class Together:
    """The rows of one model that are being written. One thread at a time may `join` and `step`; any may `leave`."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self._changing = threading.RLock()  # a stream may be collected, and so left, by the thread that holds it

    def join(self, model: Any, prompts: Batch, decoding: Decoding, ends: Ends) -> list[Row]:
        """Read prompts, write their first tokens, and go on with what is being written already, where the model allows it."""
        with torch.inference_mode():
            steps = Steps(model, prompts)
        rows = [
            Row(said, room, choice.key(decoding.seed, prompt), decoding, ends)
            for said, room, prompt in zip(steps.said, steps.room, steps.prompts, strict=True)
        ]
        new = Group(steps, rows)
        new.advance()
        with self._changing:
            self._let_go()
            same = next((group for group in self.groups if new.rows and group.steps.joins(new.steps)), None)
            if same:
                same.join(new)
            elif new.rows:
                self.groups.append(new)
        return rows

    def step(self, row: Row) -> None:
        """A token more in all rows that share the steps of this one."""
        group = next((group for group in self.groups if row in group.rows), None)
        if group is None:  # it was told to whom it happened
            raise RuntimeError("a step that was shared came to no end")
        try:
            group.advance()
        except BaseException:
            group.rows = []  # what was kept of them may be half a step ahead
            raise
        finally:
            with self._changing:
                self._let_go()

    def leave(self, row: Row) -> None:
        """Its place is free from the next step on; what nobody asks for any more is held no longer."""
        row.gone = True
        with self._changing:
            self._let_go()

    def _let_go(self) -> None:
        self.groups = [group for group in self.groups if any(not row.gone for row in group.rows)]


_of: WeakKeyDictionary[Any, Together] = WeakKeyDictionary()


def write(model: Any, prompt: Batch, decoding: Decoding, ends: Ends) -> Generator[torch.Tensor, None, None]:
    """What is written after a prompt, step by step: the token, its log-probability and its margin, (3,)."""
    together = _of.setdefault(model, Together())
    (row,) = together.join(model, prompt, decoding, ends)
    try:
        while row.ready or row.open:
            if not row.ready:
                together.step(row)
            yield row.ready.popleft()
    finally:
        together.leave(row)


def begin(model: Any, prompts: Batch, decoding: Decoding, ends: Ends) -> list[Generator[None, None, torch.Tensor]]:
    """What is written after each prompt, (N, 3), a step each time it is gone on with; who lets go of it leaves."""
    together = _of.setdefault(model, Together())
    every = [_whole(together, row) for row in together.join(model, prompts, decoding, ends)]
    for one in every:
        next(one)  # a generator that has not begun would not hear that it is let go
    return every


def _whole(together: Together, row: Row) -> Generator[None, None, torch.Tensor]:
    told: list[torch.Tensor] = []
    try:
        yield
        while row.ready or row.open:
            if not row.ready:
                together.step(row)
            told.extend(row.ready)
            row.ready.clear()
            if row.open:
                yield
        return torch.stack(told)
    finally:
        together.leave(row)


def shares(model: Any) -> bool:
    """Whether what a model writes may share its steps, by what it takes and what it is made to keep."""
    if model.config.is_encoder_decoder or PLACE not in taken(model):
        return False
    return isinstance(model, Graph) or memory.is_plain(memory.empty(whole(model).config))


def _chosen(logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
    """(R, 3): what is taken in each row; those that are to be chosen alike are chosen at once."""
    alike: dict[tuple[Decoding, int], list[int]] = {}
    for place, row in enumerate(rows):
        alike.setdefault((row.decoding, len(row.written)), []).append(place)
    found = torch.empty(len(rows), 3)
    for (decoding, step), places in alike.items():
        some = [rows[place] for place in places]
        found[places] = choice.choose(
            logits[places], [row.said for row in some], [row.key for row in some], step, decoding
        ).cpu()
    return found
