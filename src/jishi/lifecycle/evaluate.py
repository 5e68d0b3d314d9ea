"""Evaluate: a bundle, its probes replayed, judged on rows it has not seen."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jishi.core import publish, registry
from jishi.core.contracts import Evaluator, option
from jishi.data.spec import DataSpec
from jishi.lifecycle import report
from jishi.lifecycle.judged import judged
from jishi.predictor import Predictor
from jishi.training.run import versions


@dataclass(frozen=True)
class EvaluateSpec:
    """What `jishi evaluate` is asked for."""

    bundle: str = option(en="The bundle to judge.", zh="要评估的模型包。")
    data: DataSpec = option(
        en="The rows: a file, all of which is used, or a folder, of which the test part is used, else the validation part.",
        zh="数据：若为文件则使用全部；若为目录则使用其测试部分，没有则用验证部分。",
    )
    evaluate: Evaluator = option(
        factory=lambda: registry.get(Evaluator, "task-score")(), en="How the bundle is judged.", zh="如何评估。"
    )
    out: str | None = option(
        None, "A folder for evaluation.json and report.html.", "存放 evaluation.json 与 report.html 的目录。"
    )


def evaluate(wanted: EvaluateSpec) -> dict[str, Any]:
    """The evaluation of a spec; raises BundleError where the probes are not answered as recorded."""
    predictor = Predictor.load(wanted.bundle)
    replay = predictor.replay()
    with tempfile.TemporaryDirectory() as folder:
        found = judged(wanted.data, predictor.task, Path(folder) / "data")
        told = {**wanted.evaluate.evaluate(predictor, found.rows), "part": found.part}
    parity = {"rows": replay.rows, "flips": replay.flips, "max_difference": replay.max_difference}
    evaluation = {**told, "parity": parity}
    if wanted.out:
        publish.write_text(
            Path(wanted.out) / "evaluation.json", json.dumps(evaluation, ensure_ascii=False, indent=2) + "\n"
        )
        report.write(Path(wanted.out), {"data": found.data.report, "evaluation": evaluation, "versions": versions()})
    return evaluation
