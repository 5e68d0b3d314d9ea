"""The terminal face: `jishi VERB [MAIN] [key=value …]`. Every verb is one function of `jishi.api`.

MAIN is a spec file (.yaml) or the verb's main value; `a.b=c` sets any field. Exit code 0 done, 1 failed, 2 not understood.
"""

import json
import shlex
from typing import Annotated, Any

import typer

from jishi import api, compressing, labelling
from jishi.command import Debug, DryRun, Json, Lang, On, Words, asked, guarded, resuming, several, show, split, tell
from jishi.core.errors import UsageError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Jishi 基石")
models_app = typer.Typer(
    no_args_is_help=True, help="Base models at hand and bundles made. 可用的基础模型与已生成的模型包。"
)
config_app = typer.Typer(no_args_is_help=True, help="What a verb can be asked for. 每个命令的全部设置。")
app.add_typer(models_app, name="models")
app.add_typer(labelling.app, name="label")
app.add_typer(config_app, name="config")


@app.command()
def prepare(words: Words = None, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Read, check and split rows, with a data report. 读取、检查并划分数据，给出数据报告。"""

    def run() -> None:
        from jishi import terminal

        made = asked(api.prepare, words)
        tell = {"path": str(made.path), "fingerprint": made.fingerprint, "report": made.report}
        show(tell, as_json, terminal.corpus if "mixture" in made.report else terminal.data)

    guarded(run, as_json, debug, lang)


@app.command()
def finetune(
    words: Words = None,
    on: On = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
    lang: Lang = None,
) -> None:
    """Fine-tune, evaluate and write a bundle. 微调、评估并写出模型包。"""

    def run() -> None:
        from jishi import terminal

        main, overrides = split(words)
        overrides += [f"on.name={on}"] if on else []
        if dry_run:
            show(api.plan(main, overrides=overrides), as_json, terminal.plan)
            return
        with terminal.Training(
            as_json, resume=resuming("finetune", [*(words or []), *(["--on", on] if on else [])])
        ) as training:
            result = api.finetune(main, overrides=overrides, listen=training.hear, watch=training.watch)
        if result.interrupted:
            raise typer.Exit(130)
        if result.bundle is None:  # one of several processes, which leaves the telling to the first
            return
        summary = {
            "out": str(result.folder), "bundle": str(result.bundle),
            "evaluation": result.evaluation, "resources": result.resources,
        }  # fmt: skip
        if as_json:  # behind the events: one line as they are
            tell({"kind": "result", **summary}, indent=None)
        else:
            terminal.result(summary)

    guarded(run, as_json, debug, lang)


@app.command()
def advise(words: Words = None, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Which model to start from, measured. 实测各候选模型，给出选型建议。"""

    def run() -> None:
        from jishi import terminal

        main, overrides = split(words)
        show(api.advise(main, overrides=overrides, listen=terminal.candidate), as_json, terminal.advice)

    guarded(run, as_json, debug, lang)


@app.command()
def tune(words: Words = None, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Search the settings of a fine-tuning. 搜索微调的设置。"""

    def run() -> None:
        from jishi import terminal

        main, overrides = split(words)
        with terminal.Training(as_json) as training:
            found = api.tune(main, overrides=overrides, listen=training.hear, watch=training.watch)
        if found.result is None:
            terminal.stopped(shlex.join(["jishi", "tune", *(words or [])]))
            raise typer.Exit(130)
        summary = {
            "out": str(found.result.folder), "bundle": str(found.result.bundle), "evaluation": found.result.evaluation,
            "resources": found.result.resources, "plain": found.plain, "best": found.best, "importance": found.importance,
            "trials": found.trials,
        }  # fmt: skip
        if as_json:  # behind the events: one line as they are
            tell({"kind": "result", **summary}, indent=None)
        else:
            terminal.tuned(summary)

    guarded(run, as_json, debug, lang)


@app.command()
def tokenizer(words: Words = None, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Learn a vocabulary from texts. 从文本学习词表。"""

    def run() -> None:
        from jishi import terminal

        show(asked(api.tokenizer, words), as_json, terminal.tokenizer)

    guarded(run, as_json, debug, lang)


@app.command()
def pretrain(
    words: Words = None, dry_run: DryRun = False, as_json: Json = False, debug: Debug = False, lang: Lang = None
) -> None:
    """Learn from rows without labels and write a base. 从无标签数据预训练，写出基座。"""

    def run() -> None:
        from jishi import terminal

        main, overrides = split(words)
        if dry_run:
            show(api.plan(main, verb="pretrain", overrides=overrides), as_json, terminal.plan)
            return
        with terminal.Training(as_json, resume=resuming("pretrain", words or [])) as training:
            result = api.pretrain(main, overrides=overrides, listen=training.hear, watch=training.watch)
        if result.interrupted:
            raise typer.Exit(130)
        if result.base is None:  # one of several processes, which leaves the telling to the first
            return
        summary = {"out": str(result.folder), "base": str(result.base), **result.record}
        if as_json:
            tell({"kind": "result", **summary}, indent=None)
        else:
            terminal.base(summary)

    guarded(run, as_json, debug, lang)


@app.command()
def evaluate(words: Words = None, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Judge a bundle on new rows. 在新数据上评估模型包。"""

    def run() -> None:
        from jishi import terminal

        show(asked(api.evaluate, words), as_json, terminal.evaluation)

    guarded(run, as_json, debug, lang)


app.command()(compressing.compress)
app.command()(compressing.benchmark)


@app.command()
def predict(
    bundle: str,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="Texts, pictures, or rows as JSON objects. 文本、图片，或 JSON 对象形式的行。"),
    ] = None,
    file: Annotated[str | None, typer.Option(help="A file of rows (any format prepare reads). 数据文件。")] = None,
    stream: Annotated[bool, typer.Option(help="Show written answers as they come. 边生成边显示。")] = False,
    as_json: Json = False,
    debug: Debug = False,
    lang: Lang = None,
) -> None:
    """Answer with a bundle. 用模型包作答。"""

    def run() -> None:
        from jishi import terminal
        from jishi.data.rows import read

        rows: list[Any] = [_row(word) for word in inputs or []]
        if file:
            rows += [raw for _, raw in read(file)]
        if not rows:
            raise UsageError("cli.no-inputs")
        if stream:
            predictor = api.load(bundle)
            for row in rows:
                terminal.pieces(predictor.generate_stream(row))
            return
        answers = api.predict(bundle, rows)
        show(
            [{"input": row, **answer} for row, answer in zip(rows, answers, strict=True)], as_json, terminal.predictions
        )

    guarded(run, as_json, debug, lang)


@app.command()
def embed(
    bundle: str,
    texts: list[str],
    side: Annotated[str, typer.Option(help="text, query or passage. 文本、查询或段落。")] = "text",
    as_json: Json = False,
    debug: Debug = False,
    lang: Lang = None,
) -> None:
    """Vectors of texts, one JSON line each. 输出文本向量，每行一个 JSON。"""

    def run() -> None:
        for vector in api.embed(bundle, texts, side).tolist():  # type: ignore[arg-type]
            tell(vector, indent=None)

    guarded(run, as_json, debug, lang)


@app.command()
def index(
    bundle: str,
    data: str,
    out: str,
    column: Annotated[str | None, typer.Option(help="The column of the passage. 存放段落的列。")] = None,
    alike: Annotated[bool, typer.Option(help="Queries are of the same kind. 查询与段落同类。")] = False,
    queries: Annotated[
        str | None, typer.Option(help="Pairs that choose the search. 用于选择检索方式的文本对。")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
    lang: Lang = None,
) -> None:
    """Give passages their vectors, to be searched. 为段落建立向量索引。"""
    how: dict[str, Any] = {"column": column, "alike": alike, "queries": queries}
    guarded(lambda: tell(api.index(bundle, data, out, **how)), as_json, debug, lang)


@app.command()
def search(
    index: str,
    queries: list[str],
    k: Annotated[int, typer.Option(help="Passages for each query. 每个查询返回的段落数。")] = 10,
    by: Annotated[str | None, typer.Option(help="hybrid, vectors or words. 混合、向量或词。")] = None,
    approximate: Annotated[bool, typer.Option(help="Walk a graph (HNSW). 使用近似检索。")] = False,
    bundle: Annotated[str | None, typer.Option(help="Where its bundle is now. 生成索引的模型包的现位置。")] = None,
    rerank: Annotated[str | None, typer.Option(help="A bundle that reads pairs. 用于重排的文本对模型包。")] = None,
    label: Annotated[str | None, typer.Option(help="Its label that means yes. 表示相关的标签。")] = None,
    as_json: Json = False,
    debug: Debug = False,
    lang: Lang = None,
) -> None:
    """The best passages of an index, one JSON line each. 检索索引，每行一个 JSON。"""

    def run() -> None:
        how: dict[str, Any] = {"k": k, "by": by, "bundle": bundle, "approximate": approximate}
        found = api.search(index, queries, **how, rerank=rerank, label=label)
        for query, hits in zip(queries, found, strict=True):
            for hit in hits:
                tell({"query": query, **hit}, indent=None)

    guarded(run, as_json, debug, lang)


@app.command()
def mine(
    bundle: str,
    data: str,
    out: str,
    count: Annotated[int, typer.Option(help="Negatives a pair. 每对的负例数。")] = 1,
    margin: Annotated[float, typer.Option(help="Share below the right one. 与正例的最小差距（比例）。")] = 0.05,
    as_json: Json = False,
    debug: Debug = False,
    lang: Lang = None,
) -> None:
    """Hard negatives for pairs, found by a bundle. 用模型包为文本对挖掘难负例。"""
    guarded(lambda: tell(api.mine(bundle, data, out, count=count, margin=margin)), as_json, debug, lang)


@app.command()
def serve(words: Words = None, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Answer over HTTP, with a page to try it. 启动 HTTP 服务与试用页面。"""

    def run() -> None:
        from jishi.serving.spec import ServeSpec  # alone: the specs of other verbs load torch

        bundles, overrides = several(words, ServeSpec)
        alone = bundles[0] if len(bundles) == 1 and "=" not in bundles[0] else None  # a spec file, too
        api.serve(alone or ({"bundle": bundles} if bundles else None), overrides=overrides)

    guarded(run, as_json, debug, lang)


@models_app.command("list")
def models_list(folder: str = "runs", as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Base models at hand, and bundles below a folder. 列出基础模型与模型包。"""

    def run() -> None:
        from jishi import terminal

        show(api.list_models(folder), as_json, terminal.models)

    guarded(run, as_json, debug, lang)


@app.command()
def doctor(as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Check this machine. 检查本机环境。"""

    def run() -> None:
        from jishi import terminal

        findings = api.doctor()
        show(findings, as_json, terminal.findings)
        if any(finding["level"] == "error" for finding in findings):
            raise typer.Exit(1)

    guarded(run, as_json, debug, lang)


@config_app.command("schema")
def config_schema(verb: str = "finetune", debug: Debug = False, lang: Lang = None) -> None:
    """The JSON Schema of a verb's spec. 输出某个命令的 JSON Schema。"""
    guarded(lambda: tell(api.schema(verb)), False, debug, lang)


@config_app.command("show")
def config_show(
    words: Words = None, verb: str = "finetune", as_json: Json = False, debug: Debug = False, lang: Lang = None
) -> None:
    """A spec with every default filled in. 显示补全默认值后的规格。"""

    def run() -> None:
        import yaml

        from jishi.core import spec

        main, overrides = split(words)
        value = spec.dump(api.read(api.spec_of(verb), main, {}, overrides))
        show(value, as_json, lambda it: typer.echo(yaml.safe_dump(it, allow_unicode=True, sort_keys=False).rstrip()))

    guarded(run, as_json, debug, lang)


def main() -> None:
    """The console entry point."""
    app()


def _row(word: str) -> Any:
    """A row of several columns written as a JSON object, or the bare value of the first column."""
    try:
        found = json.loads(word)
    except ValueError:
        return word
    return found if isinstance(found, dict) else word
