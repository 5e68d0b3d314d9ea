"""An adapter folded into its base: one whole model, which needs no base beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jishi.core import bundle
from jishi.core.contracts import Compressor, Row
from jishi.core.errors import UsageError
from jishi.models import load


@dataclass(frozen=True)
class Merge(Compressor):
    """For bundles made with `bundle=adapter`. What can't be folded in (a prefix, a network) is kept beside the model."""

    lossless = True

    def apply(self, predictor: Any, rows: Sequence[Row]) -> tuple[Any, Any]:  # noqa: ARG002
        read = bundle.read(predictor.path, verify=False)
        if "base" not in read.record:
            raise UsageError("compress.merged-already", path=predictor.path)
        return load.merged(read)
