"""A vocabulary cut down to the texts at hand: the table of a small multilingual model is most of it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jishi.compression import _guard
from jishi.core.contracts import Compressor, Row, option
from jishi.core.errors import ModelError
from jishi.models import prune, tokenizer


@dataclass(frozen=True)
class Vocabulary(Compressor):
    """Kept are the pieces that the training rows use, and the letters of their scripts, so that new words stay readable."""

    learns = True

    scripts: bool = option(
        True,
        "Keep all pieces of the main scripts of the rows: new texts in them are read as before.",
        "保留数据主要文字的全部词元：同种文字的新文本读法不变。",
    )
    seen: int = option(
        1, "Without scripts: how often a piece must be used to stay.", "不按文字保留时：词元至少使用多少次才保留。"
    )

    def apply(self, predictor: Any, rows: Sequence[Row]) -> tuple[Any, Any]:
        _guard.weights(predictor, "vocabulary")
        if not hasattr(predictor.processor, "backend_tokenizer"):
            raise ModelError("compress.no-vocabulary")
        prefixes = {getattr(predictor.task, name, None) or "": None for name in ("prefix", "passage_prefix")}
        cut = prune.tokenizer(
            predictor.processor, tokenizer.texts(rows), prefix="".join(prefixes), scripts=self.scripts,
            seen=1 if self.scripts else self.seen,
        )  # fmt: skip
        model = copy.deepcopy(predictor.model)
        prune.embeddings(model, predictor.processor, cut)
        return model, cut
