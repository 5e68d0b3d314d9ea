"""Tokenizer: texts become a vocabulary of the size asked for, judged on texts it was not learnt from."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from jishi.core import publish
from jishi.core.contracts import option
from jishi.core.errors import ModelError, RowError
from jishi.data import places
from jishi.data.sources import formats
from jishi.data.sources.limits import Limits
from jishi.lifecycle.corpus import text_of
from jishi.lifecycle.tally import Tally
from jishi.models import folder, grow, processors, vocabulary
from jishi.models.origin import locate
from jishi.models.spec import ModelSpec

HELD_OUT = 20  # of so many texts one is not learnt from
JUDGED = 2_000  # texts at most that the report is of
REPORT = "tokenizer_report.json"


@dataclass(frozen=True, kw_only=True)
class TokenizerSpec:
    """What `jishi tokenizer` is asked for."""

    data: str = option(en="The texts: a file, or the folder of a corpus.", zh="文本：文件，或语料目录。")
    out: str = option(en="The folder to write.", zh="要写入的目录。")
    start: str | None = option(
        None,
        "A base, or the folder of a tokenizer, to go on from: new tokens are added to its own, which keep their numbers.",
        "要扩充的基座或分词器目录：在其词表后追加新词元，原有编号不变。",
        aliases=("from",),
    )
    kind: Literal["wordpiece", "bpe", "unigram", "character"] = option(
        "bpe",
        "wordpiece (BERT's, words and single Chinese characters), bpe of bytes (nothing is unknown), unigram, or character.",
        "wordpiece（BERT 式，词与单个汉字）、bpe（字节级，没有未知词元）、unigram 或 character（逐字）。",
    )
    size: Annotated[int, Field(ge=64, le=1_000_000)] = option(16_000, "The most tokens.", "词元数上限。")
    lowercase: bool = option(False, "Whether letter case is set aside.", "是否忽略大小写。")
    column: str = option("text", "The column of the text.", "存放文本的列。")
    texts: Annotated[int, Field(ge=1)] = option(
        200_000,
        "Texts that are learnt from at most, drawn from all of them.",
        "最多学习的文本数（从全部文本中随机抽取）。",
    )
    max_row_bytes: Annotated[int, Field(ge=64, le=2**30)] = option(
        2**24,
        "The largest row, in bytes; a longer one teaches nothing and is counted.",
        "单行的最大字节数；超过的行不参与学习，只计数。",
    )
    max_length: Annotated[int, Field(ge=8)] = option(
        512, "Tokens a model with this tokenizer reads at most.", "使用该分词器的模型最多读取的词元数。"
    )


def tokenizer(wanted: TokenizerSpec) -> dict[str, Any]:
    """Write the folder of a spec; what it came to: "path", "size", "report", "reading" (the account of the rows), "before".

    Raises DataError where there is no text.
    """
    reading = Tally()
    found = _drawn(_texts(wanted, reading), wanted.texts)
    if not found:
        raise reading.nothing(wanted.data)
    held_out = found[HELD_OUT - 1 :: HELD_OUT] or found
    learnt = [text for place, text in enumerate(found, 1) if place % HELD_OUT]
    old = _start(wanted) if wanted.start else None
    made = grow.tokenizer(old, learnt, wanted.size) if old else _new(wanted, learnt)
    judged = held_out[:: -(-len(held_out) // JUDGED)]
    report = vocabulary.report(made, judged)
    told = {"reading": reading.to_dict(), **({"before": vocabulary.report(old, judged)} if old else {})}
    with publish.folder(Path(wanted.out)) as folder:
        made.save_pretrained(folder)
        publish.write_text(folder / REPORT, json.dumps({**told, **report}, ensure_ascii=False, indent=2) + "\n")
    return {"path": wanted.out, "size": len(made), "report": report, **told}


def _new(wanted: TokenizerSpec, texts: Sequence[str]) -> Any:
    return vocabulary.learn(wanted.kind, texts, wanted.size, lowercase=wanted.lowercase, max_length=wanted.max_length)


def _start(wanted: TokenizerSpec) -> Any:
    """The tokenizer to go on from. Raises ModelError where there is none, or what it brings along was asked for too."""
    plain = TokenizerSpec(data=wanted.data, out=wanted.out)
    if any(getattr(wanted, name) != getattr(plain, name) for name in ("kind", "lowercase", "max_length")):
        raise ModelError("models.grown-keeps")
    found = locate(ModelSpec(str(wanted.start)))
    if not (isinstance(found, Path) and folder.has_tokenizer(found)):
        raise ModelError("models.no-tokenizer", path=wanted.start)
    return processors.read(found)


def _drawn(texts: Iterator[str], count: int, seed: int = 0) -> list[str]:
    """So many texts in their order, each as likely as any other (reservoir sampling, Vitter 1985): files are often sorted."""
    rng, kept = random.Random(seed), list[tuple[int, str]]()
    for place, text in enumerate(texts):
        slot = place if place < count else rng.randrange(place + 1)
        if slot < count:
            kept[slot : slot + 1] = [(place, text)]
    return [text for _, text in sorted(kept)]


def _texts(wanted: TokenizerSpec, reading: Tally) -> Iterator[str]:
    """Every text; a row without one teaches nothing, and is counted."""
    files = places.parts(Path(wanted.data)).get("train", [])
    limits = Limits(wanted.max_row_bytes)
    for where, raw in (row for file in files for row in formats.rows(file, limits)):
        try:
            text = text_of(raw, wanted.column)
        except RowError as reason:
            reading.refuse(where, reason.code, str(reason))
        else:
            reading.add(where, text, None)
            yield text
