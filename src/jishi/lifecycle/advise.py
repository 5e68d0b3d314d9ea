"""Advise: which model to start from, for these rows, on this machine, within these limits.

Every candidate is measured: how much of the task its states tell as they stand (a linear probe, arXiv:1610.01644), what an
answer takes, and whether its vocabulary knows the texts. The test rows are not looked at.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from annotated_types import Ge, Gt

from jishi.core import publish, registry, spec
from jishi.core.contracts import Adaptation, Base, Evaluator, Row, Task, option
from jishi.core.document import Document
from jishi.core.errors import DataError, JishiError, ModelError, UsageError
from jishi.data import columns
from jishi.data.dataset import Dataset
from jishi.data.infer import infer
from jishi.data.prepare import prepare
from jishi.data.spec import DataSpec
from jishi.lifecycle import candidate, latency
from jishi.lifecycle.candidate import How
from jishi.lifecycle.finetune import FinetuneSpec
from jishi.lifecycle.plan import plan
from jishi.metrics.learning_curve import extrapolate
from jishi.models import dual, embedded, load
from jishi.models.licence import licence
from jishi.models.spec import ModelSpec
from jishi.training import linear_probe
from jishi.training.loop import Event
from jishi.training.spec import TrainSpec

REPORT, SPEC = "advice.json", "finetune.yaml"
PROBE = TrainSpec(epochs=0, fit_head="before")
FRESH = TrainSpec(epochs=20, batch_size=16, learning_rate=1e-3)  # of a design that starts from nothing
WHOLE = TrainSpec(epochs=3, fit_head="before")  # of a base, where its probe is not enough to tell
FINALISTS = 3  # that are fine-tuned, at most
ALIKE = 0.05  # p-value above which two are not told apart
FASTER = 1.5  # times as fast, which is worth a remark
MANY_UNKNOWN, MANY_CUT = 0.01, 0.05  # shares of tokens and of rows that are worth one

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class AdviseSpec:
    """What `jishi advise` is asked for."""

    data: DataSpec = option(en="The rows: as for a fine-tuning.", zh="数据：与微调相同。")
    out: str | None = option(
        None,
        "The folder for advice.json and the spec to run next (finetune.yaml); left out, they are only shown.",
        "存放 advice.json 与下一步规格 finetune.yaml 的目录；省略时只显示。",
    )
    task: Task | None = option(
        None, "The task; left out, the one the columns of the data fit.", "任务；省略时按数据的列推断。"
    )
    models: tuple[ModelSpec, ...] = option(
        (),
        "The candidates: embedded models, folders, hub ids, designs; left out, every embedded model at hand that reads such "
        "rows, and a plain design that starts from nothing.",
        "候选模型：内置模型、文件夹、Hub 编号或结构；省略时为所有可读此类数据的已安装内置模型，外加一个从零训练的简单结构。",
    )
    latency_ms: Annotated[float, Gt(0)] | None = option(
        None, "Milliseconds an answer to one row may take.", "单行回答允许的毫秒数。"
    )
    memory_mb: Annotated[float, Gt(0)] | None = option(
        None, "Megabytes of memory of a process that answers.", "回答进程允许占用的内存（MB）。"
    )
    size_mb: Annotated[float, Gt(0)] | None = option(None, "Megabytes of the weights.", "权重允许的大小（MB）。")
    device: Literal["auto", "cpu"] = option(
        "auto", "Where it is measured: auto takes a GPU where there is one.", "在何处测量：auto 在有 GPU 时使用 GPU。"
    )
    rows: Annotated[int, Ge(20)] = option(
        1000,
        "Training rows that are learnt from, and validation rows that judge, at most; more tell finer differences.",
        "最多使用的训练行数与用于评判的验证行数；越多越能分辨细微差别。",
    )
    minutes: Annotated[float, Gt(0)] = option(
        5.0,
        "A base that would be asked all these rows for longer is left out.",
        "若仅让某个基座读完这些行就超过此分钟数，则略去该候选。",
    )
    seed: int = option(0, "Every random choice follows from it.", "所有随机选择都由它决定。")


def advise(wanted: AdviseSpec, listen: Listener) -> dict[str, Any]:
    """What was measured, ranked, with the reasons, the spec to run next and what that would take.

    {"task", "metric", "rows", "candidates" (best first, those beyond a limit and those that failed last), "first", "rival",
    "more", "next", "plan"}. `listen` hears of each candidate. Raises UsageError for a task that can't be probed.
    """
    folder = Path(wanted.out) if wanted.out else None
    try:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError("advise.not-written", path=folder, reason=error.strerror) from None
    task = wanted.task or infer(wanted.data)
    probed = _is_probed(task)
    with tempfile.TemporaryDirectory(prefix="jishi-") as name:
        here = Path(name)
        several = {
            part: min(getattr(wanted.data, part) or wanted.rows, wanted.rows)
            for part in ("train_rows", "validation_rows", "test_rows")
        }
        data = prepare(replace(wanted.data, **several), task, here / "data")
        if data.validation is None:
            raise DataError("advise.no-validation", path=wanted.data.train)
        told = _Advice(wanted, task, data, here, listen, probed=probed).told()
    if folder:
        publish.write_text(folder / REPORT, json.dumps(told, ensure_ascii=False, indent=2) + "\n")
        (folder / SPEC).unlink(missing_ok=True)  # of an advice before
        if told["next"]:
            publish.write_text(folder / SPEC, yaml.safe_dump(told["next"], allow_unicode=True, sort_keys=False))
    return told


class _Advice:
    """The candidates of one advice, measured one after the other."""

    def __init__(
        self, wanted: AdviseSpec, task: Task, data: Dataset, folder: Path, listen: Listener, *, probed: bool
    ) -> None:
        self.wanted, self.task, self.data, self.folder, self.listen = wanted, task, data, folder, listen
        limits = {  # of what, the limit, and its unit
            "milliseconds": (wanted.latency_ms, 1),
            "asking": (wanted.minutes, 60),
            "memory": (wanted.memory_mb, 2**20),
            "bytes": (wanted.size_mb, 2**20),
        }
        self.limits = {key: limit * unit for key, (limit, unit) in limits.items() if limit is not None}
        self.rows: Sequence[Row] = data.validation or ()
        self.probed = probed
        self.models = list(wanted.models or self._at_hand())
        self.bases = [_base(model) for model in self.models]
        known = [base for base in self.bases if isinstance(base, Base)]
        if not known:
            raise next(error for error in self.bases if isinstance(error, ModelError))
        self.learnt = task.initialize(data.train, known[0])

    def told(self) -> dict[str, Any]:
        rival = self._rival()
        found = [self._measured(place) for place in range(len(self.models))]
        for place in self._finalists(found, rival):
            before, after = found[place], self._measured(place, "train")
            kept = {key: before[key] for key in ("curve", "logme") if key in before}
            found[place] = {**after, **kept, "untrained": before["score"]} if "score" in after else before
        able = sorted((one for one in found if "score" in one), key=_score, reverse=True)
        others = [one for one in found if "score" not in one]
        first = able[0] if able else None
        plain = first is None or rival["score"] >= first["score"]
        self._compare(able, rival)
        for one in able:
            one["reasons"] = self._reasons(one, able[0])
        following = None if plain or first is None else self._next(first["place"])
        return {
            "task": registry.name_of(self.task),
            "metric": self.learnt.metric,
            "rows": {"train": len(self.data.train), "validation": len(self.rows)},
            "limits": self.limits,
            "candidates": [
                {key: value for key, value in one.items() if key != "predictions"} for one in (*able, *others)
            ],
            "rival": {key: value for key, value in rival.items() if key != "predictions"},
            "first": rival["name"] if plain else able[0]["name"],
            "plain": plain,
            "more": _more(able[0]) if able else None,
            "next": following,
            "plan": self._plan(following) if following else None,
        }

    def _at_hand(self) -> tuple[ModelSpec, ...]:
        """Every installed embedded model that reads such rows, and, where it can be trained soon, a plain design."""
        names = [str(entry["name"]) for entry in embedded.listing() if entry["installed"]]
        designs = list(dual.DEFAULTS.values()) if self.probed else []
        found = [ModelSpec(name) for name in (*names, *designs) if self._reads(ModelSpec(name))]
        if not found:
            raise UsageError("advise.no-candidates", task=registry.name_of(self.task))
        return tuple(found)

    def _reads(self, model: ModelSpec) -> bool:
        try:
            columns.check_reader(self.task, base := load.base(model))
        except JishiError:
            return False
        return (
            base.modality in {modality.removesuffix("?") for modality in self.task.columns.values()}
            or "+" in base.modality
        )

    def _measured(self, place: int, how: How | None = None) -> dict[str, Any]:
        """One candidate, in the way that suits it; where it is trained after it was measured, no limit is asked about again."""
        model, base = self.models[place], self.bases[place]
        told: dict[str, Any] = {"name": model.name, "place": place, "licence": licence(model)}
        if isinstance(base, Base):
            limits = {} if how else self.limits
            how = how or ("train" if base.fresh else "probe" if self.probed else "answer")
            asked = FinetuneSpec(
                DataSpec(str(self.data.path)), str(self.folder / "run"), model, self.task, seed=self.wanted.seed,
                train=PROBE if how == "probe" else self._train(base),
                adapt=registry.get(Adaptation, "frozen" if how == "probe" else "full")(),
            )  # fmt: skip
            told |= {"how": how, **candidate.ask(asked, how, limits, cpu=self.wanted.device == "cpu")}
            if told.get("pooling", base.pooling) != base.pooling:  # the one that a head can be fitted on
                self.models[place] = replace(model, pooling=told["pooling"])
        else:
            told |= {"how": "", "failed": str(base)}
        shown = ("name", "how", "score", "failed", "beyond")
        self.listen(Event("candidate", place + 1, {key: told.get(key) for key in shown}))
        return told

    def _train(self, base: Base) -> TrainSpec:
        """How a candidate is trained: from nothing, or from what it knows, its head fitted first where it has one."""
        return FRESH if base.fresh else WHOLE if self.probed else TrainSpec()

    def _rival(self) -> dict[str, Any]:
        plain = self.learnt.baseline(self.data.train)
        answers = plain.predict(self.rows)
        return {
            "name": plain.name,
            "score": self.learnt.score(answers, self.rows)[self.learnt.metric],
            "milliseconds": latency.milliseconds(plain.predict, self.rows),
            "predictions": answers,
        }

    def _finalists(self, found: Sequence[Mapping[str, Any]], rival: Mapping[str, Any]) -> list[int]:
        """The places of those to be fine-tuned before one is called the first, for probes hide what that brings out: the best
        few where they can't be told apart, or where what was trained, or the rival, is ahead of all."""
        still = sorted((one for one in found if one["how"] != "train" and "score" in one), key=_score, reverse=True)
        if not still:
            return []
        trained = [one["score"] for one in found if one["how"] == "train" and "score" in one]
        beaten = max([rival["score"], *trained]) >= still[0]["score"]
        report = self._judge(still[0], still[1:])
        alike = [
            one for place, one in enumerate(still[1:]) if beaten or report["rivals"][str(place)]["p_value"] > ALIKE
        ]
        return [int(one["place"]) for one in [still[0], *alike][:FINALISTS]] if alike or beaten else []

    def _judge(self, first: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The first's report, each of the others held against it on the same rows."""
        against = {str(place): one["predictions"] for place, one in enumerate(others)}
        judge = registry.get(Evaluator, "task-score")()
        return judge.evaluate(None, self.rows, predictions=first["predictions"], rivals=against, task=self.learnt)  # type: ignore[no-any-return]

    def _compare(self, able: Sequence[dict[str, Any]], rival: dict[str, Any]) -> None:
        """Give each its interval, and the first's lead over it on the same rows."""
        if not able:
            return
        first, *others = able
        report = self._judge(first, [*others, rival])
        metric = self.learnt.metric
        first["interval"] = [report["scores"][metric][end] for end in ("low", "high")]
        for place, one in enumerate([*others, rival]):
            compared = report["rivals"][str(place)]
            one["interval"] = [compared["scores"][metric][end] for end in ("low", "high")]
            one["behind"], one["p_value"] = compared["difference"], compared["p_value"]

    def _reasons(self, one: Mapping[str, Any], first: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What is worth knowing of a candidate, as codes of the catalogue with their values."""
        tokens, said = one.get("tokens") or {}, []
        if "untrained" in one:
            said.append({"code": "confirmed", "untrained": one["untrained"]})
        if one is not first and one["p_value"] > ALIKE:
            said.append({"code": "alike", "first": first["name"]})
            if first["milliseconds"] > FASTER * one["milliseconds"]:
                said.append({"code": "faster", "times": first["milliseconds"] / one["milliseconds"]})
        if tokens.get("unknown", 0) > MANY_UNKNOWN:
            said.append({"code": "unknown-tokens", "share": tokens["unknown"]})
        if tokens.get("truncated", 0) > MANY_CUT:
            said.append({"code": "truncated", "share": tokens["truncated"]})
        return said

    def _next(self, place: int) -> dict[str, Any]:
        """The fine-tuning to run: all rows, all weights."""
        base = load.base(self.models[place])
        task = {"task": _changed(self.wanted.task, type(self.wanted.task)())} if self.wanted.task else {}
        return {
            "data": _changed(self.wanted.data, DataSpec("")),
            "model": _changed(self.models[place], ModelSpec("")),
            **task,
            "train": _changed(self._train(base), TrainSpec()),
            "out": str(Path(self.wanted.out or "runs") / "finetuned"),
        }

    def _plan(self, following: Mapping[str, Any]) -> dict[str, Any]:
        """What the fine-tuning would take, from a trial on the rows at hand: its seconds grow with the rows."""
        few = {**following, "data": {"train": str(self.data.path)}, "task": spec.dump(self.task)}
        told = plan(spec.build(FinetuneSpec, Document(few, SPEC)))
        ledger = self.data.report["ledger"]
        given = ledger["accepted"]["train"] + ledger["cut"].get("train_rows", 0)
        rows = min(given, self.wanted.data.train_rows or given)
        kept = {key: told[key] for key in ("memory", "trainable_parameters", "precision")}
        return {"rows": rows, "seconds": told["seconds"] * rows / told["rows"], **kept}


def _base(model: ModelSpec) -> Base | ModelError:
    """What is known of a candidate, or why it can't be used. Raises UsageError for a name that nobody knows, at once."""
    try:
        return load.base(model)
    except ModelError as error:
        return error


def _is_probed(task: Task) -> bool:
    """Whether a linear head tells what states are worth; else the task is one of vectors. Raises UsageError where neither is."""
    if task.generates:
        raise UsageError("advise.writes", task=registry.name_of(task))
    try:
        linear_probe.check(task)
    except UsageError:
        if task.head().architecture:
            raise UsageError("advise.no-probe", task=registry.name_of(task)) from None
        return False
    return True


def _score(one: Mapping[str, Any]) -> float:
    return float(one["score"])


def _changed(given: Any, plain: Any) -> Any:
    """A spec as plain data without what is as ever."""
    value, usual = spec.dump(given), spec.dump(plain)
    return {key: one for key, one in value.items() if key == "name" or one != usual[key]}


def _more(one: Mapping[str, Any]) -> dict[str, Any] | None:
    """What twice and ten times the rows would bring to a probe."""
    curve = one.get("curve") or []
    law = extrapolate([rows for rows, _ in curve], [score for _, score in curve])
    if law is None:
        return None
    rows = curve[-1][0]
    return {"curve": curve, "foreseen": [(count, law(count)) for count in (2 * rows, 10 * rows)]}
