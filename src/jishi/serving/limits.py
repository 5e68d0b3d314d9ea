"""How much one server takes on: of a request, of a client, and at once. Checked before the work, never after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jishi.core.contracts import option
from jishi.core.errors import LimitError


@dataclass(frozen=True)
class Limits:
    """Every limit has a status of its own: 413 too large, 429 too often, 503 too busy, 504 too slow."""

    max_body_bytes: int = option(
        8 * 1024 * 1024, "Largest request body, in bytes (413).", "请求体的最大字节数（413）。"
    )
    max_items: int = option(64, "Most inputs in one request (413).", "单个请求中输入的最大条数（413）。")
    max_characters: int = option(20_000, "Longest text, in characters (413).", "单条文本的最大字符数（413）。")
    timeout_s: float = option(
        30.0,
        "Longest time for a body to arrive (408) and for an answer, or a piece of a streamed one (504), in seconds.",
        "接收请求体（408）和作答或流式输出每一段（504）的最长秒数。",
    )
    max_queue: int = option(1024, "Most rows waiting for the model (503).", "等待模型处理的最大条数（503）。")
    max_tokens: int = option(
        4096, "Most tokens of an answer that a request may ask for (413).", "请求可指定的答案最大词元数（413）。"
    )
    max_streams: int = option(
        16, "Most answers of one model that are streamed at once (503).", "单个模型同时流式输出的最大答案数（503）。"
    )
    max_batch: int = option(32, "Most rows in one forward pass.", "单次前向计算的最大条数。")
    batch_tokens: int = option(
        4096, "Most tokens in one forward pass, padding counted.", "单次前向计算的最大词元数（含填充）。"
    )
    max_wait_ms: float = option(
        3.0,
        "How long a row waits for others to share its forward pass, in milliseconds.",
        "一条输入等待与其他输入合并计算的最长毫秒数。",
    )
    requests_per_second: float | None = option(
        None,
        "Requests a second of one client (429), twice that in a burst; 0: no limit. Empty: none on loopback, else 20.",
        "单个客户端每秒的请求数（429），瞬时可达两倍；0 表示不限。留空：本机回环地址不限，其他地址为 20。",
    )


def too_long(row: Mapping[str, Any], limits: Limits) -> None:
    """Raises LimitError for a text, or a list's texts together, beyond the limit; a picture's bytes the body bounds."""
    for name, value in row.items():
        if (given := _characters(value)) > limits.max_characters:
            raise LimitError("serving.text-too-long", column=name, given=given, allowed=limits.max_characters)


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(_characters, parts))
