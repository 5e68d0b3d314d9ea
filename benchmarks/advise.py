"""Is the advice right? `jishi advise`, beside every candidate it measured fine-tuned on the same rows and judged on test rows.

python benchmarks/advise.py                          every set
python benchmarks/advise.py --only sick --rows 300   one set, fewer rows
python benchmarks/advise.py --docs                   what is kept, into docs/en/choosing.md and docs/zh/choosing.md
"""

import argparse
import time
from pathlib import Path
from typing import Any

import record

import jishi

ROOT = Path(__file__).parent.parent
NAME = "advice"
TEST_ROWS = 1000
SETS: dict[str, dict[str, Any]] = {  # their task, where the columns don't tell it, and its keys
    "banking77": {"name": "text-classification", "max_length": 64},
    "shopping_reviews_zh": {"name": "text-classification", "max_length": 64},
    "sick": {"name": "text-classification", "max_length": 64},
    "financial_phrasebank": {"name": "text-classification", "max_length": 64},
    "uner_gsdsimp_zh": {"name": "token-classification", "max_length": 128},
    "sign_digits": {"name": "image-classification"},
}
HEADERS = {
    "en": "set | rows | advised | its score, fine-tuned | best of all | behind | plain rival | advice, s | fine-tuning all, s",
    "zh": "数据 | 行数 | 建议 | 微调后得分 | 全部候选中最佳 | 差距 | 简单对照 | 建议用时（秒） | 逐一微调用时（秒）",
}


def main() -> None:
    options = parse()
    for name in SETS:
        if any(word in name for word in options.only) and not options.docs and name not in record.kept(NAME):
            record.keep(NAME, {**record.kept(NAME), name: run(name, options)})
    print(table("en"))
    if options.docs:
        record.into_docs("choosing", table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "advise")
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The advice, then every candidate that came to a score, trained as the advice would have it."""
    settings = {"data": str(options.data / name), "task": SETS[name], "out": str(options.out / name)}
    clock = time.monotonic()
    advice = jishi.advise(**settings, rows=options.rows)
    told = time.monotonic() - clock
    data = {
        "train": settings["data"],
        "train_rows": options.rows,
        "validation_rows": options.rows,
        "test_rows": TEST_ROWS,
    }
    found: dict[str, Any] = {"rows": advice["rows"]["train"], "advised": advice["first"], "seconds": told, "scores": {}}
    for one in advice["candidates"]:
        if "score" not in one:
            continue
        train = (
            {"epochs": 20, "batch_size": 16, "learning_rate": 1e-3}
            if one["how"] == "train" and "untrained" not in one  # from nothing: what was probed before is a base
            else {}
        )
        clock = time.monotonic()
        made = jishi.finetune(
            data=data, task=SETS[name], model=one["name"], out=str(options.out / f"{name}-{one['place']}"),
            train=train or {"epochs": 3, "fit_head": "before"},
        )  # fmt: skip
        metric = made.evaluation["metric"]
        rival = made.evaluation["rivals"][made.baseline]["scores"][metric]["value"]
        found["rival"] = {"name": advice["rival"]["name"], "score": rival}
        score = made.evaluation["scores"][metric]["value"]
        found["scores"][one["name"]] = {"score": score, "advised": one["score"], "seconds": time.monotonic() - clock}
    return {**found, "metric": advice["metric"], "date": time.strftime("%Y-%m-%d")}


def table(language: str) -> str:
    lines = [f"| {HEADERS[language]} |\n|---|---:|---|---:|---|---:|---:|---:|---:|"]
    for name, found in record.kept(NAME).items():
        scores = {
            **{model: one["score"] for model, one in found["scores"].items()},
            found["rival"]["name"]: found["rival"]["score"],
        }
        best = max(scores, key=scores.__getitem__)
        own = scores[found["advised"]]
        spent = sum(one["seconds"] for one in found["scores"].values())
        cells = [
            name, str(found["rows"]), found["advised"], f"{own:.3f}", f"{best} {scores[best]:.3f}", f"{scores[best] - own:.3f}",
            f"{found['rival']['score']:.3f}", f"{found['seconds']:.0f}", f"{spent:.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
