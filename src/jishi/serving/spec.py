"""What `jishi serve` is asked for. The API key is no part of it: a secret stands in the environment, not in a file."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from jishi.core.contracts import option
from jishi.serving.limits import Limits


@dataclass(frozen=True)
class ServeSpec:
    """Bundles and where they answer. `JISHI_API_KEY` holds the key that clients send; off loopback it is required."""

    bundle: str | tuple[str, ...] = option(
        en="The bundles that answer, each a path or name=path; a request names one as `model`, and else asks the first.",
        zh="提供服务的模型包，每个写作路径或 名称=路径；请求以 `model` 指定，未指定则由第一个作答。",
    )
    memory: Annotated[int, Ge(1)] | None = option(
        None,
        "Most bytes of weights in memory: models asked longest ago are let go, and read again when asked; empty: no bound.",
        "权重最多占用的内存字节数：最久未用的模型会被释放，再次请求时重新读取；留空表示不限。",
    )
    runtime: str = option(
        "auto",
        "What works answers out: torch, or onnxruntime and openvino for bundles of jishi compress; auto takes the quickest.",
        "由谁计算答案：torch，或 onnxruntime、openvino（用于 jishi compress 导出的模型包）；auto 取最快者。",
    )
    isolate: bool = option(
        False,
        "Whether models live in a process of their own, which is begun again where it dies; else in that which speaks HTTP.",
        "模型是否在独立的进程中运行（该进程意外终止时会重新启动）；否则与 HTTP 服务同在一个进程。",
    )
    host: str = option("127.0.0.1", "The address to listen on.", "监听的地址。")
    port: int = option(8000, "The port to listen on; 0 takes a free one.", "监听的端口；0 表示自动选择空闲端口。")
    allowed_hosts: tuple[str, ...] = option(
        (),
        "Host names to answer to; empty: loopback's own on loopback, else any.",
        "允许的 Host 名称；留空：回环地址只认本机名称，其他地址不限。",
    )
    limits: Limits = option(factory=Limits, en="How much the server takes on.", zh="服务器的各项限制。")
