"""A corpus: raw texts of any size become one clean file to pretrain on, with an account of all that was changed or dropped."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from jishi.core import manifest, publish, registry
from jishi.core import spec as specs
from jishi.core.contracts import Launcher, Operation, option
from jishi.core.errors import DataError, RowError
from jishi.data.sources import formats
from jishi.data.sources.limits import Limits
from jishi.data.spec import Encoding
from jishi.lifecycle import stage
from jishi.lifecycle.stage import Batch, Stage, Text
from jishi.lifecycle.tally import Tally

FORMAT = 1
RECORD, TRAIN = "corpus.json", "train.jsonl"


@dataclass(frozen=True)
class Source:
    """Texts, and how much they count."""

    path: str = option(en="A file, or a folder of files.", zh="文件，或存放文件的目录。")
    times: Annotated[float, Field(gt=0, le=100)] = option(
        1.0,
        "How often each text is written at the end: 0.5 takes about every second one, 2 all of them twice.",
        "最终每篇文本写出的次数：0.5 约取一半，2 为全部写两遍。",
    )
    label: str | None = option(
        None,
        "What its texts are, written beside each as its label: for text-classification as a part of weighted.",
        "这些文本的类别，作为标签写在每篇旁：供 weighted 中的 text-classification 使用。",
    )


@dataclass(frozen=True)
class CorpusSpec:
    """What is cleaned, and how."""

    sources: tuple[Source, ...] = option(
        en="Where the texts are; for a mixture several, each with `times`.",
        zh="文本来源；混合时可给多个，各有 `times`。",
    )
    operations: tuple[Operation, ...] = option(
        (), "The steps, in order: names, or names with their keys.", "处理步骤，依次执行：名字，或名字与其键。"
    )
    column: str | tuple[str, ...] = option(
        "text",
        "The column of the text; several become one, a line each.",
        "存放文本的列；给出多列时合为一篇，每列一行。",
    )
    on_bad_row: Literal["stop", "skip"] = option(
        "skip", "Skip rows that are no text and count them, or stop.", "跳过并计数不是文本的行，或停止。"
    )
    max_row_bytes: Annotated[int, Field(ge=64, le=2**30)] = option(
        2**24, "The largest row, in bytes; a longer one is a bad row.", "单行的最大字节数；超过的是坏行。"
    )
    encoding: Encoding = option(
        "auto",
        "The encoding of text files; auto tells UTF-8 and GB18030 apart.",
        "文本文件的编码；auto 会自动区分 UTF-8 与 GB18030。",
    )
    processes: Annotated[int, Field(ge=1, le=256)] | None = option(
        None, "How many work at once; left out, as many as cores are free.", "并行进程数；省略时为空闲核数。"
    )
    on: Launcher | None = option(
        None, "Where they run: ray; left out, on this machine.", "进程在何处运行：ray；省略时在本机。"
    )


@dataclass(frozen=True)
class Corpus:
    """A cleaned corpus: `path` holds train.jsonl, `report` the account."""

    path: Path
    fingerprint: str
    report: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path) -> "Corpus":
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        return cls(path, record["fingerprint"], record)


def clean(spec: CorpusSpec, out: Path) -> Corpus:
    """Write the corpus of a spec; one that was made the same way stands, one that was cut off goes on.

    Raises DataError where a source is missing, nothing is left, or `out` holds something else.
    """
    sources = [
        {"path": str(file), "bytes": file.stat().st_size, "sha256": manifest.sha256(file)} for file in _files(spec)
    ]
    beside = [manifest.sha256(file) for operation in spec.operations for file in operation.files()]
    wanted = {name: value for name, value in specs.dump(spec).items() if name not in ("processes", "on")}
    recipe = _digest([FORMAT, sources, wanted, *([beside] if beside else [])])
    if out.exists():
        if not (out / RECORD).is_file():
            raise DataError("data.out-exists", path=out)
        if (found := Corpus.load(out)).report["recipe"] == recipe:
            return found
    for operation in spec.operations:
        operation.ready()
    work = out.with_name(f".{out.name}.work")
    if not (work / recipe).is_dir():
        shutil.rmtree(work, ignore_errors=True)
        (work / recipe).mkdir(parents=True)
    try:
        tallies, last = _stages(spec, work / recipe)
    except BaseException:
        if not any(work.glob(f"{recipe}/stage-*/part-*")):  # nothing that a second try could go on from
            shutil.rmtree(work, ignore_errors=True)
        raise
    if not tallies[-1].given:
        shutil.rmtree(work)
        if not tallies[0].given:
            raise tallies[0].nothing(spec.sources[0].path)
        whole = Tally()
        for tally in tallies:
            whole.merge(tally)
        raise DataError(
            "data.corpus-empty", path=spec.sources[0].path, given=tallies[0].seen, reasons=whole.commonest()
        )
    ledger = _ledger(spec.operations, tallies)
    with publish.folder(out) as folder:
        written = _mix(spec.sources, last, folder / TRAIN)
        record = {
            "format": FORMAT, "recipe": recipe, "fingerprint": manifest.sha256(folder / TRAIN), "sources": sources,
            "spec": wanted, **written, "ledger": ledger,
        }  # fmt: skip
        publish.write_text(folder / RECORD, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
    shutil.rmtree(work)
    return Corpus.load(out)


def _stages(spec: CorpusSpec, work: Path) -> tuple[list[Tally], Path]:
    """Do all passes; a tally for reading and for each operation, and the folder of the last pass."""
    from jishi.models.environment import free_cores

    # Elsewhere a process that has threads may not go on as a copy.
    processes = (spec.processes or free_cores()) if sys.platform == "linux" else 1
    tallies: list[Tally] = []
    before: Path | None = None
    known: Sequence[Any] | None = None
    for number, (operations, last) in enumerate(_cut(spec.operations)):
        folder = work / f"stage-{number}"

        def batches(before: Path | None = before) -> Iterator[Batch]:
            return stage.batched(stage.texts(before)) if before else _read(spec)

        found = stage.run(Stage(operations, known, last), batches, folder, processes, spec.on)
        tallies += found if before is None else found[1:]
        before = folder  # what came before is kept until all is done: who goes on asks for its surveys again
        count = found[-1].given
        known = last.settle(stage.surveys(folder), count) if last and count else None
    assert before
    return tallies, before


def _cut(operations: Sequence[Operation]) -> Iterator[tuple[list[Operation], Operation | None]]:
    """The operations of each pass, and the one that surveys what comes out of it and begins the next."""
    current: list[Operation] = []
    for operation in operations:
        if operation.surveys:
            yield current, operation
            current = []
        current.append(operation)
    yield current, None


def _files(spec: CorpusSpec) -> list[Path]:
    return [file for source in spec.sources for file in _inside(source)]


def _inside(source: Source) -> list[Path]:
    """The files of a source, by name."""
    path = Path(source.path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError("data.missing-path", path=path)
    found = sorted(file for file in path.rglob("*") if file.is_file() and formats.suffix(file))
    if not found:
        raise DataError("data.no-file-in-folder", path=path, allowed=", ".join(formats.READERS))
    return found


def _read(spec: CorpusSpec) -> Iterator[Batch]:
    """All texts of the sources in order. Raises RowError at the first bad row where the spec says stop."""
    batch, size, place = Batch(), 0, 0
    limits = Limits(spec.max_row_bytes, spec.encoding)
    rows = (
        (number, where, raw)
        for number, source in enumerate(spec.sources)
        for file in _inside(source)
        for where, raw in formats.rows(file, limits)
    )
    for number, where, raw in rows:
        try:
            text = text_of(raw, spec.column)
            batch.texts.append(Text(text, number, where))
            place, size = place + 1, size + len(text)
        except RowError as reason:
            if spec.on_bad_row == "stop":
                raise RowError("data.bad-row", where=where, reason=reason) from None
            batch.refused.append((where, reason.code, str(reason)))
        size += 100
        if size >= stage.BATCH:
            yield batch
            batch, size = Batch(place), 0
    if batch.texts or batch.refused:
        yield batch


def text_of(raw: Any, column: str | tuple[str, ...]) -> str:
    """The text of a row. Raises RowError where it has none, or half a character (a surrogate) that no file can hold."""
    if isinstance(raw, RowError):
        raise raw
    names = (column,) if isinstance(column, str) else column
    found = [raw[name] for name in names if isinstance(raw.get(name), str) and raw[name].strip()]
    if not found:
        raise RowError("data.no-text", column=", ".join(names), allowed=", ".join(map(str, raw)))
    text = "\n".join(found)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError("modalities.text-control", place=error.start + 1) from None
    return text


def _mix(sources: Sequence[Source], folder: Path, file: Path) -> dict[str, Any]:
    """Write every text as often as its source says; which texts a fraction falls to hangs on the text alone."""
    count = [0] * len(sources)
    characters = [0] * len(sources)
    encode = json.JSONEncoder(ensure_ascii=False).encode
    with file.open("w", encoding="utf-8") as out:
        for one in stage.texts(folder):
            digest = hashlib.blake2b(one.text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            times = int(sources[one.source].times + int.from_bytes(digest, "little") / 2**64)
            label = sources[one.source].label
            out.write((encode({"text": one.text, **({"label": label} if label else {})}) + "\n") * times)
            count[one.source] += times
            characters[one.source] += times * len(one.text)
    mixture = [
        {"path": source.path, "times": source.times, "texts": texts, "characters": size}
        for source, texts, size in zip(sources, count, characters, strict=True)
    ]
    return {"texts": sum(count), "characters": sum(characters), "mixture": mixture}


def _ledger(operations: Sequence[Operation], tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    names = ["reading", *(registry.name_of(operation) for operation in operations)]
    return [{"step": name, **tally.to_dict()} for name, tally in zip(names, tallies, strict=True)]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]
