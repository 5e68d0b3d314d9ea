"""What all commands share: what they are asked with, how they show what comes of it, and how an error ends them."""

import errno
import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jishi.core import i18n
from jishi.core.errors import JishiError

Words = Annotated[
    list[str] | None,
    typer.Argument(help="A spec file or the main value, then key=value. 规格文件或主要参数，其后为 键=值。"),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output. 输出 JSON。")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error. 出错时显示完整堆栈。")]
Lang = Annotated[str | None, typer.Option("--lang", help="zh or en. 界面语言。")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what it would take, and do nothing. 只显示计划，不执行。")
]
On = Annotated[str | None, typer.Option("--on", help="Where it runs: ray. 在何处运行：ray。")]


class Named(TyperGroup):
    """A group whose name is a command of its own: without the name of another, `jishi label …` is `jishi label choose …`."""

    default = "choose"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = next((word for word in args if not word.startswith("-")), None)
        if args and named not in self.commands and "--help" not in args:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def split(words: list[str] | None) -> tuple[str | None, list[str]]:
    """The main value (first word without `=`), and the overrides."""
    words = words or []
    if words and "=" not in words[0]:
        return words[0], words[1:]
    return None, words


def several(words: list[str] | None, spec: Any) -> tuple[list[str], list[str]]:
    """The main values of a verb that takes many, each a path or name=path, and the overrides, which its first setting begins."""
    settings = {field.name for field in fields(spec)}
    words = words or []
    heads = [word.partition("=")[0].partition(".")[0] for word in words]
    sets = ["=" in word and (head in settings or "/" not in word) for word, head in zip(words, heads, strict=True)]
    count = (*sets, True).index(True)
    return words[:count], words[count:]


def asked(verb: Callable[..., Any], words: list[str] | None) -> Any:
    """What a verb of the API comes to, asked with the words of a command."""
    main, overrides = split(words)
    return verb(main, overrides=overrides)


def resuming(verb: str, words: list[str]) -> str:
    """The command that goes on with a training, whatever was asked for at its start."""
    return shlex.join(["jishi", verb, *(word for word in words if not word.startswith("resume=")), "resume=auto"])


def show(value: Any, as_json: bool, render: Callable[[Any], None]) -> None:
    """What a verb came to, as JSON or for a reader."""
    if as_json:
        tell(value)
    else:
        render(value)


def tell(value: Any, indent: int | None = 2) -> None:
    """A value as JSON, on one line where there is no indent."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=indent))


def guarded(run: Callable[[], None], as_json: bool, debug: bool, lang: str | None) -> None:
    """Run a verb; an error becomes one sentence and its exit code, a traceback only with --debug."""
    if lang:
        i18n.set_language(lang)
    try:
        run()
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe has gone: nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if debug:
            raise
        known = _known(error)
        if as_json:
            tell({"error": known.to_dict()}, indent=None)
        else:
            typer.secho(str(known), fg="red", err=True)
        sys.exit(known.exit_code)


def _known(error: Exception) -> JishiError:
    """The error as one of Jishi's: itself, the library behind a failed import, or one that nobody foresaw."""
    if isinstance(error, JishiError):
        return error
    if isinstance(error, ImportError):
        from jishi.models import environment

        for problem in environment.unusable():
            return problem
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return JishiError("cli.disk-full", path=error.filename or Path.cwd())
    return JishiError("cli.unexpected", kind=type(error).__name__, reason=" ".join(str(error).split()))
