"""What makes learning harder, held to what a linear model's own formula says of it."""

import math
from types import SimpleNamespace

import pytest
import torch

from jishi.core import spec
from jishi.core.contracts import Loss, Regularization
from jishi.core.document import Document
from jishi.core.errors import TrainingError
from jishi.models import cross_entropy
from jishi.regularization import _divergence, _shift
from jishi.regularization.class_balanced import ClassBalanced
from jishi.regularization.fgm import FGM
from jishi.regularization.focal import Focal
from jishi.regularization.freelb import FreeLB
from jishi.regularization.generalized_cross_entropy import GeneralizedCrossEntropy
from jishi.regularization.mixup import Mixup
from jishi.regularization.pgd import PGD
from jishi.regularization.r_drop import RDrop
from jishi.regularization.trimmed import Trimmed
from jishi.regularization.vat import VAT
from jishi.tasks.text_classification import TextClassification
from jishi.training.ranks import Ranks
from jishi.training.spec import TrainSpec
from jishi.training.update import Update
from points import loop, rows, run
from tiny import masked_lm, sequence_classifier

TASK = TextClassification(problem="single", labels=("x", "y"))
WEIGHT = torch.tensor([[3.0, 0.0], [0.0, 4.0]])  # of four pixels, of length 5
PIXELS = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[0.0, 1.0], [1.0, 1.0]]]])  # they say 3 and 4
LABELS = torch.tensor([1.0, 6.0])  # off by +2 and by -2
BATCH = {"pixel_values": PIXELS, "labels": LABELS}
TEXTS = {
    "input_ids": torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    "labels": torch.tensor([0, 1]),
}


class Linear(torch.nn.Module):
    """Says a weighted sum of the pixels."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(WEIGHT.clone())

    def forward(self, pixels):
        return (pixels[:, 0] * self.weight).sum((1, 2))


class Asked:
    """The mean squared error of the linear model, which remembers what it was asked."""

    def __init__(self, model):
        self.model, self.pixels = model, []

    def __call__(self, batch):
        self.pixels.append(batch["pixel_values"].detach())
        said = self.model(batch["pixel_values"])
        return Loss((said - batch["labels"]).square().mean(), said, {"own": 1.0}, 2.0)


@pytest.fixture
def ask(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(_shift, "CONTRAST", 1 / 0.75**0.5)  # both pictures are pushed in lengths of one
    return Asked(Linear())


def test_a_picture_is_pushed_by_tenths_of_its_own_contrast():
    """One pixel of 1 beside three of 0: √((¾)² + 3 · (¼)²) = √¾."""
    assert _shift.unit(None, BATCH).flatten().tolist() == pytest.approx([0.1 * 0.75**0.5] * 2)


def test_fgm_adds_the_loss_at_the_end_of_one_step_uphill(ask):
    """The steepest way is along the weight: an error of 2 becomes 2 + 0.5 · 5."""
    found = FGM(radius=0.5, weight=2.0).loss(ask.model, BATCH, ask)
    assert float(found.value.detach()) == pytest.approx(4.0 + 2.0 * 4.5**2)
    assert found.parts == {"own": 1.0, "pushed": pytest.approx(4.5**2)} and found.count == 2.0
    torch.testing.assert_close(ask.pixels[1][0, 0], PIXELS[0, 0] + 0.5 * WEIGHT / 5)
    torch.testing.assert_close(ask.pixels[1][1, 0], PIXELS[1, 0] - 0.5 * WEIGHT / 5)


def test_fgm_has_the_gradient_of_both_losses(ask):
    """By w: the mean of 2 · error · pixels, at both places; the push itself is not learnt from."""
    FGM(radius=0.5).loss(ask.model, BATCH, ask).value.backward()
    step = 0.5 * WEIGHT / 5
    plain = 2 * 2.0 * PIXELS[0, 0] - 2 * 2.0 * PIXELS[1, 0]
    pushed = 2 * 4.5 * (PIXELS[0, 0] + step) - 2 * 4.5 * (PIXELS[1, 0] - step)
    torch.testing.assert_close(ask.model.weight.grad, (plain + pushed) / 2)


@pytest.mark.parametrize(("steps", "stride", "reached"), [(1, 0.5, 0.25), (2, 0.5, 0.5), (5, 0.5, 0.5)])
def test_pgd_climbs_in_steps_and_never_leaves_the_ball(ask, steps, stride, reached):
    found = PGD(radius=0.5, steps=steps, stride=stride).loss(ask.model, BATCH, ask)
    assert float(found.value.detach()) == pytest.approx(4.0 + (2 + reached * 5) ** 2, rel=1e-5)
    assert len(ask.pixels) == steps + 2


def test_freelb_is_the_mean_over_the_way_uphill(ask):
    found = FreeLB(radius=0.5, steps=3, stride=0.5).loss(ask.model, BATCH, ask)
    shifts = [pixels - PIXELS for pixels in ask.pixels]
    lengths = [shift.flatten(1).norm(dim=1) for shift in shifts]
    torch.testing.assert_close(lengths[0], torch.full((2,), 0.25))
    assert all((length <= 0.5 + 1e-6).all() for length in lengths)
    said = [(pixels[:, 0] * WEIGHT).sum((1, 2)) for pixels in ask.pixels]
    losses = [float((one - LABELS).square().mean()) for one in said]
    assert losses == sorted(losses)
    assert float(found.value.detach()) == pytest.approx(sum(losses) / 3)
    towards = torch.stack([WEIGHT, -WEIGHT])[:, None] / 5 * 0.25  # the second shift goes on from the first
    moved = shifts[0] + towards
    torch.testing.assert_close(shifts[1], moved * (0.5 / moved.flatten(1).norm(dim=1)).clamp(max=1).view(-1, 1, 1, 1))


def test_vat_adds_how_far_the_answer_moves_where_it_moves_most(ask):
    """Numbers are compared by their square: along the weight the answer moves by 0.5 · 5."""
    found = VAT(radius=0.5, weight=3.0).loss(ask.model, BATCH, ask)
    assert float(found.value.detach()) == pytest.approx(4.0 + 3.0 * 2.5**2, rel=1e-5)


def test_the_distance_of_two_answers_is_the_symmetric_divergence():
    """½, ½ beside ¾, ¼: half of ¼ · ln 1.5 + ¼ · ln 2; the row without a label has no part in it."""
    one, other = torch.zeros(2, 2), torch.tensor([[math.log(3), 0.0], [50.0, 0.0]])
    expected = 0.5 * (0.25 * math.log(1.5) + 0.25 * math.log(2))
    assert float(_divergence.between(one, other, torch.tensor([0, -100]))) == pytest.approx(expected)


@pytest.mark.parametrize("other", [[torch.zeros(2)], torch.zeros(3, 2)])
def test_answers_of_different_sizes_are_refused(other):
    with pytest.raises(TrainingError) as caught:
        _divergence.between(torch.zeros(2, 2), other, torch.tensor([0, 1]))
    assert caught.value.code == "training.no-outputs-to-compare"


def test_r_drop_asks_twice_and_draws_the_answers_together():
    said = iter([torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]])])

    def ask(batch):
        return Loss(torch.tensor(1.0 if len(asked) else 3.0), next(said), {}, asked.append(batch) or 1.0)

    asked = []
    found = RDrop(weight=2.0).loss(SimpleNamespace(training=True), {"labels": torch.tensor([0])}, ask)
    assert float(found.value.detach()) == pytest.approx(2.0 + 0.25 * math.log(1.5) + 0.25 * math.log(2))


def test_r_drop_without_dropout_is_refused():
    model = sequence_classifier(20, num_labels=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    with pytest.raises(TrainingError, match="this model has none"):
        RDrop().loss(model, TEXTS, lambda batch: TASK.loss(model, batch))


def mixed(monkeypatch, share):
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda *_: torch.tensor(share))
    monkeypatch.setattr(torch, "randperm", lambda *_, **__: torch.tensor([1, 0]))


def test_mixup_asks_for_the_mixture_and_weighs_both_answers(ask, monkeypatch):
    """A fourth of the other row, whichever side the draw falls on: both mixtures say their share of 3 and 4."""
    mixed(monkeypatch, 0.25)
    found = Mixup().loss(ask.model, BATCH, ask)
    first, second = 0.75 * 3 + 0.25 * 4, 0.75 * 4 + 0.25 * 3
    mine, theirs = ((first - 1) ** 2 + (second - 6) ** 2) / 2, ((first - 6) ** 2 + (second - 1) ** 2) / 2
    assert float(found.value.detach()) == pytest.approx(0.75 * mine + 0.25 * theirs)
    torch.testing.assert_close(ask.pixels[0], 0.75 * PIXELS + 0.25 * PIXELS.flip(0))


def test_a_patch_counts_for_as_much_as_it_covers(ask, monkeypatch):
    mixed(monkeypatch, 0.75)  # a quarter of four pixels: one of them
    found = Mixup(how="patch").loss(ask.model, BATCH, ask)
    other = (ask.pixels[0] == PIXELS.flip(0)) & (PIXELS.flip(0) != PIXELS)
    assert other.sum(dim=(1, 2, 3)).tolist() == [1, 1]
    said = (ask.pixels[0][:, 0] * WEIGHT).sum((1, 2))
    mine, theirs = (float((said - labels).square().mean()) for labels in (LABELS, LABELS.flip(0)))
    assert float(found.value.detach()) == pytest.approx(0.75 * mine + 0.25 * theirs)


def test_mixup_needs_one_answer_a_row(ask):
    with pytest.raises(TrainingError) as caught:
        Mixup().loss(ask.model, {**BATCH, "labels": torch.zeros(2, 3, dtype=torch.long)}, ask)
    assert caught.value.code == "training.no-labels-to-mix"


def test_a_text_is_pushed_at_its_words():
    """Lengths are the root of the mean square over the tokens that are there; the words alone move, and the padding does not."""
    model = sequence_classifier(20, num_labels=2).eval()
    words = model.get_input_embeddings()(TEXTS["input_ids"]).detach()
    units = _shift.unit(model, TEXTS).flatten()
    expected = [words[0].square().sum(-1).mean().sqrt(), words[1, :3].square().sum(-1).mean().sqrt()]
    torch.testing.assert_close(units, torch.stack(expected))
    seen = []
    hook = model.bert.embeddings.word_embeddings.register_forward_hook(lambda *given: seen.append(given[2].detach()))
    still = _shift.still(model, TEXTS)
    clean = _shift.asked(model, TEXTS, lambda batch: TASK.loss(model, batch), lambda given: given + still)
    shift = _shift.uphill(clean, still)
    hook.remove()
    torch.testing.assert_close(shift.flatten(1).norm(dim=1), torch.ones(2))
    assert not shift[1, 3].any() and shift[1, :3].any()
    pushed = _shift.asked(model, TEXTS, lambda batch: TASK.loss(model, batch), lambda given: given + 1e-2 * shift)
    assert float(pushed.value.detach()) > float(clean.value.detach())
    assert not model.get_input_embeddings()._forward_hooks


def test_what_has_no_one_input_is_refused():
    choices = {"input_ids": torch.zeros(2, 3, 4, dtype=torch.long), "labels": torch.tensor([0, 1])}
    with pytest.raises(TrainingError) as caught:
        FGM().loss(sequence_classifier(20, num_labels=2), choices, lambda _: Loss(torch.tensor(0.0)))
    assert caught.value.code == "training.no-input-to-push"


def test_the_last_is_laid_around_those_before():
    model, order = Linear(), []

    class Told(Regularization):
        def __init__(self, name):
            self.name = name

        def loss(self, model, batch, ask):
            order.append(self.name)
            return ask(batch)

    objective = SimpleNamespace(loss=lambda *_: order.append("plain") or Loss(torch.tensor(1.0)))
    ranks = Ranks(0, 1, torch.device("cpu"))
    optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    one = Update(model, objective, optimizer, list, [1], ranks, "fp32", 1.0, regularize=(Told("inner"), Told("outer")))
    one.loss([0], BATCH)
    assert order == ["outer", "inner", "plain"]


def test_a_spec_names_one_or_several():
    train = spec.build(TrainSpec, Document({"regularize": "fgm"}, "test"))
    assert train.regularize == (FGM(),)
    several = [{"name": "r-drop", "weight": 2.0}, "fgm"]
    train = spec.build(TrainSpec, Document({"regularize": several}, "test"))
    assert train.regularize == (RDrop(weight=2.0), FGM())


class Doubled(Regularization):
    """Twice the plain loss."""

    def loss(self, model, batch, ask):
        found = ask(batch)
        return Loss(2 * found.value, found.outputs, {**found.parts, "doubled": 1.0}, found.count)


def test_the_loop_minimises_it_and_validates_without_it(tmp_path):
    plain, doubled = (
        run(loop(tmp_path / name, rows(8), rows(4), epochs=1, batch_size=8, **settings))
        for name, settings in (("plain", {}), ("doubled", {"regularize": (Doubled(),)}))
    )
    first, second = (next(event.values for event in events if event.kind == "step") for events in (plain, doubled))
    assert second["loss"] == pytest.approx(2 * first["loss"]) and second["doubled"] == 1.0
    checked = [next(event.values for event in events if event.kind == "validation") for events in (plain, doubled)]
    assert checked[1]["loss"] < 1.5 * checked[0]["loss"]


def test_the_loss_of_a_large_vocabulary_goes_back_once(monkeypatch):
    monkeypatch.setattr(cross_entropy, "FEW", 0.0)
    model = masked_lm(40).eval()
    places = TEXTS["attention_mask"].bool()
    inputs = {name: TEXTS[name] for name in ("input_ids", "attention_mask")}

    def ask(batch):
        found, _ = cross_entropy.cross_entropy(model, batch, places, torch.full((7,), 5))
        return Loss(found)

    with pytest.raises(TrainingError, match="regularize=pgd"):
        FGM().loss(model, inputs, ask).value.backward()
    model.zero_grad()
    PGD(steps=1).loss(model, inputs, ask).value.backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0


def scores(*rows, labels):
    """Rows of probabilities of two labels as a task's outputs, and their batch."""
    outputs = torch.tensor(rows).log().requires_grad_()
    batch = {"labels": torch.tensor(labels)}
    return batch, lambda _: Loss(torch.tensor(0.0), outputs, {}, len(rows))


def test_focal_loss_lets_what_is_known_weigh_less():
    batch, ask = scores([0.9, 0.1], [0.2, 0.8], [0.5, 0.5], labels=[0, 0, -100])
    found = Focal(gamma=2.0).loss(None, batch, ask)
    expected = (0.1**2 * -math.log(0.9) + 0.8**2 * -math.log(0.2)) / 2
    assert float(found.value.detach()) == pytest.approx(expected) and found.count == 2
    plain = Focal(gamma=0.0).loss(None, batch, ask)
    assert float(plain.value.detach()) == pytest.approx(-(math.log(0.9) + math.log(0.2)) / 2)


def test_a_wrong_label_raises_the_generalized_loss_to_a_bound():
    batch, ask = scores([0.9, 0.1], [1e-6, 1 - 1e-6], labels=[0, 0])
    found = GeneralizedCrossEntropy(q=0.7).loss(None, batch, ask)
    expected = ((1 - 0.9**0.7) / 0.7 + (1 - 1e-6**0.7) / 0.7) / 2
    assert float(found.value.detach()) == pytest.approx(expected, rel=1e-4)


def test_the_least_likely_labels_are_left_out():
    batch, ask = scores([0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3], labels=[0, 0, 0, 0])
    found = Trimmed(share=0.3).loss(None, batch, ask)  # one of four
    expected = -(math.log(0.9) + math.log(0.6) + math.log(0.7)) / 3
    assert float(found.value.detach()) == pytest.approx(expected) and found.count == 3


def test_classes_weigh_by_the_effective_number_of_their_rows():
    """beta = ½: (½) / (1 − ½) = 1 for one row, ½ / (1 − ⅛) = 4/7 for three; scaled by 4 / (1 + 3 · 4/7)."""
    features = [{"labels": 0}, {"labels": 1}, {"labels": 1}, {"windows": [{"labels": [1, -100]}]}]
    ready = ClassBalanced(beta=0.5).initialize(features)
    scale = 4 / (1 + 12 / 7)
    assert ready.weights == pytest.approx((scale, scale * 4 / 7))
    batch, ask = scores([0.9, 0.1], [0.2, 0.8], labels=[0, 1])
    found = ready.loss(None, batch, ask)
    first, second = ready.weights
    expected = (first * -math.log(0.9) + second * -math.log(0.8)) / (first + second)
    assert float(found.value.detach()) == pytest.approx(expected) and found.count == pytest.approx(first + second)


def test_what_needs_labels_says_so():
    with pytest.raises(TrainingError, match="one label a row"):
        ClassBalanced().initialize([{"labels": [0.0, 1.0]}, {"text": "x"}])
    with pytest.raises(TrainingError, match="one label a row"):
        Focal().loss(None, {"labels": torch.zeros(2)}, lambda _: Loss(torch.tensor(0.0), torch.zeros(2, 2)))


def test_what_replaces_the_loss_comes_first(tmp_path):
    with pytest.raises(TrainingError, match="comes first"):
        loop(tmp_path, rows(4), regularize=(FGM(), Focal()))
