"""An index on disk: passages as JSON lines, their vectors as safetensors, what made them, each file with its SHA-256."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy

from jishi.core import manifest, publish
from jishi.core.errors import BundleError

FORMAT = 1
RECORD, PASSAGES, VECTORS = "index.json", "passages.jsonl", "vectors.safetensors"


@dataclass(frozen=True)
class Index:
    """`rows` are raw rows, `texts` what is searched of each, `vectors` (N, D) theirs; `record` says which bundle made them."""

    rows: Sequence[Mapping[str, Any]]
    texts: Sequence[str]
    vectors: numpy.ndarray
    record: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Publish the folder whole or not at all."""
        from safetensors.numpy import save_file

        with publish.folder(path) as folder:
            lines = [
                json.dumps({"text": text, "row": row}, ensure_ascii=False)
                for text, row in zip(self.texts, self.rows, strict=True)
            ]
            (folder / PASSAGES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            save_file({"vectors": numpy.ascontiguousarray(self.vectors, dtype=numpy.float32)}, folder / VECTORS)
            record = {"format": FORMAT, **self.record}
            (folder / RECORD).write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            manifest.seal(folder)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The index of a folder. Raises BundleError where it is none, damaged, or made by a newer version."""
        from safetensors.numpy import load_file

        if not (path / RECORD).is_file():
            raise BundleError("retrieval.no-index", path=path)
        for kind, names in manifest.faults(path).items():
            if names:
                raise BundleError("retrieval.damaged", path=path, kind=kind, given=names[0])
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        if record.get("format") != FORMAT:
            raise BundleError("retrieval.newer", path=path, given=record.get("format"), allowed=FORMAT)
        lines = [json.loads(line) for line in (path / PASSAGES).read_text(encoding="utf-8").split("\n")[:-1]]
        vectors = load_file(path / VECTORS)["vectors"]
        return cls([line["row"] for line in lines], [line["text"] for line in lines], vectors, record)
