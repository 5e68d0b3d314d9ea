"""Prepare: raw files become checked, split, fingerprinted rows with a report."""

from dataclasses import dataclass
from pathlib import Path

from jishi.core.contracts import Objective, option
from jishi.data.dataset import Dataset
from jishi.data.infer import infer
from jishi.data.prepare import prepare as prepare_rows
from jishi.data.spec import DataSpec
from jishi.models import load
from jishi.models.spec import ModelSpec


@dataclass(frozen=True)
class PrepareSpec:
    """What `jishi prepare` is asked for."""

    data: DataSpec = option(
        en="The rows: a file, or a folder with train, dev and test files.",
        zh="数据：文件，或包含 train、dev、test 文件的目录。",
    )
    out: str = option(en="The folder to write.", zh="要写入的目录。")
    task: Objective | None = option(
        None, "What the rows are for; left out, the task their columns fit.", "数据的用途；省略时按列推断任务。"
    )
    model: ModelSpec | None = option(
        None,
        "The model whose tokens the report counts; left out, lengths are in characters.",
        "报告按哪个模型统计词元；省略时只统计字符。",
    )


def prepare(wanted: PrepareSpec) -> Dataset:
    """Write the prepared rows of a spec."""
    task = wanted.task or infer(wanted.data)
    counted = wanted.model is not None and not load.learns_processor(wanted.model)
    return prepare_rows(
        wanted.data,
        task,
        Path(wanted.out),
        processor=load.processor(wanted.model) if counted and wanted.model else None,
        base=load.base(wanted.model) if counted and wanted.model else None,
    )
