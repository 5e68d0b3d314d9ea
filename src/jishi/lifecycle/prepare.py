"""Prepare: raw files become checked, split, fingerprinted rows with a report; or raw texts a clean corpus."""

from dataclasses import dataclass
from pathlib import Path

from jishi.core.contracts import Objective, option
from jishi.core.errors import UsageError
from jishi.data.dataset import Dataset
from jishi.data.infer import infer
from jishi.data.prepare import prepare as prepare_rows
from jishi.data.spec import DataSpec
from jishi.lifecycle.corpus import Corpus, CorpusSpec, clean
from jishi.models.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class PrepareSpec:
    """What `jishi prepare` is asked for."""

    data: DataSpec | None = option(
        None,
        "The rows: a file, or a folder with train, dev and test files.",
        "数据：文件，或包含 train、dev、test 文件的目录。",
    )
    corpus: CorpusSpec | None = option(
        None, "In place of data: texts to pretrain on, and how they are cleaned.", "代替 data：预训练文本及其清洗方式。"
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


def prepare(wanted: PrepareSpec) -> Dataset | Corpus:
    """Write the prepared rows, or the corpus, of a spec. Raises UsageError where it asks for neither or for both."""
    if wanted.corpus and not (wanted.data or wanted.task or wanted.model):
        return clean(wanted.corpus, Path(wanted.out))
    if wanted.corpus or not wanted.data:
        raise UsageError("data.rows-or-corpus")
    from jishi.models import load  # takes seconds, and a corpus needs no model

    task = wanted.task or infer(wanted.data)
    counted = wanted.model is not None and not load.learns_processor(wanted.model)
    return prepare_rows(
        wanted.data,
        task,
        Path(wanted.out),
        processor=load.processor(wanted.model) if counted and wanted.model else None,
        base=load.base(wanted.model) if counted and wanted.model else None,
    )
