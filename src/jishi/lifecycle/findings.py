"""What the numbers of a run say, as codes of the catalogue with their values: the verdict, and what to be careful of."""

from collections.abc import Iterator, Mapping
from typing import Any

SURE = 0.05  # a p-value below this is called a difference
FEW_ROWS = 100
SHARE = 0.05  # unknown tokens, truncated rows
LEAK = 0.01  # test rows that also stand in training
OFF = 0.1  # expected calibration error


def verdict(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The deciding score of the model, then of each rival with how the model stands to it: better, worse or unclear."""
    metric = evaluation.get("metric")
    if metric not in evaluation.get("scores", {}):
        return []
    lines = [{"name": "this-model", **evaluation["scores"][metric]}]
    for name, rival in (evaluation.get("rivals") or {}).items():
        better = "better" if rival["difference"] > 0 else "worse"
        comparison = {key: rival[key] for key in ("difference", "p_value", "test")}
        stands = better if rival["p_value"] < SURE else "unclear"
        ends = sorted((abs(rival["low"]), abs(rival["high"]))) if stands == "worse" else (rival["low"], rival["high"])
        interval = {"difference_low": ends[0], "difference_high": ends[1]}
        lines.append({"name": name, **rival["scores"][metric], **comparison, **interval, "stands": stands})
    return lines


def cautions(run: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What a careful reader should know before trusting the model: (code, values), the gravest first."""
    return [*_of_evaluation(run.get("evaluation") or {}), *_of_data(run.get("data") or {}), *_of_training(run)]


def _of_evaluation(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in verdict(evaluation)[1:]:
        if line["stands"] != "better":
            yield f"caution-{line['stands']}", {"name": line["name"]}
    missed = [
        entry["label"] for entry in (evaluation.get("details") or {}).get("per_class") or () if _never_right(entry)
    ]
    if missed:
        yield (
            "caution-missed",
            {"number": len(missed), "labels": ", ".join(missed[:5]) + ("…" if len(missed) > 5 else "")},
        )
    error = (evaluation.get("calibration") or {}).get("ece")
    if error is not None and error > OFF:
        yield "caution-calibration", {"error": f"{error:.2f}"}
    if 0 < evaluation.get("rows", 0) < FEW_ROWS:
        yield "caution-few-rows", {"rows": evaluation["rows"]}
    weak = [f"{entry['by']} {entry['value']}" for entry in evaluation.get("slices") or () if entry["worse"]]
    if weak:
        yield "caution-slices", {"number": len(weak), "slices": "; ".join(weak[:3]) + ("…" if len(weak) > 3 else "")}


def _of_data(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    held_out = (data.get("rows") or {}).get("test", 0)
    for kind in ("duplicates", "near_duplicates"):
        leaked = ((data.get(kind) or {}).get("across") or {}).get("train/test", 0)
        if leaked > LEAK * held_out:
            yield f"caution-{kind.replace('_', '-')}", {"rows": leaked, "share": f"{leaked / held_out:.1%}"}
    others = data.get("unlabelled") or {}
    if "rounds" in others and others["kept"] + 1 < len(others["rounds"]):
        yield "caution-student", {"kept": others["kept"]}


def _of_training(run: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    start: Mapping[str, Any] = next((event for event in run.get("events") or () if event.get("kind") == "start"), {})
    for key in ("unknown", "truncated"):
        share = start.get(key)
        if isinstance(share, float) and share > SHARE:
            yield f"caution-{key}", {"share": f"{share:.1%}"}
    if start.get("cut"):
        yield "caution-cut", {"targets": f"{start['cut']:,}"}


def _never_right(entry: Mapping[str, Any]) -> bool:
    return entry["f1"] == 0 and entry["support"] > 0
