"""The commands of the label queue: `jishi label …`."""

from typing import Annotated, Any

import typer

from jishi import api
from jishi.command import Debug, Json, Lang, Named, Words, asked, guarded, show

app = typer.Typer(cls=Named, no_args_is_help=True, help="Choose rows to label, and label them. 选取并标注数据。")


@app.command("choose")
def label_choose(words: Words = None, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """Queue the rows most worth a label; `choose` may be left out. 选出最值得标注的行，写入队列（choose 可省略）。"""
    guarded(lambda: _counted(asked(api.label, words), as_json), as_json, debug, lang)


@app.command("errors")
def label_errors(words: Words = None, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """List the rows whose label is likely wrong. 列出标签可能有误的行。"""
    guarded(lambda: _counted(asked(api.label_errors, words), as_json), as_json, debug, lang)


@app.command("page")
def label_page(
    queue: str,
    out: Annotated[str | None, typer.Option(help="Where labels go. 标注写入何处。")] = None,
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one. 端口；0 为自动选择。")] = 8010,
    as_json: Json = False,
    debug: Debug = False,
    lang: Lang = None,
) -> None:
    """A page to label a queue in. 打开标注页面。"""
    guarded(lambda: api.label_page(queue, out, port=port), as_json, debug, lang)


@app.command("export")
def label_export(queue: str, out: str, as_json: Json = False, debug: Debug = False, lang: Lang = None) -> None:
    """The open rows of a queue, for Label Studio (.json) or to fill in (.jsonl). 导出待标注的行。"""
    guarded(lambda: _counted(api.label_export(queue, out), as_json), as_json, debug, lang)


@app.command("import")
def label_import(
    file: str,
    queue: Annotated[str | None, typer.Option(help="The queue that was labelled. 所标注的队列。")] = None,
    out: Annotated[str | None, typer.Option(help="Where labels go. 标注写入何处。")] = None,
    as_json: Json = False,
    debug: Debug = False,
    lang: Lang = None,
) -> None:
    """Labels from Label Studio (JSON, JSON-MIN) or a file of rows. 导入标注结果。"""
    guarded(lambda: _counted(api.label_import(file, queue, out), as_json), as_json, debug, lang)


def _counted(value: Any, as_json: bool) -> None:
    """Show what became of rows."""
    from jishi import terminal

    show(value, as_json, terminal.counts)
