"""Say a long text in few words: a title for an abstract, the conclusion of a study, a headline."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from jishi.core.contracts import Base, Batch, Features, Head, Loss, Prediction, Rival, Row, Task, Written, option
from jishi.metrics import generation
from jishi.models import seq2seq
from jishi.models.decoding import Decoding
from jishi.tasks import _copyists, _seq2seq, _written

NAMES = (
    ("document", "summary"),
    ("text", "summary"),
    ("article", "highlights"),
    ("dialogue", "summary"),
    ("abstract", "title"),
)


@dataclass(frozen=True)
class Summarization(Task):
    """Rows: {"document", "summary"}. For encoder-decoders; from nothing, a few thousand rows do not beat the first words."""

    columns = {"document": "text"}
    targets = (("summary",),)
    metric = "rougeL"
    generates = True
    answers = _written.ANSWERS

    max_length: int | None = option(
        None,
        "Tokens read of a document; the rest is cut off and counted.",
        "每篇文档读取的最大词元数，超出部分截断并计数。",
        aliases=("max_seq_length", "max_source_length"),
    )
    decoding: Decoding = option(
        factory=lambda: Decoding("beam", max_new_tokens=128, no_repeat_ngram=3),
        en="How the summary is written; max_new_tokens also bounds the summaries learnt from.",
        zh="摘要如何生成；max_new_tokens 同时限定训练目标的长度。",
    )
    label_smoothing: float = option(
        0.1,
        "Share of each target spread over all tokens in training (arXiv:1512.00567).",
        "训练时分给其他词元的目标概率（arXiv:1512.00567）。",
        aliases=("label_smoothing_factor",),
    )
    prefix: str | None = option(
        None,
        'Text put before every document ("summarize: " for T5); empty takes what the base says.',
        "加在每篇文档前的提示（如 T5 的 “summarize: ”）；留空则按基座的说明。",
        aliases=("source_prefix",),
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        return _seq2seq.parse(raw, NAMES, training=training)

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        return replace(self, **_seq2seq.settled(self, base))

    def head(self) -> Head:
        return Head("ForSeq2SeqLM")

    def encode(self, row: Row, processor: Any) -> Features:
        return _seq2seq.encode(self, row["document"], row.get("summary"), processor)

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return seq2seq.collate(features, processor)

    def loss(self, model: Any, batch: Batch) -> Loss:
        return seq2seq.loss(model, batch, self.label_smoothing)

    def forward(self, model: Any, batch: Batch) -> Any:
        return _seq2seq.forward(self, model, batch)

    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:  # noqa: ARG002
        return _seq2seq.decode(self, outputs, processor)

    def stream(self, model: Any, features: Features, processor: Any) -> Generator[str, None, Written]:
        return _seq2seq.stream(self, model, features, processor)

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        """ROUGE-1, -2 and -L over words, over characters where words have no spaces."""
        return generation.rouge([answer["text"] for answer in predictions], [row["summary"] for row in rows])

    def credit(self, prediction: Prediction, row: Row) -> float:
        return generation.rouge([prediction["text"]], [row["summary"]])[self.metric]

    def baseline(self, rows: Sequence[Row]) -> Rival:
        """The best of three on training rows: the first words, the last words, or what the nearest row says."""
        names = {"column": "document", "target": "summary"}
        makers = (
            partial(_copyists.Lead.of, **names),
            partial(_copyists.Lead.of, **names, last=True),
            partial(_copyists.Nearest.of, **names),
        )
        return _copyists.strongest(makers, rows, lambda given, held: self.score(given, held)[self.metric])
