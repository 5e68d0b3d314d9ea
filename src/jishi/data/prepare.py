"""Raw files in, prepared data out: read, check, split, count, report, published as one folder or not at all."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy

import jishi
from jishi.core import manifest, publish
from jishi.core import spec as specs
from jishi.core.contracts import Base, Objective
from jishi.core.errors import DataError
from jishi.data import columns, facts, places, recipe, store, token_report
from jishi.data.allot import allot
from jishi.data.dataset import FORMAT, RECORD, REPORT, Dataset, is_prepared, read_record
from jishi.data.intake import Intake
from jishi.data.spec import PARTS, DataSpec


def prepare(
    spec: DataSpec, objective: Objective, out: str | Path, *, processor: Any = None, base: Base | None = None
) -> Dataset:
    """The data of a spec as canonical rows of an objective, in the folder `out`.

    Sources and settings that `out` was already made from are not read again; a prepared folder of which nothing is to be
    changed is used where it stands. With a `processor` (and the `base` it belongs to) the report counts tokens.
    Raises RowError (file:line) at the first bad row unless the spec skips them, DataError where the data are not fit.
    """
    out = Path(out)
    if _is_final(spec, objective):
        return token_report.with_tokens(Dataset.load(spec.train), objective, processor, base)
    found = places.find(spec)
    sources = recipe.sources(found)
    made_from = recipe.recipe(sources, spec, objective)
    if _is_made(out, made_from, objective):
        return token_report.with_tokens(Dataset.load(out), objective, processor, base)
    origin = {
        "format": FORMAT,
        "jishi": jishi.__version__,
        "recipe": made_from,
        "sources": sources,
        "columns": dict(spec.columns),
        "spec": specs.dump(spec),
        "task": specs.dump(objective),
    }
    with publish.folder(out) as folder:
        spool = store.Spool(folder / "spool")
        intake = Intake(spec, objective, spool)
        intake.read(found)
        owners = allot(intake.accepted, intake.ledger, spec, getattr(objective, "labels", ()))
        spool.deal(
            {place: folder / f"{part}.arrow" for place, part in enumerate(PARTS) if (owners == place).any()}, owners
        )
        shutil.rmtree(folder / "spool")
        tables = store.tables(folder)
        report = {
            "ledger": intake.ledger.to_dict(),
            **facts.build(tables, intake.accepted, owners, objective, spec.seed),
            "tokens": token_report.measure(tables, objective, processor, base),
        }
        _write(folder / RECORD, origin | _results(folder, intake, owners))
        _write(folder / REPORT, report)
    return Dataset.load(out)


def _is_final(spec: DataSpec, objective: Objective) -> bool:
    """Whether `train` is a prepared folder of this task, and the spec asks for nothing to be changed."""
    rows = (spec.train_rows, spec.validation_rows, spec.test_rows, spec.max_rows)
    changes = (spec.validation, spec.test, *rows, spec.columns)
    return is_prepared(spec.train) and not any(changes) and read_record(Path(spec.train))["task"] == _plain(objective)


def _is_made(out: Path, made_from: str, objective: Objective) -> bool:
    """Whether `out` already holds what would be made. Rows that name files are read anew: the files may have changed."""
    if not out.exists():
        return False
    if not is_prepared(out):
        raise DataError("data.out-exists", path=out)
    names_files = any(column.modality.binary for column in columns.inputs(objective))
    return read_record(out)["recipe"] == made_from and not names_files


def _results(folder: Path, intake: Intake, owners: numpy.ndarray) -> dict[str, Any]:
    wholes = intake.accepted.column("wholes").astype("<u8")
    found = {}
    for place, part in enumerate(PARTS):
        file = folder / f"{part}.arrow"
        if file.is_file():
            fingerprint = hashlib.sha256(wholes[owners == place].tobytes()).hexdigest()
            found[part] = {
                "rows": intake.ledger.accepted[part],
                "fingerprint": fingerprint,
                "sha256": manifest.sha256(file),
            }
    joined = "\n".join(f"{part} {entry['fingerprint']}" for part, entry in found.items())
    return {
        "fingerprint": hashlib.sha256(joined.encode()).hexdigest(),
        "parts": found,
        "ledger": intake.ledger.to_dict(),
    }


def _plain(objective: Objective) -> Any:
    return json.loads(json.dumps(specs.dump(objective)))


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
