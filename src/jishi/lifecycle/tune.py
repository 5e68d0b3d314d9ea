"""Tune: try settings of a fine-tuning, each judged on the validation rows, and write the bundle of the best.

Optuna (arXiv:1907.10902) proposes and remembers: every trial is in `study.db` beside the runs, so that a search that was
stopped or killed goes on. The test rows are seen once, by the best.
"""

import copy
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from jishi.core import document, publish, spec
from jishi.core.contracts import option
from jishi.core.errors import DataError, JishiError, MissingExtra, TrainingError, UsageError
from jishi.lifecycle import finetune, latency, space, trials
from jishi.lifecycle.finetune import FinetuneSpec, Result
from jishi.predictor import Predictor
from jishi.training.loop import Event, Loop

STUDY, TRIALS, BEST, REPORT = "study.db", "trials", "best", "tuning.json"
NAME = "jishi"
SQLITE = b"SQLite format 3"
PRUNED_FROM = 1  # validations a trial has at least before it may be given up

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
    """The trials of a search, one after the other."""

    def __init__(self, wanted: TuneSpec, listen: Listener, watch: Callable[[Loop], None]) -> None:
        self.wanted, self.listen, self.watch = wanted, listen, watch
        self.folder, self.stopped = Path(wanted.out), False
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
        return spec.build(FinetuneSpec, document.Document(value, self.base.name, self.base.lines))

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
        while not self.stopped and (done := len(self._ended())) < self.wanted.trials:
            self._try()
            if not self.stopped:
                self.listen(Event("trial", done + 1, self._told(self._ended()[-1])))

    def _try(self) -> None:
        trial = self.study.ask()
        chosen = {key: one.suggest(trial, key) for key, one in self.space.items()}
        try:
            score, latency = self._judge(chosen, self.folder / TRIALS / str(trial.number), trial)
        except JishiError as error:  # these settings don't train; others may
            trial.set_user_attr("reason", str(error))
            self.study.tell(trial, state=_state("FAIL"))
            return
        if self.stopped:
            self.study.tell(trial, state=_state("FAIL"))
            self.study.enqueue_trial(trial.params)
        elif score is None:
            self.study.tell(trial, state=_state("PRUNED"))
        else:
            self.study.tell(trial, [score, latency] if self._several else score)

    def _judge(self, chosen: Mapping[str, Any], folder: Path, trial: Any) -> tuple[float | None, float]:
        """The best score on the validation rows, and the milliseconds an answer takes; no score where it was given up."""
        given_up = False
        try:
            begun = finetune.start(self.settings(chosen, folder), folder, untuned=False)
            loop = begun.loop
            if loop.held_out is None:
                raise DataError("tune.no-validation", path=begun.data.report.get("path", self.wanted.finetune))
            self.study.set_user_attr("metric", begun.task.metric)
            self.watch(loop)
            for event in loop.events(resume=False):
                if event.kind == "validation" and trial is not None and not self._several:
                    trial.report(event.values.get(begun.task.metric, -event.values["loss"]), event.step)
                    if event.step < loop.steps and trial.should_prune():
                        loop.stop = given_up = True
            self.stopped = loop.stop and not given_up
            if given_up or self.stopped:
                return None, 0.0
            return loop.at.best, self._latency(begun) if self._several else 0.0
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _latency(self, begun: finetune.Begun) -> float:
        predictor = Predictor(begun.adapt.merge(begun.loop.model), begun.task, begun.processor, {})
        return latency.milliseconds(predictor.predict, begun.data.validation or ())

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
    prunes = wanted.prune and not several
    study = optuna.create_study(
        storage=f"sqlite:///{(folder / STUDY).absolute()}", study_name=NAME, load_if_exists=True,
        sampler=samplers[wanted.sampler](seed=wanted.seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=PRUNED_FROM) if prunes else optuna.pruners.NopPruner(),
        directions=["maximize", "minimize"] if several else ["maximize"],
    )  # fmt: skip
    if study.trials:  # gone on with: what was proposed is not proposed again
        study.sampler = samplers[wanted.sampler](seed=wanted.seed + len(study.trials))
    asked = json.dumps([base.value, wanted.search, wanted.sampler], sort_keys=True, ensure_ascii=False)
    if study.user_attrs.get("asked", asked) != asked:
        raise UsageError("tune.other-search", path=folder)
    study.set_user_attr("asked", asked)
    return study
