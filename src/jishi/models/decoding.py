"""How an answer is written, token by token: what a user may choose, and whether the choices fit each other."""

from dataclasses import dataclass, fields, replace
from typing import Literal, Self

from jishi.core.contracts import option
from jishi.core.errors import UsageError

OF_METHOD = {  # settings that only one method reads
    "temperature": "sampling",
    "top_k": "sampling",
    "top_p": "sampling",
    "seed": "sampling",
    "beams": "beam",
    "length_penalty": "beam",
}


@dataclass(frozen=True)
class Decoding:
    """How answers are written; every choice is the same whether rows are answered alone or together."""

    method: Literal["greedy", "beam", "sampling"] = option(
        "greedy",
        "greedy takes the likeliest token; beam keeps several texts and takes the likeliest whole (arXiv:1609.08144); "
        "sampling draws.",
        "greedy 每步取最可能的词元；beam 同时保留多条候选并取整体最优（arXiv:1609.08144）；sampling 按概率抽取。",
    )
    max_new_tokens: int = option(
        256, "Tokens an answer may have.", "答案的最大词元数。", aliases=("max_tokens", "max_target_length")
    )
    temperature: float = option(
        1.0, "Sampling: below 1 sharper, above 1 bolder.", "抽样温度：小于 1 更保守，大于 1 更多样。"
    )
    top_k: int = option(
        0, "Sampling: only from so many of the likeliest tokens; 0: from all.", "只从最可能的若干词元中抽取；0 为不限。"
    )
    top_p: float = option(
        1.0,
        "Sampling: only from the likeliest tokens that together have this probability (arXiv:1904.09751).",
        "只从累计概率达到此值的最可能词元中抽取（arXiv:1904.09751）。",
    )
    seed: int = option(
        0,
        "Sampling: the draws follow from it and the prompt; the same prompt gives the same answer.",
        "抽样种子：抽取结果由它与提示共同决定，同一提示得到同一答案。",
    )
    repetition_penalty: float = option(
        1.0,
        "Above 1, tokens that already stand in prompt or answer are less likely (arXiv:1909.05858).",
        "大于 1 时，提示或答案中已出现的词元更不易再出现（arXiv:1909.05858）。",
    )
    no_repeat_ngram: int = option(
        0,
        "No run of so many tokens stands twice in prompt and answer; 0: they may.",
        "提示与答案中不重复出现这么多个连续词元；0 为不限。",
        aliases=("no_repeat_ngram_size",),
    )
    beams: int = option(4, "Beam: texts kept at every step.", "beam 保留的候选数。", aliases=("num_beams",))
    length_penalty: float = option(
        0.6,
        "Beam: 0 favours short texts; log-probabilities are divided by ((5 + length) / 6) to this power.",
        "beam 的长度惩罚：0 偏向短文本；对数概率除以 ((5 + 长度) / 6) 的此次幂。",
    )
    stop: tuple[str, ...] = option(
        (), "Texts before which an answer ends.", "答案在这些文字之前结束。", aliases=("stop_strings",)
    )

    def at(self, temperature: float) -> Self:
        """This, drawn at a temperature; at 0 the likeliest token is taken. What was set for another method falls away."""
        method = "sampling" if temperature > 0 else "greedy"
        foreign = {field.name: field.default for field in fields(self) if OF_METHOD.get(field.name, method) != method}
        return replace(
            self, **{**foreign, "method": method, **({"temperature": temperature} if temperature > 0 else {})}
        )

    def check(self) -> None:
        """Raises UsageError for a value out of range, or one that the method would not read."""
        bounds = (
            ("max_new_tokens", self.max_new_tokens >= 1, ">= 1"),
            ("temperature", 0 < self.temperature < float("inf"), "> 0"),
            ("top_k", self.top_k >= 0, ">= 0"),
            ("top_p", 0 < self.top_p <= 1, "(0, 1]"),
            ("repetition_penalty", 0 < self.repetition_penalty < float("inf"), "> 0"),
            ("no_repeat_ngram", self.no_repeat_ngram >= 0, ">= 0"),
            ("beams", self.beams >= 2, ">= 2"),
            ("length_penalty", 0 <= self.length_penalty < float("inf"), ">= 0"),
            ("stop", all(self.stop), '!= ""'),
        )
        for key, holds, allowed in bounds:
            if not holds:
                raise UsageError("models.decoding-range", key=key, given=getattr(self, key), allowed=allowed)
        for field in fields(self):
            method, given = OF_METHOD.get(field.name, self.method), getattr(self, field.name)
            if method != self.method and given != field.default:
                raise UsageError(
                    "models.decoding-unread", key=field.name, given=given, method=self.method, allowed=method
                )
