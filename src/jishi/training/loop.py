"""The one training loop: a generator of events that terminals, pages, trackers and tests only listen to."""

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from jishi.core import manifest
from jishi.core.contracts import Adaptation, Features, Objective, Row, Task
from jishi.core.errors import TrainingError
from jishi.models.environment import free_cores, precision
from jishi.training import checkpoint, compiled, dropout, guards, memory, optimizer, random_state, still
from jishi.training.augment import Augment
from jishi.training.averages import Averages
from jishi.training.batching import epoch_batches
from jishi.training.consistency import Consistency
from jishi.training.facts import facts
from jishi.training.features import Encoded
from jishi.training.feed import Maker, Piece, feed
from jishi.training.fit_head import fit_head
from jishi.training.linear_probe import LinearProbe
from jishi.training.pace import Pace, peak
from jishi.training.ranks import Ranks, is_lost, lost
from jishi.training.shard import Shards
from jishi.training.spec import TrainSpec
from jishi.training.states import States, recordable
from jishi.training.storage import CHECKPOINTS, Store
from jishi.training.survey import Survey
from jishi.training.update import Update
from jishi.training.used_rows import used_rows
from jishi.training.validate import validate


@dataclass(frozen=True)
class Event:
    """What happened: "start", "head", "step", "validation", "probe", "checkpoint", "interrupted" or "end".

    Who hands events on may add others: "caution", "samples", "round".
    """

    kind: str
    step: int
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Progress:
    """Where a run stands; saved in every checkpoint."""

    step: int = 0
    epoch: int = 0
    window: int = 0  # accumulation windows done in this epoch
    best: float | None = None
    best_step: int = 0
    waited: int = 0  # validations since the best
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    # Sums are rounded differently with another number of threads, in other pieces or compiled: a resumed run keeps all three.
    threads: int = 1
    room: int | None = None  # padded tokens computed at once
    compiled: bool = False


class Loop:
    """Training of one model on one objective. `events()` runs it; setting `stop` ends it after a checkpoint.

    `head` names the model's fresh modules; `learning_rate` is the rate where the spec names none; `unlabelled` rows are learnt
    from beside the others. What is written to `folder`
    is published in the `store` where the run has one.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        processor: Any,
        spec: TrainSpec,
        *,
        train: Sequence[Row],
        validation: Sequence[Row] | None,
        head: list[str],
        learning_rate: float,
        folder: Path,
        seed: int,
        store: Store | None = None,
        probes: Sequence[LinearProbe] = (),
        adaptation: Adaptation | None = None,
        unlabelled: Consistency | None = None,
    ) -> None:
        self.stop = False  # asked for by a face; `_stopping` once all processes know
        self.model, self.objective, self.processor, self.spec = model, objective, processor, spec
        self.validation, self.head, self.folder, self.seed = validation, head, folder / CHECKPOINTS, seed
        self.store, self.probes, self.adaptation, self.unlabelled = store, probes, adaptation, unlabelled
        self.ranks = Ranks.join()
        self.device, self._stopping = self.ranks.device, False
        self.features = Encoded(objective, train, processor)
        guards.check_rows(self.features, spec.max_unknown)
        self.held_out = (
            Encoded(objective, validation, processor) if validation is not None and len(validation) else None
        )
        sharded = spec.shard and self.ranks.count > 1
        guards.check_asked(spec, objective, adaptation, probes, sharded=sharded)
        # For pictures, channels last is the order in memory that convolutions read fastest; other weights have no such order.
        if not sharded:
            self.model.to(self.device, memory_format=torch.channels_last)
        if spec.gradient_checkpointing:
            memory.compute_again(model)
        still.hold(model, known=spec.fit_head == "before")
        self.augment = Augment.of(spec.augment, objective, train, self.features, processor)
        self.varied = self.augment.told(self.features, seed) if self.augment else None
        guards.check_unknown(self.varied["unknown"] if self.varied else 0.0, spec.max_unknown)
        self.used = used_rows(model, objective, processor, self.features, self._shown())
        self.shards = Shards(model, self.ranks, self.used) if sharded else None
        self.optimizer = optimizer.build(model, head, spec, learning_rate, self.used, self.shards, self._rates(0.0))
        self.precision = precision() if spec.precision == "auto" else spec.precision
        self.steps = self._count_steps()
        if not self.steps and (spec.augment or not spec.fit_head):
            raise TrainingError("training.augment-no-steps" if spec.augment else "training.no-steps")
        self.averages = Averages(model, spec.average, self.steps) if spec.average else None
        beside = int(os.environ.get("LOCAL_WORLD_SIZE", self.ranks.count))  # processes on this machine
        self.at = Progress(threads=spec.threads or max(1, free_cores() // beside))
        self.update = Update(
            model, objective, self.optimizer, lambda rows: self._maker()(rows), self.features.lengths, self.ranks,
            self.precision, spec.max_grad_norm, self.used, self.shards, after=self._advance,
            regularize=[unlabelled.paced(lambda: self.at.step / self.steps)] if unlabelled
            else [one.initialize(self.features) for one in spec.regularize],
        )  # fmt: skip
        self.survey = Survey(self.update, lambda rows: self._maker()(rows, training=False))
        # Worth it from epoch 2 on. With shards no process may be asked alone.
        alike = not (sharded or spec.regularize or spec.augment or unlabelled)
        self.records = alike and self.steps > len(self._windows(0)) and recordable(model, head, objective)

    def events(self, *, resume: bool = True) -> Iterator[Event]:
        """Train, and tell. With `resume`, goes on from the newest checkpoint that verifies."""
        try:
            yield from self._events(resume)
        except (RuntimeError, MemoryError) as error:
            if self.ranks.count > 1 and is_lost(error):
                raise lost(error) from error
            if self.shards and memory.is_exhausted(error):
                raise TrainingError("training.memory-short-sharded", step=self.at.step + 1) from error
            raise

    def _events(self, resume: bool) -> Iterator[Event]:
        torch.manual_seed(self.seed + self.ranks.rank)
        self._stopping = self._asked()
        if not self.shards:
            self.ranks.align(self.model)
        if self.used:
            self.used.read()
        resumed, damaged = self._newest() if resume else (None, [])
        before = guards.fingerprint(self.model)
        if resumed:
            self._restore(resumed)
        torch.set_num_threads(self.at.threads)
        rooms = (self.survey.room(), self.at.room)  # no more than before a resumption
        self.update.room = min((room for room in rooms if room is not None), default=None)
        self.update.packs = self.survey.packs()
        self.flops = self.survey.flops() if self.steps else 0.0
        self.at.compiled = self.at.compiled if resumed else self._pays()
        yield Event("start", self.at.step, facts(self, resumed, damaged))
        started = time.monotonic() - self.at.seconds
        if self.spec.fit_head == "before" and not self.at.step:
            yield self._fit_head()
        if not self.at.step:
            yield from self._probed()
        self.model.train()
        with self._quick():
            yield from self._epochs(started)
        if self._stopping and self.at.step < self.steps:
            yield Event("interrupted", self.at.step, {"checkpoint": str(self._save())})
            return
        guards.check_moved(before, self.model, self.head, self.ranks.gather)
        self._take_best()
        if self.averages:
            self.averages.settle()
        if self.shards:
            self.model = self.shards.assemble()
        if self.spec.fit_head == "after":
            yield self._fit_head()
        self.at.seconds = time.monotonic() - started
        best = {"best": self.at.best, "best_step": self.at.best_step, "seconds": self.at.seconds}
        yield Event("end", self.at.step, best)

    def _epochs(self, started: float) -> Iterator[Event]:
        """Every step that is left, with the validations and checkpoints between."""
        if not self._goes_on():
            return
        if self.records:
            self.update.states = self._record()
        if self.update.states:
            self.flops = self.survey.flops()  # without what is played back
        pace = Pace(self.device, self.flops, peak(self.device, self.precision))
        while self._goes_on():
            windows = self._windows(self.at.epoch)
            self.at.room = self.update.room
            pace.start()
            left = windows[self.at.window :]
            for window, pieces in zip(left, self._fed(left), strict=True):
                pace.fed()
                values = self._step(window, pieces)
                self.at.seconds = time.monotonic() - started
                yield Event("step", self.at.step, values | pace.told(values, self.steps - self.at.step))
                self._stopping = self._asked()
                yield from self._milestones(self.at.window == len(windows) or self.at.step == self.steps)
                if not self._goes_on() or self.update.room != self.at.room:
                    break
                pace.start()
            if self.at.window == len(windows) and self._goes_on():
                self.at.epoch, self.at.window = self.at.epoch + 1, 0

    def _pays(self) -> bool:
        """Whether the blocks are compiled: as asked for, or where a trial on a batch of middling rows says so."""
        # Several processes would have to decide alike, and frozen blocks that are played back gain nothing.
        if self.spec.compile != "auto" or not self.steps or self.ranks.count > 1 or self.records:
            return self.spec.compile == "always"
        windows = self._windows(0)
        return compiled.pays(self.update, windows[len(windows) // 2][0], self.steps)

    @contextmanager
    def _quick(self) -> Iterator[None]:
        """While this holds, steps are computed in the way that is faster here."""
        if not self.at.compiled:
            with dropout.fast(self.model):
                yield
            return
        self.update.packs = False
        compiled.compile_blocks(self.model)
        try:
            yield
        finally:
            compiled.restore(self.model)

    def _record(self) -> States | None:
        return States.record(
            self.model, self.head, self.objective, self.processor, self.features, self.folder, self.update.quick
        )

    def _fit_head(self) -> Event:
        found = fit_head(
            self.model, self.objective, self.processor, self.features, self.head, self.update.quick,
            strength=self.spec.head_strength, seed=self.seed,
        )  # fmt: skip
        self.ranks.align(self.model)  # each process has fitted its own, up to rounding
        return Event("head", self.at.step, found)

    def _windows(self, epoch: int) -> list[list[list[int]]]:
        """The batches of an epoch, grouped by optimizer step; the last group may be smaller."""
        spec = self.spec
        batches = epoch_batches(
            self.features.lengths,
            batch_size=spec.batch_size,
            batch_tokens=spec.batch_tokens,
            seed=self.seed,
            epoch=epoch,
        )
        return [batches[start : start + spec.accumulation] for start in range(0, len(batches), spec.accumulation)]

    def _count_steps(self) -> int:
        whole, part = divmod(self.spec.epochs, 1)
        steps = sum(len(self._windows(epoch)) for epoch in range(int(whole)))
        if part:
            steps += math.ceil(part * len(self._windows(int(whole))))
        return min(steps, self.spec.max_steps or steps)

    def _step(self, window: list[list[int]], pieces: list[Piece]) -> dict[str, Any]:
        """One optimizer step over a window, of which this process computes its pieces; what is told of it."""
        optimizer.set_rate(self.optimizer, self.spec, self.at.step, self.steps, self._rates(self.at.step / self.steps))
        rows = [row for batch in window for row in batch]
        found = self.update.step(pieces, self.at.step + 1)
        self.at.losses = [*self.at.losses[-9:], found["loss"]]
        guards.check_loss(self.at.losses, self.at.step + 1)
        self.at.step, self.at.window = self.at.step + 1, self.at.window + 1
        return {
            **found,
            "learning_rate": max(group["lr"] for group in self.optimizer.param_groups),
            "epoch": self.at.epoch,
            "rows": len(rows),
            "tokens": sum(self.features.lengths[row] for row in rows),
        }

    def _rates(self, progress: float) -> Mapping[str, float]:
        return self.adaptation.rates(self.model, progress) if self.adaptation else {}

    def _advance(self, step: int) -> None:
        if self.adaptation:
            self.adaptation.advance(self.model, step, self.steps)
        if self.averages:
            self.averages.take(step)

    def _fed(self, windows: list[list[list[int]]]) -> Iterator[list[Piece]]:
        """This process's share of the windows, with their batches, in pieces that memory has room for."""
        lengths, room, share = self.features.lengths, self.at.room, self.ranks.share
        pieces = [
            [piece for batch in window for piece in memory.split(share(batch), lengths, room)] for window in windows
        ]
        return feed(self._maker(), pieces, workers=self.spec.workers, pinned=self.device.type == "cuda")

    def _maker(self) -> Maker:
        beside = self.unlabelled.beside if self.unlabelled else None
        return Maker(self.objective, self.processor, self.features, self.seed, self.at.epoch, self.augment, beside)

    def _shown(self) -> Iterable[Features] | None:
        """What training will be shown beside the rows as they are; None where that is too much to look through."""
        epochs = math.ceil(self.spec.epochs)
        varied = self.augment.every(self.features, self.seed, epochs) if self.augment else ()
        others = self.unlabelled.every(self.seed, epochs) if self.unlabelled else ()
        return None if varied is None or others is None else chain(varied, others)

    def _milestones(self, epoch_ends: bool) -> Iterator[Event]:
        """Validate and save where it is due."""
        spec, step = self.spec, self.at.step
        final = step == self.steps
        better = False
        due = final or (step % spec.validate_every == 0 if spec.validate_every else epoch_ends)
        if due and self.held_out is not None and self.validation is not None:
            with self.averages.used() if self.averages else nullcontext():
                scores = validate(
                    self.objective, self.model, self.processor, self.held_out, self.validation, seed=self.seed
                )
            scores = self.ranks.gather(scores)[0]  # all must decide alike
            better = self._judge(scores)
            yield Event("validation", step, scores)
        yield from self._probed()
        if final or better or self._stopping or (step % spec.checkpoint_every == 0 if spec.checkpoint_every else due):
            yield Event("checkpoint", step, {"checkpoint": str(self._save())})

    def _probed(self) -> Iterator[Event]:
        for probe in self.probes:
            if self.at.step % probe.every == 0 or self.at.step == self.steps:
                yield Event("probe", self.at.step, probe(self.model))

    def _judge(self, scores: Mapping[str, float]) -> bool:
        """Remember the score; True where it is the best so far."""
        metric = self.objective.metric if isinstance(self.objective, Task) else ""
        score = scores.get(metric, -scores["loss"])
        if self.at.best is not None and score <= self.at.best:
            self.at.waited += 1
            return False
        self.at.best, self.at.best_step, self.at.waited = score, self.at.step, 0
        return True

    def _asked(self) -> bool:
        """Whether any process was asked to stop."""
        return self.ranks.add((), [float(self.stop)])[0] > 0

    def _goes_on(self) -> bool:
        out_of_patience = self.spec.patience is not None and self.at.waited >= self.spec.patience
        return self.at.step < self.steps and not self._stopping and not out_of_patience

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _save(self) -> Path:
        """Rank 0 writes; the others wait until it is there."""
        path, random = self._path(self.at.step), self.ranks.gather(random_state.read())
        state = {"progress": asdict(self.at)}
        checkpoint.save(path, self.model, self.optimizer, state, random, self.shards, self.ranks)
        if self.ranks.rank == 0:
            keep = {path, self._path(self.at.best_step)}
            checkpoint.prune(self.folder, keep)
            if self.store:
                self.store.put(path)
                self.store.prune(keep)
        self.ranks.wait()
        return path

    def _newest(self) -> tuple[Path | None, list[Path]]:
        """The checkpoint to go on from, and the damaged ones. Raises TrainingError where processes see different ones."""
        passed = self.store.get_newest() if self.store else []
        found, damaged = checkpoint.newest(self.folder)
        if len(set(self.ranks.gather(found.name if found else None))) > 1:
            raise TrainingError("training.not-shared", path=self.folder)
        return found, passed + damaged

    def _restore(self, path: Path) -> None:
        self.at = Progress(
            **checkpoint.restore(path, self.model, self.optimizer, self.ranks.rank, self.shards)["progress"]
        )
        if self.used:
            self.used.read()

    def _take_best(self) -> None:
        """End with the weights of the best validation, where there was one. Raises TrainingError where they were damaged."""
        if self.at.best is None or self.at.best_step == self.at.step:
            return
        best = self._path(self.at.best_step)
        if self.store:
            self.store.get(best)
        if any(manifest.faults(best).values()):
            raise TrainingError("training.best-damaged", path=best)
        checkpoint.load_weights(best, self.model, self.shards)
