"""Tune: try settings of a fine-tuning, each judged on the validation rows, and write the bundle of the best.

Optuna (arXiv:1907.10902) proposes and remembers: every trial is in `study.db` beside the runs, so that a search that was
stopped or killed goes on. The test rows are seen once, by the best.
"""

import copy
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

from annotated_types import Ge

from jishi.core import document, publish, spec
from jishi.core.contracts import Launcher, Pool, option
from jishi.core.errors import JishiError, MissingExtra, TrainingError, UsageError
from jishi.lifecycle import attempt, finetune, space, trials
from jishi.lifecycle.finetune import FinetuneSpec, Result
from jishi.models import environment
from jishi.training.loop import Event, Loop

STUDY, TRIALS, BEST, REPORT = "study.db", "trials", "best", "tuning.json"
SQLITE = b"SQLite format 3"
LOOK_SECONDS = 0.1  # between two looks whether a search is to stop

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class TuneSpec:
    """What `jishi tune` is asked for."""

    finetune: str | dict[str, Any] = option(
        en="The fine-tuning to search for: its spec, or the YAML file that holds it.",
        zh="要调优的微调：其规格，或保存规格的 YAML 文件。",
    )
    out: str = option(en="The directory to write.", zh="要写入的目录。", aliases=("output_dir",))
    search: dict[str, Any] = option(
        factory=dict,
        en="Key of the fine-tuning → the values to try (a list), or {low, high, log, whole}.",
        zh="微调的键 → 可选值列表，或范围 {low, high, log, whole}。",
        aliases=("space",),
    )
    trials: Annotated[int, Ge(1)] = option(20, "How many settings to try.", "尝试的设置数。", aliases=("n_trials",))
    sampler: Literal["tpe", "cma-es", "random", "nsga-ii"] = option(
        "tpe",
        "Who proposes: tpe (doi:10.5555/2986459.2986743), cma-es (arXiv:1604.00772), random, or nsga-ii "
        "(doi:10.1109/4235.996017), which looks for the best scores at every latency.",
        "提议方式：tpe、cma-es、random，或 nsga-ii（同时优化得分与延迟）。",
    )
    prune: bool = option(
        True,
        "Give a trial up early where others did better by then (Hyperband, arXiv:1603.06560); needs several validations a run.",
        "若同一进度下明显不如其他尝试则提前放弃（Hyperband，arXiv:1603.06560）；需要每次训练验证多次。",
    )
    seed: int = option(0, "Every random choice of the search follows from it.", "搜索中的随机选择都由它决定。")
    workers: Annotated[int, Ge(1)] = option(
        1,
        "Trials that run at once, each in a process of its own; what is proposed then hangs on which ends first.",
        "同时进行的尝试数，每个在独立进程中；此时提议取决于哪个先结束。",
        aliases=("n_jobs",),
    )
    on: Launcher | None = option(
        None,
        "Where trials run, several at once; left out, on this machine.",
        "在何处同时进行多个尝试；省略时在本机。",
    )


@dataclass(frozen=True)
class Tuned:
    """What a search came to: the score of the spec as it was, and of the trials, best first; the settings of the best, and its
    run. `result` is None where it was interrupted."""

    folder: Path
    plain: float | None
    trials: Sequence[Mapping[str, Any]]
    best: Mapping[str, Any]
    importance: Mapping[str, float]
    result: Result | None


def tune(wanted: TuneSpec, listen: Listener, watch: Callable[[Loop], None]) -> Tuned:
    """Search, then train the best anew and write its bundle. `listen` hears each trial's end and the last run's events."""
    search = _Search(wanted, listen, watch)
    search.run()
    told = search.report()
    if search.stopped:
        return Tuned(search.folder, told["plain"], told["trials"], {}, {}, None)
    if not told["trials"]:
        raise TrainingError("tune.none-ended", reason=told["failed"][0]["reason"])
    best = told["trials"][0]["settings"]
    result = finetune.finetune(search.last(best), listen, watch)
    found = None if result.interrupted else result
    return Tuned(search.folder, told["plain"], told["trials"], best, told["importance"], found)


class _Search:
    """The trials of a search, one after the other or several at once: each thread then waits for one at a time."""

    def __init__(self, wanted: TuneSpec, listen: Listener, watch: Callable[[Loop], None]) -> None:
        self.wanted, self.listen, self.watch = wanted, listen, watch
        self.folder, self.stopped = Path(wanted.out), False
        self.pool: Pool | None = None
        self.lock, self.running = threading.RLock(), 0
        if wanted.sampler == "nsga-ii" and (wanted.workers > 1 or wanted.on):
            raise UsageError("tune.latency-beside")
        given = wanted.finetune
        self.base = document.read(given) if isinstance(given, str) else document.Document(given, "finetune")
        self.space = space.read(wanted.search)
        self.settings({}, self.folder)  # whatever is wrong with the base, or with a key, is told before the first trial
        for key, one in self.space.items():
            for value in one.ends:
                self.settings({key: value}, self.folder)
        self.study = _study(wanted, self.folder, self.base)

    def settings(self, chosen: Mapping[str, Any], out: Path) -> FinetuneSpec:
        """The base with the chosen values of its keys. Raises UsageError as any spec does."""
        return spec.build(FinetuneSpec, document.Document(self._value(chosen, out), self.base.name, self.base.lines))

    def _value(self, chosen: Mapping[str, Any], out: Path) -> dict[str, Any]:
        value = copy.deepcopy({**self.base.value, "out": str(out)})
        for key in sorted(chosen, key=len):  # a plugin before its keys
            *path, last = key.split(".")
            place = value
            for name in path:
                inner = place.get(name)
                if not isinstance(inner, dict):
                    place[name] = {} if inner is None else {spec.FIRST: inner}
                place = place[name]
            place[last] = copy.deepcopy(chosen[key])
        return value

    def last(self, best: Mapping[str, Any]) -> FinetuneSpec:
        """The run of the best settings, gone on with where it was begun, and begun anew where others were the best before."""
        settings, known = self.settings(best, self.folder / BEST), self.study.user_attrs.get("best", best)
        self.study.set_user_attr("best", best)
        return settings if known == best else replace(settings, resume="never")

    def run(self) -> None:
        """The base as it is, then trials until there are as many as asked for, or a face stops one."""
        for trial in self._of("RUNNING"):  # what a killed process left
            self.study.tell(trial.number, state=_state("FAIL"))
            self.study.enqueue_trial(trial.params)
        if "plain" not in self.study.user_attrs:
            score, _ = self._judge({}, self.folder / TRIALS / "plain", None)
            if self.stopped:
                return
            self.study.set_user_attr("plain", score)
            self.listen(Event("trial", 0, {"score": score}))
        if self.wanted.workers > 1 or self.wanted.on:
            self._side_by_side()
        else:
            self._work()

    def _side_by_side(self) -> None:
        """Trials in other processes, as many at once as there are."""
        handle = SimpleNamespace(stop=False)
        self.watch(handle)  # type: ignore[arg-type]
        here = attempt.Here(self.wanted.workers, handle)
        with self.wanted.on.pool(attempt.work) if self.wanted.on else nullcontext(here) as self.pool:
            with ThreadPoolExecutor(self.pool.processes) as threads:
                begun = [threads.submit(self._work) for _ in range(self.pool.processes)]
                try:
                    while wait(begun, LOOK_SECONDS).not_done:
                        self.stopped = self.stopped or handle.stop
                except (
                    BaseException
                ):  # Ctrl-C, where no face takes it: nothing is begun any more, and what runs here ends
                    self.stopped = handle.stop = True
                    raise
            for one in begun:
                one.result()

    def _work(self) -> None:
        while self._claim():
            try:
                self._try()
            finally:
                with self.lock:
                    self.running -= 1

    def _claim(self) -> bool:
        """Whether one more is to be tried."""
        with self.lock:
            more = not self.stopped and len(self._ended()) + self.running < self.wanted.trials
            self.running += more
            return more

    def _try(self) -> None:
        with self.lock:
            trial = self.study.ask()
            chosen = {key: one.suggest(trial, key) for key, one in self.space.items()}
        told: Any = None
        try:
            score, latency = self._judge(chosen, self.folder / TRIALS / str(trial.number), trial)
            told = None if score is None else [score, latency] if self._several else score
        except JishiError as error:  # these settings don't train; others may
            trial.set_user_attr("reason", str(error))
        with self.lock:
            self._tell(trial, told)

    def _tell(self, trial: Any, told: Any) -> None:
        if "reason" in trial.user_attrs or (self.stopped and told is None):
            self.study.tell(trial, state=_state("FAIL"))
        else:
            self.study.tell(trial, told, state=_state("PRUNED" if told is None else "COMPLETE"))
        if self.stopped and told is None:
            self.study.enqueue_trial(trial.params)
        else:
            ended = self._ended()
            self.listen(
                Event("trial", len(ended), self._told(next(one for one in ended if one.number == trial.number)))
            )

    def _judge(self, chosen: Mapping[str, Any], folder: Path, trial: Any) -> tuple[float | None, float]:
        """The best score on the validation rows, and the milliseconds an answer takes; no score where it was given up."""
        if self.pool is not None:
            found = self._judged(self.pool.submit(self._piece(chosen, folder, trial))())
        else:
            reports = None if self._several else trial
            found = attempt.judge(self.settings(chosen, folder), folder, reports, timed=self._several, watch=self.watch)
        with self.lock:
            self.stopped = self.stopped or found.stopped
            if found.metric:
                self.study.set_user_attr("metric", found.metric)
        return found.score, found.latency

    def _piece(self, chosen: Mapping[str, Any], folder: Path, trial: Any) -> dict[str, Any]:
        """A trial as another process is given it, with its share of the cores where the spec leaves them open."""
        value = self._value(chosen, folder.absolute())
        if self.wanted.on is None:
            train = value.setdefault("train", {}) or {}
            value["train"] = {"threads": max(1, environment.threads() // self.wanted.workers), **train}
        study = _storage(self.folder) if self.wanted.prune and self.wanted.on is None else None
        folder = folder.absolute()
        return {"spec": value, "folder": str(folder), "study": study, "trial": trial.number, "place": str(Path.cwd())}

    def _judged(self, found: Mapping[str, Any]) -> attempt.Judged:
        """What another process came to. Raises TrainingError with the reason why it didn't."""
        if "reason" in found:
            raise TrainingError("tune.trial-failed", reason=found["reason"])
        return attempt.Judged(found.get("metric", ""), found.get("score"), stopped="failed" in found)

    @property
    def _several(self) -> bool:
        return len(self.study.directions) > 1

    def _of(self, *states: str) -> list[Any]:
        found: list[Any] = self.study.get_trials(states=[_state(name) for name in states], deepcopy=False)
        return found

    def _ended(self) -> list[Any]:
        """The trials that count: those that ended by themselves."""
        found = self._of("COMPLETE", "PRUNED", "FAIL")
        return [one for one in found if one.state != _state("FAIL") or "reason" in one.user_attrs]

    def _told(self, trial: Any) -> dict[str, Any]:
        """A trial as plain JSON."""
        settings = {key: self.space[key].value(given) for key, given in trial.params.items()}
        told = {"number": trial.number, "state": trial.state.name.lower(), "settings": settings}
        if trial.values:
            told |= dict(zip(("score", "latency_ms"), trial.values, strict=False))
        elif trial.intermediate_values:
            told["score"] = max(trial.intermediate_values.values())
        seconds = trial.duration.total_seconds() if trial.duration else None
        return {**told, "seconds": seconds, **trial.user_attrs}

    def report(self) -> dict[str, Any]:
        """What the search has found, written to `tuning.json` and as a page: trials best first, those given up and failed, and
        how much of the differences in score each key explains (fANOVA, Hutter, Hoos and Leyton-Brown 2014)."""
        done = sorted(map(self._told, self._of("COMPLETE")), key=lambda one: -one["score"])
        told = {
            "metric": self.study.user_attrs.get("metric", "score"),
            "plain": self.study.user_attrs.get("plain"),
            "trials": done,
            "given_up": [self._told(one) for one in self._of("PRUNED")],
            "failed": [self._told(one) for one in self._ended() if one.state == _state("FAIL")],
            "importance": self._importance(),
        }
        if self._several:
            told["front"] = sorted(one.number for one in self.study.best_trials)
        publish.write_text(self.folder / REPORT, json.dumps(told, ensure_ascii=False, indent=2) + "\n")
        if done:
            trials.write(self.folder, told)
        return told

    def _importance(self) -> dict[str, float]:
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        if len({one.values[0] for one in self._of("COMPLETE")}) < 2:
            return {}
        evaluator = FanovaImportanceEvaluator(seed=self.wanted.seed)
        found = get_param_importances(self.study, evaluator=evaluator, target=lambda trial: trial.values[0])
        return {key: float(value) for key, value in found.items()}


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]


def _storage(folder: Path) -> str:
    return f"sqlite:///{(folder / STUDY).absolute()}"


def _study(wanted: TuneSpec, folder: Path, base: document.Document) -> Any:
    """The study of a folder, new or gone on with. Raises UsageError where it was begun for something else."""
    try:
        import optuna
    except ImportError:
        raise MissingExtra("optuna", "hpo") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / STUDY).open("a+b") as file:
            file.seek(0)
            begins = file.read(len(SQLITE))
    except OSError as error:
        raise UsageError("tune.not-written", path=folder, reason=error.strerror) from None
    if begins not in (b"", SQLITE):
        raise UsageError("tune.damaged", path=folder / STUDY)
    several = wanted.sampler == "nsga-ii"
    samplers = {
        "tpe": optuna.samplers.TPESampler,
        "cma-es": optuna.samplers.CmaEsSampler,
        "random": optuna.samplers.RandomSampler,
        "nsga-ii": optuna.samplers.NSGAIISampler,
    }
    sampler = samplers[wanted.sampler]
    if wanted.sampler == "tpe" and (wanted.workers > 1 or wanted.on):
        sampler = partial(sampler, constant_liar=True)  # not where another trial, of which nothing is known yet, tries
    study = optuna.create_study(
        storage=_storage(folder), study_name=attempt.STUDY, load_if_exists=True,
        sampler=sampler(seed=wanted.seed),
        pruner=attempt.pruner(prunes=wanted.prune and not several),
        directions=["maximize", "minimize"] if several else ["maximize"],
    )  # fmt: skip
    if study.trials:  # gone on with: what was proposed is not proposed again
        study.sampler = sampler(seed=wanted.seed + len(study.trials))
    asked = json.dumps([base.value, wanted.search, wanted.sampler], sort_keys=True, ensure_ascii=False)
    if study.user_attrs.get("asked", asked) != asked:
        raise UsageError("tune.other-search", path=folder)
    study.set_user_attr("asked", asked)
    return study
