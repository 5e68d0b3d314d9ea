"""Find the answer to a question in a text, or tell that it holds none (arXiv:1606.05250, arXiv:1806.03822)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Self

import numpy
from pydantic import Field

from jishi.core import registry, script
from jishi.core.contracts import Base, Batch, Features, Head, Loss, Modality, Prediction, Rival, Row, Task, option
from jishi.core.errors import DataError, RowError
from jishi.metrics import answers, temperature
from jishi.models import passages, tokens
from jishi.tasks import _answers, _extracts, _sentences
from jishi.tasks._outputs import array

WINDOW = 384  # tokens, where the base reads more
LEARNT = 8  # windows of a row that are learnt from at once: those with an answer, and others drawn anew each epoch
AT_ONCE = 2**13  # padded tokens that are answered at once
COVERED = 0.99  # of the training answers are no longer than what is answered


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """Rows: {"question", "context", "answers": [{"text", "start"}]}: several where several are right, none where none is."""

    columns = {"question": "text", "context": "text"}
    targets = (("answers",),)
    pointed = ("context",)
    labelled = False
    metric = "f1"
    answers = _answers.HELD

    max_length: Annotated[int, Field(ge=16)] | None = option(
        None,
        "Tokens read at once, the question included; a longer text is read in windows. Empty: 384, or what the base reads.",
        "一次读取的词元数（含问题）；更长的文本分窗口读取。为空则取 384 或基座模型的上限。",
        aliases=("max_seq_length",),
    )
    stride: Annotated[int, Field(ge=1)] | None = option(
        None,
        "Tokens from the beginning of one window to that of the next; empty: three quarters of a window.",
        "相邻窗口起点之间的词元数；为空则为窗口的四分之三。",
        aliases=("doc_stride",),
    )
    max_answer_length: Annotated[int, Field(ge=1)] | None = option(
        None,
        "The longest answer, in words (Chinese characters); empty: that of 99 % of the training answers.",
        "答案的最大长度（词数，中文为字数）；为空则覆盖 99% 的训练答案。",
    )
    candidates: Annotated[int, Field(ge=1, le=100)] = option(
        5, "How many of the likeliest answers are given.", "给出多少个最可能的答案。", aliases=("n_best_size", "top_k")
    )
    unanswerable: bool = option(
        False, "Whether there may be no answer; set by the training rows.", "是否允许“无答案”，由训练数据决定。"
    )
    threshold: float = option(
        0.0,
        "How much likelier than the best answer none must be to be told, in nats; set by calibration.",
        "判为“无答案”所需的对数概率差，由校准得到。",
        aliases=("null_score_diff_threshold",),
    )
    temperature: float = option(1.0, "Divides the logits; set by calibration.", "温度系数（除 logits），由校准得到。")

    def parse(self, raw: Mapping[str, Any], *, training: bool = True) -> Row:
        read = registry.get(Modality, self.columns["context"])().read
        for name in self.columns:
            if raw.get(name) in (None, ""):
                raise RowError("tasks.question-incomplete", key=name)
        row = {"question": read(raw.get("question")), "context": read(raw.get("context"))}
        found = _answers.read(raw, row["context"])
        if found is None:
            if training:
                raise RowError("tasks.answers-missing")
            return row
        return {**row, "answers": found[0], **({"mended": f"answer-{found[1]}"} if found[1] else {})}

    def initialize(self, rows: Sequence[Row], base: Base) -> Self:
        found = [(answer["text"], row["context"]) for row in rows for answer in row["answers"]]
        if not found:
            raise DataError("tasks.no-answer")
        lengths = [len(script.units(text)) for text, _ in found]
        return replace(
            self,
            max_length=min(self.max_length or WINDOW, base.max_length),
            max_answer_length=self.max_answer_length or max(1, int(numpy.quantile(lengths, COVERED, method="higher"))),
            unanswerable=self.unanswerable or any(not row["answers"] for row in rows),
        )

    def head(self) -> Head:
        names = {0: "LABEL_0", 1: "LABEL_1"}  # as transformers names them: a head trained for answers stays
        return Head("ForQuestionAnswering", {"num_labels": 2, "id2label": names})

    def encode(self, row: Row, processor: Any) -> Features:
        """As `passages.encode`; "text" the passage, "labels" (2 A): the first and last unit of each answer."""
        features = passages.encode(
            processor, row["question"], row["context"], max_length=self.max_length or WINDOW, stride=self.stride
        )
        features["text"] = row["context"]
        features["length"] = sum(passages.width(features, span) for span in features["windows"][:LEARNT])
        if row.get("answers") is not None:
            found = _answers.located(row["answers"], script.units(row["context"]))
            features["labels"] = numpy.asarray(found, dtype=numpy.int32).reshape(-1)
        return features

    def vary(self, features: Features, processor: Any, rng: numpy.random.Generator, *, training: bool) -> Features:  # noqa: ARG002
        """In training at most `LEARNT` windows of a row, those with an answer first."""
        spans = features["windows"]
        if not training or len(spans) <= LEARNT:
            return features
        order = sorted(rng.permutation(len(spans)).tolist(), key=lambda place: not _targets(features, spans[place]))
        return {**features, "windows": [spans[place] for place in sorted(order[:LEARNT])]}

    def collate(self, features: Sequence[Features], processor: Any) -> Batch:
        return tokens.tensors(self.arrays(features, processor))

    def arrays(self, features: Sequence[Features], processor: Any) -> Batch:
        """See `passages.arrays`; "labels" (W, A, 2): the first and last token of every answer in a window, (0, 0) of none."""
        batch = passages.arrays(features, processor)
        if all("labels" in row for row in features):
            targets = [_targets(row, span) or [(0, 0)] for row in features for span in row["windows"]]
            batch["labels"] = numpy.full((len(targets), max(map(len, targets)), 2), tokens.IGNORED)
            for place, found in enumerate(targets):
                batch["labels"][place, : len(found)] = found
        return batch

    def forward(self, model: Any, batch: Batch) -> Any:
        """Of each row the log-probabilities (1 + U, 2) of starts and ends, see `passages.stitch`."""
        logs = self._arrays_of_logs if isinstance(batch["starts"], numpy.ndarray) else self._logs
        return passages.stitch(logs(model, batch), batch["own"])

    def _logs(self, model: Any, batch: Batch) -> Any:
        """(W, T, 2) log-probabilities in each window; some windows at a time where nothing is learnt."""
        import torch

        said = self._said(model, batch, len(batch["starts"]) if torch.is_grad_enabled() else None)
        logits = torch.cat([torch.stack(pair, dim=-1).float() for pair in said])
        barred = ~torch.stack([batch["starts"], batch["ends"]], dim=-1)
        return logits.masked_fill(barred, -torch.inf).log_softmax(1)

    def _arrays_of_logs(self, model: Any, batch: Batch) -> numpy.ndarray:
        """As `_logs`, where a graph is asked in arrays."""
        logits = numpy.concatenate([numpy.stack(pair, axis=-1) for pair in self._said(model, batch)])
        allowed = numpy.stack([batch["starts"], batch["ends"]], axis=-1)
        logits = numpy.where(allowed, logits, -numpy.inf).astype(logits.dtype)
        return logits - temperature.log_sum_exp(logits.swapaxes(1, 2))[:, None]

    def _said(self, model: Any, batch: Batch, step: int | None = None) -> Iterator[tuple[Any, Any]]:
        """The logits (W, T) of starts and of ends, of so many windows at a time, or of as many as should be."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}
        count, width = batch["input_ids"].shape
        step = step or max(1, AT_ONCE // width)
        for start in range(0, count, step):
            said = model(**{name: value[start : start + step] for name, value in inputs.items()})
            yield said.start_logits, said.end_logits

    def loss(self, model: Any, batch: Batch) -> Loss:
        """The negative log-probability of a window's answers, of any of several, or of none; the mean over windows."""
        logs, targets = self._logs(model, batch), batch["labels"]
        found = logs.gather(1, targets.clamp(min=0)).sum(-1)  # (W, A)
        likely = found.masked_fill(targets[..., 0] < 0, -numpy.inf).logsumexp(1)
        return Loss(-likely.mean(), passages.stitch(logs.detach(), batch["own"]), count=len(targets))

    def decode(self, outputs: Sequence[Any], features: Sequence[Features], processor: Any) -> list[Prediction]:  # noqa: ARG002
        """The answer with its place in the text and its probability, "" where there is none, and the likeliest candidates."""
        return [self._answer(self._extract(output), row["text"]) for output, row in zip(outputs, features, strict=True)]

    def calibrate(self, outputs: Sequence[Any], rows: Sequence[Row]) -> Self:
        """The threshold that gives the best F1, then the temperature that makes the scores of the answers honest."""
        extracts = [self._extract(output) for output in outputs]
        found = [self._answer(extract, row["context"]) for extract, row in zip(extracts, rows, strict=True)]
        task = self
        if self.unanswerable and any(not row["answers"] for row in rows):
            silent = [self.credit({"answer": ""}, row) for row in rows]
            spoken = [
                self.credit((answer["candidates"] or [answer])[0], row) for answer, row in zip(found, rows, strict=True)
            ]
            task = replace(self, threshold=_extracts.threshold([one.lead for one in extracts], spoken, silent))
        chosen = [task._answer(extract, row["context"]) for extract, row in zip(extracts, rows, strict=True)]
        credits = [task.credit(answer, row) for answer, row in zip(chosen, rows, strict=True)]
        places = [0 if answer["answer"] else task.candidates for answer in chosen]
        scores = numpy.stack([task._scores(extract) for extract in extracts])
        return replace(task, temperature=temperature.fit_shares(scores, numpy.asarray(places), numpy.asarray(credits)))

    def _extract(self, output: Any) -> _extracts.Extract:
        return _extracts.read(array(output), longest=self.max_answer_length or 1, count=self.candidates)

    def _scores(self, extract: _extracts.Extract) -> numpy.ndarray:
        """As `Extract.scores`; where there is always an answer, none has no part in it."""
        scores = extract.scores(self.candidates)
        scores[-2] = scores[-2] if self.unanswerable else _extracts.NEVER
        return scores

    def _answer(self, extract: _extracts.Extract, text: str) -> Prediction:
        sure = temperature.softmax(self._scores(extract) / self.temperature)
        units = script.units(text)
        found = [
            _answers.shown(text, units[first][0], units[last][1], float(score))
            for (first, last), score in zip(extract.spans, sure, strict=False)
        ]
        if found and not (self.unanswerable and extract.lead > self.threshold):
            chosen = found[0]
        else:
            chosen = {"answer": "", "start": None, "end": None, "score": float(sure[-2])}
        return {**chosen, "candidates": found}

    def score(self, predictions: Sequence[Prediction], rows: Sequence[Row]) -> dict[str, float]:
        """Exact match and F1, as CMRC counts them where the text is Chinese, else as SQuAD; and of both kinds of questions."""
        found = numpy.asarray([_judge(answer, row) for answer, row in zip(predictions, rows, strict=True)]).reshape(
            -1, 2
        )
        some = numpy.asarray([bool(row["answers"]) for row in rows], dtype=bool)
        scores = {"exact_match": _mean(found[:, 0]), "f1": _mean(found[:, 1])}
        if some.all():
            return scores
        answerable = {"answerable_exact_match": _mean(found[some, 0]), "answerable_f1": _mean(found[some, 1])}
        return {**scores, **answerable, "unanswerable_accuracy": _mean(found[~some, 0])}

    def credit(self, prediction: Prediction, row: Row) -> float:
        """F1 with the nearest of the answers."""
        return _judge(prediction, row)[1]

    def baseline(self, rows: Sequence[Row]) -> Rival:
        return _sentences.fit(rows, self.credit)


def _targets(features: Features, span: Sequence[int]) -> list[tuple[int, int]]:
    """The first and last token of every answer that stands whole in a window."""
    named, starts, ends = passages.places(features, span)
    found = []
    for first, last in features["labels"].reshape(-1, 2):
        begin, end = numpy.searchsorted(named, first), numpy.searchsorted(named, last)
        if end < len(named) and named[begin] == first and named[end] == last:
            found.append((int(starts[begin]), int(ends[end])))
    return found


def _judge(prediction: Prediction, row: Row) -> tuple[float, float]:
    """Exact match and F1 of one answer."""
    return _scored(tuple(answer["text"] for answer in row["answers"]), prediction["answer"], row["context"])


@lru_cache(maxsize=2**16)  # a confidence interval asks a thousand times
def _scored(wanted: tuple[str, ...], given: str, text: str) -> tuple[float, float]:
    chinese = script.spaceless(text)
    return answers.exact(wanted, given, chinese=chinese), answers.f1(wanted, given, chinese=chinese)


def _mean(values: numpy.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
