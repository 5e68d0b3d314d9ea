"""Two processes that train together end where one does."""

import os
import shutil
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing

import tiny
from jishi.adaptation.adalora import AdaLoRA
from jishi.adaptation.full import Full
from jishi.adaptation.lora import LoRA
from jishi.core import publish
from jishi.core.contracts import Loss
from jishi.core.errors import TrainingError
from jishi.tasks.token_classification import TokenClassification
from jishi.training import memory, random_state
from jishi.training.loop import Event, Loop
from jishi.training.ranks import Ranks, _buckets, local
from jishi.training.spec import TrainSpec
from points import run, same, weights

WORDS = "Anna met Bob in Rome and Paris with her old friend"
HARD = {"epochs": 2, "batch_size": 4, "accumulation": 2, "precision": "fp32", "threads": 1, "patience": 9}
SGD = {"optimizer": "sgd"}  # AdamW would make much of the rounding of a gradient that is nearly zero
CUT = {"shard": True, **SGD}
UNUSED = " ".join(f"word-{number}" for number in range(40))  # of a vocabulary most of which the rows do not have
FULL = Full()
TASK = TokenClassification(labels=("NAME",), max_length=32)


class Broken(TokenClassification):
    """A loss that is no number."""

    def loss(self, model, batch):
        found = super().loss(model, batch)
        return Loss(found.value * float("nan"), found.outputs, count=found.count)


class Exploding(TokenClassification):
    """A loss that is as it should be, with a gradient that is no number."""

    def loss(self, model, batch):
        found = super().loss(model, batch)
        return Loss(found.value + (found.outputs.sum() * 0).sqrt(), found.outputs, count=found.count)


def one(
    folder: Path,
    *,
    dropout: float = 0.0,
    init: int = 0,
    task=TASK,
    adapt=FULL,
    words: str = WORDS,
    probes=(),
    **settings,
) -> Loop:
    """Rows of 1 to 10 words, whose loss is a mean over words; a process of two computes another number of them."""
    processor = tiny.tokenizer(words)
    given = [
        {"text": " ".join(WORDS.split()[: 1 + row]), "spans": [{"start": 0, "end": 4, "label": "NAME"}]}
        for row in range(9)
    ]
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    model = tiny.token_classifier(len(processor), num_labels=3, **rates)
    if init:
        with torch.no_grad():
            model.classifier.weight += init
    return Loop(
        adapt.apply(model, task), task, processor, TrainSpec(**{**HARD, **settings}),
        train=given, validation=given[:3], head=["classifier"], learning_rate=1e-2, folder=folder, seed=0, probes=probes,
        adaptation=adapt,
    )  # fmt: skip


def everything(rank: int, folder: Path) -> None:
    """What two processes do for the tests below, one after the other: starting them is what takes time."""
    from_one = run(trained := one(folder / "from one", **SGD))
    keep(folder, "from one", rank, trained, from_one)
    # Rank 1 starts from other weights, and must take those of rank 0.
    keep(folder, "whole", rank, trained := one(folder / "whole", init=rank, **SGD), run(trained))
    keep(folder, "never stopped", rank, trained := one(folder / "never", dropout=0.3), run(trained))
    run(one(folder / "parts", dropout=0.3), stop_at=2 if rank == 1 else None)  # one of them is asked to stop
    if rank == 0:
        shutil.copytree(folder / "parts", folder / "parts of two")
    keep(folder, "stopped", rank, trained := one(folder / "parts", dropout=0.3), run(trained))
    cut(rank, folder)


def cut(rank: int, folder: Path) -> None:
    """The same with weights, gradients and averages in shards."""
    run(one(folder / "cut", init=rank, **CUT), stop_at=2)
    if rank == 0:
        shutil.copytree(folder / "cut", folder / "cut in two")
    keep(folder, "cut", rank, trained := one(folder / "cut", **CUT), run(trained))
    (folder / f"bytes {rank}").write_text(str(seen(trained := one(folder / "seen", **CUT))))
    (folder / f"held {rank}").write_text(str(sum(local(weight).numel() for weight in trained.model.parameters())))
    words = f"{WORDS} {UNUSED}"
    keep(folder, "cut later", rank, trained := one(folder / "whole first", words=words, **CUT), run(trained))
    keep(folder, "thin", rank, trained := thin(folder / "thin", gradient_checkpointing=True, **CUT), run(trained))
    hard = {"dropout": 0.3, "shard": True, "words": words}
    keep(folder, "cut, never stopped", rank, trained := one(folder / "cut never", **hard), run(trained))
    run(one(folder / "cut parts", **hard), stop_at=3)
    keep(folder, "cut, stopped", rank, trained := one(folder / "cut parts", **hard), run(trained))
    for task in (Broken, Exploding):
        task = task if rank == 1 else TokenClassification
        try:
            run(one(folder / "broken", task=task(labels=("NAME",), max_length=32), **CUT))
        except TrainingError as error:
            with (folder / f"broken {rank}").open("a") as file:
                file.write(f"{error.code} {error.values['step']}\n")


def seen(loop: Loop) -> int:
    """Bytes that the trial before the first step finds kept; once more, when weights have been gathered before."""
    memory.bytes_kept(loop.model, lambda: loop.survey.trial([8, 8]))
    return memory.bytes_kept(loop.model, lambda: loop.survey.trial([8, 8]))


def thin(folder: Path, **settings) -> Loop:
    """Beside a frozen backbone (LoRA)."""
    torch.manual_seed(0)
    return one(folder, adapt=LoRA(rank=2, dropout=0.0), **settings)


def left_alone(rank: int, folder: Path) -> None:
    try:
        for event in one(folder).events():
            if rank == 1 and event.kind == "step":
                os.kill(os.getpid(), signal.SIGKILL)
    except TrainingError as error:
        publish.write_text(folder / "told", error.code)  # whole or not at all: it may be ended right here


def keep(folder: Path, name: str, rank: int, loop: Loop, events: list[Event]) -> None:
    steps = [event.values for event in events if event.kind == "step"]
    told = {"losses": [step["loss"] for step in steps], "rows": [step["rows"] for step in steps]}
    told["norms"] = [step["grad_norm"] for step in steps]
    whole = {name: local(value) for name, value in weights(loop.model).items()}
    torch.save({"weights": whole, "from": events[0].step, **told}, folder / f"{name} {rank}.pt")


def kept(folder: Path, name: str, rank: int) -> dict:
    return torch.load(folder / f"{name} {rank}.pt", weights_only=True)


def _rank(rank: int, port: int, folder: str, action: str) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    globals()[action](rank, Path(folder))


def together(folder: Path, action: str) -> None:
    """Run an action in two processes that train together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(_rank, (port, str(folder), action), nprocs=2, start_method="spawn")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    run(one(folder / "from one", **SGD), stop_at=3)
    run(one(folder / "whole first", words=f"{WORDS} {UNUSED}", **SGD), stop_at=1)
    together(folder, "everything")
    return folder


def test_two_processes_learn_what_one_does(done, tmp_path):
    events = run(loop := one(tmp_path, **SGD))
    keep(tmp_path, "alone", 0, loop, events)
    alone = kept(tmp_path, "alone", 0)
    assert 1 in alone["rows"]  # a window leaves one of the two without a row
    for rank in (0, 1):
        found = kept(done, "whole", rank)
        assert found["rows"] == alone["rows"]
        assert found["losses"] == pytest.approx(alone["losses"], abs=1e-5)
        for name, value in alone["weights"].items():
            torch.testing.assert_close(found["weights"][name], value, rtol=0, atol=1e-5)


def test_they_stop_together_and_go_on_bit_for_bit(done):
    """A word to one of them stops both."""
    assert [path.name for path in (done / "parts of two" / "checkpoints").iterdir()] == ["step-00000002"]
    for rank in (0, 1):
        found, expected = kept(done, "stopped", rank), kept(done, "never stopped", rank)
        assert found["from"] == 2 and same(found["weights"], expected["weights"])


def test_one_goes_on_from_what_two_wrote_and_two_from_what_one_wrote(done, tmp_path):
    shutil.copytree(done / "parts of two", tmp_path / "parts")
    assert run(one(tmp_path / "parts", dropout=0.3))[0].step == 2
    run(alone := one(tmp_path / "alone", **SGD))
    for rank in (0, 1):
        found = kept(done, "from one", rank)
        assert found["from"] == 3
        for name, value in weights(alone.model).items():
            torch.testing.assert_close(found["weights"][name], value, rtol=0, atol=1e-5)


def close(found: dict, loop: Loop) -> None:
    expected = weights(loop.model)
    assert found["weights"].keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found["weights"][name], value, rtol=0, atol=1e-5)


def test_shards_learn_what_one_process_does(done, tmp_path):
    """A window leaves one process without a row; in the end the first holds the whole model."""
    events = run(alone := one(tmp_path / "alone", **SGD))
    expected = [event.values for event in events if event.kind == "step"]
    for rank in (0, 1):
        found = kept(done, "cut", rank)
        assert found["from"] == 2
        assert found["losses"] == pytest.approx([step["loss"] for step in expected[2:]], abs=1e-5)
        assert found["norms"] == pytest.approx([step["grad_norm"] for step in expected[2:]], rel=1e-4)
    close(kept(done, "cut", 0), alone)
    run(alone := thin(tmp_path / "thin", **SGD))
    close(kept(done, "thin", 0), alone)


def test_a_checkpoint_of_shards_is_that_of_a_whole_model(done, tmp_path):
    """One process goes on from what two wrote in shards, and two in shards from what one wrote, used rows included."""
    shutil.copytree(done / "cut in two", tmp_path / "cut")
    events = run(again := one(tmp_path / "cut", **SGD))
    assert events[0].step == 2
    close(kept(done, "cut", 0), again)
    run(alone := one(tmp_path / "alone", words=f"{WORDS} {UNUSED}", **SGD))
    assert alone.used is not None and kept(done, "cut later", 0)["from"] == 1
    close(kept(done, "cut later", 0), alone)


def test_a_process_holds_its_share_and_gathered_weights_are_not_taken_for_what_a_token_keeps(done, tmp_path):
    alone = one(tmp_path, **SGD)
    assert {(done / f"bytes {rank}").read_text() for rank in (0, 1)} == {str(seen(alone))}
    held = [int((done / f"held {rank}").read_text()) for rank in (0, 1)]
    assert sum(held) == sum(weight.numel() for weight in alone.model.parameters())
    assert held[0] == pytest.approx(held[1], rel=0.05)


def test_shards_go_on_bit_for_bit(done):
    found, expected = kept(done, "cut, stopped", 0), kept(done, "cut, never stopped", 0)
    assert found["from"] == 3 and same(found["weights"], expected["weights"])


def test_a_loss_or_gradient_of_one_process_that_is_no_number_ends_all(done):
    told = ["training.loss-not-finite 1", "training.gradient-not-finite 1"]
    assert [(done / f"broken {rank}").read_text().splitlines() for rank in (0, 1)] == [told, told]


def test_what_shards_can_not_do_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("jishi.training.loop.Ranks.join", lambda: Ranks(0, 2, torch.device("cpu")))
    with pytest.raises(TrainingError) as raised:
        one(tmp_path, shard=True, fit_head="before")
    assert raised.value.code == "training.shard-fit-head"
    with pytest.raises(TrainingError) as raised:
        one(tmp_path, shard=True, probes=[None])
    assert raised.value.code == "training.shard-probes"
    with pytest.raises(TrainingError) as raised:
        one(tmp_path, shard=True, adapt=AdaLoRA())
    assert raised.value.code == "training.shard-adaptation"


def test_a_lost_process_is_told_soon(tmp_path):
    """The other either tells before it is ended with the group, or is ended: it does not hang."""
    started = time.monotonic()
    with pytest.raises(multiprocessing.ProcessExitedException):
        together(tmp_path, "left_alone")
    assert time.monotonic() - started < 60
    assert not (tmp_path / "told").exists() or (tmp_path / "told").read_text() == "training.rank-lost"


def test_an_answer_that_does_not_come_is_told(monkeypatch):
    def broken(_):
        raise RuntimeError("Connection closed by peer\nwith a long trace")

    monkeypatch.setattr("jishi.training.ranks.dist.all_reduce", broken)
    with pytest.raises(TrainingError) as raised:
        Ranks(0, 2, torch.device("cpu")).add([], [1.0])
    assert raised.value.code == "training.rank-lost" and "trace" not in str(raised.value)


def test_the_others_wait_for_the_first_longer_than_their_patience(monkeypatch):
    """It gives signs of life until it is done, and what went wrong is raised there."""
    told = []
    monkeypatch.setattr("jishi.training.ranks.BEAT", 0.02)
    monkeypatch.setattr(Ranks, "add", lambda _, __, numbers: told.append(*numbers) or list(numbers))
    Ranks(0, 2, torch.device("cpu")).first(lambda: time.sleep(0.2))
    assert len(told) > 2 and told == [0.0] * (len(told) - 1) + [1.0]
    with pytest.raises(ZeroDivisionError):
        Ranks(0, 2, torch.device("cpu")).first(lambda: 1 / 0)
    answers = iter([[0.0], [0.0], [1.0]])
    monkeypatch.setattr(Ranks, "add", lambda _, __, numbers: next(answers))
    Ranks(1, 2, torch.device("cpu")).first(lambda: pytest.fail("that is not its work"))
    assert next(answers, None) is None


def test_every_row_is_one_process_s_and_gradients_are_sent_in_groups(monkeypatch):
    shares = [Ranks(rank, 3, torch.device("cpu")).share([5, 6, 7, 8]) for rank in range(3)]
    assert shares == [[5, 8], [6], [7]]
    monkeypatch.setattr("jishi.training.ranks.BUCKET", 40)
    gradients = [torch.zeros(count) for count in (4, 5, 12, 1)]  # 16, 20, 48 and 4 bytes
    assert [[len(one) for one in bucket] for bucket in _buckets(gradients)] == [[4, 5], [12], [1]]


def test_every_random_state_comes_back():
    import random

    def drawn():
        return float(torch.rand(1)), float(np.random.rand()), random.random(), float(np.random.randn())

    np.random.randn()  # numpy now holds a second number in reserve
    state = random_state.read()
    expected = drawn()
    drawn()
    random_state.put(state)
    assert drawn() == expected
