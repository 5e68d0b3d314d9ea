"""Start the processes of a run on a Ray cluster (arXiv:1712.05889): training as a job of Ray Train that replaces what is lost,
pieces of work as tasks that are done again."""

import importlib
import os
import queue
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Annotated, Any

from annotated_types import Ge

from jishi.core.contracts import Launcher, Pool, option
from jishi.core.errors import JishiError, MissingExtra, TrainingError

LOOK_SECONDS = 0.2  # between two looks at what the job has told
CONNECT_SECONDS = 5
CALLS = 8  # that the job answers at once: it runs, is told, and is asked
# What the loss of another process brings about: the workers are started again. Any other error of Jishi's ends the job.
PASSING = frozenset({"training.rank-lost", "training.run-busy"})


@dataclass(frozen=True)
class Ray(Launcher):
    """One process a worker. When one that trains is lost, all are started again, and go on from the newest checkpoint.

    Every machine needs Jishi, the data and the run directory under the same path; the run directory may be a URL instead.
    Where no cluster is named, one is started on this machine for as long as the run takes.
    """

    workers: Annotated[int, Ge(1)] = option(
        2, "Processes that work together.", "共同工作的进程数。", aliases=("num_workers",)
    )
    cpus: Annotated[int, Ge(1)] = option(1, "CPUs reserved for each.", "每个进程预留的 CPU 数。")
    gpus: Annotated[int, Ge(0)] = option(0, "GPUs reserved for each.", "每个进程预留的 GPU 数。")
    retries: Annotated[int, Ge(0)] = option(
        3,
        "How often the processes are started again after one was lost.",
        "有进程丢失时，重新启动全部进程的次数上限。",
        aliases=("max_failures",),
    )
    address: str | None = option(
        None,
        "The cluster (host:port); left out, that of RAY_ADDRESS, else one of this machine's own.",
        "集群地址（host:port）；省略时取 RAY_ADDRESS，否则在本机临时启动。",
    )

    def run(self, work: Callable[..., Any], listen: Callable[[Any], None], watch: Callable[[Any], None]) -> Any:
        ray = _library("ray.train.torch")
        with _connected(self):
            job = ray.remote(num_cpus=0, max_concurrency=CALLS)(Job).remote()
            try:
                # The work stays packed until a worker asks for it: it brings in torch and transformers.
                return _heard(job, job.run.remote([ray.put(work)], asdict(self)), listen, watch)
            finally:
                ray.kill(job)  # and with it whatever of the job is still alive

    @contextmanager
    def pool(self, work: Callable[[Any], Any]) -> Iterator[Pool]:
        """One task a piece; a task whose process or machine was lost is done again elsewhere, as often as `retries`."""
        ray = _library("ray")
        with _connected(self):
            yield Tasks(ray, work, self)


class Tasks:
    """The pool of a cluster. The work crosses machines once, a piece and what comes of it each time."""

    def __init__(self, ray: Any, work: Callable[[Any], Any], asked: Ray) -> None:
        self.processes, self.ray, self.work = asked.workers, ray, ray.put(work)
        options = {"num_cpus": asked.cpus, "num_gpus": asked.gpus, "max_retries": asked.retries}
        self.task = ray.remote(_done).options(**options)

    def submit(self, piece: Any) -> Callable[[], Any]:
        begun = self.task.remote(self.work, piece)
        return lambda: self._result(begun)

    def _result(self, begun: Any) -> Any:
        try:
            return self.ray.get(begun)
        except self.ray.exceptions.RayTaskError as failed:
            raise failed.cause from failed
        except self.ray.exceptions.RayError as lost:
            raise TrainingError("launch.lost", reason=" ".join(str(lost).split())[-200:]) from lost


def _done(work: Callable[[Any], Any], piece: Any) -> Any:
    return work(piece)


def _library(name: str) -> Any:
    """Ray, once a part of it is there. Raises MissingExtra."""
    try:
        ray = importlib.import_module("ray")
        importlib.import_module(name)
    except ImportError as missing:
        raise MissingExtra(str(missing.name), "ray") from missing
    return ray


class Job:
    """Stands in the cluster: runs the trainer, hears the first worker and is asked by who waits for it."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.stopped = False
        self.error: JishiError | None = None

    def run(self, work: list[Any], asked: dict[str, Any]) -> Any:
        """What the work returns in the first worker. Raises what Ray Train raises when it gives up."""
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        with tempfile.TemporaryDirectory() as own:  # Ray's own notes; the checkpoints are the run's
            trainer = TorchTrainer(
                _worker,
                train_loop_config={"work": work, "job": ray.get_runtime_context().current_actor},
                scaling_config=ScalingConfig(
                    num_workers=asked["workers"],
                    use_gpu=asked["gpus"] > 0,
                    resources_per_worker={"CPU": asked["cpus"], "GPU": asked["gpus"]},
                ),
                run_config=RunConfig(
                    name="jishi", storage_path=own, failure_config=FailureConfig(max_failures=asked["retries"])
                ),
            )
            return trainer.fit().return_value

    def tell(self, value: Any) -> bool:
        """Hear the first worker; whether it should stop."""
        self.told.put(value)
        return self.stopped

    def fail(self, error: JishiError) -> None:
        self.error = error

    def stop(self) -> None:
        self.stopped = True

    def news(self) -> tuple[list[Any], JishiError | None]:
        """What was told since the last time, and the last error."""
        return [self.told.get() for _ in range(self.told.qsize())], self.error


def _worker(asked: dict[str, Any]) -> Any:
    """What runs in each worker."""
    import ray

    job, held = asked["job"], []

    def tell(value: Any) -> None:
        if ray.get(job.tell.remote(value)):
            held[-1].stop = True

    try:
        return ray.get(asked["work"][0])(tell, held.append)
    except JishiError as error:
        ray.get(job.fail.remote(error))
        raise


def _heard(job: Any, result: Any, listen: Callable[[Any], None], watch: Callable[[Any], None]) -> Any:
    """Pass on what the job tells until it is done, and to it the wish to stop. Raises the error that ended it."""
    import ray

    handle = SimpleNamespace(stop=False)
    watch(handle)
    error: JishiError | None = None
    try:
        while True:
            done, _ = ray.wait([result], timeout=LOOK_SECONDS)
            told, error = ray.get(job.news.remote())
            for value in told:
                listen(value)
            if error and error.code not in PASSING:
                raise error
            if handle.stop:
                ray.get(job.stop.remote())
            if done:
                return ray.get(result)
    except (ray.exceptions.RayError, ray.train.TrainingFailedError) as lost:
        reason = " ".join(str(error or lost).split())[-200:]
        raise TrainingError("launch.lost", reason=reason) from lost


@contextmanager
def _connected(asked: Ray) -> Iterator[None]:
    """While this holds, this process is part of a cluster: of the one it is in already, the one asked for, or one of its own."""
    import ray

    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": "WARNING"}
    address = asked.address or os.environ.get("RAY_ADDRESS")
    if not address:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    else:
        _check_answers(address)
    try:
        with _own_signals():
            ray.init(address=address or "local", **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _unreachable(address or "127.0.0.1", error) from error
    try:
        if not address:
            _check_room(asked)
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Somebody must listen there: Ray itself would try for a quarter of an hour."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        except OSError as error:
            raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> TrainingError:
    return TrainingError("launch.unreachable", address=address, reason=" ".join(str(error).split())[:200])


def _check_room(asked: Ray) -> None:
    """A cluster of one machine does not grow: workers that do not fit would be waited for without end."""
    import ray

    has = {name: int(ray.cluster_resources().get(name, 0)) for name in ("CPU", "GPU")}
    needs = {"CPU": asked.workers * asked.cpus, "GPU": asked.workers * asked.gpus}
    if any(needs[name] > has[name] for name in needs):
        raise TrainingError("launch.too-few", has=_written(has), given=_written(needs))


def _written(resources: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in resources.items() if count)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; who listens to it now keeps it."""
    old = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and old is not None:
            signal.signal(signal.SIGTERM, old)
