"""Write a text anew in another language, or in another form of the same: Chinese to English, classical to modern."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from jishi.core.contracts import Base, Batch, Features, Head, Loss, Prediction, Rival, Row, Task, Written, option
from jishi.metrics import generation
from jishi.models import seq2seq
from jishi.models.decoding import Decoding
from jishi.tasks import _copyists, _seq2seq, _written
from jishi.tasks._word_table import WordTable

NAMES = (("source", "target"), ("text", "translation"))


@dataclass(frozen=True)
class Translation(Task):
    """Rows: {"source", "target"}. For encoder-decoders: transformer-encoder-decoder, pointer-generator, t5 or bart from
    nothing, or a folder."""

    columns = {"source": "text"}
    targets = (("target",),)
    metric = "chrf"
    generates = True
    answers = _written.ANSWERS

    max_length: int | None = option(
        None,
        "Tokens read of a text; the rest is cut off and counted.",
        "每段原文读取的最大词元数，超出部分截断并计数。",
        aliases=("max_seq_length", "max_source_length"),
    )
    decoding: Decoding = option(
        factory=lambda: Decoding("beam", max_new_tokens=128),
        en="How the text is written; max_new_tokens also bounds the targets learnt from.",
        zh="译文如何生成；max_new_tokens 同时限定训练目标的长度。",
    )
    label_smoothing: float = option(
        0.1,
        "Share of each target spread over all tokens in training (arXiv:1512.00567).",
        "训练时分给其他词元的目标概率（arXiv:1512.00567）。",
        aliases=("label_smoothing_factor",),
    )
    prefix: str | None = option(
        None,
        'Text put before every source ("translate English to German: " for T5); empty takes what the base says.',
        "加在每段原文前的提示（如 T5 的 “translate English to German: ”）；留空则按基座的说明。",
        aliases=("source_prefix",),
    )

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        return _seq2seq.parse(raw, NAMES, training=training)

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:  # noqa: ARG002
        return replace(self, **_seq2seq.settled(self, base))

    def head(self) -> Head:
        return Head("ForSeq2SeqLM")

    def encode(self, row: Row, processor: Any) -> Features:
        return _seq2seq.encode(self, row["source"], row.get("target"), processor)

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
        """chrF, which rewards the right letters, and BLEU, which wants the right words in order."""
        given, truth = [answer["text"] for answer in predictions], [row["target"] for row in rows]
        return {"chrf": generation.chrf(given, truth), "bleu": generation.bleu(given, truth)}

    def credit(self, prediction: Prediction, row: Row) -> float:
        return generation.chrf([prediction["text"]], [row["target"]])

    def baseline(self, rows: Sequence[Row]) -> Rival:
        """The best of three on training rows: what the nearest row says, a table of words, or the text as it is."""
        makers = (
            partial(_copyists.Nearest.of, column="source", target="target"),
            partial(WordTable.of, column="source", target="target"),
            lambda _: _copyists.Lead("source", 10**6, "copy"),
        )
        return _copyists.strongest(makers, rows, lambda given, held: self.score(given, held)[self.metric])
