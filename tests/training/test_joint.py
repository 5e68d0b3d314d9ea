"""A loss that holds rows against each other: its gradient is that of the whole step, however the step is cut."""

import copy
import threading
from dataclasses import dataclass, field

import pytest
import torch

from jishi.core.contracts import Loss
from jishi.core.errors import TrainingError
from jishi.training import joint, random_state
from jishi.training.ranks import Ranks
from jishi.training.update import Update
from points import Net, Points, loop, rows, run


class Spread(Points):
    """The answers of a step are pushed apart, weighed by what is written: the variance of y · answer."""

    joint = True

    def represent(self, model, batch):
        return list(self.forward(model, batch))

    def compare(self, represented, batches):
        weighed = torch.stack(represented)[:, 0] * torch.cat([batch["labels"] for batch in batches])
        return Loss(weighed.var() + weighed.mean(), torch.stack(represented), {"spread": 1.0})

    def loss(self, model, batch):
        return self.compare(self.represent(model, batch), [batch])


class Narrow(Spread):
    """Has memory for three rows at once."""

    def forward(self, model, batch):
        if len(batch["x"]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(model, batch)


@dataclass
class Meeting:
    """Two processes, played by threads."""

    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=20))
    told: dict = field(default_factory=dict)

    def ranks(self, rank):
        class Played(Ranks):
            def gather(_, value):
                self.told[rank] = value
                self.barrier.wait()
                return copy.deepcopy([self.told[0], self.told[1]])  # no memory is shared

        return Played(rank, 2, torch.device("cpu"))


def update(model, ranks=None):
    objective, given = Spread(), rows(10)
    optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    return Update(
        model, objective, optimizer, lambda chosen: objective.collate([given[row] for row in chosen], None), [1] * 10,
        ranks or Ranks(0, 1, torch.device("cpu")), "fp32", 1e9,
    )  # fmt: skip


def pieces(one, *cuts):
    return [(list(cut), one.make(list(cut))) for cut in cuts]


def gradients(model):
    return [weight.grad.clone() for weight in model.parameters()]


def whole(dropout=0.0):
    """The loss of ten rows at once, and its gradient times ten."""
    model = Net(dropout=dropout)
    one = update(model)
    found = one.objective.loss(model, one.make(list(range(10))))
    (found.value * 10).backward()
    return float(found.value.detach()), gradients(model)


def test_pieces_have_the_gradient_of_the_whole_step():
    value, expected = whole()
    model = Net()
    one = update(model)
    total, weight, parts = joint.accumulate(one, pieces(one, range(4), range(4, 8), [9, 8]))
    assert (total / weight, weight, parts) == (pytest.approx(value), 10, {"spread": 1.0})
    for found, truth in zip(gradients(model), expected, strict=True):
        torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-6)


def test_both_passes_of_a_piece_see_the_same_dropout():
    """Worked out with one graph over all pieces, in which nothing is asked twice."""
    model = Net(dropout=0.5)
    one = update(model)
    torch.manual_seed(3)
    cut = pieces(one, range(4), range(4, 10))
    shown = [one.objective.represent(model, batch) for _, batch in cut]
    found = one.objective.compare([row for part in shown for row in part], [batch for _, batch in cut])
    (found.value * 10).backward()
    expected, after = gradients(model), random_state.read()
    model.zero_grad()
    torch.manual_seed(3)
    joint.accumulate(one, cut)
    assert random_state.read() == after
    for mine, truth in zip(gradients(model), expected, strict=True):
        torch.testing.assert_close(mine, truth, rtol=1e-5, atol=1e-6)


def test_two_processes_add_up_to_one():
    value, expected = whole()
    meeting, found = Meeting(), {}
    models = [Net(), Net()]  # made one after the other: a network draws its weights from the seed all threads share

    def work(rank, *cuts):
        model = models[rank]
        one = update(model, meeting.ranks(rank))
        found[rank] = (*joint.accumulate(one, pieces(one, *cuts))[:2], gradients(model))

    threads = [
        threading.Thread(target=work, args=(0, range(3), range(3, 6))),
        threading.Thread(target=work, args=(1, range(6, 10))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    total, weight = (found[0][place] + found[1][place] for place in (0, 1))
    assert (total / weight, weight) == (pytest.approx(value), 10)
    for mine, other, truth in zip(found[0][2], found[1][2], expected, strict=True):
        torch.testing.assert_close(mine + other, truth, rtol=1e-5, atol=1e-6)


def test_a_step_that_does_not_fit_is_done_in_pieces_with_the_same_weights(tmp_path):
    settings = {"batch_size": 8, "epochs": 2}
    losses = []
    for objective in (Spread(), Narrow()):
        model = Net()
        events = run(loop(tmp_path / type(objective).__name__, rows(16), model=model, objective=objective, **settings))
        losses.append([event.values["loss"] for event in events if event.kind == "step"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_shards_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Ranks, "join", classmethod(lambda cls: Ranks(0, 2, torch.device("cpu"))))
    with pytest.raises(TrainingError) as refused:
        loop(tmp_path, rows(4), objective=Spread(), shard=True)
    assert refused.value.code == "training.shard-joint"


@pytest.mark.parametrize(("settings", "refused"), [({}, True), ({"accumulation": 2}, False)])
def test_a_row_alone_in_its_step_is_refused(tmp_path, settings, refused):
    if not refused:
        loop(tmp_path, rows(4), objective=Spread(), batch_size=1, **settings)
        return
    with pytest.raises(TrainingError) as caught:
        loop(tmp_path, rows(4), objective=Spread(), batch_size=1, **settings)
    assert caught.value.code == "training.joint-alone"
