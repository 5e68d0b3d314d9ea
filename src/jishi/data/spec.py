"""What a user says about the data: where they stand, how they are cut, and what to do with a bad row."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from jishi.core.contracts import option

PARTS = ("train", "validation", "test")
Encoding = Literal["auto", "utf-8", "gb18030", "big5", "latin-1", "cp1252"]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _whole(split: tuple[float, float, float]) -> tuple[float, float, float]:
    if abs(sum(split) - 1) > 1e-6 or split[0] == 0:
        raise ValueError("three shares (train, validation, test) that add up to 1, the first above 0")
    return split


@dataclass(frozen=True)
class DataSpec:
    """The data of one task. `train` may be a file, an image folder (label = sub-folder), a folder with train, dev and test
    files, or a folder made by `prepare`."""

    train: str = option(
        en="The training data: a file, an image folder, a folder with train/dev/test files, or a prepared folder.",
        zh="训练数据：文件、图片目录、含 train/dev/test 文件的目录，或已准备好的目录。",
    )
    validation: str | None = option(
        None,
        "The validation data; without it a share of the training data is set aside.",
        "验证数据；缺省时从训练数据中划出一部分。",
        aliases=("dev", "valid", "val"),
    )
    test: str | None = option(
        None,
        "The test data; without it a share of the training data is set aside.",
        "测试数据；缺省时从训练数据中划出一部分。",
    )
    columns: dict[str, str | tuple[str, ...]] = option(
        en="Which column of the file holds what the task calls so, for example text: review, label: stars; several are read as "
        "one text, text: [title, body].",
        zh="任务的列名对应文件中的哪一列，例如 text: review, label: stars；也可将多列合成一段文本：text: [title, body]。",
        factory=dict,
    )
    split: Annotated[tuple[Fraction, Fraction, Fraction], AfterValidator(_whole)] = option(
        (0.8, 0.1, 0.1),
        "The shares of train, validation and test, used for the parts that are not given; exact duplicates stay together.",
        "训练、验证、测试的比例，仅用于未给出的部分；完全重复的行总在同一部分。",
    )
    stratify: bool = option(
        True,
        "Whether every part gets the same share of each label.",
        "是否让各部分的标签比例一致。",
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = option(
        0,
        "The seed of the split and of the sample.",
        "划分与抽样的随机种子。",
        aliases=("split_seed",),
    )
    on_bad_row: Literal["stop", "skip"] = option(
        "stop",
        "Stop at the first bad row, or skip bad rows and count them.",
        "遇到坏行时停止，或跳过并计数。",
    )
    train_rows: Annotated[int, Field(ge=1)] | None = option(
        None,
        "Keep only this many training rows, drawn evenly over the labels.",
        "只保留这么多训练行，在各标签间均匀抽取。",
    )
    validation_rows: Annotated[int, Field(ge=1)] | None = option(
        None,
        "Keep only this many validation rows, drawn evenly over the labels.",
        "只保留这么多验证行，在各标签间均匀抽取。",
    )
    test_rows: Annotated[int, Field(ge=1)] | None = option(
        None,
        "Keep only this many test rows, drawn evenly over the labels.",
        "只保留这么多测试行，在各标签间均匀抽取。",
    )
    max_rows: Annotated[int, Field(ge=1)] | None = option(
        None,
        "Keep only the first rows of each given part, up to this many.",
        "每个给出的部分只保留开头的这么多行。",
    )
    max_row_bytes: Annotated[int, Field(ge=64, le=2**30)] = option(
        2**20,
        "The largest row, in bytes; a longer one is a bad row and is never held whole.",
        "单行的最大字节数；超过的是坏行，不会整行读入内存。",
    )
    encoding: Encoding = option(
        "auto",
        "The encoding of text files; auto tells UTF-8 and GB18030 apart.",
        "文本文件的编码；auto 会自动区分 UTF-8 与 GB18030。",
    )
